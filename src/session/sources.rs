//! Source files that locations name, as far as they can be read here: to show the line that awaits.
//!
//! A location is what somebody else's program says. Only ordinary Rust files of a sensible size are opened, and few, on a
//! disk of this machine. One that is relative is so to the folder in which the program was built, and lies in it: where that
//! is not known no line is shown, for the wrong project's would look as true as the right one's.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::trace::{Event, Location};

/// Files of one session.
const FILES_MAX: usize = 256;

/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 2 << 20;

/// Bytes of all files of one session.
const ALL_BYTES_MAX: usize = 16 << 20;

/// Texts, each with the name that locations have for the file, in the order in which they came.
#[derive(Debug, Default)]
pub struct Sources(Vec<(Arc<str>, String)>);

impl Sources {
    pub fn keep(&mut self, file: Arc<str>, text: String) {
        self.0.push((file, text));
    }

    pub fn all(&self) -> &[(Arc<str>, String)] {
        &self.0
    }
}

/// Reads each file that is named, once.
#[derive(Debug, Default)]
pub struct Reader {
    /// Where the program was built, if that is known.
    folder: Option<PathBuf>,
    known: FxHashSet<Arc<str>>,
    /// Bytes of all that was read.
    bytes: usize,
}

impl Reader {
    /// For a program that was built in `folder`; where that is not known, only files with an absolute path are read.
    pub fn of(folder: Option<PathBuf>) -> Self {
        Self { folder, known: FxHashSet::default(), bytes: 0 }
    }

    /// For another program that was built in the same place.
    pub fn anew(&self) -> Self {
        Self::of(self.folder.clone())
    }

    /// The files that these events name and no earlier ones did, with their texts.
    pub fn read(&mut self, events: &[Event]) -> Vec<(Arc<str>, String)> {
        let mut found = Vec::new();
        for event in events {
            let Some(Location { file, .. }) = location(event) else { continue };
            if self.known.len() >= FILES_MAX || self.bytes >= ALL_BYTES_MAX || self.known.contains(file) {
                continue;
            }
            self.known.insert(Arc::clone(file));
            let Some(text) = self.path(file).and_then(|path| text(&path)) else { continue };
            self.bytes += text.len();
            found.push((Arc::clone(file), text));
        }
        found
    }

    fn path(&self, file: &str) -> Option<PathBuf> {
        let path = Path::new(file);
        if path.is_absolute() {
            return Some(path.to_owned());
        }
        // Whatever leads out of it, by its name or by a link, is not of that program.
        let folder = self.folder.as_ref()?.canonicalize().ok()?;
        folder.join(path).canonicalize().ok().filter(|path| path.starts_with(&folder))
    }
}

/// The folder in which what `command` starts `here` was built, as far as that shows: cargo builds where it is called; what
/// cargo has built lies in its `target` there; and what lies below the folder in which one works belongs to it.
pub fn built_in(command: &OsStr, here: &Path) -> Option<PathBuf> {
    if Path::new(command).file_name() == Some(OsStr::new("cargo")) {
        return Some(here.to_owned());
    }
    // A name alone is looked up in the system's own folders.
    let is_path = Path::new(command).components().nth(1).is_some();
    let program = here.join(command).canonicalize().ok().filter(|_| is_path)?;
    let target = program.ancestors().find(|folder| folder.file_name() == Some(OsStr::new("target")));
    let here = here.canonicalize().ok()?;
    target.and_then(Path::parent).map(Path::to_owned).or_else(|| program.starts_with(&here).then_some(here))
}

fn location(event: &Event) -> Option<&Location> {
    match event {
        Event::Spawn { spawned, .. } => spawned.location.as_ref(),
        Event::Site { described, .. } => described.location.as_ref(),
        Event::Resource { described, .. } => described.location.as_ref(),
        Event::Located { location, .. } => Some(location),
        _ => None,
    }
}

