//! A workload that runs, or ran, on a loop of our own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::oneshot;

use super::watch::FindingWatch;
use crate::app::{self, Session};
use crate::control::{Breakpoint, Command, FeedChoice, Hit, Outcome, Phase, SourceKind, Status, Steering};
use crate::feed::probe::Ring;
use crate::insight::Thresholds;
use crate::lab::{self, Control, Listener, Program};
use crate::trace::{Event, Trace};

/// Events that are taken in between two looks at the clock.
const EVENTS_PER_LOOK: usize = 4096;

/// See the module.
pub struct LabSession {
    name: String,
    options: lab::Options,
    trace: Trace,
    control: Control,
    ring: Ring,
    console: Option<Console>,
    outcome: Option<Outcome>,
    outcome_comes: Option<oneshot::Receiver<Outcome>>,
    /// A file that locations name, and its text.
    source: Option<(Arc<str>, String)>,
    watch: FindingWatch,
    thresholds: Thresholds,
    /// Consoles from outside may look as long as this session is there.
    _served: Option<lab::Served>,
}

/// console-subscriber's facts, which come a little later than the probe's.
struct Console {
    batches: tokio::sync::mpsc::Receiver<Vec<Event>>,
    /// A batch that was received and waits until every probe event from before it is in the trace: the tasks that it
    /// speaks of were spawned there.
    waiting: Option<Vec<Event>>,
}

impl LabSession {
    /// Starts `program`, to be known as `name`.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(name: &str, program: Program, options: lab::Options, trace: Trace) -> std::io::Result<Self> {
        Self::start_served(name, program, options, trace, None)
    }

    /// [`LabSession::start`], with a socket where consoles from outside may come in.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start_served(
        name: &str,
        program: Program,
        options: lab::Options,
        trace: Trace,
        listener: Option<Listener>,
    ) -> std::io::Result<Self> {
        Self::start_with(name, program, options, trace, listener, &[])
    }

    /// [`LabSession::start_served`], with breakpoints that hold from before the first poll.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start_with(
        name: &str,
        program: Program,
        options: lab::Options,
        mut trace: Trace,
        listener: Option<Listener>,
        breakpoints: &[Breakpoint],
    ) -> std::io::Result<Self> {
        let run = lab::start_with(program, options, listener, breakpoints)?;
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
            ring: run.ring,
            console: run.console.map(|batches| Console { batches, waiting: None }),
            outcome: None,
            outcome_comes: Some(run.outcome),
            source: None,
            _served: run.served,
        })
    }

    /// The text of the file that locations name as `file`.
    #[must_use]
    pub fn with_source(mut self, file: &str, text: &str) -> Self {
        self.source = Some((file.into(), text.to_owned()));
        self
    }

    /// What is found is measured by these.
    #[must_use]
    pub fn judged_by(mut self, thresholds: Thresholds) -> Self {
        self.thresholds = thresholds;
        self
    }

    /// The run has ended, and every witness has told everything.
    pub fn is_over(&self) -> bool {
        self.outcome.is_some() && self.console.is_none() && self.ring.is_empty()
    }

    /// How the run came out, once it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Stops the loop for what it cannot see by itself.
    fn look_for_breaks(&mut self) {
        if self.outcome.is_some() || self.control.phase() != Phase::Running {
            return;
        }
        let mut told = self.control.look_at_waits();
        if self.watch.looks(&self.trace, &self.thresholds)
            && let Some(hit) = self.watch.hit
        {
            told = self.control.stop_for(hit.breakpoint).or(told);
        }
        told.into_iter().for_each(|event| self.trace.apply(event));
    }

    /// Moves the trace's newest end on through time in which nothing happens.
    fn follow_clock(&mut self) -> bool {
        // Not while older facts still wait to be filed: they would come after `now`.
        let is_current = self.outcome.is_none() && self.ring.is_empty();
        let shown = if is_current { self.control.shown_now() } else { 0 };
        let moved = shown > self.trace.now();
        if moved {
            self.trace.apply(Event::Now { at: shown });
        }
        moved
    }

    fn receive_batch(&mut self) -> bool {
        let Some(console) = &mut self.console else { return false };
        if console.waiting.is_none() {
            match console.batches.try_recv() {
                Ok(batch) => console.waiting = Some(batch),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => self.console = None,
            }
        }
        self.console.as_ref().is_some_and(|console| console.waiting.is_some())
    }

    fn apply_batch(&mut self) -> bool {
        let batch = self.console.as_mut().and_then(|console| console.waiting.take()).unwrap_or_default();
        // An update in which nothing was counted changes nothing that is seen.
        let changed = batch.len() > 1;
        for event in batch {
            self.trace.apply(event);
        }
        changed
    }

    fn receive_outcome(&mut self) -> bool {
        let Some(comes) = &mut self.outcome_comes else { return false };
        self.outcome = match comes.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(oneshot::error::TryRecvError::Empty) => return false,
            Err(oneshot::error::TryRecvError::Closed) => {
                Some(Outcome::Failed("the loop's own thread panicked; what it told until then is kept".into()))
            }
        };
        self.outcome_comes = None;
        true
    }

    /// Asks the loop to stop and gives it `at_most` to do so. A script that cannot be interrupted (in a pattern match
    /// without end, say) is left behind.
    pub fn stop(&mut self, at_most: Duration) {
        self.control.send(Command::Quit);
        let deadline = Instant::now() + at_most;
        while self.outcome.is_none() && Instant::now() < deadline {
            self.pump(Duration::from_millis(5));
            self.wait(Duration::from_millis(5));
        }
    }
}

