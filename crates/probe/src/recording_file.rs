//! Files of the flight recorder: private, and complete as soon as they have their name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Extension of a flight recording.
const EXTENSION: &str = "lsprobe";

/// Names that are tried for one file.
const NAMES_MAX: u32 = 100;

/// Longest part of the program's name in the name of a file, in characters.
const NAME_CHARS_MAX: usize = 64;

/// Mode of a file: only this user may read it.
const FILE_MODE: u32 = 0o600;

/// Writes `bytes` to a file at `path`, which is created or replaced.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?.write_all(bytes)
}

/// Writes `bytes` to a new file in `folder`, which is created if it does not exist. Returns the path of the file. It is
/// `STEM.lsprobe`, or `STEM-2.lsprobe` and so on if that exists.
pub(crate) fn write_new(folder: &Path, stem: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for number in 1..=NAMES_MAX {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let path = folder.join(format!("{stem}{suffix}.{EXTENSION}"));
        let partial = folder.join(format!("{stem}{suffix}.{EXTENSION}.part"));
        // The name of the partial file reserves the other one among all programs that write here.
        let file = match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&partial) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            file => file?,
        };
        let written =
            if fs::symlink_metadata(&path).is_ok() { Ok(false) } else { complete(file, &partial, &path, bytes) };
        match written {
            Ok(true) => return Ok(path),
            Ok(false) => fs::remove_file(&partial)?,
            Err(error) => {
                let _ = fs::remove_file(&partial);
                return Err(error);
            }
        }
    }
    Err(io::Error::new(ErrorKind::AlreadyExists, "too many files have this name"))
}

fn complete(mut file: File, partial: &Path, path: &Path, bytes: &[u8]) -> io::Result<bool> {
    file.write_all(bytes)?;
    fs::rename(partial, path)?;
    Ok(true)
}

/// Returns the name of a file without its extension: program, process id and time.
pub(crate) fn stem(program: &str, pid: u32, unix_seconds: u64) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    let program: String =
        program.chars().take(NAME_CHARS_MAX).map(|char| if is_plain(char) { char } else { '-' }).collect();
    let program = program.trim_start_matches('.');
    format!("{}-{pid}-{}", if program.is_empty() { "program" } else { program }, utc(unix_seconds))
}

/// Formats a time as `20260131T235959Z`.
fn utc(unix_seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(unix_seconds))
        .to_string()
        .replace(['-', ':'], "")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn times_are_of_the_calendar() {
        for (seconds, expected) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (951_868_800, "20000301T000000Z"),
            (1_709_164_800, "20240229T000000Z"),
            (1_798_761_599, "20261231T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(utc(seconds), expected);
        }
    }

    #[test]
    fn names_are_plain() {
        assert_eq!(stem("service", 7, 0), "service-7-19700101T000000Z");
        assert_eq!(stem("../a b\u{1b}", 7, 0), "-a-b--7-19700101T000000Z");
        assert_eq!(stem("", 7, 0), "program-7-19700101T000000Z");
        assert!(stem(&"a".repeat(5_000), 7, 0).len() < 100);
    }

    #[test]
    fn no_file_is_overwritten() {
        let folder = tempfile::tempdir().expect("folder");
        let inside = folder.path().join("new/deep");
        let write = |bytes: &[u8]| write_new(&inside, "a", bytes);
        let name = |path: &Path| path.file_name().expect("name").to_owned();
        assert_eq!(name(&write(b"first").expect("written")), "a.lsprobe");
        // A link to nowhere is a name, too, and a partial file of another program reserves its name.
        std::os::unix::fs::symlink("nowhere", inside.join("a-2.lsprobe")).expect("link");
        fs::write(inside.join("a-3.lsprobe.part"), "other").expect("file");
        let fourth = write(b"fourth").expect("written");
        assert_eq!(name(&fourth), "a-4.lsprobe");
        assert_eq!(fs::read(inside.join("a.lsprobe")).expect("file"), b"first");
        assert_eq!(fs::read(inside.join("a-3.lsprobe.part")).expect("file"), b"other");
        assert_eq!(fs::metadata(&fourth).expect("file").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&inside).expect("folder").count(), 4, "no partial file is left");
        fs::write(folder.path().join("file"), "").expect("file");
        assert!(write_new(&folder.path().join("file"), "a", b"").is_err());
    }
}
