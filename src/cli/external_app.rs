//! What commands share that watch external apps.

use std::path::{Path, PathBuf};

use anyhow::ensure;

/// Checks the folder given with `--source`.
///
/// # Errors
/// Returns an error if it is not a folder.
pub(super) fn source_folder(folder: &Path) -> anyhow::Result<PathBuf> {
    ensure!(folder.is_dir(), "--source: no such folder `{}`", folder.display());
    Ok(folder.to_owned())
}
