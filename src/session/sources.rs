//! Source files that locations refer to, read from the local disk to show source lines.
//!
//! Locations come from an untrusted program. Only regular Rust and Python files are read, up to limits of count and size. A
//! relative path is resolved in the directory where the program was built, and must not leave it. If that directory is
//! unknown, relative paths are not read: a file of another project could be shown by mistake.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::trace::{Event, Location, Notice, StackFrame};

/// Extensions of the files that are read.
const SOURCE_EXTENSIONS: [&str; 2] = ["rs", "py"];

/// Maximum number of files per session.
const FILES_MAX: usize = 256;

/// Maximum size of one file in bytes; the rest is cut off.
const FILE_BYTES_MAX: u64 = 2 << 20;

/// Total size of a session's files in bytes after which no more files are read.
const TOTAL_BYTES_MAX: usize = 16 << 20;

/// Texts of source files, each with the file name used in locations, in the order in which they were read.
#[derive(Debug, Default)]
pub struct SourceTexts(Vec<(Arc<str>, String)>);

impl SourceTexts {
    /// Adds the text of a file.
    pub fn push(&mut self, file: Arc<str>, text: String) {
        self.0.push((file, text));
    }

    /// Returns all files and their texts.
    pub fn as_slice(&self) -> &[(Arc<str>, String)] {
        &self.0
    }
}

/// Reads the source files that events refer to, each file once.
#[derive(Debug, Default)]
pub struct SourceReader {
    /// Directory in which the program was built, if known.
    folder: Option<PathBuf>,
    /// Files that were read or tried.
    seen: FxHashSet<Arc<str>>,
    /// Total size of the files read, in bytes.
    bytes: usize,
}

impl SourceReader {
    /// Creates a reader for a program that was built in `folder`. Without a folder it reads only absolute paths.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, seen: FxHashSet::default(), bytes: 0 }
    }

    /// Creates a reader with the same folder that has read no files.
    pub fn restarted(&self) -> Self {
        Self::new(self.folder.clone())
    }

    /// Reads the files that `events` refer to and that were not read before.
    pub fn read(&mut self, events: &[Event]) -> Vec<(Arc<str>, String)> {
        let mut found = Vec::new();
        for event in events {
            found.extend(location_of(event).and_then(|location| self.read_file(&location.file)));
            for location in frames_of(event).iter().filter_map(|frame| frame.location.as_ref()) {
                found.extend(self.read_file(&location.file));
            }
        }
        found
    }

    /// Reads a file that was not read before.
    fn read_file(&mut self, file: &Arc<str>) -> Option<(Arc<str>, String)> {
        if self.seen.len() >= FILES_MAX || self.bytes >= TOTAL_BYTES_MAX || self.seen.contains(file) {
            return None;
        }
        self.seen.insert(Arc::clone(file));
        let text = self.resolve(file).and_then(|path| read_source(&path))?;
        self.bytes += text.len();
        Some((Arc::clone(file), text))
    }

    fn resolve(&self, file: &str) -> Option<PathBuf> {
        let path = Path::new(file);
        if path.is_absolute() {
            return Some(path.to_owned());
        }
        // Reject paths that leave the folder by `..` or by a symbolic link.
        let folder = self.folder.as_ref()?.canonicalize().ok()?;
        folder.join(path).canonicalize().ok().filter(|path| path.starts_with(&folder))
    }
}

/// Guesses the directory in which the program of `command`, started in the directory `here`, was built.
///
/// For `cargo` and Python that is `here`. For a binary below a `target` directory it is the parent of `target`. For any other
/// binary below `here` it is `here`. Otherwise returns `None`.
pub fn guess_build_folder(command: &OsStr, here: &Path) -> Option<PathBuf> {
    let name = Path::new(command).file_name().unwrap_or_default();
    if name == "cargo" || name.as_encoded_bytes().starts_with(b"python") {
        return Some(here.to_owned());
    }
    // A bare name is looked up in `PATH` and implies no directory.
    let is_path = Path::new(command).components().nth(1).is_some();
    let program = here.join(command).canonicalize().ok().filter(|_| is_path)?;
    let target = program.ancestors().find(|folder| folder.file_name() == Some(OsStr::new("target")));
    let here = here.canonicalize().ok()?;
    target.and_then(Path::parent).map(Path::to_owned).or_else(|| program.starts_with(&here).then_some(here))
}

/// Returns the location in an event, if it has one.
fn location_of(event: &Event) -> Option<&Location> {
    match event {
        Event::Spawn { meta: spawned, .. } => spawned.location.as_ref(),
        Event::NewAwaitSite { site: described, .. } => described.location.as_ref(),
        Event::NewResource { resource: described, .. } => described.location.as_ref(),
        Event::SpawnLocation { location, .. } => Some(location),
        _ => None,
    }
}

/// Returns the functions in an event, if it has some.
fn frames_of(event: &Event) -> &[StackFrame] {
    match event {
        Event::NewAwaitSite { site, .. } => site.chain.as_deref().unwrap_or_default(),
        Event::Notice(notice) => match &**notice {
            Notice::Sampled { frame, .. } => std::slice::from_ref(frame),
            Notice::NeverRetrieved { .. } => &[],
        },
        _ => &[],
    }
}

