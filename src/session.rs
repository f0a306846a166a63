//! One thing being looked at: its trace, the feeds that fill it and, where it can be controlled, its control. One file a
//! kind of source.

mod archive;
mod attach;
mod exec;
mod lab;
mod notes;
mod recorder;
mod recording;
mod sources;
mod watch;

pub use archive::{ArchiveSession, OpenError, head};
pub use attach::AttachSession;
pub use exec::{ExecSession, Stdin, wait_for_left};
pub use lab::LabSession;
pub use recorder::{ArchiveFile, Recorded};
pub use recording::{RecordingSession, Until};
pub use sources::built_in;
