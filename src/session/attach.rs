//! Sessions attached to an external app through its console-subscriber socket.
//!
//! The session exists immediately. A worker thread connects, reconnects with backoff and reports the connection state.

mod channel;
mod silence;
mod status_text;
mod worker;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TryRecvError;

use super::interface::Session;
use super::sources::{SourceReader, SourceTexts};
use crate::control::{
    ClockKind, ConnectionState, ConnectionStatus, ControlLevel, FeedChoice, RunOutcome, RunPhase, SessionCommand,
    SessionStatus, SourceKind, Speed,
};
use crate::feed::wire::ConsoleAddress;
use crate::trace::{Event, Trace};
use channel::{AttachUpdate, SessionEnd};
use silence::Silence;

/// Maximum number of events that are applied between two checks of the time budget.
const EVENTS_PER_CHECK: usize = 1_024;

/// A session attached to an external app.
pub struct AttachSession {
    address: ConsoleAddress,
    memory_bytes: usize,
    trace: Trace,
    channel: SessionEnd,
    /// Received events that are not yet applied.
    pending: VecDeque<Event>,
    connection: ConnectionStatus,
    /// The connection was live at least once.
    has_been_live: bool,
    /// How long the program may send nothing before its first update is complete.
    answer_timeout: Option<AnswerTimeout>,
    /// The user has quit.
    has_quit: bool,
    /// The worker has ended.
    is_worker_gone: bool,
    /// A session for another process that answers at the same address, until it is taken.
    successor: Option<Box<AttachSession>>,
    sources: SourceTexts,
}

impl AttachSession {
    /// Starts connecting to `address`, with a trace memory budget of `memory_bytes` bytes.
    ///
    /// # Errors
    /// Returns an error if the worker thread cannot be created.
    pub fn start(address: &ConsoleAddress, memory_bytes: usize) -> std::io::Result<Self> {
        Self::start_with_source_folder(None, address, memory_bytes)
    }

    /// Starts connecting to a program that was built in `folder`, which resolves relative source paths.
    ///
    /// # Errors
    /// Returns an error if the worker thread cannot be created.
    pub fn start_with_source_folder(
        folder: Option<PathBuf>,
        address: &ConsoleAddress,
        memory_bytes: usize,
    ) -> std::io::Result<Self> {
        let (channel, worker) = channel::channel();
        worker::spawn(address.clone(), worker, SourceReader::new(folder))?;
        Ok(Self::with_channel(address.clone(), memory_bytes, channel))
    }

    fn with_channel(address: ConsoleAddress, memory_bytes: usize, channel: SessionEnd) -> Self {
        let mut trace = Trace::with_budget(memory_bytes);
        trace.set_sampled();
        trace.set_external();
        Self {
            address,
            memory_bytes,
            trace,
            channel,
            pending: VecDeque::new(),
            connection: ConnectionStatus { state: ConnectionState::Connecting, note: String::new() },
            has_been_live: false,
            answer_timeout: None,
            has_quit: false,
            is_worker_gone: false,
            successor: None,
            sources: SourceTexts::default(),
        }
    }

    /// Makes the session fail if nothing arrives for `timeout` before the first update is complete.
    pub fn set_answer_timeout(&mut self, timeout: Duration) {
        self.answer_timeout = Some(AnswerTimeout { timeout, silence: Silence::since_now(0) });
    }

    fn has_ended(&self) -> bool {
        (self.has_quit || self.is_worker_gone || self.connection.state == ConnectionState::Lost)
            && self.pending.is_empty()
    }

    fn outcome(&self) -> RunOutcome {
        if self.has_been_live {
            return RunOutcome::Detached;
        }
        let reason = if self.connection.note.is_empty() { "no answer yet" } else { self.connection.note.as_str() };
        RunOutcome::Failed(reason.to_owned())
    }

    fn handle_update(&mut self, update: AttachUpdate) {
        match update {
            AttachUpdate::Connection(connection) => {
                self.has_been_live |= connection.state == ConnectionState::Live;
                self.connection = connection;
            }
            AttachUpdate::Events(events) => {
                // A first update of hundreds of megabytes takes a while to decode after its last byte.
                self.answer_timeout.iter_mut().for_each(|answer| answer.silence.restart());
                self.pending = events.into();
            }
            AttachUpdate::Source { file, text } => self.sources.push(file, text),
            AttachUpdate::Successor(channel) => {
                self.successor = Some(Box::new(Self::with_channel(self.address.clone(), self.memory_bytes, *channel)));
            }
        }
    }
}

/// The wait for the first update. It ends if nothing arrives for a time.
#[derive(Debug)]
struct AnswerTimeout {
    timeout: Duration,
    silence: Silence,
}

impl AnswerTimeout {
    /// Returns whether nothing has arrived for too long, given the bytes received by `now`.
    fn is_overdue(&mut self, received_bytes: u64, now: Instant) -> bool {
        self.silence.observe(received_bytes, now);
        self.silence.duration(now) >= self.timeout
    }
}

impl Session for AttachSession {
    fn trace(&self) -> &Trace {
        &self.trace
    }

    fn status(&self) -> SessionStatus {
        let has_ended = self.has_ended();
        SessionStatus {
            name: self.address.to_string(),
            source: SourceKind::Attach,
            control_level: ControlLevel::ReadOnly,
            connection: Some(self.connection.clone()),
            clock: ClockKind::Real,
            speed: Speed::Factor(1.0),
            phase: if has_ended { RunPhase::Ended } else { RunPhase::Running },
            now: self.trace.now(),
            next_timer: None,
            feed: FeedChoice::Console,
            outcome: has_ended.then(|| self.outcome()),
        }
    }

    fn pump(&mut self, budget: Duration) -> bool {
        let started = Instant::now();
        let mut changed = false;
        let received_bytes = self.channel.received_bytes();
        let is_overdue = self.answer_timeout.as_mut().is_some_and(|answer| answer.is_overdue(received_bytes, started));
        if !self.has_been_live && is_overdue {
            self.command(SessionCommand::Quit);
        }
        loop {
            let taken = self.pending.len().min(EVENTS_PER_CHECK);
            self.pending.drain(..taken).for_each(|event| self.trace.apply(event));
            changed |= taken > 0;
            if self.pending.is_empty() && !self.has_quit {
                match self.channel.updates.try_recv() {
                    Ok(update) => {
                        self.handle_update(update);
                        changed = true;
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        changed |= !std::mem::replace(&mut self.is_worker_gone, true);
                        break;
                    }
                }
            } else if self.pending.is_empty() {
                break;
            }
            if started.elapsed() >= budget {
                break;
            }
        }
        changed
    }

    fn command(&mut self, command: SessionCommand) {
        match command {
            SessionCommand::SelectTask(task) => self.channel.select(task),
            SessionCommand::Reconnect => self.channel.retry(),
            SessionCommand::Quit => {
                self.has_quit = true;
                self.channel.close();
            }
            // Other commands do not apply: an attached app cannot be controlled.
            _ => {}
        }
    }

    fn wait(&self, at_most: Duration) {
        if self.pending.is_empty() {
            self.channel.wait(at_most);
        }
    }

    fn successor(&mut self) -> Option<Box<dyn Session>> {
        self.successor.take().map(|successor| successor as Box<dyn Session>)
    }

    fn sources(&self) -> &[(Arc<str>, String)] {
        self.sources.as_slice()
    }
}
