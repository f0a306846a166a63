//! The parts of a started app that do not depend on how it is observed.

use crossbeam_channel::{Receiver, Sender};

use super::output::AppOutput;
use super::pipe::RecordingPipe;
use super::process::AppProcess;
use super::reserved_port::ReservedPort;
use crate::session::process_check::ProcessCheck;
use crate::session::sources::SourceReader;

/// The parts of a started app that do not depend on how it is observed.
pub struct AppParts {
    pub name: String,
    pub app: AppProcess,
    /// The app may have a console too. Its recording is drained and discarded, because the app would block otherwise.
    pub pipe: RecordingPipe,
    /// The port of its console stays reserved.
    pub port: ReservedPort,
    pub output: AppOutput,
    pub source_reader: SourceReader,
    pub wakeup: Receiver<()>,
    pub wakeup_sender: Sender<()>,
    pub process_check: ProcessCheck,
}
