//! An app that loopscope started, observed through its live recording, its console and its output.
//!
//! The recording is read with a delay, up to the last console update, so that names are known when a line is read.

mod shutdown;
mod status_text;
mod takeover;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::app_console::AppConsole;
use super::app_end::AppEnd;
use super::app_parts::AppLabel;
use super::correlator::Correlator;
use super::freeze::FreezeState;
use super::output::AppOutput;
use super::output_events::queue_output;
use super::pipe::{RecordingChunk, RecordingPipe};
use super::process::{AppProcess, AppStdin, ProbeVariables};
use super::reserved_port::ReservedPort;
use super::time_queue::TimeOrderedQueue;
use crate::control::{
    ClockKind, ConnectionState, ConnectionStatus, ControlLevel, FeedChoice, RunOutcome, RunPhase, SessionCommand,
    SessionStatus, SourceKind, Speed,
};
use crate::feed::recording::{RecordingClock, RecordingDecoder};
use crate::session::epoch_clock::EpochClock;
use crate::session::interface::Session;
use crate::session::process_check::ProcessCheck;
use crate::session::sources::{SourceReader, SourceTexts};
use crate::trace::{Event, Trace};

/// Maximum delay of the recording in nanoseconds, if the console is slow or silent.
const DELAY_MAX_NS: u64 = 500_000_000;

/// Distance of the trace's end from the read position in nanoseconds, because lines may arrive late.
const LATENESS_NS: u64 = 20_000_000;

/// A started app that is observed through its recording and its console.
pub struct RecordedApp {
    label: AppLabel,
    trace: Trace,
    clock: EpochClock,
    /// `None` if the app could not be started, and after the session has ended.
    app: Option<AppProcess>,
    pipe: Option<RecordingPipe>,
    /// Number of other processes that recorded, once the pipe is closed.
    other_processes: u64,
    port: Option<ReservedPort>,
    console: Option<AppConsole>,
    output: AppOutput,
    recording: RecordingDecoder,
    correlator: Correlator,
    sources: SourceTexts,
    source_reader: SourceReader,
    /// Output and pauses, which are merged with the recording by time.
    time_queue: TimeOrderedQueue,
    wakeup: Receiver<()>,
    /// Signals `wakeup`; `None` if the app could not be started.
    wakeup_sender: Option<Sender<()>>,
    /// The chunk being parsed, and the number of bytes already parsed.
    chunk: Option<(RecordingChunk, usize)>,
    /// When the last chunk was taken.
    last_chunk_at: Instant,
    freeze: FreezeState,
    app_end: AppEnd,
    process_check: ProcessCheck,
    /// Why the recording cannot be parsed. From then on it is drained without parsing.
    parse_error: Option<String>,
    /// The outcome of the session.
    outcome: Option<RunOutcome>,
}

impl RecordedApp {
    /// Starts `command`, which is shown as `label`. If that fails, the session is created as ended, with the error as its
    /// outcome. `probe` creates what the app needs to connect with its probe, in a private folder.
    ///
    /// # Errors
    /// Returns an error if a pipe, a port, a socket or a thread cannot be created.
    pub fn start<L>(
        (command, label): (&[OsString], AppLabel),
        stdin: AppStdin,
        memory_bytes: usize,
        probe: impl FnOnce(&Path) -> std::io::Result<(L, ProbeVariables)>,
    ) -> std::io::Result<(Self, L)> {
        let clock = EpochClock::start();
        let (wakeup_sender, wakeup) = bounded(1);
        let pipe = RecordingPipe::open(clock, wakeup_sender.clone())?;
        let port = ReservedPort::reserve()?;
        let (listener, probe_variables) = probe(pipe.folder())?;
        let mut trace = Trace::with_budget(memory_bytes);
        trace.set_external();
        let recording = RecordingDecoder::new(RecordingClock::from_epoch_ns(clock.origin())).with_awaits();
        trace.set_recording_stats(recording.stats().clone());
        let mut session = Self {
            label,
            trace,
            clock,
            app: None,
            pipe: None,
            other_processes: 0,
            port: None,
            console: None,
            output: AppOutput::empty(),
            recording,
            correlator: Correlator::new(clock.origin()),
            sources: SourceTexts::default(),
            source_reader: SourceReader::default(),
            time_queue: TimeOrderedQueue::default(),
            wakeup,
            wakeup_sender: None,
            chunk: None,
            last_chunk_at: Instant::now(),
            freeze: FreezeState::default(),
            app_end: AppEnd::default(),
            process_check: ProcessCheck::of_new_process(clock),
            parse_error: None,
            outcome: None,
        };
        match AppProcess::start(command, port.number(), &pipe.path(), &probe_variables, stdin) {
            Err(reason) => session.outcome = Some(RunOutcome::Failed(reason)),
            Ok(mut app) => {
                let (out, err) = app.streams();
                // A user at a terminal answers the app's prompts.
                let is_interactive = stdin == AppStdin::Inherit && std::io::stdin().is_terminal();
                let echo = is_interactive && std::io::stderr().is_terminal();
                session.app = Some(app);
                session.output = AppOutput::read(out, err, echo, clock, &wakeup_sender)?;
                session.console = Some(AppConsole::connect(port.number(), wakeup_sender.clone())?);
                session.wakeup_sender = Some(wakeup_sender);
                session.pipe = Some(pipe);
                session.port = Some(port);
            }
        }
        Ok((session, listener))
    }

