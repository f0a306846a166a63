//! The gate, at which the loop stops before a poll, before a park and while loop time passes.
//!
//! tokio's hooks call it before any span of the poll is entered, so time that a poll waits here counts for no
//! measurement. While the loop runs free, the check costs one relaxed atomic load.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::clock::LoopClock;
use crate::control::{ClockKind, RunPhase, SessionCommand, Speed};
use crate::trace::{Nanos, PauseReason, TaskId};
use breakpoint_set::BreakpointSet;
use pacing::PacingPoint;

mod actions;
mod breakpoint_set;
mod pacing;

pub use actions::TaskAction;
pub use breakpoint_set::BreakpointTrigger;
pub use pacing::LongWait;

/// The run is being stopped. Code that gets this error must return and release what it owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the run was stopped")]
pub struct RunStopped;

/// How far the loop may run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum RunMode {
    /// Without a limit.
    Free,
    /// Not at all.
    Paused,
    /// This many further polls.
    StepPolls(u32),
    /// Until the loop parks.
    StepTurn,
    /// Until this task has been polled.
    StepToTask(TaskId),
    /// Until this loop time.
    RunUntil(Nanos),
}

/// The position of the loop thread.
#[derive(Clone, Copy, Debug, PartialEq)]
enum LoopPosition {
    /// Between two gates: in a poll or on the way to the next.
    Running,
    /// Stopped at a gate: before a poll, before a park or while loop time passes.
    AtGate,
    /// In the driver, with no task ready.
    InDriver,
}

#[derive(Debug)]
struct GateState {
    mode: RunMode,
    /// The cause of the current or most recent pause.
    cause: PauseReason,
    /// How far the loop may run after loopscope resumes, if only a suspension paused it.
    suspended: Option<RunMode>,
    position: LoopPosition,
    speed: Speed,
    is_quitting: bool,
    is_over: bool,
    /// Actions to run on the loop thread, because the feeds observe no other thread.
    pending_actions: VecDeque<TaskAction>,
    /// Actions that are about to be queued.
    announced_actions: u32,
    /// Actions that have run so far.
    completed_actions: u64,
    /// Requests so far; a change wakes the loop thread at the gate.
    requests: u64,
    /// The poll under way used up a step.
    is_step_charged: bool,
    breakpoints: BreakpointSet,
}

/// Blocks the loop thread while the loop is paused, and paces a virtual clock.
#[derive(Debug)]
pub struct Gate {
    /// Nothing was requested, so every gate is open.
    is_open: AtomicBool,
    state: Mutex<GateState>,
    changed: Condvar,
}

/// Callbacks for what happens at the gate, implemented by the owner of the probe.
pub trait GateHandler {
    /// The loop paused.
    fn on_pause(&self, cause: PauseReason);
    /// Runs an action that the user requested for a task, on the loop thread.
    fn run_action(&self, action: TaskAction);
}

/// A task, as far as the gate is concerned with it.
pub trait GatedTask {
    /// Returns the task's id.
    fn id(&self) -> TaskId;
    /// Returns the task's name.
    fn name(&self) -> &str;
    /// Returns whether the user holds the task.
    fn is_held(&self) -> bool;
    /// Marks the current wait as reported, so that no breakpoint reports it again.
    fn mark_wait_reported(&self);
}

impl GateState {
    fn pause(&mut self, cause: PauseReason) {
        // An earlier cause stays the cause of the pause.
        if self.mode != RunMode::Paused || self.suspended.take().is_some() {
            self.cause = cause;
        }
        self.mode = RunMode::Paused;
    }

    fn suspend(&mut self) {
        if self.mode != RunMode::Paused {
            self.suspended = Some(self.mode);
            self.cause = PauseReason::Suspended;
            self.mode = RunMode::Paused;
        }
    }

    /// Ends a step or run that is complete. Returns the new run mode.
    fn finish_step(&mut self) -> RunMode {
        self.cause = PauseReason::Step;
        RunMode::Paused
    }
}

