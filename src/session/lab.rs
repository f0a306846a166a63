//! Sessions that run a workload on the instrumented loop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::oneshot;

use super::finding_watch::FindingWatch;
use super::interface::Session;
use crate::control::{
    Breakpoint, BreakpointHit, ControlLevel, FeedChoice, RunOutcome, RunPhase, SessionCommand, SessionStatus,
    SourceKind,
};
use crate::feed::probe::ProbeReader;
use crate::insight::Thresholds;
use crate::lab::{self, ConsoleListener, LoopControl, LoopProgram};
use crate::trace::{Event, Trace};

/// Maximum number of events that are applied between two checks of the time budget.
const EVENTS_PER_CHECK: usize = 4096;

/// A session that runs a workload on the instrumented loop.
pub struct LabSession {
    name: String,
    options: lab::LoopOptions,
    trace: Trace,
    control: LoopControl,
    ring: ProbeReader,
    console: Option<ConsoleBatches>,
    outcome: Option<RunOutcome>,
    outcome_receiver: Option<oneshot::Receiver<RunOutcome>>,
    /// The script: its file name in locations, and its text.
    source: Option<(Arc<str>, String)>,
    watch: FindingWatch,
    thresholds: Thresholds,
    /// Serves external consoles until the session is dropped.
    _console_server: Option<lab::ConsoleServerGuard>,
}

/// Events from console-subscriber, which arrive a little later than those of the probe.
struct ConsoleBatches {
    batches: tokio::sync::mpsc::Receiver<Vec<Event>>,
    /// A received batch that waits until all earlier probe events are applied: those spawn the tasks it refers to.
    pending: Option<Vec<Event>>,
}

impl LabSession {
    /// Starts `program` under the name `name`.
    ///
    /// # Errors
    /// Returns an error if the loop thread cannot be created.
    pub fn start(name: &str, program: LoopProgram, options: lab::LoopOptions, trace: Trace) -> std::io::Result<Self> {
        Self::start_with_listener(name, program, options, trace, None)
    }

    /// Starts `program` and serves external consoles on `listener`.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be created.
    pub fn start_with_listener(
        name: &str,
        program: LoopProgram,
        options: lab::LoopOptions,
        trace: Trace,
        listener: Option<ConsoleListener>,
    ) -> std::io::Result<Self> {
        Self::start_with_breakpoints(name, program, options, trace, listener, &[])
    }

    /// Starts `program` with breakpoints that are active before the first poll.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be created.
    pub fn start_with_breakpoints(
        name: &str,
        program: LoopProgram,
        options: lab::LoopOptions,
        mut trace: Trace,
        listener: Option<ConsoleListener>,
        breakpoints: &[Breakpoint],
    ) -> std::io::Result<Self> {
        let run = lab::start_with_breakpoints(program, options, listener, breakpoints)?;
        if options.feed == FeedChoice::Console {
            trace.set_sampled();
        }
        let (mut watch, thresholds) = (FindingWatch::default(), Thresholds::default());
        breakpoints.iter().for_each(|breakpoint| watch.add(*breakpoint, &trace));
        Ok(Self {
            watch,
            thresholds,
            name: name.into(),
            options,
            trace,
            control: run.control,
            ring: run.probe_reader,
            console: run.console.map(|batches| ConsoleBatches { batches, pending: None }),
            outcome: None,
            outcome_receiver: Some(run.outcome),
            source: None,
            _console_server: run.console_server_guard,
        })
    }

    /// Sets the text of the script, which locations refer to as `file`.
    #[must_use]
    pub fn with_source(mut self, file: &str, text: &str) -> Self {
        self.source = Some((file.into(), text.to_owned()));
        self
    }

    /// Sets the thresholds for breakpoints on findings.
    #[must_use]
    pub fn with_thresholds(mut self, thresholds: Thresholds) -> Self {
        self.thresholds = thresholds;
        self
    }

    /// Returns whether the run has ended and all events of every feed are in the trace.
    pub fn is_finished(&self) -> bool {
        self.outcome.is_some() && self.console.is_none() && self.ring.is_empty()
    }

    /// Returns the outcome of the run, or `None` while it runs.
    pub fn outcome(&self) -> Option<&RunOutcome> {
        self.outcome.as_ref()
    }

    /// Pauses the loop at breakpoints that it cannot detect itself: on waits and on findings.
    fn check_breakpoints(&mut self) {
        if self.outcome.is_some() || self.control.phase() != RunPhase::Running {
            return;
        }
        let mut events = self.control.check_long_waits();
        if self.watch.check(&self.trace, &self.thresholds)
            && let Some(hit) = self.watch.hit
        {
            events = self.control.pause_at_breakpoint(hit.breakpoint).or(events);
        }
        events.into_iter().for_each(|event| self.trace.apply(event));
    }