/// Reads a regular Rust or Python file. Returns `None` for other files and on errors.
fn read_source(path: &Path) -> Option<String> {
    let is_source = path.extension().is_some_and(|extension| SOURCE_EXTENSIONS.iter().any(|known| extension == *known));
    // Check before opening: opening a named pipe blocks until it has a writer.
    if !is_source || !path.metadata().ok()?.is_file() {
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

    fn located(file: &str) -> Event {
        let location = Box::new(Location { file: file.into(), line: 1 });
        Event::SpawnLocation { task: TaskId::from_index(0), location }
    }

    #[test]
    fn relative_path_is_read_only_in_build_folder() {
        let project = tempfile::tempdir().expect("create a temporary folder");
        std::fs::write(project.path().join("sources.rs"), "right").expect("write to the temporary folder");
        let absolute = project.path().join("sources.rs").display().to_string();
        let events = [located("sources.rs"), located(&absolute), located(file!())];
        let texts =
            |mut reader: SourceReader| reader.read(&events).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts(SourceReader::new(None)), ["right"], "this source file is below the current directory");
        assert_eq!(texts(SourceReader::new(Some(project.path().to_owned()))), ["right", "right"]);
    }

    #[test]
    fn relative_path_cannot_leave_build_folder() {
        let root = tempfile::tempdir().expect("create a temporary folder");
        let project = root.path().join("project");
        std::fs::create_dir_all(project.join("src")).expect("write to the temporary folder");
        for file in ["secret.rs", "project/src/main.rs"] {
            std::fs::write(root.path().join(file), file).expect("write to the temporary folder");
        }
        std::os::unix::fs::symlink(root.path().join("secret.rs"), project.join("link.rs"))
            .expect("write to the temporary folder");
        let read = |file: &str| {
            let found = SourceReader::new(Some(project.clone())).read(&[located(file)]);
            found.into_iter().map(|(_, text)| text).next()
        };
        // `#[path = "../src/main.rs"]` gives paths with `..` inside the folder.
        let inside = Some("project/src/main.rs".to_owned());
        assert_eq!(
            (read("src/main.rs"), read("tests/../src/main.rs")),
            (inside.clone(), None),
            "`tests` does not exist"
        );
        assert_eq!(read("src/../src/main.rs"), inside);
        for file in ["../secret.rs", "src/../../secret.rs", "link.rs"] {
            assert_eq!(read(file), None, "{file}");
        }
    }

    #[test]
    fn total_size_is_limited() {
        let project = tempfile::tempdir().expect("create a temporary folder");
        let line = "// A long line of a long file.\n";
        let text = line.repeat(FILE_BYTES_MAX as usize / line.len());
        let count = 2 * TOTAL_BYTES_MAX / text.len();
        let names: Vec<String> = (0..count).map(|index| format!("{index}.rs")).collect();
        names
            .iter()
            .for_each(|name| std::fs::write(project.path().join(name), &text).expect("write to the temporary folder"));
        let events: Vec<Event> = names.iter().map(|name| located(name)).collect();
        let mut reader = SourceReader::new(Some(project.path().to_owned()));
        let bytes: usize = reader.read(&events).iter().map(|(_, text)| text.len()).sum();
        assert!(bytes >= TOTAL_BYTES_MAX && bytes < TOTAL_BYTES_MAX + text.len(), "{bytes}");
    }

    #[test]
    fn build_folder_is_guessed_from_the_path() {
        let root = tempfile::tempdir().expect("create a temporary folder");
        let root = root.path().canonicalize().expect("the folder exists");
        let make = |path: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().expect("the path has a parent"))
                .expect("write to the temporary folder");
            std::fs::write(path, "").expect("write to the temporary folder");
        };
        ["one/target/debug/app", "two/src/main.rs", "two/bin/tool", "tool"].into_iter().for_each(make);
        let built = |command: &str, here: &str| guess_build_folder(OsStr::new(command), &root.join(here));
        let (one, two) = (Some(root.join("one")), Some(root.join("two")));
        assert_eq!(built("./target/debug/app", "one"), one);
        assert_eq!(built("../one/target/debug/app", "two"), one, "not the current directory");
        assert_eq!(built(&root.join("one/target/debug/app").display().to_string(), "two"), one);
        assert_eq!(built("bin/tool", "two"), two);
        assert_eq!((built("../tool", "two"), built("tool", "two"), built("./nothing", "two")), (None, None, None));
        for command in ["cargo", "/usr/bin/cargo", "python3", "venv/bin/python3.11"] {
            assert_eq!(built(command, "two"), two, "{command}");
        }
    }

    #[test]
    fn only_regular_source_files_are_read() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join(file!());
        assert!(read_source(&here).is_some_and(|text| text.starts_with("//! Source files")));
        let python = tempfile::Builder::new().suffix(".py").tempfile().expect("create a temporary file");
        assert_eq!(read_source(python.path()).as_deref(), Some(""));
        for other in ["Cargo.toml", "src", "nowhere.rs", "/dev/zero"] {
            assert_eq!(read_source(&Path::new(env!("CARGO_MANIFEST_DIR")).join(other)), None, "{other}");
        }
    }
}
