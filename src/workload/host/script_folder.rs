//! The folder to which a script's file access is confined.
//!
//! Unless the user names a folder, it is an empty temporary one. It is created on first use and deleted with the run.
//! Names cannot leave the folder: absolute paths, `..` and links that lead out of it are rejected.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::lock::lock;
use crate::cleanup::PrivateTempDir;

/// Maximum number of bytes that one run may write in total.
pub(super) const WRITTEN_BYTES_MAX: u64 = 4 << 30;

/// Maximum number of open files of one run.
pub(super) const OPEN_FILES_MAX: usize = 64;

/// The folder of a script's files, with the run's limits for open files and written bytes.
pub(super) struct ScriptFolder {
    /// The folder that the user allowed.
    allowed: Option<PathBuf>,
    /// The canonical path, or the reason why there is none. Set on first use.
    path: OnceLock<Result<PathBuf, String>>,
    /// The temporary folder, until the run ends.
    temporary: Mutex<Option<PrivateTempDir>>,
    written_bytes: AtomicU64,
    open_files: Arc<AtomicUsize>,
}

impl ScriptFolder {
    pub fn new(allowed: Option<PathBuf>) -> Self {
        Self {
            allowed,
            path: OnceLock::new(),
            temporary: Mutex::default(),
            written_bytes: AtomicU64::new(0),
            open_files: Arc::default(),
        }
    }

    /// Deletes the temporary folder, if there is one.
    pub fn delete_temporary(&self) {
        let temporary = lock(&self.temporary).take();
        drop(temporary);
    }

    fn path(&self) -> Result<&Path, String> {
        let path = self.path.get_or_init(|| {
            let path = match &self.allowed {
                Some(allowed) => allowed.canonicalize(),
                None => PrivateTempDir::create()
                    .and_then(|temporary| lock(&self.temporary).insert(temporary).path().canonicalize()),
            };
            path.map_err(|error| format!("cannot use the script's folder: {error}"))
        });
        path.as_deref().map_err(Clone::clone)
    }

    /// Returns the path of the file `name`, which may not exist yet.
    ///
    /// # Errors
    /// Returns a message for the user if the name leads out of the folder or is not a regular file.
    pub fn resolve(&self, name: &str) -> Result<PathBuf, String> {
        let is_plain = |part: Component| matches!(part, Component::Normal(_));
        if name.is_empty() || name.contains('\0') || name.ends_with('/') || !Path::new(name).components().all(is_plain)
        {
            return Err(format!("`{name}` leads out of the script's folder, or is not a valid name"));
        }
        let folder = self.path()?;
        let path = folder.join(name);
        // Resolves links before the check. For a file that does not exist yet, its parent folder is resolved.
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => {
                let parent = path.parent().unwrap_or(folder).canonicalize();
                let parent = parent.map_err(|_| format!("`{name}`: its folder does not exist"))?;
                parent.join(path.file_name().unwrap_or_default())
            }
            Err(error) => return Err(format!("`{name}`: {error}")),
        };
        if !real.starts_with(folder) {
            return Err(format!("`{name}` leads out of the script's folder"));
        }
        // Opening a pipe would block a thread that cannot be stopped.
        if real.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Err(format!("`{name}` is not a file"));
        }
        Ok(real)
    }

    /// Counts bytes that are about to be written. Returns false if the run's limit is exceeded.
    pub fn count_written(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        self.written_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= WRITTEN_BYTES_MAX
    }

    /// Counts one more open file, until the permit is dropped. Returns `None` at the limit.
    pub fn acquire_open_file(&self) -> Option<OpenFilePermit> {
        let count = |open: usize| (open < OPEN_FILES_MAX).then_some(open + 1);
        let counted = self.open_files.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        counted.is_ok().then(|| OpenFilePermit(Arc::clone(&self.open_files)))
    }
}

/// Counts as one open file until it is dropped.
pub(super) struct OpenFilePermit(Arc<AtomicUsize>);

impl Drop for OpenFilePermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_names_that_leave_the_folder() {
        let outside = tempfile::tempdir().expect("a temporary folder");
        let inside = outside.path().join("inside");
        std::fs::create_dir_all(inside.join("deeper")).expect("writable folder");
        std::fs::write(outside.path().join("secret"), "s").expect("writable folder");
        std::fs::write(inside.join("plain"), "p").expect("writable folder");
        std::os::unix::fs::symlink("../secret", inside.join("out")).expect("writable folder");
        std::os::unix::fs::symlink("../none", inside.join("dangling")).expect("writable folder");
        std::os::unix::fs::symlink("plain", inside.join("in")).expect("writable folder");
        let folder = ScriptFolder::new(Some(inside.clone()));
        for name in ["plain", "new", "deeper/new", "in"] {
            assert!(folder.resolve(name).is_ok(), "{name}: {:?}", folder.resolve(name));
        }
        let absolute = inside.join("plain");
        for name in
            ["", "..", "../secret", "deeper/../../secret", "out", "dangling", "deeper", "nowhere/new", "a\0b", "new/"]
        {
            assert!(folder.resolve(name).is_err(), "{name}");
        }
        assert!(folder.resolve(absolute.to_str().expect("UTF-8 path")).is_err());
    }

    #[test]
    fn temporary_folder_is_empty_and_limits_hold() {
        let folder = ScriptFolder::new(None);
        let path = folder.resolve("x").expect("valid name");
        assert!(path.parent().is_some_and(|parent| parent.read_dir().is_ok_and(|mut files| files.next().is_none())));
        assert!(folder.count_written(1) && !folder.count_written(WRITTEN_BYTES_MAX as usize));
        let open: Vec<_> = (0..OPEN_FILES_MAX).map_while(|_| folder.acquire_open_file()).collect();
        assert!(open.len() == OPEN_FILES_MAX && folder.acquire_open_file().is_none());
        drop(open);
        assert!(folder.acquire_open_file().is_some());
        let temporary = path.parent().expect("it has a parent").to_owned();
        drop(folder);
        assert!(!temporary.exists(), "the temporary folder is deleted");
    }
}
