//! A worker of the runtime: a thread that polls tasks, and its history.

use super::id::{TaskId, WorkerId};
use super::lane::{Cycle, Lane};
use super::storage::ALLOCATION_BYTES;
use super::time::Nanos;

/// Maximum number of workers whose history is stored. Further ones are ignored.
pub const WORKERS_MAX: usize = 4_096;

/// A worker and its history.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Id of the worker.
    pub id: WorkerId,
    /// Name of its thread; empty if it has none.
    pub name: Box<str>,
    /// Its polls and parks.
    pub(super) lane: Lane,
    /// Number of polls that it has started.
    pub(super) polls: u64,
    /// Number of times it parked.
    pub(super) parks: u64,
}

/// What a worker does at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerActivity {
    /// It polls this task.
    Polling(TaskId),
    /// It is parked.
    Parked,
    /// Neither: the runtime itself runs, or code between polls.
    Runtime,
}

/// Totals of a worker, from when it became known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerTotals {
    /// Time in polls, in nanoseconds.
    pub busy_ns: u64,
    /// Time parked, in nanoseconds.
    pub parked_ns: u64,
    /// Time neither in polls nor parked, in nanoseconds.
    pub runtime_ns: u64,
    /// Number of polls that it has started.
    pub polls: u64,
}

impl WorkerTotals {
    /// Subtracts `earlier`, the totals of the same worker at an earlier time.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            busy_ns: self.busy_ns.saturating_sub(earlier.busy_ns),
            parked_ns: self.parked_ns.saturating_sub(earlier.parked_ns),
            runtime_ns: self.runtime_ns.saturating_sub(earlier.runtime_ns),
            polls: self.polls.saturating_sub(earlier.polls),
        }
    }
}

impl Worker {
    /// Creates a worker that is known from `at` on.
    pub(super) fn new(id: WorkerId, name: Box<str>, at: Nanos) -> Self {
        Self { id, name, lane: Lane::new(at), polls: 0, parks: 0 }
    }

    /// Returns the bytes of memory besides its history.
    pub(super) fn row_bytes(&self) -> usize {
        size_of::<Self>() + self.name.len() + ALLOCATION_BYTES
    }

    /// Returns its name, or `worker 2` if its thread has none.
    pub fn name(&self) -> std::borrow::Cow<'_, str> {
        if self.name.is_empty() { format!("worker {}", self.id.index()).into() } else { (&*self.name).into() }
    }

    /// Returns the loop time from which on the worker is known.
    pub fn known_since(&self) -> Nanos {
        self.lane.spawned_at()
    }

    /// Returns the number of times it parked.
    pub fn parks(&self) -> u64 {
        self.parks
    }

    /// Returns its retained polls and parks, the oldest first: a park has no [`Cycle::polled_task`].
    pub fn cycles(&self) -> impl DoubleEndedIterator<Item = Cycle> + '_ {
        self.lane.cycles()
    }

    /// Returns its retained polls and parks that start at or after `at`, the oldest first.
    pub fn cycles_from(&self, at: Nanos) -> impl Iterator<Item = Cycle> + '_ {
        self.lane.cycles_from(at)
    }

    /// Returns its last poll or park that started at or before `at`.
    pub fn cycle_at(&self, at: Nanos) -> Option<Cycle> {
        self.lane.cycle_at(at)
    }

    /// Returns the loop time before which its history was evicted.
    pub fn evicted_until(&self) -> Nanos {
        self.lane.evicted_until()
    }

    /// Returns what it does at loop time `at`. Of several changes at the same time the last one counts. `None` before it
    /// was known, and where its history was evicted.
    pub fn activity_at(&self, at: Nanos) -> Option<WorkerActivity> {
        if at < self.known_since() || self.lane.is_evicted_at(at) {
            return None;
        }
        let open = self.lane.cycle_at(at).filter(|cycle| cycle.scheduled_at().is_none_or(|end| at < end));
        Some(match open.map(|cycle| cycle.polled_task()) {
            Some(Some(task)) => WorkerActivity::Polling(task),
            Some(None) => WorkerActivity::Parked,
            None => WorkerActivity::Runtime,
        })
    }

    /// Returns the totals up to `at`. For an evicted time, returns the totals before the oldest retained data.
    pub fn totals_at(&self, at: Nanos) -> WorkerTotals {
        let totals = self.lane.totals_at(at);
        let later_polls = self.retained_polls_until(Nanos::MAX).saturating_sub(self.retained_polls_until(at));
        WorkerTotals {
            busy_ns: totals.busy_ns,
            parked_ns: totals.waiting_total_ns(),
            runtime_ns: totals.scheduled_ns,
            polls: self.polls.saturating_sub(later_polls),
        }
    }

    /// Returns the time in polls from `from` to `to`, in nanoseconds.
    pub fn busy_ns_between(&self, from: Nanos, to: Nanos) -> u64 {
        self.lane.totals_at(to).busy_ns.saturating_sub(self.lane.totals_at(from).busy_ns)
    }

    /// Returns the time in polls and the time parked up to `at`, in nanoseconds.
    pub fn busy_and_parked_ns(&self, at: Nanos) -> (u64, u64) {
        let totals = self.lane.totals_at(at);
        (totals.busy_ns, totals.waiting_total_ns())
    }

    /// Computes its counts from the retained history, where they are not known.
    pub(super) fn recompute_counts(&mut self) {
        self.polls = self.retained_polls_until(Nanos::MAX);
        self.parks = self.lane.poll_count().saturating_sub(self.polls);
    }

    /// Returns the number of retained polls that started at or before `at`.
    pub(super) fn retained_polls_until(&self, at: Nanos) -> u64 {
        let is_polling = self
            .lane
            .cycle_at(at)
            .is_some_and(|cycle| cycle.polled_task().is_some() && cycle.scheduled_at().is_none_or(|end| at < end));
        self.lane.count_wakes_until(at) as u64 + u64::from(is_polling)
    }
}
