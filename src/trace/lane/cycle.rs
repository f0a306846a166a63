//! One cycle of a lane, and totals over several.

use serde::{Deserialize, Serialize};

use super::super::await_site::AwaitKind;
use super::super::id::{AwaitId, WorkerId};
use super::super::time::NEVER;
use super::super::time::Nanos;
use super::super::wake_source::WakeSource;
use super::BEFORE_EMPTY_CYCLE;

/// Bits that hold a kind of await.
const KIND_BITS: u32 = AwaitKind::ALL.len().ilog2();

/// One poll of a task and what followed it until the next poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredCycle", into = "StoredCycle")]
pub struct Cycle {
    /// Loop time at which the poll started.
    pub start: Nanos,
    /// Loop time at which the poll ended; [`NEVER`] while it runs.
    pub(super) end: Nanos,
    /// Loop time of the first wake after the poll started; [`NEVER`] where there was none.
    pub(super) wake: Nanos,
    /// Index of the poll among all polls of the loop, from 0.
    pub step: u32,
    /// Number of polls that the loop had started when the wake came.
    pub(super) woken_step: u32,
    /// The await that the task waited on when the poll ended.
    pub(super) waiting_on: Option<AwaitId>,
    /// Source of the wake; `None` where it is unknown.
    pub(super) wake_source: Option<WakeSource>,
    /// Kind of the await; [`AwaitKind::Other`] where there is none.
    pub(super) kind: AwaitKind,
    /// Number of the worker that ran the poll; 0 where it is not known.
    pub(super) worker: u16,
}

/// A cycle as the tail of an archive has it.
#[derive(Serialize, Deserialize)]
struct StoredCycle {
    start: Nanos,
    end: Nanos,
    wake: Nanos,
    step: u32,
    woken_step: u32,
    waiting_on: Option<AwaitId>,
    wake_source: Option<WakeSource>,
    /// The kind of await in the lowest three bits, and the number of the worker. Without a worker, these are the bytes
    /// of the kind alone, which is what version 3 of the archive has.
    kind_and_worker: u32,
}

impl From<Cycle> for StoredCycle {
    fn from(cycle: Cycle) -> Self {
        let Cycle { start, end, wake, step, woken_step, waiting_on, wake_source, kind, worker } = cycle;
        let kind_and_worker = kind as u32 | u32::from(worker) << KIND_BITS;
        Self { start, end, wake, step, woken_step, waiting_on, wake_source, kind_and_worker }
    }
}

impl TryFrom<StoredCycle> for Cycle {
    type Error = std::num::TryFromIntError;

    fn try_from(stored: StoredCycle) -> Result<Self, Self::Error> {
        let StoredCycle { start, end, wake, step, woken_step, waiting_on, wake_source, kind_and_worker } = stored;
        let kind = AwaitKind::ALL[kind_and_worker as usize % AwaitKind::ALL.len()];
        let worker = (kind_and_worker >> KIND_BITS).try_into()?;
        Ok(Self { start, end, wake, step, woken_step, waiting_on, wake_source, kind, worker })
    }
}

impl Cycle {
    /// Creates the cycle of a poll that starts now.
    pub(super) fn new(start: Nanos, step: u32) -> Self {
        Self {
            start,
            end: NEVER,
            wake: NEVER,
            step,
            woken_step: 0,
            waiting_on: None,
            wake_source: None,
            kind: AwaitKind::Other,
            worker: 0,
        }
    }

    /// Returns the worker that ran the poll, in the lane of a task; `None` where it is not known.
    pub fn worker(&self) -> Option<WorkerId> {
        WorkerId::from_number(self.worker.into())
    }

    /// Returns the loop time at which the poll ended; `None` while it runs.
    pub fn end(&self) -> Option<Nanos> {
        (self.end != NEVER).then_some(self.end)
    }

    /// Returns the loop time from which the task was scheduled: the first wake, or the end of the poll for a wake
    /// during it.
    pub fn scheduled_at(&self) -> Option<Nanos> {
        (self.wake != NEVER).then_some(if self.end == NEVER { self.wake } else { self.wake.max(self.end) })
    }

    /// Returns the number of polls that the loop had started when the wake came; `None` before a wake.
    pub fn woken_step(&self) -> Option<u32> {
        self.scheduled_at().map(|_| self.woken_step)
    }

    /// Returns the first wake after the poll started, with its source; `None` where the source is unknown.
    pub fn first_wake(&self) -> Option<(Nanos, WakeSource)> {
        self.wake_source.map(|cause| (self.wake, cause))
    }

    /// Whether the poll has ended at `at` and no wake came at or before `at`.
    pub(in crate::trace) fn is_waiting_at(&self, at: Nanos) -> bool {
        self.end <= at && self.scheduled_at().is_none_or(|woken| woken > at)
    }

    /// Returns the await that the task waited on when the poll ended, and its kind.
    pub fn waiting_on(&self) -> (Option<AwaitId>, AwaitKind) {
        (self.waiting_on, self.kind)
    }
}

/// Totals of a lane over an interval, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneTotals {
    /// Time in polls.
    pub busy_ns: u64,
    /// Time from wakes to the next polls.
    pub scheduled_ns: u64,
    /// Waiting time by kind of await, in the order of [`AwaitKind::ALL`].
    pub waiting_ns: [u64; AwaitKind::ALL.len()],
    /// Number of polls.
    pub polls: u64,
}

impl LaneTotals {
    /// Returns whether these are totals of polls, unlike those before the first cycle of a lane.
    pub(super) fn has_polls(&self) -> bool {
        !matches!(self.polls, 0 | BEFORE_EMPTY_CYCLE)
    }

    /// Returns the waiting time of all kinds.
    pub fn waiting_total_ns(&self) -> u64 {
        self.waiting_ns.iter().fold(0, |sum, ns| sum.wrapping_add(*ns))
    }

    /// Returns the kind of await that took most of the waiting time.
    #[inline]
    pub fn longest_wait_kind(&self) -> Option<AwaitKind> {
        let (mut longest_ns, mut longest) = (1, None);
        for (kind, ns) in AwaitKind::ALL.into_iter().zip(self.waiting_ns) {
            if ns >= longest_ns {
                (longest_ns, longest) = (ns, Some(kind));
            }
        }
        longest
    }

    /// Subtracts `earlier`, the totals of the same lane at an earlier time.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut waiting_ns = self.waiting_ns;
        // The statistics of another program may report more busy time than an interval is long.
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

    /// Adds `cycle`, cut off at `until`: the start of the next cycle, the end of the task, or now.
    pub(super) fn add_cycle(&mut self, cycle: &Cycle, until: Nanos) {
        let end = cycle.end.min(until).max(cycle.start);
        let woken = cycle.wake.clamp(end, until.max(end));
        self.busy_ns = self.busy_ns.wrapping_add(end - cycle.start);
        self.add_waiting(cycle.kind, woken - end);
        self.scheduled_ns = self.scheduled_ns.wrapping_add(until.saturating_sub(woken));
        self.polls = self.polls.wrapping_add(1);
    }

    /// Adds waiting time. Wraps on overflow, because the totals of a damaged file may be any numbers.
    #[inline]
    pub(super) fn add_waiting(&mut self, kind: AwaitKind, ns: u64) {
        let sum = &mut self.waiting_ns[kind as usize];
        *sum = sum.wrapping_add(ns);
    }
}
