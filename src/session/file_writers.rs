//! Whether a process has a file open for writing.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Searches for processes that have a file open for writing.
#[derive(Debug, Default)]
pub struct WriterSearch {
    /// The descriptor that was found last, as its link in `/proc`. It is checked before all others are.
    found: Option<PathBuf>,
}

impl WriterSearch {
    /// Returns whether a process of this machine that may be inspected has the file open for writing. Returns `false` on
    /// systems without `/proc`.
    pub fn has_writer(&mut self, file: &Metadata) -> bool {
        self.found = self.found.take().filter(|descriptor| writes_to(descriptor, file)).or_else(|| find_writer(file));
        self.found.is_some()
    }
}

/// Returns a descriptor through which the file is open for writing.
fn find_writer(file: &Metadata) -> Option<PathBuf> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbered = processes.filter(|entry| entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()));
    let descriptors =
        numbered.flat_map(|process| std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten());
    descriptors.map(|descriptor| descriptor.path()).find(|descriptor| writes_to(descriptor, file))
}

/// Returns whether the file is open for writing through this descriptor, a link in `/proc`.
fn writes_to(descriptor: &Path, file: &Metadata) -> bool {
    let is_same = std::fs::metadata(descriptor).is_ok_and(|open| (open.ino(), open.dev()) == (file.ino(), file.dev()));
    let (process, number) = (descriptor.ancestors().nth(2), descriptor.file_name());
    let description = process.zip(number).map(|(process, number)| process.join("fdinfo").join(number));
    is_same && description.is_some_and(|description| is_writable(&description))
}

/// Returns whether the descriptor that this file describes is open for writing.
fn is_writable(description: &Path) -> bool {
    /// Bits of the access mode in the flags, which are octal: 1 for writing, 2 for both.
    const ACCESS_MODE: u32 = 3;
    let text = std::fs::read_to_string(description).unwrap_or_default();
    let flags = text.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_some_and(|flags| flags & ACCESS_MODE != 0)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn finds_only_writers() {
        let file = tempfile::NamedTempFile::new().expect("create a file");
        let metadata = file.as_file().metadata().expect("it is open");
        let mut search = WriterSearch::default();
        assert!(search.has_writer(&metadata));
        assert!(search.has_writer(&metadata), "it is still open");
        let path = file.into_temp_path();
        let _reader = std::fs::File::open(&path).expect("it exists");
        assert!(!search.has_writer(&metadata));
    }
}