    /// Sets the folder in which the app was built, which resolves relative source paths.
    pub fn set_source_folder(&mut self, folder: PathBuf) {
        self.source_reader = SourceReader::new(Some(folder));
    }

    fn has_ended(&self) -> bool {
        self.outcome.is_some()
    }

    /// Applies what the system reports of the app's process.
    fn check_process(&mut self) {
        let (Some(app), Some(port), false) = (&self.app, &self.port, self.app_end.has_ended()) else { return };
        let (Some(pid), port) = (app.pid(), Some(port.number())) else { return };
        let clock = self.recording.clock_mut();
        self.process_check.apply_if_due(pid, port, &mut self.trace, |ns| clock.loop_time(ns), [].into_iter());
    }

    /// Returns the time up to which the recording may be read, in nanoseconds since 1970.
    fn read_horizon(&self) -> u64 {
        if self.app_end.has_ended() {
            return u64::MAX;
        }
        // The outcome of an await is certain with the update after that of its end.
        let updated = self.correlator.counted_until().unwrap_or(0);
        updated.max(self.clock.now().saturating_sub(DELAY_MAX_NS))
    }

    /// Reads the source files that `events` refer to.
    fn read_sources(&mut self, events: &[Event]) {
        for (file, text) in self.source_reader.read(events) {
            self.sources.push(file, text);
        }
    }

    /// Processes console updates for about `budget`, at least one if available. Returns whether there was any.
    fn apply_console_updates(&mut self, budget: Duration) -> bool {
        let started = Instant::now();
        let mut changed = false;
        while (!changed || started.elapsed() < budget)
            && let Some(message) = self.console.as_mut().and_then(AppConsole::take)
        {
            let Self { correlator, recording, source_reader, sources, trace, .. } = self;
            let clock = recording.clock_mut();
            correlator.ingest(
                message,
                |epoch_ns| clock.loop_time_at(epoch_ns),
                |events| {
                    source_reader.read(&events).into_iter().for_each(|(file, text)| sources.push(file, text));
                    events.into_iter().for_each(|event| trace.apply(event));
                },
            );
            changed = true;
        }
        changed
    }

    /// Queues the app's output as events. Returns whether there was any.
    fn queue_output(&mut self) -> bool {
        queue_output(&mut self.output, self.recording.clock_mut(), &mut self.time_queue, self.clock.now())
    }

    /// Parses recorded data that arrived up to `horizon`. Returns whether there was any.
    fn parse_recording(&mut self, read_horizon: u64) -> bool {
        if self.chunk.is_none() {
            let Some(chunk) = self.pipe.as_ref().and_then(|pipe| pipe.take(read_horizon)) else { return false };
            // Keep draining an unreadable recording, or the app would block.
            if self.parse_error.is_some() {
                return true;
            }
            if let Some(lines) = chunk.dropped_lines {
                self.record_dropped_lines(lines);
            }
            self.chunk = Some((chunk, 0));
            self.last_chunk_at = Instant::now();
        }
        let Some((chunk, taken)) = &mut self.chunk else { return false };
        let (trace, time_queue) = (&mut self.trace, &mut self.time_queue);
        let bytes = &chunk.bytes[*taken..];
        match self
            .recording
            .decode(bytes, self.correlator.span_names(), &mut |event| time_queue.apply_in_order(event, trace))
        {
            Ok(left) if !left.is_empty() => *taken = chunk.bytes.len() - left.len(),
            Ok(_) => self.chunk = None,
            Err(error) => {
                self.app_end.fail(error.to_string());
                self.parse_error = Some(error.to_string());
                self.chunk = None;
            }
        }
        true
    }

    /// Records that `lines` lines of the recording were dropped.
    fn record_dropped_lines(&mut self, lines: u64) {
        let (trace, time_queue) = (&mut self.trace, &mut self.time_queue);
        self.recording.skip_missing(lines, &mut |event| time_queue.apply_in_order(event, trace));
    }

