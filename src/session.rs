//! One thing being looked at: its trace, the feeds that fill it and, where it can be controlled, its control. One file a
//! kind of source.

mod attach;
mod lab;
mod notes;
mod recording;

pub use attach::AttachSession;
pub use lab::LabSession;
pub use recording::{RecordingSession, Until};
