//! Sessions that show a program with the probe: over its socket, or from a file that it wrote.

mod discovery;
mod dump;
mod gate;
mod link;
mod status_text;
mod stream;
mod tcp;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use loopscope_probe::PeerStream;

pub use discovery::{ProbedProcess, connect_to, probed_processes, read_hello, watch_processes};
pub use dump::save_flight_recording;
pub use status_text::missing_facts;
pub use tcp::{ProbeAddress, connect_tcp};

pub(super) use link::ProbeLink;
pub(super) use status_text::stream_notes;
pub(super) use stream::{ProbeStream, StreamEnd};

use super::interface::Session;
use super::process_check::ProcessCheck;
use super::sources::SourceReader;
use crate::control::{
    BreakpointHit, ClockKind, ConnectionState, ConnectionStatus, ControlLevel, FeedChoice, RunOutcome, RunPhase,
    SessionCommand, SessionStatus, SourceKind, Speed,
};
use crate::insight::Thresholds;
use crate::trace::Trace;

/// A session that shows a program with the probe.
pub struct ProbeSession {
    name: String,
    source: SourceKind,
    trace: Trace,
    stream: ProbeStream,
    wakeup: Receiver<()>,
    file_bytes: u64,
    started: Instant,
    /// How long the program may take to describe itself.
    answer_timeout: Option<Duration>,
    has_quit: bool,
    /// The program's process, if it runs on this machine.
    process: Option<(u32, ProcessCheck)>,
}

impl ProbeSession {
    /// Starts to observe the program at the other end of a connection. `name` is shown until the program has described
    /// itself. The trace has a memory budget of `memory_bytes`.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be created.
    pub fn attach(
        socket: impl Into<PeerStream>,
        name: String,
        folder: Option<PathBuf>,
        memory_bytes: usize,
    ) -> io::Result<Self> {
        let (wakeup_sender, wakeup) = bounded(1);
        let socket = socket.into();
        let process = peer_process(&socket).map(|pid| (pid, ProcessCheck::of_running_process(pid)));
        let link = ProbeLink::start(socket, wakeup_sender)?;
        let stream = ProbeStream::of_link(link, None, SourceReader::new(folder));
        let session = Self::new(name, SourceKind::Attach, stream, wakeup, memory_bytes);
        Ok(Self { process, ..session })
    }

    /// Starts to connect to the TCP port of a program, and to observe it. If that fails, the session ends and says why.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be created.
    pub fn connect(
        address: ProbeAddress,
        secret: Vec<u8>,
        folder: Option<PathBuf>,
        memory_bytes: usize,
    ) -> io::Result<Self> {
        let (wakeup_sender, wakeup) = bounded(1);
        let name = address.to_string();
        let link = ProbeLink::connect(move || connect_tcp(&address, &secret), wakeup_sender)?;
        let stream = ProbeStream::of_link(link, None, SourceReader::new(folder));
        Ok(Self::new(name, SourceKind::Attach, stream, wakeup, memory_bytes))
    }

    /// Opens a file that a program with the probe wrote.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened.
    pub fn open(path: &Path, memory_bytes: usize) -> io::Result<Self> {
        let file = File::open(path)?;
        let file_bytes = file.metadata()?.len();
        let stream = ProbeStream::of_file(file, SourceReader::default());
        let name = path.display().to_string();
        let session = Self::new(name, SourceKind::Recording, stream, bounded(0).1, memory_bytes);
        Ok(Self { file_bytes, ..session })
    }

    fn new(name: String, source: SourceKind, stream: ProbeStream, wakeup: Receiver<()>, memory_bytes: usize) -> Self {
        Self {
            name,
            source,
            trace: new_trace(memory_bytes),
            stream,
            wakeup,
            file_bytes: 0,
            started: Instant::now(),
            answer_timeout: None,
            has_quit: false,
            process: None,
        }
    }

    /// Makes the session fail if the program does not describe itself within `timeout`.
    pub fn set_answer_timeout(&mut self, timeout: Duration) {
        self.answer_timeout = Some(timeout);
    }

