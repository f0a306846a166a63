//! What commands share that watch external apps.

use std::path::{Path, PathBuf};

use anyhow::ensure;

use crate::control::SourceKind;
use crate::feed::wire::ConsoleAddress;
use crate::report::RunSource;

/// Checks the folder given with `--source`.
///
/// # Errors
/// Returns an error if it is not a folder.
pub(super) fn source_folder(folder: &Path) -> anyhow::Result<PathBuf> {
    ensure!(folder.is_dir(), "--source: no such folder `{}`", folder.display());
    Ok(folder.to_owned())
}

/// Returns the source of reports and archives for the app at `address`.
pub(super) fn run_source(address: &ConsoleAddress) -> RunSource {
    RunSource::external(SourceKind::Attach, address.to_string())
}