fn text(path: &Path) -> Option<String> {
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    // Asked before it is opened: to open a pipe is to wait for whoever writes it.
    if !is_rust || !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::TaskId;

    fn named(file: &str) -> Event {
        let location = Box::new(Location { file: file.into(), line: 1 });
        Event::Located { task: TaskId::from_index(0), location }
    }

    #[test]
    fn a_relative_path_is_looked_for_where_the_program_was_built_and_nowhere_else() {
        let project = tempfile::tempdir().expect("a folder can be made");
        std::fs::write(project.path().join("sources.rs"), "right").expect("the folder is ours");
        let absolute = project.path().join("sources.rs").display().to_string();
        let events = [named("sources.rs"), named(&absolute), named(file!())];
        let texts = |mut reader: Reader| reader.read(&events).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts(Reader::of(None)), ["right"], "this very file is below the folder in which tests run");
        assert_eq!(texts(Reader::of(Some(project.path().to_owned()))), ["right", "right"]);
    }

    #[test]
    fn nothing_outside_of_the_folder_is_read_for_a_path_that_is_relative_to_it() {
        let root = tempfile::tempdir().expect("a folder can be made");
        let project = root.path().join("project");
        std::fs::create_dir_all(project.join("src")).expect("the folder is ours");
        for file in ["secret.rs", "project/src/main.rs"] {
            std::fs::write(root.path().join(file), file).expect("the folder is ours");
        }
        std::os::unix::fs::symlink(root.path().join("secret.rs"), project.join("link.rs")).expect("the folder is ours");
        let read = |file: &str| {
            let found = Reader::of(Some(project.clone())).read(&[named(file)]);
            found.into_iter().map(|(_, text)| text).next()
        };
        // As `#[path = "../src/main.rs"]` has it.
        let inside = Some("project/src/main.rs".to_owned());
        assert_eq!((read("src/main.rs"), read("tests/../src/main.rs")), (inside.clone(), None), "there are no tests");
        assert_eq!(read("src/../src/main.rs"), inside);
        for file in ["../secret.rs", "src/../../secret.rs", "link.rs"] {
            assert_eq!(read(file), None, "{file}");
        }
    }

    #[test]
    fn no_more_is_read_than_may_be_kept() {
        let project = tempfile::tempdir().expect("a folder can be made");
        let line = "// A long line of a long file.\n";
        let text = line.repeat(FILE_BYTES_MAX as usize / line.len());
        let count = 2 * ALL_BYTES_MAX / text.len();
        let names: Vec<String> = (0..count).map(|index| format!("{index}.rs")).collect();
        names.iter().for_each(|name| std::fs::write(project.path().join(name), &text).expect("the folder is ours"));
        let events: Vec<Event> = names.iter().map(|name| named(name)).collect();
        let mut reader = Reader::of(Some(project.path().to_owned()));
        let bytes: usize = reader.read(&events).iter().map(|(_, text)| text.len()).sum();
        assert!(bytes >= ALL_BYTES_MAX && bytes < ALL_BYTES_MAX + text.len(), "{bytes}");
    }

    #[test]
    fn where_a_program_was_built_shows_in_its_path() {
        let root = tempfile::tempdir().expect("a folder can be made");
        let root = root.path().canonicalize().expect("it is there");
        let make = |path: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("the folder is ours");
            std::fs::write(path, "").expect("the folder is ours");
        };
        ["one/target/debug/app", "two/src/main.rs", "two/bin/tool", "tool"].into_iter().for_each(make);
        let built = |command: &str, here: &str| built_in(OsStr::new(command), &root.join(here));
        let (one, two) = (Some(root.join("one")), Some(root.join("two")));
        assert_eq!(built("./target/debug/app", "one"), one);
        assert_eq!(built("../one/target/debug/app", "two"), one, "and not where one works");
        assert_eq!(built(&root.join("one/target/debug/app").display().to_string(), "two"), one);
        assert_eq!(built("bin/tool", "two"), two);
        assert_eq!((built("../tool", "two"), built("tool", "two"), built("./nothing", "two")), (None, None, None));
        assert_eq!((built("cargo", "two"), built("/usr/bin/cargo", "two")), (two.clone(), two));
    }

    #[test]
    fn only_ordinary_rust_files_are_read() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join(file!());
        assert!(text(&here).is_some_and(|text| text.starts_with("//! Source files")));
        for other in ["Cargo.toml", "src", "nowhere.rs", "/dev/zero"] {
            assert_eq!(text(&Path::new(env!("CARGO_MANIFEST_DIR")).join(other)), None, "{other}");
        }
    }
}
