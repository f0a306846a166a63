//! Waiting at the gate, and pacing of loop time in a poll or before a park.

use std::sync::{Arc, MutexGuard};

use super::breakpoint_set::BreakpointTrigger;
use super::{Gate, GateHandler, GateState, GatedTask, LoopPosition, RunMode, RunStopped};
use crate::control::{ClockKind, Speed};
use crate::lab::clock::LoopClock;
use crate::trace::Nanos;

/// Where loop time passes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum PacingPoint {
    /// Before a park.
    Park,
    /// In a poll that blocks the loop.
    Poll,
}

/// A wait that exceeds the limit of a breakpoint unless it ends before.
#[derive(Clone, Debug)]
pub struct LongWait<T> {
    /// The task that waits.
    pub task: Arc<T>,
    /// The loop time at which the wait began.
    pub since: Nanos,
    /// The loop time at which it exceeds the limit.
    pub at: Nanos,
}

impl Gate {
    /// Lets loop time pass until `to` inside a poll that blocks, at the set speed; stands still while paused. `waits`
    /// are the waits of other tasks that will exceed a breakpoint's limit, earliest first.
    ///
    /// # Errors
    ///
    /// If the run is being stopped.
    pub fn block_until(
        &self,
        to: Nanos,
        waits: &[LongWait<impl GatedTask>],
        clock: &LoopClock,
        handler: &impl GateHandler,
    ) -> Result<(), RunStopped> {
        let state = self.pass_time(self.lock(), (clock.now(), to), waits, clock, handler, PacingPoint::Poll);
        if state.is_quitting { Err(RunStopped) } else { Ok(()) }
    }

    /// Blocks while paused, inside a poll that runs long without awaiting.
    ///
    /// # Errors
    ///
    /// If the run is being stopped.
    pub fn checkpoint(&self, clock: &LoopClock, handler: &impl GateHandler) -> Result<(), RunStopped> {
        if self.is_open() {
            return Ok(());
        }
        let mut state = self.lock();
        while state.mode == RunMode::Paused && !state.is_quitting {
            state = self.wait_at_gate(state, clock, handler);
        }
        if state.is_quitting { Err(RunStopped) } else { Ok(()) }
    }

    /// Freezes the clock and waits at the gate for the next request.
    pub(super) fn wait_at_gate<'a>(
        &'a self,
        mut state: MutexGuard<'a, GateState>,
        clock: &LoopClock,
        handler: &impl GateHandler,
    ) -> MutexGuard<'a, GateState> {
        clock.freeze();
        let requests = state.requests;
        if state.position != LoopPosition::AtGate {
            state.position = LoopPosition::AtGate;
            // Reporting may wait for space in the ring, and the thread that drains it may need this lock first.
            let cause = state.cause.clone();
            drop(state);
            handler.on_pause(cause);
            state = self.lock();
        }
        while state.requests == requests {
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        if state.mode != RunMode::Paused || state.is_quitting {
            clock.thaw();
            state.position = LoopPosition::Running;
        }
        state
    }

    /// Waits from loop time `from` to `to` at the set speed, and advances a virtual clock accordingly.
    ///
    /// Ends early, with the clock advanced as far as it got, on a stop or (before a park) on a pending action.
    pub(super) fn pass_time<'a>(
        &'a self,
        mut state: MutexGuard<'a, GateState>,
        (from, to): (Nanos, Nanos),
        mut waits: &[LongWait<impl GatedTask>],
        clock: &LoopClock,
        handler: &impl GateHandler,
        point: PacingPoint,
    ) -> MutexGuard<'a, GateState> {
        let mut at = from;
        while !state.is_quitting {
            if point == PacingPoint::Park && !state.pending_actions.is_empty() {
                // A task is about to become ready: the caller runs the action, and the park ends at once.
                break;
            }
            if matches!(state.mode, RunMode::RunUntil(stop) if at >= stop) {
                state.mode = state.finish_step();
            }
            if let Some((wait, later)) = waits.split_first().filter(|(wait, _)| at >= wait.at) {
                waits = later;
                state.pause_if_hit(&*wait.task, BreakpointTrigger::Waiting(at - wait.since), at);
                wait.task.mark_wait_reported();
            }
            if state.mode == RunMode::Paused {
                clock.set_paced_interval(Some((at, to, None)));
                state = self.wait_at_gate(state, clock, handler);
                continue;
            }
            if at >= to {
                break;
            }
            let goal = if let RunMode::RunUntil(stop) = state.mode { stop.clamp(at, to) } else { to };
            let goal = waits.first().map_or(goal, |wait| goal.min(wait.at));
            let is_stepping = matches!(state.mode, RunMode::StepPolls(_) | RunMode::StepToTask(_) | RunMode::StepTurn);
            let speed = match clock.kind() {
                ClockKind::Real => Speed::Factor(1.0),
                // A step goes to the next event without waiting for it.
                ClockKind::Virtual if is_stepping => Speed::Max,
                ClockKind::Virtual => state.speed,
            };
            let Some(real_duration) = speed.real_duration(goal - at) else {
                at = goal;
                continue;
            };
            clock.set_paced_interval(Some((at, goal, Some(speed))));
            let begun = std::time::Instant::now();
            let (relocked, timeout) =
                self.changed.wait_timeout(state, real_duration).unwrap_or_else(|poisoned| poisoned.into_inner());
            state = relocked;
            let passed_ns = match speed {
                Speed::Factor(times) if !timeout.timed_out() => (begun.elapsed().as_secs_f64() * times * 1e9) as u64,
                _ => goal - at,
            };
            at = at.saturating_add(passed_ns).min(goal);
        }
        clock.set_paced_interval(None);
        // tokio would advance by itself, but in hops, stopping at each slot of its timer wheel.
        clock.advance_to(at);
        state
    }
}
