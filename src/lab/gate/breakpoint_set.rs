//! Breakpoints that are set, and the checks on the loop thread that trigger them.

use super::{Gate, GateState, GatedTask, RunMode};
use crate::control::{BREAKPOINTS_MAX, Breakpoint, BreakpointHit, TaskPattern};
use crate::trace::{Nanos, PauseReason};

/// The breakpoints that are set and the last hit.
#[derive(Debug, Default)]
pub(super) struct BreakpointSet {
    items: Vec<Breakpoint>,
    hit: Option<BreakpointHit>,
}

/// Something that a task did, or that was done to it, which a breakpoint may match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakpointTrigger {
    /// A poll is about to begin.
    PollStart,
    /// The task was woken.
    Wake,
    /// The task ended.
    End,
    /// A poll ended that took this many nanoseconds.
    PollEnd(Nanos),
    /// The task is waiting and has waited this many nanoseconds.
    Waiting(Nanos),
}

impl BreakpointSet {
    /// Returns whether no breakpoint is set.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds a breakpoint, unless it is set already or [`BREAKPOINTS_MAX`] are set.
    pub fn add(&mut self, breakpoint: Breakpoint) {
        if !self.items.contains(&breakpoint) && self.items.len() < BREAKPOINTS_MAX {
            self.items.push(breakpoint);
        }
    }

    /// Removes every breakpoint.
    pub fn clear(&mut self) {
        self.items.clear();
    }

    /// Clears the last hit, because the loop continues.
    pub fn clear_hit(&mut self) {
        self.hit = None;
    }

    fn find_match(&self, name: &str, trigger: BreakpointTrigger) -> Option<Breakpoint> {
        let matches = |breakpoint: &Breakpoint| match (breakpoint, trigger) {
            (Breakpoint::PollStart(pattern), BreakpointTrigger::PollStart)
            | (Breakpoint::Wake(pattern), BreakpointTrigger::Wake)
            | (Breakpoint::End(pattern), BreakpointTrigger::End) => pattern.matches(name),
            (Breakpoint::LongPoll(pattern, limit_ns), BreakpointTrigger::PollEnd(took_ns)) => {
                took_ns > *limit_ns && pattern.matches(name)
            }
            (Breakpoint::LongWait(pattern, limit_ns), BreakpointTrigger::Waiting(waited_ns)) => {
                waited_ns >= *limit_ns && pattern.matches(name)
            }
            _ => false,
        };
        self.items.iter().copied().find(matches)
    }
}

impl GateState {
    /// Pauses the loop if a breakpoint matches `trigger`. Returns whether one does.
    pub(super) fn pause_if_hit(&mut self, task: &impl GatedTask, trigger: BreakpointTrigger, at: Nanos) -> bool {
        let Some(breakpoint) = self.breakpoints.find_match(task.name(), trigger) else { return false };
        let length_ns = match trigger {
            BreakpointTrigger::PollEnd(length_ns) | BreakpointTrigger::Waiting(length_ns) => length_ns,
            _ => 0,
        };
        // Further hits before the next gate belong to the same pause, which reports the first.
        if self.mode != RunMode::Paused || self.breakpoints.hit.is_none() {
            self.breakpoints.hit =
                Some(BreakpointHit { breakpoint, task: Some(task.id()), at, duration_ns: length_ns, finding: "" });
        }
        self.pause(PauseReason::Breakpoint(breakpoint.to_string().into()));
        true
    }
}

impl Gate {
    /// Pauses the loop at its next gate if a breakpoint matches what happened to `task`.
    #[inline]
    pub fn check_breakpoints(&self, task: &impl GatedTask, trigger: BreakpointTrigger, at: Nanos) {
        if !self.is_open() {
            self.check_breakpoints_slow(task, trigger, at);
        }
    }

    #[cold]
    fn check_breakpoints_slow(&self, task: &impl GatedTask, trigger: BreakpointTrigger, at: Nanos) {
        let mut state = self.lock();
        if !state.breakpoints.is_empty() && state.pause_if_hit(task, trigger, at) {
            self.notify_change(&mut state);
        }
    }

    /// Returns the breakpoint that paused the loop, until the loop continues.
    pub fn hit(&self) -> Option<BreakpointHit> {
        self.lock().breakpoints.hit
    }

    /// Returns the task pattern and the limit of each breakpoint on waits.
    pub fn wait_limits(&self) -> Vec<(TaskPattern, Nanos)> {
        if self.is_open() {
            return Vec::new();
        }
        let wait_limit = |breakpoint: &Breakpoint| match breakpoint {
            Breakpoint::LongWait(pattern, limit_ns) => Some((*pattern, *limit_ns)),
            _ => None,
        };
        self.lock().breakpoints.items.iter().filter_map(wait_limit).collect()
    }
}
