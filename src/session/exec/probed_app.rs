//! An app that loopscope started, observed through its probe.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::app_end::AppEnd;
use super::app_parts::AppParts;
use super::freeze::FreezeState;
use super::output::TimedOutput;
use super::output_matcher::OutputMatcher;
use super::process::outcome_of;
use crate::control::{
    BreakpointHit, ClockKind, ConnectionState, ConnectionStatus, ControlLevel, FeedChoice, RunOutcome, RunPhase,
    SessionCommand, SessionStatus, SourceKind, Speed,
};
use crate::insight::Thresholds;
use crate::session::app_probe::{ProbeLink, ProbeStream, control_level, new_trace, stream_notes};
use crate::session::interface::Session;
use crate::trace::{Event, Trace};

/// Lines of output that are taken between two checks of the time budget.
const LINES_PER_PUMP: usize = 4_096;

/// A started app that is observed through its probe.
pub struct ProbedApp {
    parts: Option<AppParts>,
    name: String,
    trace: Trace,
    stream: Option<ProbeStream>,
    freeze: FreezeState,
    app_end: AppEnd,
    matcher: OutputMatcher,
    /// When something arrived last.
    last_data_at: Instant,
    outcome: Option<RunOutcome>,
}

impl ProbedApp {
    /// Starts to observe an app that has connected. If that fails, the session has ended, with the error as its outcome.
    pub fn start(
        parts: AppParts,
        stream: UnixStream,
        secret: String,
        memory_bytes: usize,
        thresholds: Thresholds,
    ) -> Self {
        let link = ProbeLink::start(stream, parts.wakeup_sender.clone());
        let (stream, outcome) = match link {
            Ok(link) => {
                let mut stream = ProbeStream::of_link(link, Some(secret), parts.source_reader.restarted());
                stream.set_thresholds(thresholds);
                stream.note_printed();
                (Some(stream), None)
            }
            Err(error) => (None, Some(RunOutcome::Failed(format!("cannot create a thread: {error}")))),
        };
        Self {
            name: parts.name.clone(),
            parts: Some(parts),
            trace: new_trace(memory_bytes),
            stream,
            freeze: FreezeState::default(),
            app_end: AppEnd::default(),
            matcher: OutputMatcher::default(),
            last_data_at: Instant::now(),
            outcome,
        }
    }

    fn has_ended(&self) -> bool {
        self.outcome.is_some()
    }

    /// Applies the app's output. Returns whether there was any.
    fn apply_output(&mut self) -> bool {
        let Self { parts: Some(parts), stream: Some(stream), matcher, trace, .. } = self else { return false };
        // Times of lines are known once the app has described itself.
        let is_final = stream.end().is_some();
        let has_hello = stream.decoder().hello().is_some();
        if !has_hello && !is_final {
            return false;
        }
        let now = Instant::now();
        matcher.reports_lines = stream.decoder().reports_output();
        stream.take_printed().for_each(|(is_error, text)| matcher.add_reported(is_error, &text, now));
        let AppParts { earlier_output, output, .. } = parts;
        let printed = std::iter::from_fn(|| earlier_output.pop_front().or_else(|| output.take()));
        printed.take(LINES_PER_PUMP).for_each(|piece| matcher.add_piece(piece, now));
        let mut changed = false;
        while let Some(TimedOutput { arrived_at, is_error, is_pending, ends_pending, text }) =
            matcher.take(now, is_final, |piece| stream.decoder().loop_time_at(piece.arrived_at) <= trace.now())
        {
            let at = if has_hello { stream.decoder().loop_time_at(arrived_at) } else { trace.now() };
            if ends_pending {
                trace.apply(Event::OutputPending { at, is_error, text: "".into() });
            }
            trace.apply(match is_pending {
                true => Event::OutputPending { at, is_error, text },
                false => Event::Output { task: None, at, text },
            });
            changed = true;
        }
        let dropped = parts.output.take_dropped();
        if dropped > 0 {
            let text = format!("({dropped} lines of output dropped: printed faster than they could be read)").into();
            trace.apply(Event::Output { task: None, at: trace.now(), text });
        }
        changed | (dropped > 0)
    }

    fn is_clock_virtual(&self) -> bool {
        let hello = self.stream.as_ref().and_then(|stream| stream.decoder().hello());
        hello.is_some_and(|hello| hello.is_clock_virtual)
    }

    /// Applies what the system reports of the app's process. On a virtual clock, nothing there takes time.
    fn check_process(&mut self) {
        if self.is_clock_virtual() {
            return;
        }
        let Self { parts: Some(parts), stream: Some(stream), trace, .. } = self else { return };
        let Some(pid) = parts.app.pid().filter(|_| !self.app_end.has_ended()) else { return };
        let (decoder, port) = (stream.decoder(), Some(parts.port.number()));
        let loop_time = |epoch_ns| decoder.loop_time_at(epoch_ns);
        parts.process_check.apply_if_due(pid, port, trace, loop_time, decoder.system_threads());
    }