impl Gate {
    /// Creates a gate at this speed, closed if `paused`.
    pub fn new(speed: Speed, paused: bool) -> Self {
        let mode = if paused { RunMode::Paused } else { RunMode::Free };
        let state = GateState {
            mode,
            cause: PauseReason::User,
            suspended: None,
            position: LoopPosition::Running,
            speed,
            is_quitting: false,
            is_over: false,
            pending_actions: VecDeque::new(),
            announced_actions: 0,
            completed_actions: 0,
            requests: 0,
            is_step_charged: false,
            breakpoints: BreakpointSet::default(),
        };
        Self { is_open: AtomicBool::new(!paused), state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Applies a command. Holding, releasing and cancelling are up to the task.
    ///
    /// `clock` is `None` before the loop has started. Returns whether the command paused the loop in the driver, where
    /// it cannot report the pause itself.
    pub fn command(&self, command: SessionCommand, clock: Option<&LoopClock>) -> bool {
        let mut state = self.lock();
        if command.resumes_loop() {
            state.breakpoints.clear_hit();
            state.suspended = None;
        }
        // A loop that is paused already is not paused again.
        let is_pause =
            state.mode != RunMode::Paused && matches!(command, SessionCommand::Pause | SessionCommand::Suspend(true));
        match command {
            SessionCommand::AddBreakpoint(breakpoint) => state.breakpoints.add(breakpoint),
            SessionCommand::ClearBreakpoints => state.breakpoints.clear(),
            SessionCommand::Pause => state.pause(PauseReason::User),
            SessionCommand::Suspend(true) => state.suspend(),
            SessionCommand::Suspend(false) => {
                if let Some(mode) = state.suspended.take() {
                    state.mode = mode;
                }
            }
            SessionCommand::Resume => state.mode = RunMode::Free,
            // Steps add to those that are still to run.
            SessionCommand::StepPolls(more) => {
                let left = if let RunMode::StepPolls(left) = state.mode { left } else { 0 };
                state.mode = RunMode::StepPolls(left.saturating_add(more));
            }
            SessionCommand::StepTurn => state.mode = RunMode::StepTurn,
            SessionCommand::StepToTask(task) => state.mode = RunMode::StepToTask(task),
            SessionCommand::RunUntil(at) => state.mode = RunMode::RunUntil(at),
            SessionCommand::SetSpeed(speed) => state.speed = speed,
            SessionCommand::Quit => state.is_quitting = true,
            // These are up to the task; the rest is for external apps.
            SessionCommand::Hold(_) | SessionCommand::Release(_) | SessionCommand::Cancel(_) => {}
            SessionCommand::FreezeProcess(_) | SessionCommand::SelectTask(_) | SessionCommand::Reconnect => {}
        }
        self.apply_change(state, clock, is_pause)
    }

    /// Pauses the loop for `cause`, which was detected outside the loop thread. Returns as [`Gate::command`] does.
    pub fn pause(&self, cause: PauseReason, clock: &LoopClock) -> bool {
        let mut state = self.lock();
        state.pause(cause);
        self.apply_change(state, Some(clock), true)
    }

    /// Applies a change to the clock and wakes the loop thread. Returns whether this paused the loop in the driver.
    fn apply_change(&self, mut state: MutexGuard<'_, GateState>, clock: Option<&LoopClock>, is_pause: bool) -> bool {
        // In the driver the loop cannot freeze its own clock; at a gate it freezes and thaws the clock itself.
        let pauses_driver = state.mode == RunMode::Paused && state.position == LoopPosition::InDriver;
        match clock {
            Some(clock) if pauses_driver => clock.freeze(),
            Some(clock) if state.mode != RunMode::Paused && state.position != LoopPosition::AtGate => clock.thaw(),
            _ => {}
        }
        self.notify_change(&mut state);
        pauses_driver && is_pause
    }

    fn notify_change(&self, state: &mut GateState) {
        state.requests += 1;
        let is_unrestricted = state.mode == RunMode::Free && !state.is_quitting;
        let is_open = is_unrestricted && state.pending_actions.is_empty() && state.breakpoints.is_empty();
        self.is_open.store(is_open, Ordering::Release);
        self.changed.notify_all();
    }

    /// Marks the run as over.
    pub fn mark_over(&self) {
        self.lock().is_over = true;
    }

    /// Returns whether the gate is open, so that a poll need not check further.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Returns whether the run is being stopped.
    pub fn is_quitting(&self) -> bool {
        !self.is_open() && self.lock().is_quitting
    }

    /// Returns the phase of the run.
    pub fn phase(&self) -> RunPhase {
        let state = self.lock();
        match (state.is_over, state.mode, state.position) {
            (true, ..) => RunPhase::Ended,
            (_, RunMode::Paused, LoopPosition::Running) => RunPhase::Pausing,
            (_, RunMode::Paused, _) => RunPhase::Paused,
            _ => RunPhase::Running,
        }
    }

    /// Returns the current speed.
    pub fn speed(&self) -> Speed {
        self.lock().speed
    }

    /// Blocks before a poll until it may begin. `task` returns the task, or `None` for one that is not in the registry.
    pub fn before_poll<T: GatedTask>(
        &self,
        task: impl FnOnce() -> Option<Arc<T>>,
        clock: &LoopClock,
        handler: &impl GateHandler,
    ) {
        if self.is_open() {
            return;
        }
        let task = task();
        let mut state = self.run_pending_actions(self.lock(), handler);
        let mut is_checked = state.breakpoints.is_empty();
        loop {
            // A held task suppresses its own poll: none of its code runs, so it uses up no step here.
            if state.is_quitting || task.as_ref().is_some_and(|task| task.is_held()) {
                return;
            }
            if let Some(task) = task.as_ref().filter(|_| !is_checked && state.mode != RunMode::Paused) {
                // Check once a poll: resuming from here includes this poll.
                is_checked = true;
                state.pause_if_hit(&**task, BreakpointTrigger::PollStart, clock.now());
            }
            state.mode = match state.mode {
                RunMode::Paused => {
                    state = self.run_pending_actions(self.wait_at_gate(state, clock, handler), handler);
                    continue;
                }
                RunMode::StepPolls(0) => state.finish_step(),
                RunMode::RunUntil(at) if clock.now() >= at => state.finish_step(),
                RunMode::StepPolls(left) => {
                    state.mode = RunMode::StepPolls(left - 1);
                    state.is_step_charged = true;
                    return;
                }
                RunMode::StepToTask(wanted) if task.as_ref().is_some_and(|task| task.id() == wanted) => {
                    state.mode = RunMode::StepPolls(0);
                    return;
                }
                RunMode::Free | RunMode::StepTurn | RunMode::StepToTask(_) | RunMode::RunUntil(_) => return,
            };
        }
    }

    /// Accounts for the end of a task's poll. If the poll only dropped a cancelled task (`was_polled` is false), its
    /// step is refunded.
    pub fn after_poll(&self, was_polled: bool) {
        if self.is_open() {
            return;
        }
        let mut state = self.lock();
        let was_charged = std::mem::take(&mut state.is_step_charged);
        if let RunMode::StepPolls(left) = &mut state.mode
            && was_charged
            && !was_polled
        {
            *left += 1;
        }
    }

    /// Blocks before a park until it may begin. Returns whether anything is known that will end the park: a timer, a
    /// delivered wake, the user, or on the real clock the outside world.
    ///
    /// `deadline` is the earliest timer, if any. `waits` are the waits that will exceed a breakpoint's limit, earliest
    /// first.
    pub fn before_park(
        &self,
        deadline: Option<Nanos>,
        waits: &[LongWait<impl GatedTask>],
        clock: &LoopClock,
        handler: &impl GateHandler,
    ) -> bool {
        let state = self.lock();
        let completed_before = state.completed_actions;
        let mut state = self.run_pending_actions(state, handler);
        if state.suspended == Some(RunMode::StepTurn) {
            // The turn is over, also while suspended.
            state.suspended = None;
        }
        if state.mode == RunMode::StepTurn {
            state.mode = state.finish_step();
            self.notify_change(&mut state);
        }
        if let RunMode::StepPolls(0) = state.mode {
            state.mode = state.finish_step();
        }
        if clock.kind() == ClockKind::Virtual && !state.is_quitting {
            let now = clock.now();
            state = self.pass_time(state, (now, deadline.unwrap_or(now)), waits, clock, handler, PacingPoint::Park);
        }
        state = self.run_pending_actions(state, handler);
        state.position = LoopPosition::InDriver;
        if state.mode == RunMode::Paused {
            clock.freeze();
            let cause = state.cause.clone();
            // Unlocked for the same reason as in `wait_at_gate`.
            drop(state);
            handler.on_pause(cause);
            state = self.lock();
        }
        let is_idle =
            state.mode != RunMode::Paused && !state.is_quitting && state.completed_actions == completed_before;
        clock.kind() == ClockKind::Real || deadline.is_some() || !is_idle
    }

    /// The park is over.
    pub fn after_park(&self) {
        self.lock().position = LoopPosition::Running;
    }
}