    /// Sets the thresholds for breakpoints on findings.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.stream.set_thresholds(thresholds);
    }

    /// Applies what the system reports of the program's process.
    fn check_process(&mut self) {
        let decoder = self.stream.decoder();
        let Some((pid, check)) = self.process.as_mut().filter(|_| decoder.has_begun()) else { return };
        if self.stream.end().is_none() {
            let loop_time = |epoch_ns| decoder.loop_time_at(epoch_ns);
            check.apply_if_due(*pid, None, &mut self.trace, loop_time, decoder.system_threads());
        }
    }

    fn outcome(&self) -> Option<RunOutcome> {
        Some(match (self.stream.end()?, self.source) {
            (StreamEnd::Failed(reason), SourceKind::Recording) => {
                RunOutcome::Failed(status_text::file_problem(reason, self.stream.decoder()))
            }
            (StreamEnd::Failed(reason), _) => RunOutcome::Failed(reason.clone()),
            (end @ StreamEnd::Refused, _) => {
                let reason = self.stream.gate.problem().map(str::to_owned);
                RunOutcome::Failed(reason.unwrap_or_else(|| status_text::end_note(end)))
            }
            (StreamEnd::Complete, SourceKind::Recording) if self.stream.decoder().hello().is_none() => {
                RunOutcome::Failed(status_text::NO_DESCRIPTION.to_owned())
            }
            _ if self.stream.decoder().hello().is_none() => RunOutcome::Failed(status_text::NO_ANSWER.to_owned()),
            (_, SourceKind::Recording) if self.has_quit => RunOutcome::Cancelled,
            (_, SourceKind::Recording) => RunOutcome::Completed(serde_json::Value::Null),
            _ => RunOutcome::Detached,
        })
    }

    fn connection(&self) -> ConnectionStatus {
        let decoder = self.stream.decoder();
        let (state, mut notes) = match (self.stream.end(), self.source) {
            (Some(end), SourceKind::Recording) => (ConnectionState::Live, vec![status_text::file_note(end, decoder)]),
            (None, SourceKind::Recording) => {
                let percent = self.stream.bytes_read().saturating_mul(100) / self.file_bytes.max(1);
                (ConnectionState::Live, vec![format!("reading, {percent} %")])
            }
            (Some(end), _) => (ConnectionState::Lost, vec![status_text::end_note(end)]),
            (None, _) if self.stream.is_connecting() => (ConnectionState::Connecting, Vec::new()),
            (None, _) if decoder.has_begun() => (ConnectionState::Live, Vec::new()),
            (None, _) => (ConnectionState::AwaitingData, vec![status_text::waiting_note(decoder)]),
        };
        notes.extend(status_text::stream_notes(&self.stream));
        notes.retain(|note| !note.is_empty());
        ConnectionStatus { state, note: notes.join("; ") }
    }
}

/// Returns the process at the other end of a connection, as the system reports it. `None` if it is not visible here.
fn peer_process(socket: &PeerStream) -> Option<u32> {
    let PeerStream::Unix(stream) = socket else { return None };
    let credentials = rustix::net::sockopt::socket_peercred(stream).ok()?;
    u32::try_from(credentials.pid.as_raw_nonzero().get()).ok()
}

/// Creates the trace of a program with the probe.
pub(super) fn new_trace(memory_bytes: usize) -> Trace {
    let mut trace = Trace::with_budget(memory_bytes);
    trace.set_external();
    trace
}

/// Returns what the user can control in a program with the probe.
pub(super) fn control_level(stream: &ProbeStream) -> ControlLevel {
    let is_live = stream.end().is_none() && stream.decoder().has_begun();
    if is_live && stream.gate.may_control() { ControlLevel::Loop } else { ControlLevel::ReadOnly }
}

impl Session for ProbeSession {
    fn trace(&self) -> &Trace {
        &self.trace
    }

    fn status(&self) -> SessionStatus {
        let outcome = self.outcome();
        SessionStatus {
            name: self.name.clone(),
            source: self.source,
            control_level: control_level(&self.stream),
            connection: Some(self.connection()),
            clock: ClockKind::Real,
            speed: Speed::Factor(1.0),
            phase: if outcome.is_some() { RunPhase::Ended } else { self.stream.gate.phase() },
            now: self.trace.now(),
            next_timer: None,
            feed: FeedChoice::Probe,
            outcome,
        }
    }

    fn pump(&mut self, budget: Duration) -> bool {
        let is_silent = self.stream.decoder().hello().is_none();
        if is_silent && self.answer_timeout.is_some_and(|timeout| self.started.elapsed() >= timeout) {
            self.stream.quit(&mut self.trace);
        }
        self.check_process();
        self.stream.pump(budget, &mut self.trace)
    }

    fn command(&mut self, command: SessionCommand) {
        if command == SessionCommand::Quit {
            self.has_quit = true;
            self.stream.quit(&mut self.trace);
        } else {
            self.stream.command(command, &self.trace);
        }
    }

    fn hit(&self) -> Option<BreakpointHit> {
        self.stream.hit(&self.trace)
    }

    fn wait(&self, at_most: Duration) {
        if self.stream.end().is_some() {
            std::thread::sleep(at_most);
        } else if self.source != SourceKind::Recording {
            let _ = self.wakeup.recv_timeout(at_most);
        }
    }

    fn sources(&self) -> &[(Arc<str>, String)] {
        self.stream.sources.as_slice()
    }
}
