//! Whether a process has a file open for writing.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Returns whether a process of this machine that may be inspected has the file open for writing. Returns `false` on
/// systems without `/proc`.
pub fn has_writer(file: &Metadata) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbered = processes.filter(|entry| entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()));
    numbered.into_iter().any(|process| writes_to(&process.path(), file))
}

/// Returns whether the process described in this folder of `/proc` has the file open for writing.
fn writes_to(process: &Path, file: &Metadata) -> bool {
    let descriptors = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    descriptors.into_iter().any(|descriptor| {
        let is_same =
            std::fs::metadata(descriptor.path()).is_ok_and(|open| (open.ino(), open.dev()) == (file.ino(), file.dev()));
        is_same && is_writable(&process.join("fdinfo").join(descriptor.file_name()))
    })
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
        assert!(has_writer(&metadata));
        let path = file.into_temp_path();
        let _reader = std::fs::File::open(&path).expect("it exists");
        assert!(!has_writer(&metadata));
    }
}