    /// Advances the trace to the current loop time when there are no events.
    fn advance_to_clock(&mut self) -> bool {
        // Not while older events are pending: they would be applied after `now`.
        let is_current = self.outcome.is_none() && self.ring.is_empty();
        let shown = if is_current { self.control.display_now() } else { 0 };
        let has_advanced = shown > self.trace.now();
        if has_advanced {
            self.trace.apply(Event::Advance { at: shown });
        }
        has_advanced
    }

    fn receive_batch(&mut self) -> bool {
        let Some(console) = &mut self.console else { return false };
        if console.pending.is_none() {
            match console.batches.try_recv() {
                Ok(batch) => console.pending = Some(batch),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => self.console = None,
            }
        }
        self.console.as_ref().is_some_and(|console| console.pending.is_some())
    }

    fn apply_batch(&mut self) -> bool {
        let batch = self.console.as_mut().and_then(|console| console.pending.take()).unwrap_or_default();
        // A batch of one event is an update without counts, which changes nothing on screen.
        let changed = batch.len() > 1;
        for event in batch {
            self.trace.apply(event);
        }
        changed
    }

    fn receive_outcome(&mut self) -> bool {
        let Some(comes) = &mut self.outcome_receiver else { return false };
        self.outcome = match comes.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(oneshot::error::TryRecvError::Empty) => return false,
            Err(oneshot::error::TryRecvError::Closed) => {
                Some(RunOutcome::Failed("the loop thread panicked; events up to the panic are shown".into()))
            }
        };
        self.outcome_receiver = None;
        true
    }

    /// Quits the loop and waits at most `at_most` for it to stop. A script that cannot be interrupted, for instance in
    /// an endless pattern match, keeps running on its thread.
    pub fn stop(&mut self, at_most: Duration) {
        self.control.send(SessionCommand::Quit);
        let deadline = Instant::now() + at_most;
        while self.outcome.is_none() && Instant::now() < deadline {
            self.pump(Duration::from_millis(5));
            self.wait(Duration::from_millis(5));
        }
    }
}

impl Drop for LabSession {
    fn drop(&mut self) {
        self.control.send(SessionCommand::Quit);
    }
}

impl Session for LabSession {
    fn trace(&self) -> &Trace {
        &self.trace
    }

    fn status(&self) -> SessionStatus {
        let phase = match self.control.phase() {
            _ if self.is_finished() => RunPhase::Ended,
            // The loop has ended, but events are still pending.
            RunPhase::Ended => RunPhase::Running,
            phase => phase,
        };
        SessionStatus {
            name: self.name.clone(),
            source: SourceKind::Workload,
            control_level: ControlLevel::Loop,
            connection: None,
            clock: self.options.clock,
            speed: self.control.speed(),
            phase,
            now: if phase == RunPhase::Ended { self.trace.now() } else { self.control.display_now() },
            next_timer: self.control.next_timer(),
            feed: self.options.feed,
            outcome: self.outcome.clone(),
        }
    }

    fn pump(&mut self, budget: Duration) -> bool {
        let started = Instant::now();
        let mut changed = false;
        loop {
            let has_batch = self.receive_batch();
            let has_more = self.ring.pending_records() > EVENTS_PER_CHECK;
            let taken = self.ring.drain(EVENTS_PER_CHECK, |event| self.trace.apply(event));
            self.trace.count_probe_events(taken as u64);
            changed |= taken > 0;
            if !has_more && taken < EVENTS_PER_CHECK {
                if has_batch {
                    changed |= self.apply_batch();
                } else {
                    break;
                }
            }
            if started.elapsed() >= budget {
                break;
            }
        }
        self.check_breakpoints();
        changed | self.advance_to_clock() | self.receive_outcome()
    }

    fn command(&mut self, command: SessionCommand) {
        match command {
            SessionCommand::AddBreakpoint(breakpoint) => self.watch.add(breakpoint, &self.trace),
            SessionCommand::ClearBreakpoints => self.watch.clear(),
            command if command.resumes_loop() => self.watch.hit = None,
            _ => {}
        }
        if let Some(event) = self.control.send(command) {
            self.trace.apply(event);
        }
    }

    fn hit(&self) -> Option<BreakpointHit> {
        self.control.breakpoint_hit().or(self.watch.hit)
    }

    fn wait(&self, at_most: Duration) {
        // Nearly all events arrive through the ring, so wait only for that.
        self.ring.wait(at_most);
    }

    fn sources(&self) -> &[(Arc<str>, String)] {
        self.source.as_slice()
    }
}