    /// Advances time to `read_horizon`, up to which the recording has been read.
    fn advance_time(&mut self, read_horizon: u64) {
        let (trace, time_queue) = (&mut self.trace, &mut self.time_queue);
        let idle_ns = u64::try_from(self.last_chunk_at.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.recording.flush_idle(idle_ns, &mut |event| time_queue.apply_in_order(event, trace));
        let at = self.recording.clock_mut().loop_time(read_horizon.min(self.clock.now()).saturating_sub(LATENESS_NS));
        if !self.app_end.has_ended() {
            time_queue.apply_in_order(Event::Advance { at }, trace);
        }
    }

    /// Applies what waited for the recording to be read. A busy app may write faster than it is read, so this must not wait
    /// for the end of the recording.
    fn catch_up(&mut self) {
        let (trace, time_queue) = (&mut self.trace, &mut self.time_queue);
        self.recording
            .resolve_late_awaits(self.correlator.span_names(), &mut |event| time_queue.apply_in_order(event, trace));
        let events = self.correlator.catch_up(&mut self.recording, &self.trace);
        self.read_sources(&events);
        events.into_iter().for_each(|event| self.trace.apply(event));
        if let Some((from, until)) = self.correlator.polls_interval() {
            let [from, until] = [from, until].map(|epoch_ns| self.recording.clock_mut().loop_time_at(epoch_ns));
            self.recording.set_reported_interval(from, until);
        }
        if let Some(counted) = self.correlator.counted_until() {
            let counted = self.recording.clock_mut().loop_time(counted).min(self.trace.now());
            let waiting_since = self.correlator.wakers_wait_since().unwrap_or(u64::MAX);
            self.trace.set_console_complete_until(counted.min(waiting_since));
        }
    }

    /// Stops the process if that was requested and is due.
    fn stop_if_due(&mut self, has_update: bool) {
        if let Some(reason) = self.freeze.stop_if_due(has_update, self.app.as_mut()) {
            // The process stops a little after the signal; events in between fall on the edge of the pause.
            let now = self.clock.now();
            let at = self.recording.clock_mut().loop_time(now);
            self.recording.clock_mut().stop(now);
            self.time_queue.push(at, Event::Pause { at, reason });
        }
    }

    /// Continues the process, or cancels a requested stop.
    fn thaw(&mut self) {
        let (recording, clock) = (&mut self.recording, self.clock);
        // Restart time before the signal: the process continues only after it.
        self.freeze.thaw(self.app.as_mut(), || recording.clock_mut().resume(clock.now()));
    }
}

impl Session for RecordedApp {
    fn trace(&self) -> &Trace {
        &self.trace
    }

    fn status(&self) -> SessionStatus {
        let (phase, control_level) = match (self.has_ended(), self.freeze.is_frozen(), self.freeze.is_requested()) {
            (true, ..) => (RunPhase::Ended, ControlLevel::ReadOnly),
            (false, true, _) => (RunPhase::Paused, ControlLevel::Process),
            (false, false, true) => (RunPhase::Pausing, ControlLevel::Process),
            (false, false, false) => (RunPhase::Running, ControlLevel::Process),
        };
        let has_data = self.recording.stats().lines > 0 || self.correlator.updated_until().is_some();
        let state = match (self.has_ended(), has_data) {
            (true, _) => ConnectionState::Lost,
            (false, true) => ConnectionState::Live,
            (false, false) => ConnectionState::AwaitingData,
        };
        SessionStatus {
            name: self.label.name.clone(),
            source: SourceKind::Exec,
            control_level,
            connection: Some(ConnectionStatus { state, note: self.note() }),
            clock: ClockKind::Real,
            speed: Speed::Factor(1.0),
            phase,
            now: self.trace.now(),
            next_timer: None,
            feed: FeedChoice::Both,
            outcome: self.outcome.clone(),
        }
    }

    fn pump(&mut self, budget: Duration) -> bool {
        let started = Instant::now();
        if self.has_ended() {
            return false;
        }
        // Limit the time for console updates, so that they do not delay the recording.
        let has_update = self.apply_console_updates(budget / 4);
        self.stop_if_due(has_update);
        self.check_process();
        let mut changed = has_update | self.queue_output();
        let read_horizon = self.read_horizon();
        let mut has_more = true;
        while has_more && started.elapsed() < budget {
            has_more = self.parse_recording(read_horizon);
            changed |= has_more;
        }
        let previous = (self.trace.now(), self.trace.output().lines().len());
        if !has_more {
            self.advance_time(read_horizon);
        }
        self.catch_up();
        changed |= previous != (self.trace.now(), self.trace.output().lines().len());
        if changed {
            self.trace.set_recording_stats(self.recording.stats().clone());
        }
        changed | self.check_app_end()
    }

    fn command(&mut self, command: SessionCommand) {
        match command {
            SessionCommand::FreezeProcess(_) | SessionCommand::Suspend(_) => {
                let can_stop = self.app.is_some() && !self.app_end.has_ended();
                if self.freeze.handle_command(command, can_stop) {
                    self.thaw();
                }
            }
            SessionCommand::Quit => {
                self.thaw();
                self.app_end.quit();
                if let Some(app) = &mut self.app {
                    app.terminate();
                }
            }
            _ => {}
        }
    }

    fn wait(&self, at_most: Duration) {
        if self.has_ended() {
            return std::thread::sleep(at_most);
        }
        // After a timeout the caller pumps again just the same.
        let _ = self.wakeup.recv_timeout(at_most);
    }

    fn sources(&self) -> &[(Arc<str>, String)] {
        self.sources.as_slice()
    }
}
