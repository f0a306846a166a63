//! Finds workloads: the built-in ones, those in the user's workload folder, and scripts given by path.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use super::closest_match::closest_match;
use super::fault::ScriptError;
use super::find_error::FindWorkloadError;
use super::host::cpu_budget::thread_cpu_time;
use super::manifest::Manifest;
use super::script;
use super::user_folder::WorkloadFolder;

/// Maximum size of a script file: 1 MiB. Scripts are meant to fit on one screen.
const SCRIPT_BYTES_MAX: u64 = 1 << 20;

/// The starter script that `loopscope new` writes. It runs unchanged.
pub const SCRIPT_TEMPLATE: &str = include_str!("template.lua");

/// Maximum CPU time for loading all scripts of the folder. Scripts that are not loaded by then are not listed. A busy machine
/// does not shorten the list.
const LISTING_TIME_MAX: Duration = Duration::from_secs(10);

/// Maximum CPU time spent on slow scripts (more than 50 ms each). After that, no further script is loaded.
const SLOW_SCRIPTS_TIME_MAX: Duration = Duration::from_secs(2);

/// A script that takes longer than this to load counts as slow. A normal script takes a small fraction of it.
const SLOW_SCRIPT_MIN: Duration = Duration::from_millis(50);

/// Registers the built-in workloads: each name expands to a pair of the name and the text of `workloads/NAME.lua`.
macro_rules! built_in {
    ($($name:literal),+ $(,)?) => { &[$(($name, include_str!(concat!("../../workloads/", $name, ".lua")))),+] };
}

/// Name and script text of each built-in workload, in teaching order. A new workload is a file in `workloads/` and a line here.
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

/// Returns the built-in workload of this name, or the script at this path.
pub fn find(name_or_path: &str) -> Result<Manifest, FindWorkloadError> {
    find_in(name_or_path, &WorkloadFolder::none())
}

/// Returns the workload of this name, or the script at this path.
///
/// A script in the workload folder `own` takes precedence over the built-in workload of the same name.
pub fn find_in(name_or_path: &str, own: &WorkloadFolder) -> Result<Manifest, FindWorkloadError> {
    if let Some(path) = own.script_path(name_or_path) {
        return read_script(name_or_path, &path);
    }
    if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
        return Ok(script::read_manifest(name, &built_in_file(name), text)?);
    }
    if !name_or_path.ends_with(".lua") && !name_or_path.contains(['/', '\\']) {
        return Err(unknown_workload(name_or_path, own));
    }
    let path = Path::new(name_or_path);
    let stem = path.file_stem().map(|stem| stem.to_string_lossy());
    read_script(stem.as_deref().unwrap_or(name_or_path), path)
}

/// Reads the script at `path` and names the workload `name`.
pub fn read_script(name: &str, path: &Path) -> Result<Manifest, FindWorkloadError> {
    read_script_with(script::read_manifest, name, path)
}

fn read_script_with(
    read: impl FnOnce(&str, &str, &str) -> Result<Manifest, ScriptError>,
    name: &str,
    path: &Path,
) -> Result<Manifest, FindWorkloadError> {
    let file = path.display().to_string();
    match read_text(path) {
        Ok(text) => Ok(Manifest { path: Some(path.to_owned()), ..read(name, &file, &text)? }),
        Err(reason) => Err(FindWorkloadError::Unreadable { path: file, reason }),
    }
}

/// Returns every built-in workload, in teaching order.
pub fn built_in_workloads() -> Vec<Manifest> {
    let read = |(name, text): &(&str, &str)| {
        script::read_manifest(name, &built_in_file(name), text).expect("a test reads every built-in script")
    };
    BUILT_IN.iter().map(read).collect()
}

/// The workloads that a user can choose from.
#[derive(Debug, Default)]
pub struct WorkloadListing {
    /// The built-in workloads in teaching order, then those of the user's folder, sorted by name.
    pub workloads: Vec<Manifest>,
    /// The scripts of the user's folder that cannot be loaded, and why.
    pub broken: Vec<FindWorkloadError>,
}

/// Loads every built-in workload and every script in `own`.
pub fn list_workloads(own: &WorkloadFolder) -> WorkloadListing {
    let (names, broken) = own.script_names();
    let mut listing = WorkloadListing { workloads: built_in_workloads(), broken };
    listing.workloads.retain(|manifest| own.script_path(&manifest.name).is_none());
    let started = thread_cpu_time();
    let (mut slow, mut omitted) = (Duration::ZERO, 0);
    for name in names {
        if thread_cpu_time().saturating_sub(started) >= LISTING_TIME_MAX || slow >= SLOW_SCRIPTS_TIME_MAX {
            omitted += 1;
            continue;
        }
        let script_started = thread_cpu_time();
        // The file may have been deleted in the meantime, which is not an error.
        let Some(path) = own.script_path(&name) else { continue };
        match read_script_with(script::read_manifest_for_listing, &name, &path) {
            Ok(manifest) => listing.workloads.push(manifest),
            Err(error) => listing.broken.push(error),
        }
        let taken = thread_cpu_time().saturating_sub(script_started);
        slow += if taken > SLOW_SCRIPT_MIN { taken } else { Duration::ZERO };
    }
    if let (1.., Some(path)) = (omitted, own.path()) {
        let seconds = thread_cpu_time().saturating_sub(started).as_secs();
        let reason = format!(
            "{omitted} scripts not listed, because loading the others took {seconds} s; the unlisted ones can still be run by name"
        );
        listing.broken.push(FindWorkloadError::Unreadable { path: path.display().to_string(), reason });
    }
    listing
}

fn built_in_file(name: &str) -> String {
    format!("workloads/{name}.lua")
}

fn unknown_workload(name: &str, own: &WorkloadFolder) -> FindWorkloadError {
    let (own, _) = own.script_names();
    let known = BUILT_IN.iter().map(|(name, _)| *name).chain(own.iter().map(String::as_str));
    let advice = match closest_match(name, known) {
        Some(near) => format!("; did you mean `{near}`?"),
        None if Path::new(name).exists() => format!("; to run the file, write `{name}.lua` or `./{name}`"),
        None => String::new(),
    };
    FindWorkloadError::Unknown { name: name.to_owned(), advice }
}

fn read_text(path: &Path) -> Result<String, String> {
    let plain = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied: check the file's permissions".to_owned(),
        _ => error.to_string(),
    };
    let metadata = path.metadata().map_err(plain)?;
    if !metadata.is_file() {
        return Err("not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    // Reads one byte past the limit to detect a file that is too large, even if it grew after the check above.
    File::open(path).map_err(plain)?.take(SCRIPT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(plain)?;
    if bytes.len() as u64 > SCRIPT_BYTES_MAX {
        return Err(format!("larger than {} MiB, the limit for a script", SCRIPT_BYTES_MAX >> 20));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8: save the file as UTF-8 text")
    })
}
