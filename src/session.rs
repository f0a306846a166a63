//! One thing being looked at: its trace, the feeds that fill it and, where it can be controlled, its control. One file a
//! kind of source.

mod attach;
mod exec;
mod lab;
mod notes;
mod recording;
mod sources;
mod watch;

pub use attach::AttachSession;
pub use exec::{ExecSession, Stdin};
pub use lab::LabSession;
pub use recording::{RecordingSession, Until};
