//! Sessions: a trace, the feeds that fill it and, where the program can be controlled, its control.
//!
//! Each kind of source has its own file and implements [`Session`].
//!
//! ```
//! use std::time::Duration;
//! use loopscope::control::RunPhase;
//! use loopscope::session::{ReadUntil, RecordingSession, Session};
//!
//! let file = tempfile::NamedTempFile::new()?;
//! std::fs::write(&file, "{\"v\":1}\n")?;
//! let mut session = RecordingSession::open(file.path(), ReadUntil::EndOfFile, 1 << 30)?;
//! while session.status().phase != RunPhase::Ended {
//!     session.wait(Duration::from_millis(5));
//!     session.pump(Duration::from_millis(5));
//! }
//! assert_eq!(session.trace().tasks().len(), 0);
//! # Ok::<(), std::io::Error>(())
//! ```

mod app_probe;
mod archive;
mod archiving;
mod attach;
mod epoch_clock;
mod exec;
mod file_writers;
mod finding_watch;
pub mod interface;
mod lab;
mod notes;
mod process_check;
mod recording;
mod sources;

pub use app_probe::{
    ProbeAddress, ProbeSession, ProbedProcess, connect_tcp, connect_to, missing_facts, probed_processes, read_hello,
    save_flight_recording, watch_processes,
};
pub use archive::{ArchiveOpenError, ArchiveSession, archive_head};
pub use archiving::{ArchiveFile, ArchivingSession};
pub use attach::AttachSession;
pub use exec::{AppStdin, ExecSession, PythonCommand, wait_for_stopping_apps};
pub use interface::{LaunchRequest, Launcher, RunningApp, Session};
pub use lab::LabSession;
pub use recording::{ReadUntil, RecordingSession};
pub use sources::guess_build_folder;
