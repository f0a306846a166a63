//! The person's own workload folder: scripts that are found by name, as the built-in ones are.
//!
//! A file here shadows the built-in workload of its name, also while it is broken: running another program than the one
//! that was written would be worse than an error.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use etcetera::BaseStrategy;

use super::catalog::{self, FindError};
use super::manifest::Manifest;

/// The variable that names another folder than the usual one.
pub const FOLDER_VARIABLE: &str = "LOOPSCOPE_WORKLOADS";

/// Scripts that are read from the folder; a list of more helps nobody to choose.
pub const FILES_MAX: usize = 1000;

/// Real time that reading them may take in all, and of it those that take longer than [`SLOW`] each. What is not read by
/// then is not listed.
pub const READING_MAX: Duration = Duration::from_secs(10);
pub const SLOW_MAX: Duration = Duration::from_secs(2);

/// An honest script is read in a small part of this.
const SLOW: Duration = Duration::from_millis(50);

/// Where a person's own workloads are, if anywhere.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    path: Option<PathBuf>,
    /// The person named it, so that it is not there is worth a word.
    named: bool,
}

impl Folder {
    /// No folder: only what is built in.
    pub fn none() -> Self {
        Self::default()
    }

    /// The folder that `named`, the value of [`FOLDER_VARIABLE`], says; else `loopscope/workloads` where the system
    /// keeps a person's data (`$XDG_DATA_HOME`, else `~/.local/share`). An empty value says nothing.
    pub fn of(named: Option<OsString>) -> Self {
        if let Some(path) = named.filter(|value| !value.is_empty()) {
            return Self { path: Some(path.into()), named: true };
        }
        let folders = etcetera::choose_base_strategy().ok();
        Self { path: folders.map(|folders| folders.data_dir().join("loopscope").join("workloads")), named: false }
    }

    /// The file of the workload `name`, if there is one.
    pub(super) fn file(&self, name: &str) -> Option<PathBuf> {
        if !is_name(name) {
            return None;
        }
        let path = self.path.as_ref()?.join(format!("{name}.lua"));
        // A link that leads nowhere is there, and an error that says so is better than another program.
        path.symlink_metadata().is_ok().then_some(path)
    }

    /// Copies a built-in workload's script here, where it shadows the built-in one, and gives its path. A file that is
    /// there already is left as it is, and is the one.
    ///
    /// # Errors
    /// Where there is no folder, or it cannot be written: in words for the person.
    pub fn copy(&self, manifest: &Manifest) -> Result<PathBuf, String> {
        let folder =
            self.path.as_ref().ok_or("there is no folder for workloads of your own: LOOPSCOPE_WORKLOADS names one")?;
        let path = folder.join(format!("{}.lua", manifest.name));
        let failed = |error: std::io::Error| format!("{}: the script cannot be copied there: {error}", path.display());
        std::fs::create_dir_all(folder).map_err(failed)?;
        match File::create_new(&path) {
            Ok(mut file) => file.write_all(manifest.text.as_bytes()).map_err(failed)?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        Ok(path)
    }

    /// Names to choose from, in order; and what is wrong with the folder itself.
    pub(super) fn names(&self) -> (BTreeSet<String>, Vec<FindError>) {
        let (mut names, mut troubles) = (BTreeSet::new(), Vec::new());
        let Some(folder) = &self.path else { return (names, troubles) };
        let unreadable =
            |path: &Path, reason: String| FindError::Unreadable { path: path.display().to_string(), reason };
        let entries = match folder.read_dir() {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !self.named => return (names, troubles),
            Err(error) => {
                troubles.push(unreadable(folder, format!("the workload folder cannot be read: {error}")));
                return (names, troubles);
            }
        };
        let (mut too_many, mut unnameable) = (false, None);
        for entry in entries {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(error) => {
                    troubles
                        .push(unreadable(folder, format!("the workload folder cannot be read to its end: {error}")));
                    break;
                }
            };
            // Hidden files are an editor's own, and not all of them are even files.
            let is_script = path.extension().is_some_and(|extension| extension == "lua");
            let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
            if !is_script || stem.starts_with('.') {
                continue;
            }
            // What is not UTF-8 is no text to be typed either.
            if path.file_name().and_then(|name| name.to_str()).is_none() || !is_name(&stem) {
                unnameable = Some(path);
                continue;
            }
            names.insert(stem.into_owned());
            // The first by name stay, whatever order the system tells them in.
            if names.len() > FILES_MAX {
                names.pop_last();
                too_many = true;
            }
        }
        troubles.extend(
            unnameable.map(|path| unreadable(&path, "such a name cannot be a workload's: rename it".to_owned())),
        );
        if too_many {
            let reason = format!("more than {FILES_MAX} scripts: only the first {FILES_MAX} by name are listed");
            troubles.push(unreadable(folder, reason));
        }
        (names, troubles)
    }
}

/// Whether `name` can be typed for a file in the folder: it must not lead out of it.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', ':', '\0'])
}

/// What there is to choose from.
#[derive(Debug, Default)]
pub struct Listing {
    /// The built-in workloads in a learner's order, then the person's own by name.
    pub workloads: Vec<Manifest>,
    /// What is in the person's folder and cannot be had, and why.
    pub broken: Vec<FindError>,
}

/// Every workload that can be run, with those in `own`.
pub fn listing(own: &Folder) -> Listing {
    let (names, broken) = own.names();
    let mut listing = Listing { workloads: catalog::all(), broken };
    listing.workloads.retain(|manifest| own.file(&manifest.name).is_none());
    let begun = Instant::now();
    let (mut slow, mut left_out) = (Duration::ZERO, 0);
    for name in names {
        if begun.elapsed() >= READING_MAX || slow >= SLOW_MAX {
            left_out += 1;
            continue;
        }
        let this_begun = Instant::now();
        // A file that went away since is not there any more, which is no error.
        let Some(path) = own.file(&name) else { continue };
        match catalog::read_listed(&name, &path) {
            Ok(manifest) => listing.workloads.push(manifest),
            Err(error) => listing.broken.push(error),
        }
        let took = this_begun.elapsed();
        slow += if took > SLOW { took } else { Duration::ZERO };
    }
    if let (1.., Some(path)) = (left_out, &own.path) {
        let seconds = begun.elapsed().as_secs();
        let reason =
            format!("{left_out} scripts are not listed, for reading the others took {seconds} s; they run by name");
        listing.broken.push(FindError::Unreadable { path: path.display().to_string(), reason });
    }
    listing
}
