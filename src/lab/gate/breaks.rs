//! Breakpoints: what the loop is to stop at by itself, looked at where it happens.

use super::{Gate, Inner, Leave, LongWait};
use crate::control::{BREAKPOINTS_MAX, Breakpoint, Hit, Who};
use crate::lab::task::TaskCell;
use crate::lab::world::World;
use crate::trace::{Nanos, PauseCause};

/// What is to be stopped at, and what was stopped at last.
#[derive(Debug, Default)]
pub(super) struct Breaks {
    set: Vec<Breakpoint>,
    hit: Option<Hit>,
}

/// Something that a task did or that was done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A poll of it is about to begin.
    Polled,
    Woken,
    Ended,
    /// A poll of it ended, and took so long.
    PollOver(Nanos),
    /// It waits, and has for so long.
    WaitOver(Nanos),
}

impl Breaks {
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    pub fn add(&mut self, breakpoint: Breakpoint) {
        if !self.set.contains(&breakpoint) && self.set.len() < BREAKPOINTS_MAX {
            self.set.push(breakpoint);
        }
    }

    pub fn forget(&mut self) {
        self.set.clear();
    }

    /// The loop goes on from where it stopped.
    pub fn go_on(&mut self) {
        self.hit = None;
    }

    fn find(&self, name: &str, seen: Seen) -> Option<Breakpoint> {
        let means = |breakpoint: &Breakpoint| match (breakpoint, seen) {
            (Breakpoint::Polled(who), Seen::Polled)
            | (Breakpoint::Woken(who), Seen::Woken)
            | (Breakpoint::Ended(who), Seen::Ended) => who.is(name),
            (Breakpoint::PollOver(who, limit_ns), Seen::PollOver(took_ns)) => took_ns > *limit_ns && who.is(name),
            (Breakpoint::WaitOver(who, limit_ns), Seen::WaitOver(waited_ns)) => waited_ns >= *limit_ns && who.is(name),
            _ => false,
        };
        self.set.iter().copied().find(means)
    }
}

impl Inner {
    /// Stops where a breakpoint says so; true if it does.
    pub(super) fn stops_at(&mut self, task: &TaskCell, seen: Seen, at: Nanos) -> bool {
        let Some(breakpoint) = self.breaks.find(task.name(), seen) else { return false };
        let length_ns = match seen {
            Seen::PollOver(length_ns) | Seen::WaitOver(length_ns) => length_ns,
            _ => 0,
        };
        // What happens before the next gate belongs to the same stop, which is named by what came first.
        if self.leave != Leave::Paused || self.breaks.hit.is_none() {
            self.breaks.hit = Some(Hit { breakpoint, task: Some(task.id()), at, length_ns, finding: "" });
        }
        self.pause(PauseCause::Breakpoint(breakpoint.to_string().into()));
        true
    }
}

impl Gate {
    /// Something happened to a task: the loop stops at its next gate where a breakpoint says so.
    #[inline]
    pub fn see(&self, task: &TaskCell, seen: Seen, at: Nanos) {
        if !self.is_free() {
            self.look_closely(task, seen, at);
        }
    }

    #[cold]
    fn look_closely(&self, task: &TaskCell, seen: Seen, at: Nanos) {
        let mut inner = self.lock();
        if !inner.breaks.is_empty() && inner.stops_at(task, seen, at) {
            self.note(&mut inner);
        }
    }

    /// Where and why the loop stopped by itself, until it goes on.
    pub fn hit(&self) -> Option<Hit> {
        self.lock().breaks.hit
    }

    /// Whose waits are to be looked at, and from which length on.
    pub fn wait_limits(&self) -> Vec<(Who, Nanos)> {
        if self.is_free() {
            return Vec::new();
        }
        let wait = |breakpoint: &Breakpoint| match breakpoint {
            Breakpoint::WaitOver(who, limit_ns) => Some((*who, *limit_ns)),
            _ => None,
        };
        self.lock().breaks.set.iter().filter_map(wait).collect()
    }
}

impl World {
    /// The waits that get too long for a breakpoint unless they end before, the first of them first.
    pub(in crate::lab) fn long_waits(&self) -> Vec<LongWait> {
        let limits = self.shared().gate.wait_limits();
        if limits.is_empty() {
            return Vec::new();
        }
        let alive = self.alive();
        let waiting = alive.by_id.values().filter(|(_, cell)| !cell.is_held());
        let long = waiting.filter_map(|(_, cell)| {
            let since = cell.waits_since()?;
            let limit = limits.iter().filter(|(who, _)| who.is(cell.name())).map(|(_, limit_ns)| *limit_ns).min()?;
            Some(LongWait { task: cell.clone(), since, at: since.saturating_add(limit) })
        });
        let mut long: Vec<LongWait> = long.collect();
        long.sort_unstable_by_key(|wait| (wait.at, wait.task.id()));
        long
    }
}
