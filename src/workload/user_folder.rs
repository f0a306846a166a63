//! The user's workload folder: scripts that are found by name, like the built-in workloads.
//!
//! A file here shadows the built-in workload of the same name, even if the file is invalid. An error is better than
//! running a different program from the one that the user wrote.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use super::find_error::FindWorkloadError;
use super::manifest::Manifest;

/// The environment variable that overrides the default workload folder.
pub const FOLDER_ENV: &str = "LOOPSCOPE_WORKLOADS";

/// Maximum number of scripts that are listed from the folder. A longer list is no help in choosing.
pub const LISTED_SCRIPTS_MAX: usize = 1000;

/// The folder with the user's own workloads. It may be absent.
#[derive(Clone, Debug, Default)]
pub struct WorkloadFolder {
    path: Option<PathBuf>,
    /// Whether the user named the folder. Then a missing folder is an error.
    is_explicit: bool,
}

impl WorkloadFolder {
    /// Returns the absent folder: only built-in workloads exist.
    pub fn none() -> Self {
        Self::default()
    }

    /// Returns the folder `named`, which is the value of [`FOLDER_ENV`].
    ///
    /// If the value is absent or empty, the folder is `loopscope/workloads` in the user's data directory
    /// (`$XDG_DATA_HOME`, else `~/.local/share`).
    pub fn from_env_or_default(named: Option<OsString>) -> Self {
        if let Some(path) = named.filter(|value| !value.is_empty()) {
            return Self { path: Some(path.into()), is_explicit: true };
        }
        let folders = etcetera::choose_base_strategy().ok();
        Self { path: folders.map(|folders| folders.data_dir().join("loopscope").join("workloads")), is_explicit: false }
    }

    /// Returns the path of the folder, which may not exist.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Returns the path of the workload `name`, if the folder contains it.
    pub(super) fn script_path(&self, name: &str) -> Option<PathBuf> {
        if !is_script_name(name) {
            return None;
        }
        let path = self.path.as_ref()?.join(format!("{name}.lua"));
        // A dangling link counts as present: an error is better than running the built-in workload instead.
        path.symlink_metadata().is_ok().then_some(path)
    }

    /// Copies a built-in workload's script into the folder, where it shadows the built-in one, and returns the path.
    /// An existing file stays unchanged, and its path is returned.
    ///
    /// # Errors
    /// Returns a message for the user if there is no folder or the file cannot be written.
    pub fn copy_built_in(&self, manifest: &Manifest) -> Result<PathBuf, String> {
        let folder = self.path.as_ref().ok_or("no workload folder: set LOOPSCOPE_WORKLOADS to name one")?;
        let path = folder.join(format!("{}.lua", manifest.name));
        let failed = |error: std::io::Error| format!("{}: cannot copy the script: {error}", path.display());
        std::fs::create_dir_all(folder).map_err(failed)?;
        match File::create_new(&path) {
            Ok(mut file) => file.write_all(manifest.text.as_bytes()).map_err(failed)?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        Ok(path)
    }

    /// Returns the names of the scripts in the folder, sorted, and the problems found while reading the folder.
    pub(super) fn script_names(&self) -> (BTreeSet<String>, Vec<FindWorkloadError>) {
        let (mut names, mut problems) = (BTreeSet::new(), Vec::new());
        let Some(folder) = &self.path else { return (names, problems) };
        let unreadable =
            |path: &Path, reason: String| FindWorkloadError::Unreadable { path: path.display().to_string(), reason };
        let entries = match folder.read_dir() {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !self.is_explicit => {
                return (names, problems);
            }
            Err(error) => {
                problems.push(unreadable(folder, format!("cannot read the workload folder: {error}")));
                return (names, problems);
            }
        };
        let (mut too_many, mut unnameable) = (false, None);
        for entry in entries {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(error) => {
                    problems.push(unreadable(folder, format!("cannot read all of the workload folder: {error}")));
                    break;
                }
            };
            // Hidden entries belong to editors, and some of them are not regular files.
            let is_script = path.extension().is_some_and(|extension| extension == "lua");
            let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
            if !is_script || stem.starts_with('.') {
                continue;
            }
            // A name that is not UTF-8 cannot be typed on the command line.
            if path.file_name().and_then(|name| name.to_str()).is_none() || !is_script_name(&stem) {
                unnameable = Some(path);
                continue;
            }
            names.insert(stem.into_owned());
            // Keeps the first names in sort order, because the system returns entries in any order.
            if names.len() > LISTED_SCRIPTS_MAX {
                names.pop_last();
                too_many = true;
            }
        }
        problems
            .extend(unnameable.map(|path| unreadable(&path, "not a valid workload name: rename the file".to_owned())));
        if too_many {
            let reason =
                format!("more than {LISTED_SCRIPTS_MAX} scripts: listing only the first {LISTED_SCRIPTS_MAX} by name");
            problems.push(unreadable(folder, reason));
        }
        (names, problems)
    }
}

/// Returns whether `name` is a valid workload name. A valid name cannot lead out of the folder.
fn is_script_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', ':', '\0'])
}
