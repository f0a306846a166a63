//! `--record FILE`: where what is watched is written to, and what comes after it.

use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::app::Session;
use crate::feed::archive::Head;
use crate::session::{ArchiveFile, Recorded};

/// What was typed of it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Record {
    /// Write what is seen to a file while it goes on; `loopscope open FILE` looks at it again
    #[arg(long = "record", value_name = "FILE")]
    path: Option<PathBuf>,
}

impl Record {
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The files of a screen that may watch several things.
    pub fn records(&self) -> Records {
        Records { path: self.path.clone(), is_used: false }
    }

    /// The file, if one was asked for; to be had before anything is started that would be written to it.
    ///
    /// # Errors
    /// When it cannot be written, or is something else.
    pub fn file(&self) -> anyhow::Result<Option<ArchiveFile>> {
        self.path().map(file).transpose()
    }
}

fn file(path: &Path) -> anyhow::Result<ArchiveFile> {
    ArchiveFile::at(path).map_err(|error| anyhow!("nothing can be written to {}: {error}", path.display()))
}

/// The files of a screen that may watch several things, one after the other and beside each other: the first is the one
/// that was asked for, the next stand beside it: `run-2.loop`.
#[derive(Debug, Default)]
pub(super) struct Records {
    path: Option<PathBuf>,
    is_used: bool,
}

impl Records {
    /// A file for what is started next; `None` where nothing is to be written.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn next(&mut self) -> anyhow::Result<Option<ArchiveFile>> {
        let Some(path) = &self.path else { return Ok(None) };
        // Only the first was named by the person: nothing else that is there is written over.
        let made = if self.is_used {
            ArchiveFile::beside(path)
                .map_err(|error| anyhow!("nothing can be written beside {}: {error}", path.display()))
        } else {
            file(path)
        };
        self.is_used |= made.is_ok();
        made.map(Some)
    }
}

/// `session`, written to the file while it goes on, where there is one.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn onto(
    file: Option<ArchiveFile>,
    session: impl Session + 'static,
    head: Head,
) -> anyhow::Result<Box<dyn Session>> {
    let session: Box<dyn Session> = Box::new(session);
    let Some(file) = file else { return Ok(session) };
    let recorded = Recorded::new(session, file, head);
    Ok(Box::new(recorded.map_err(|error| anyhow!("the archive cannot be written: {error}"))?))
}