impl Drop for LabSession {
    fn drop(&mut self) {
        self.control.send(Command::Quit);
    }
}

impl app::Session for LabSession {
    fn trace(&self) -> &Trace {
        &self.trace
    }

    fn status(&self) -> Status {
        let phase = match self.control.phase() {
            _ if self.is_over() => Phase::Ended,
            // The loop is done, and some of what it did is still to be told.
            Phase::Ended => Phase::Running,
            phase => phase,
        };
        Status {
            name: self.name.clone(),
            source: SourceKind::Workload,
            steering: Steering::Loop,
            link: None,
            clock: self.options.clock,
            speed: self.control.speed(),
            phase,
            now: if phase == Phase::Ended { self.trace.now() } else { self.control.shown_now() },
            next_timer: self.control.next_timer(),
            feed: self.options.feed,
            outcome: self.outcome.clone(),
        }
    }

    fn pump(&mut self, budget: Duration) -> bool {
        let begun = Instant::now();
        let mut changed = false;
        loop {
            let batch_is_next = self.receive_batch();
            let has_more = self.ring.waiting() > EVENTS_PER_LOOK;
            let taken = self.ring.take(EVENTS_PER_LOOK, |event| self.trace.apply(event));
            self.trace.count_probe_events(taken as u64);
            changed |= taken > 0;
            if !has_more && taken < EVENTS_PER_LOOK {
                if batch_is_next {
                    changed |= self.apply_batch();
                } else {
                    break;
                }
            }
            if begun.elapsed() >= budget {
                break;
            }
        }
        self.look_for_breaks();
        changed | self.follow_clock() | self.receive_outcome()
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Break(breakpoint) => self.watch.add(breakpoint, &self.trace),
            Command::ForgetBreaks => self.watch.forget(),
            command if command.moves_the_loop() => self.watch.hit = None,
            _ => {}
        }
        if let Some(event) = self.control.send(command) {
            self.trace.apply(event);
        }
    }

    fn hit(&self) -> Option<Hit> {
        self.control.hit().or(self.watch.hit)
    }

    fn wait(&self, at_most: Duration) {
        // The ring is where nearly everything happens.
        self.ring.wait(at_most);
    }

    fn sources(&self) -> &[(Arc<str>, String)] {
        self.source.as_slice()
    }
}
