//! The parts of a started app that do not depend on how it is observed.

use std::collections::VecDeque;

use crossbeam_channel::{Receiver, Sender};

use super::output::{AppOutput, TimedOutput};
use super::pipe::RecordingPipe;
use super::process::AppProcess;
use super::python::PythonCommand;
use super::reserved_port::ReservedPort;
use crate::session::process_check::ProcessCheck;
use crate::session::sources::SourceReader;

/// What is known of an app from its command.
#[derive(Debug)]
pub struct AppLabel {
    /// Name of the session.
    pub name: String,
    /// It is started by Python.
    pub python: Option<PythonCommand>,
}

/// The parts of a started app that do not depend on how it is observed.
pub struct AppParts {
    pub name: String,
    pub app: AppProcess,
    /// The app may have a console too. Its recording is drained and discarded, because the app would block otherwise.
    pub pipe: RecordingPipe,
    /// The port of its console stays reserved.
    pub port: ReservedPort,
    /// What it has printed before.
    pub earlier_output: VecDeque<TimedOutput>,
    pub output: AppOutput,
    pub source_reader: SourceReader,
    pub wakeup: Receiver<()>,
    pub wakeup_sender: Sender<()>,
    pub process_check: ProcessCheck,
}
