//! The one folder in which a script's files are.
//!
//! Unless the person names one, it is an empty folder of the run's own, made when it is first wanted and gone with the
//! run. Names lead nowhere else: no absolute paths, no `..`, no links out of it.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::{Host, locked};
use crate::belongings::PrivateFolder;

/// Bytes that one run may write in all.
pub(super) const WRITTEN_BYTES_MAX: u64 = 4 << 30;

/// Files that one run may have open at once.
pub(super) const OPEN_FILES_MAX: usize = 64;

/// See the module.
pub(super) struct Folder {
    allowed: Option<PathBuf>,
    /// Where it is, once it was wanted; or why there is none.
    path: OnceLock<Result<PathBuf, String>>,
    /// The run's own, until that is over.
    own: Mutex<Option<PrivateFolder>>,
    written_bytes: AtomicU64,
    open_files: Arc<AtomicUsize>,
}

impl Folder {
    pub fn new(allowed: Option<PathBuf>) -> Self {
        Self {
            allowed,
            path: OnceLock::new(),
            own: Mutex::default(),
            written_bytes: AtomicU64::new(0),
            open_files: Arc::default(),
        }
    }

    fn path(&self) -> Result<&Path, String> {
        let made = self.path.get_or_init(|| {
            let made = match &self.allowed {
                Some(allowed) => allowed.canonicalize(),
                None => PrivateFolder::make().and_then(|own| locked(&self.own).insert(own).path().canonicalize()),
            };
            made.map_err(|error| format!("the script's folder cannot be had: {error}"))
        });
        made.as_deref().map_err(Clone::clone)
    }

    /// The file of this name, whether it is there or not; or why there can be none.
    pub fn find(&self, name: &str) -> Result<PathBuf, String> {
        let is_plain = |part: Component| matches!(part, Component::Normal(_));
        if name.is_empty() || name.contains('\0') || name.ends_with('/') || !Path::new(name).components().all(is_plain)
        {
            return Err(format!("`{name}` leads out of the script's folder, or is no name"));
        }
        let folder = self.path()?;
        let path = folder.join(name);
        // Links are followed first: what counts is where they lead. A file that is yet to be made has only its folder.
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
        // Opening a pipe would wait for its other end on a thread that nobody can stop.
        if real.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Err(format!("`{name}` is not a file"));
        }
        Ok(real)
    }

    /// Counts what is about to be written; false where that would be more than a run may write.
    pub fn may_write(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        self.written_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= WRITTEN_BYTES_MAX
    }

    /// A place among the open files; none where there are as many as there may be.
    pub fn open_one(&self) -> Option<OpenFile> {
        let count = |open: usize| (open < OPEN_FILES_MAX).then_some(open + 1);
        let counted = self.open_files.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        counted.is_ok().then(|| OpenFile(Arc::clone(&self.open_files)))
    }
}

/// One file that is open, until it is dropped.
pub(super) struct OpenFile(Arc<AtomicUsize>);

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Removes the run's own folder when main is over, however it ends.
pub(super) struct GoesWithRun(pub Arc<Host>);

impl Drop for GoesWithRun {
    fn drop(&mut self) {
        let gone = locked(&self.0.folder.own).take();
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_the_folder() {
        let outside = tempfile::tempdir().expect("a folder can be made");
        let inside = outside.path().join("inside");
        std::fs::create_dir_all(inside.join("deeper")).expect("it is ours");
        std::fs::write(outside.path().join("secret"), "s").expect("it is ours");
        std::fs::write(inside.join("plain"), "p").expect("it is ours");
        std::os::unix::fs::symlink("../secret", inside.join("out")).expect("it is ours");
        std::os::unix::fs::symlink("../none", inside.join("dangling")).expect("it is ours");
        std::os::unix::fs::symlink("plain", inside.join("in")).expect("it is ours");
        let folder = Folder::new(Some(inside.clone()));
        for name in ["plain", "new", "deeper/new", "in"] {
            assert!(folder.find(name).is_ok(), "{name}: {:?}", folder.find(name));
        }
        let absolute = inside.join("plain");
        for name in
            ["", "..", "../secret", "deeper/../../secret", "out", "dangling", "deeper", "nowhere/new", "a\0b", "new/"]
        {
            assert!(folder.find(name).is_err(), "{name}");
        }
        assert!(folder.find(absolute.to_str().expect("a plain name")).is_err());
    }

    #[test]
    fn a_folder_of_its_own_is_empty_and_limits_count() {
        let folder = Folder::new(None);
        let path = folder.find("x").expect("it can be had");
        assert!(path.parent().is_some_and(|parent| parent.read_dir().is_ok_and(|mut files| files.next().is_none())));
        assert!(folder.may_write(1) && !folder.may_write(WRITTEN_BYTES_MAX as usize));
        let open: Vec<_> = (0..OPEN_FILES_MAX).map_while(|_| folder.open_one()).collect();
        assert!(open.len() == OPEN_FILES_MAX && folder.open_one().is_none());
        drop(open);
        assert!(folder.open_one().is_some());
        let own = path.parent().expect("it is in a folder").to_owned();
        drop(folder);
        assert!(!own.exists(), "nothing is left behind");
    }
}
