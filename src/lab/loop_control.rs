//! Control of a run from outside its loop: commands, and what the screen shows of its state.

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use super::gate::{BreakpointTrigger, Gate, GatedTask, TaskAction};
use super::loop_shared::LoopShared;
use crate::control::{Breakpoint, BreakpointHit, ClockKind, RunPhase, SessionCommand, Speed};
use crate::trace::{Event, Nanos, PauseReason};

/// Controls a run from any thread, without blocking on the loop.
#[derive(Clone, Debug)]
pub struct LoopControl {
    gate: Arc<Gate>,
    /// Set once the loop has started.
    shared: Arc<OnceLock<Arc<LoopShared>>>,
    /// Wakes the loop's root future, wherever the loop is.
    root_wakeup: Arc<Notify>,
}

impl LoopControl {
    /// Creates the control of a loop with this gate. `shared` is set once it starts, `root_wakeup` wakes its root future.
    pub(super) fn new(gate: Arc<Gate>, shared: Arc<OnceLock<Arc<LoopShared>>>, root_wakeup: Arc<Notify>) -> Self {
        Self { gate, shared, root_wakeup }
    }

    /// Sends `command` to the loop. Returns the event that it caused, if any: the caller must apply it to the trace.
    ///
    /// The event does not go through the ring, because the ring may be full while its reader is the caller.
    pub fn send(&self, command: SessionCommand) -> Option<Event> {
        let Some(shared) = self.shared.get() else {
            // Before the loop has started there is no task to hold and no clock to stop.
            self.gate.command(command, None);
            return None;
        };
        let at = shared.clock.display_now();
        let event = match command {
            SessionCommand::Hold(task) => {
                shared.find_task(task).filter(|control| control.hold()).map(|_| Event::Hold { task, at })
            }
            SessionCommand::Release(task) => shared.find_task(task).and_then(|control| {
                let mut has_deferred_wake = None;
                self.gate.queue_action(|| {
                    has_deferred_wake = control.release();
                    has_deferred_wake.unwrap_or(false).then_some(TaskAction::Wake(task))
                });
                has_deferred_wake.map(|_| Event::Release { task, at })
            }),
            SessionCommand::Cancel(task) => {
                self.gate.queue_action(|| shared.find_task(task).map(|_| TaskAction::Cancel(task)));
                None
            }
            _ => None,
        };
        let pauses_driver = self.gate.command(command, Some(&shared.clock));
        self.root_wakeup.notify_one();
        let cause = if command == SessionCommand::Pause { PauseReason::User } else { PauseReason::Suspended };
        event.or_else(|| pauses_driver.then(|| Event::Pause { at: shared.clock.now(), reason: cause }))
    }

    /// Pauses the loop for a breakpoint that was hit outside the loop thread. Returns the event for the trace, as
    /// [`send`](Self::send) does.
    pub fn pause_at_breakpoint(&self, breakpoint: Breakpoint) -> Option<Event> {
        let shared = self.shared.get()?;
        let cause = PauseReason::Breakpoint(breakpoint.to_string().into());
        let pauses_driver = self.gate.pause(cause.clone(), &shared.clock);
        self.root_wakeup.notify_one();
        pauses_driver.then(|| Event::Pause { at: shared.clock.now(), reason: cause })
    }

    /// Returns the breakpoint that paused the loop, until the loop continues.
    pub fn breakpoint_hit(&self) -> Option<BreakpointHit> {
        self.gate.hit()
    }

    /// Pauses the loop if a task has waited longer than a breakpoint allows. Returns the event for the trace, as
    /// [`send`](Self::send) does.
    ///
    /// On a virtual clock the loop checks this itself, exactly. On the real clock the loop may be in the driver, so the
    /// session calls this at intervals.
    pub fn check_long_waits(&self) -> Option<Event> {
        let shared = self.shared.get().filter(|shared| shared.clock.kind() == ClockKind::Real)?;
        let now = shared.clock.now();
        let wait = shared.long_waits().into_iter().next().filter(|wait| now >= wait.at)?;
        self.gate.check_breakpoints(&*wait.task, BreakpointTrigger::Waiting(now.saturating_sub(wait.since)), now);
        wait.task.mark_wait_reported();
        // Reports the pause, and stops the clock if the loop is in the driver.
        self.pause_at_breakpoint(self.gate.hit()?.breakpoint)
    }

    /// Returns the phase of the run.
    pub fn phase(&self) -> RunPhase {
        self.gate.phase()
    }

    /// Returns the current speed.
    pub fn speed(&self) -> Speed {
        self.gate.speed()
    }

    /// Returns loop time for display, which advances through a paced wait. Returns 0 before the loop has started.
    pub fn display_now(&self) -> Nanos {
        self.shared.get().map_or(0, |shared| shared.clock.display_now())
    }

    /// Returns the loop time at which the earliest timer is due.
    pub fn next_timer(&self) -> Option<Nanos> {
        self.shared.get().and_then(|shared| shared.timers.next_due(shared.clock.now()))
    }
}
