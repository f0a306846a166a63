//! Sessions: a trace, the feeds that fill it and, where the program can be controlled, its control.
//!
//! Each kind of source has its own file and implements [`Session`].

mod archive;
mod archiving;
mod attach;
mod exec;
mod finding_watch;
pub mod interface;
mod lab;
mod notes;
mod recording;
mod sources;

pub use archive::{ArchiveOpenError, ArchiveSession, archive_head};
pub use archiving::{ArchiveFile, ArchivingSession};
pub use attach::AttachSession;
pub use exec::{AppStdin, ExecSession, wait_for_stopping_apps};
pub use interface::{LaunchRequest, Launcher, Session};
pub use lab::LabSession;
pub use recording::{ReadUntil, RecordingSession};
pub use sources::guess_build_folder;
