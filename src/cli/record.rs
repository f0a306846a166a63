//! The option `--record FILE`: writing sessions to archives.

use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::feed::archive::ArchiveHeader;
use crate::session::{ArchiveFile, ArchivingSession, Session};

/// Arguments for recording to an archive.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RecordArgs {
    /// Also write the session to this archive, as data arrives
    ///
    /// `loopscope open FILE` shows the archive.
    #[arg(long = "record", value_name = "FILE")]
    path: Option<PathBuf>,
}

impl RecordArgs {
    /// Returns the path given by the user.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Returns the series of archives for a screen with several sessions.
    pub fn file_series(&self) -> ArchiveFileSeries {
        ArchiveFileSeries { path: self.path.clone(), is_first_used: false }
    }

    /// Opens the file given by the user, if any. Call this before starting a session.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written, or has other contents.
    pub fn file(&self) -> anyhow::Result<Option<ArchiveFile>> {
        self.path().map(open_file).transpose()
    }
}

/// Opens the archive file that the user named.
fn open_file(path: &Path) -> anyhow::Result<ArchiveFile> {
    ArchiveFile::open_or_create(path).map_err(|error| anyhow!("cannot write to `{}`: {error}", path.display()))
}

/// The archives of a screen with several sessions: the file given by the user, then siblings such as `run-2.loop`.
#[derive(Debug, Default)]
pub(super) struct ArchiveFileSeries {
    path: Option<PathBuf>,
    is_first_used: bool,
}

impl ArchiveFileSeries {
    /// Opens the archive for the next session. Returns `None` if sessions are not archived.
    ///
    /// # Errors
    /// Returns an error if the file cannot be created.
    pub fn next(&mut self) -> anyhow::Result<Option<ArchiveFile>> {
        let Some(path) = &self.path else { return Ok(None) };
        // Overwrite only the file that the user named.
        let result = if self.is_first_used {
            ArchiveFile::create_sibling(path)
                .map_err(|error| anyhow!("cannot create a file next to `{}`: {error}", path.display()))
        } else {
            open_file(path)
        };
        self.is_first_used |= result.is_ok();
        result.map(Some)
    }
}

/// Wraps `session` to write it to `file`, if there is one.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub(super) fn archive_session(
    file: Option<ArchiveFile>,
    session: impl Session + 'static,
    head: ArchiveHeader,
) -> anyhow::Result<Box<dyn Session>> {
    let session: Box<dyn Session> = Box::new(session);
    let Some(file) = file else { return Ok(session) };
    let archiving = ArchivingSession::new(session, file, head);
    Ok(Box::new(archiving.map_err(|error| anyhow!("cannot write the archive: {error}"))?))
}