    /// Stops the process if that was requested.
    fn stop_if_due(&mut self) {
        let Self { parts: Some(parts), trace, .. } = self else { return };
        if let Some(reason) = self.freeze.stop_if_due(true, Some(&mut parts.app)) {
            trace.apply(Event::Pause { at: trace.now(), reason });
        }
    }

    /// Detects the end of the app, and ends the session once everything is read. Returns whether it ended.
    fn check_app_end(&mut self) -> bool {
        let Some(parts) = &mut self.parts else { return false };
        let Some(status) = parts.app.exit_status() else { return false };
        if !self.app_end.has_ended() {
            self.app_end.record(outcome_of(status), 0);
            self.freeze.clear();
        }
        let is_stream_read = self.stream.as_ref().is_none_or(|stream| stream.end().is_some());
        let is_drained = is_stream_read && parts.output.is_finished() && self.matcher.is_empty();
        if !is_drained && !self.app_end.has_timed_out(self.last_data_at) {
            return false;
        }
        if let Some(stream) = &mut self.stream {
            stream.quit(&mut self.trace);
        }
        self.outcome = Some(self.app_end.take_outcome());
        self.parts = None;
        true
    }

    fn thaw(&mut self) {
        self.freeze.thaw(self.parts.as_mut().map(|parts| &mut parts.app), || {});
    }
}

impl Session for ProbedApp {
    fn trace(&self) -> &Trace {
        &self.trace
    }

    fn status(&self) -> SessionStatus {
        let stream = self.stream.as_ref();
        let has_begun = stream.is_some_and(|stream| stream.decoder().has_begun());
        let state = match (self.has_ended(), has_begun) {
            (true, _) => ConnectionState::Lost,
            (false, true) => ConnectionState::Live,
            (false, false) => ConnectionState::AwaitingData,
        };
        let gate_level = stream.map_or(ControlLevel::ReadOnly, control_level);
        let control_level = match (self.has_ended(), gate_level) {
            (true, _) => ControlLevel::ReadOnly,
            (false, ControlLevel::Loop) if !self.freeze.is_frozen() => ControlLevel::Loop,
            (false, _) => ControlLevel::Process,
        };
        let phase = match (self.has_ended(), self.freeze.is_frozen(), stream) {
            (true, ..) => RunPhase::Ended,
            (false, true, _) => RunPhase::Paused,
            (false, false, Some(stream)) => stream.gate.phase(),
            (false, false, None) => RunPhase::Running,
        };
        let notes = stream.map(stream_notes).unwrap_or_default();
        SessionStatus {
            name: self.name.clone(),
            source: SourceKind::Exec,
            control_level,
            connection: Some(ConnectionStatus { state, note: notes.join("; ") }),
            clock: if self.is_clock_virtual() { ClockKind::Virtual } else { ClockKind::Real },
            speed: Speed::Factor(1.0),
            phase,
            now: self.trace.now(),
            next_timer: None,
            feed: FeedChoice::Probe,
            outcome: self.outcome.clone(),
        }
    }

    fn pump(&mut self, budget: Duration) -> bool {
        if self.has_ended() {
            return false;
        }
        self.stop_if_due();
        self.check_process();
        if let Some(parts) = &self.parts {
            while parts.pipe.take(u64::MAX).is_some() {}
        }
        let mut changed = self.stream.as_mut().is_some_and(|stream| stream.pump(budget, &mut self.trace));
        changed |= self.apply_output();
        if changed {
            self.last_data_at = Instant::now();
        }
        changed | self.check_app_end()
    }

    fn command(&mut self, command: SessionCommand) {
        match command {
            SessionCommand::FreezeProcess(_) | SessionCommand::Suspend(_) => {
                let can_stop = self.parts.is_some() && !self.app_end.has_ended();
                if self.freeze.handle_command(command, can_stop) {
                    self.thaw();
                }
            }
            SessionCommand::Quit => {
                self.thaw();
                self.app_end.quit();
                if let Some(parts) = &mut self.parts {
                    parts.app.terminate();
                }
            }
            command => {
                if let Some(stream) = &mut self.stream {
                    stream.command(command, &self.trace);
                }
            }
        }
    }

    fn hit(&self) -> Option<BreakpointHit> {
        self.stream.as_ref().and_then(|stream| stream.hit(&self.trace))
    }

    fn wait(&self, at_most: Duration) {
        match &self.parts {
            // After a timeout the caller pumps again just the same.
            Some(parts) => drop(parts.wakeup.recv_timeout(at_most)),
            None => std::thread::sleep(at_most),
        }
    }

    fn sources(&self) -> &[(Arc<str>, String)] {
        self.stream.as_ref().map_or(&[], |stream| stream.sources.as_slice())
    }
}
