//! One cycle of a lane, and sums over several.

use serde::{Deserialize, Serialize};

use super::super::event::{AwaitKind, Cause, Nanos};
use super::super::id::AwaitId;
use super::NEVER;

/// One poll and what followed it until the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cycle {
    pub start: Nanos,
    /// When the poll ended; [`Cycle::end`] tells an open one.
    pub(super) end: Nanos,
    /// The first wake since the poll's start.
    pub(super) wake: Nanos,
    /// The how many-th poll of the whole loop this is, from 0.
    pub step: u32,
    /// Polls that the loop had started when the wake came.
    pub(super) woken_step: u32,
    pub(super) waiting_on: Option<AwaitId>,
    /// Who woke it; `None` where nobody said.
    pub(super) cause: Option<Cause>,
    pub(super) kind: AwaitKind,
}

impl Cycle {
    pub(super) fn begin(start: Nanos, step: u32) -> Self {
        Self {
            start,
            end: NEVER,
            wake: NEVER,
            step,
            woken_step: 0,
            waiting_on: None,
            cause: None,
            kind: AwaitKind::Other,
        }
    }

    pub fn end(&self) -> Option<Nanos> {
        (self.end != NEVER).then_some(self.end)
    }

    /// From when on it was ready again: the first wake, or the poll's end if the wake came during it.
    pub fn woken(&self) -> Option<Nanos> {
        (self.wake != NEVER).then_some(if self.end == NEVER { self.wake } else { self.wake.max(self.end) })
    }

    /// Polls that the loop had started when the wake came; `None` while there was no wake.
    pub fn woken_step(&self) -> Option<u32> {
        self.woken().map(|_| self.woken_step)
    }

    /// The first wake since the poll's start and who called it, where that was told.
    pub fn wake(&self) -> Option<(Nanos, Cause)> {
        self.cause.map(|cause| (self.wake, cause))
    }

    /// Its poll is over and no wake came before or at `at`.
    pub(in crate::trace) fn is_waiting_at(&self, at: Nanos) -> bool {
        self.end <= at && self.woken().is_none_or(|woken| woken > at)
    }

    /// What the task awaited when the poll ended, and of which kind.
    pub fn waiting_on(&self) -> (Option<AwaitId>, AwaitKind) {
        (self.waiting_on, self.kind)
    }
}

/// Sums over a stretch of a lane. Times in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub busy_ns: u64,
    pub scheduled_ns: u64,
    /// Waiting, by kind of await, in the order of [`AwaitKind::ALL`].
    pub waiting_ns: [u64; AwaitKind::ALL.len()],
    pub polls: u64,
}

impl Totals {
    pub fn waiting_total_ns(&self) -> u64 {
        self.waiting_ns.iter().fold(0, |sum, ns| sum.wrapping_add(*ns))
    }

    /// The kind that most of the waiting was for.
    pub fn main_wait(&self) -> Option<AwaitKind> {
        let (index, longest) = self.waiting_ns.iter().enumerate().max_by_key(|(_, ns)| **ns)?;
        (*longest > 0).then(|| AwaitKind::ALL[index])
    }

    /// What came after `earlier`, a look-up of the same lane at an earlier time.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut waiting_ns = self.waiting_ns;
        // Measures of somebody else's may say of an interval that it was busy for longer than it was long.
        for (now, before) in waiting_ns.iter_mut().zip(earlier.waiting_ns) {
            *now = now.saturating_sub(before);
        }
        Self {
            busy_ns: self.busy_ns.saturating_sub(earlier.busy_ns),
            scheduled_ns: self.scheduled_ns.saturating_sub(earlier.scheduled_ns),
            waiting_ns,
            polls: self.polls.saturating_sub(earlier.polls),
        }
    }

    /// Adds what `cycle` contributes up to `until`, where the next cycle starts (or the task ends, or now is).
    pub(super) fn add(&mut self, cycle: &Cycle, until: Nanos) {
        let end = cycle.end.min(until).max(cycle.start);
        let woken = cycle.wake.clamp(end, until.max(end));
        self.busy_ns = self.busy_ns.wrapping_add(end - cycle.start);
        self.wait(cycle.kind, woken - end);
        self.scheduled_ns = self.scheduled_ns.wrapping_add(until.saturating_sub(woken));
        self.polls = self.polls.wrapping_add(1);
    }

    /// Sums of a file that lies may be any number; they wrap.
    #[inline]
    pub(super) fn wait(&mut self, kind: AwaitKind, ns: u64) {
        let sum = &mut self.waiting_ns[kind as usize];
        *sum = sum.wrapping_add(ns);
    }
}
