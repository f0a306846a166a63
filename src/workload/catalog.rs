//! The workloads that come with the program, and those that a person has in files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::fault::ScriptError;
use super::manifest::Manifest;
use super::own::Folder;
use super::{params, script};

/// A script to be read on one screen is far smaller.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// A script to start one's own from, which runs as it is.
pub const TEMPLATE: &str = include_str!("template.lua");

/// Why there is no workload to run.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("no workload is called `{name}`{advice}; `loopscope workloads` lists them")]
    Unknown {
        name: String,
        /// What may have been meant, as part of the sentence.
        advice: String,
    },
    #[error("{path}: {reason}")]
    Unreadable { path: String, reason: String },
    #[error(transparent)]
    Script(#[from] ScriptError),
}

/// The text of each built-in script, by name.
macro_rules! built_in {
    ($($name:literal),+ $(,)?) => { &[$(($name, include_str!(concat!("../../workloads/", $name, ".lua")))),+] };
}

/// Name and text, in the order in which a learner meets them.
const BUILT_IN: &[(&str, &str)] = built_in![
    "countsync",
    "countasync",
    "pause-here",
    "gather",
    "chaining",
    "rules",
    "generator",
    "chess-sync",
    "chess-async",
    "chess-overlap",
    "producer-consumer",
    "oneshot-reply",
    "broadcast-lag",
    "semaphore-pool",
    "barrier",
    "select-race",
    "timeout-retry",
    "cancellation",
    "task-group",
    "blocked-loop",
    "spawn-blocking",
    "busy-yield",
    "starved-by-greed",
    "thundering-herd",
    "mutex-convoy",
    "rwlock-starvation",
    "interval-drift",
    "notify-lost-wakeup",
    "deadlock",
    "leak",
    "spawn-storm",
    "tcp-echo",
    "pipeline",
];

/// The built-in workload of this name, or the script at this path.
pub fn find(name_or_path: &str) -> Result<Manifest, FindError> {
    find_with(name_or_path, &Folder::none())
}

/// The workload of this name, from `own` before those that are built in, or the script at this path.
pub fn find_with(name_or_path: &str, own: &Folder) -> Result<Manifest, FindError> {
    if let Some(path) = own.file(name_or_path) {
        return read(name_or_path, &path);
    }
    if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
        return Ok(script::read(name, &file_of(name), text)?);
    }
    if !name_or_path.ends_with(".lua") && !name_or_path.contains(['/', '\\']) {
        return Err(unknown(name_or_path, own));
    }
    let path = Path::new(name_or_path);
    let stem = path.file_stem().map(|stem| stem.to_string_lossy());
    read(stem.as_deref().unwrap_or(name_or_path), path)
}

/// The script at `path`, to be called `name`.
pub fn read(name: &str, path: &Path) -> Result<Manifest, FindError> {
    read_by(script::read, name, path)
}

/// The same, for one of many: it is given up sooner.
pub(super) fn read_listed(name: &str, path: &Path) -> Result<Manifest, FindError> {
    read_by(script::read_listed, name, path)
}

fn read_by(
    read: impl FnOnce(&str, &str, &str) -> Result<Manifest, ScriptError>,
    name: &str,
    path: &Path,
) -> Result<Manifest, FindError> {
    let file = path.display().to_string();
    match read_file(path) {
        Ok(text) => Ok(Manifest { path: Some(path.to_owned()), ..read(name, &file, &text)? }),
        Err(reason) => Err(FindError::Unreadable { path: file, reason }),
    }
}

/// Every built-in workload.
pub fn all() -> Vec<Manifest> {
    let read = |(name, text): &(&str, &str)| {
        script::read(name, &file_of(name), text).expect("a test reads every script that is built in")
    };
    BUILT_IN.iter().map(read).collect()
}

fn file_of(name: &str) -> String {
    format!("workloads/{name}.lua")
}

fn unknown(name: &str, own: &Folder) -> FindError {
    let (own, _) = own.names();
    let known = BUILT_IN.iter().map(|(name, _)| *name).chain(own.iter().map(String::as_str));
    let advice = match params::nearest(name, known) {
        Some(near) => format!("; did you mean `{near}`?"),
        None if Path::new(name).exists() => format!("; to run the file, write `{name}.lua` or `./{name}`"),
        None => String::new(),
    };
    FindError::Unknown { name: name.to_owned(), advice }
}

fn read_file(path: &Path) -> Result<String, String> {
    let plain = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "it may not be read: check its permissions".to_owned(),
        _ => error.to_string(),
    };
    let metadata = path.metadata().map_err(plain)?;
    if !metadata.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    // One byte past the limit is enough to know; the file may have grown since it was looked at.
    File::open(path).map_err(plain)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(plain)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than {} MiB, which no workload needs", FILE_BYTES_MAX >> 20));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8: save the file as UTF-8 text")
    })
}
