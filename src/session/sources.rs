//! Source files that locations name, as far as they can be read here: to show the line that awaits.
//!
//! A location is what somebody else's program says. Only ordinary Rust files of a sensible size are opened, and few.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::trace::{Event, Location};

/// Files of one session.
const FILES_MAX: usize = 256;

/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 2 << 20;

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
pub struct Reader(FxHashSet<Arc<str>>);

impl Reader {
    /// The files that these events name and no earlier ones did, with their texts.
    pub fn read(&mut self, events: &[Event]) -> Vec<(Arc<str>, String)> {
        let mut found = Vec::new();
        for event in events {
            let Some(Location { file, .. }) = location(event) else { continue };
            if self.0.len() >= FILES_MAX || self.0.contains(file) {
                continue;
            }
            self.0.insert(Arc::clone(file));
            found.extend(text(Path::new(&**file)).map(|text| (Arc::clone(file), text)));
        }
        found
    }
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

    #[test]
    fn only_ordinary_rust_files_are_read() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join(file!());
        assert!(text(&here).is_some_and(|text| text.starts_with("//! Source files")));
        for other in ["Cargo.toml", "src", "nowhere.rs", "/dev/zero"] {
            assert_eq!(text(&Path::new(env!("CARGO_MANIFEST_DIR")).join(other)), None, "{other}");
        }
    }
}
