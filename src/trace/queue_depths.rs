//! Sampled depths of the runtime's queues: the local queue of each worker, and the global queue.
//!
//! All of them share a limit of entries, which depends on the memory budget. Past its share, a history loses resolution.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Trace;
use super::id::WorkerId;
use super::queue_history::{ENTRIES_MAX, ENTRY_BYTES, QueueHistory};
use super::time::Nanos;
use super::worker::WORKERS_MAX;

/// The histories take at most one part in this many of the memory budget.
const BUDGET_SHARE: usize = 16;

/// Smallest share of a history, in entries.
const SHARE_MIN: usize = 8;

/// The sampled depth of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSample {
    /// The worker whose local queue it is; `None` for the global queues of all runtimes together.
    pub worker: Option<WorkerId>,
    /// Time of the sample.
    pub at: Nanos,
    /// Number of tasks in the queue.
    pub depth: u32,
}

/// The sampled depths of all queues.
#[derive(Clone, Debug)]
pub(super) struct QueueDepths {
    /// The local queues by worker, as far as any depth is known.
    locals: Vec<Option<QueueHistory>>,
    /// The global queues of all runtimes together.
    global: Option<QueueHistory>,
    /// Number of histories.
    count: usize,
    /// Maximum number of entries of all histories together.
    entries_max: usize,
    /// Bytes of memory behind this struct.
    bytes: usize,
}

/// The encoded form: the local queues with the number of their worker, in order, and the global queue.
#[derive(Serialize, Deserialize)]
struct EncodedDepths<'a> {
    locals: Vec<(u32, Cow<'a, QueueHistory>)>,
    global: Option<Cow<'a, QueueHistory>>,
}

impl QueueDepths {
    /// Creates empty histories within a memory budget for the whole trace.
    pub fn new(budget_bytes: usize) -> Self {
        let entries_max = (budget_bytes / BUDGET_SHARE / ENTRY_BYTES).min(ENTRIES_MAX);
        Self { locals: Vec::new(), global: None, count: 0, entries_max, bytes: 0 }
    }

    /// Records a sample. Ignores workers past [`WORKERS_MAX`].
    pub fn record(&mut self, QueueSample { worker, at, depth }: QueueSample) {
        let share = self.share();
        let Some(slot) = self.slot(worker) else { return };
        let is_new = slot.is_none();
        let history = slot.get_or_insert_default();
        let before = history.retained_bytes();
        history.record_within(at, depth, share);
        let after = history.retained_bytes();
        self.bytes = (self.bytes + after).saturating_sub(before);
        if is_new {
            self.count += 1;
            self.restrict();
        }
    }

    fn slot(&mut self, worker: Option<WorkerId>) -> Option<&mut Option<QueueHistory>> {
        let Some(index) = worker.map(WorkerId::index) else { return Some(&mut self.global) };
        if index >= WORKERS_MAX {
            return None;
        }
        if index >= self.locals.len() {
            let added = index + 1 - self.locals.len();
            self.locals.resize_with(index + 1, || None);
            self.bytes += added * size_of::<Option<QueueHistory>>();
        }
        self.locals.get_mut(index)
    }

    /// Returns the maximum number of entries of one history.
    fn share(&self) -> usize {
        (self.entries_max / self.count.max(1).next_power_of_two()).max(SHARE_MIN)
    }

    /// Merges entries of histories that exceed their share, which has become smaller.
    fn restrict(&mut self) {
        let share = self.share();
        for history in self.locals.iter_mut().flatten().chain(&mut self.global) {
            let before = history.retained_bytes();
            history.restrict(share);
            self.bytes = (self.bytes + history.retained_bytes()).saturating_sub(before);
        }
    }

    /// Returns the history of the local queue of `worker`, or else of the global queue.
    fn history(&self, worker: Option<WorkerId>) -> Option<&QueueHistory> {
        match worker {
            Some(worker) => self.locals.get(worker.index())?.as_ref(),
            None => self.global.as_ref(),
        }
    }

    /// Returns the bytes of memory behind this struct.
    pub fn retained_bytes(&self) -> usize {
        self.bytes
    }

    /// Serializes all depths; `None` if there are none.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let local = |(number, history): (u32, &'_ Option<QueueHistory>)| Some((number, history.clone()?));
        let locals = (0..).zip(&self.locals).filter_map(local);
        let locals: Vec<_> = locals.map(|(number, history)| (number, Cow::Owned(history))).collect();
        let global = self.global.as_ref().map(Cow::Borrowed);
        (self.count > 0).then(|| super::pack::to_postcard(&EncodedDepths { locals, global }))
    }

    /// Restores depths that [`Self::encode`] has serialized. Returns whether they are well-formed.
    pub fn restore(&mut self, bytes: &[u8]) -> bool {
        let Some((EncodedDepths { locals, global }, [])) = super::pack::split_postcard(bytes) else { return false };
        let is_in_order = locals.is_sorted_by(|(a, _), (b, _)| a < b);
        if !is_in_order || locals.last().is_some_and(|(number, _)| *number as usize >= WORKERS_MAX) {
            return false;
        }
        *self = Self { entries_max: self.entries_max, ..Self::new(0) };
        self.count = locals.len() + usize::from(global.is_some());
        let share = self.share();
        let restricted = |history: Cow<QueueHistory>| {
            let mut history = history.into_owned();
            history.restrict(share);
            history
        };
        self.global = global.map(restricted);
        for (number, history) in locals {
            let history = restricted(history);
            let worker = WorkerId::from_index(number as usize);
            if let Some(slot) = self.slot(Some(worker)) {
                *slot = Some(history);
            }
        }
        self.bytes += self.locals.iter().flatten().chain(&self.global).map(QueueHistory::retained_bytes).sum::<usize>();
        true
    }
}

impl Trace {
    /// Returns the depth of the local queue of `worker`, or else of the global queues, as it was sampled last before or at
    /// `at`. `None` if it was not sampled yet, or never.
    pub fn queue_depth_at(&self, worker: Option<WorkerId>, at: Nanos) -> Option<u32> {
        self.history.queue_depths.history(worker)?.length_at(at)
    }

    /// Returns the maximum depth that was sampled of the local queue of `worker`, or else of the global queues.
    pub fn max_queue_depth(&self, worker: Option<WorkerId>) -> Option<u32> {
        Some(self.history.queue_depths.history(worker)?.peak(0, Nanos::MAX))
    }

    /// Serializes the sampled depths of the queues; `None` if there are none.
    pub fn encode_queue_depths(&self) -> Option<Vec<u8>> {
        self.history.queue_depths.encode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(index: usize) -> Option<WorkerId> {
        Some(WorkerId::from_index(index))
    }

    fn depth_at(depths: &QueueDepths, worker: Option<WorkerId>, at: Nanos) -> Option<u32> {
        depths.history(worker)?.length_at(at)
    }

    fn max_depth(depths: &QueueDepths, worker: Option<WorkerId>) -> Option<u32> {
        Some(depths.history(worker)?.peak(0, Nanos::MAX))
    }

    #[test]
    fn depth_is_that_of_the_last_sample() {
        let mut depths = QueueDepths::new(usize::MAX);
        for (at, depth) in [(10, 4), (20_000_000, 0), (30_000_000, 9), (40_000_000, 2)] {
            depths.record(QueueSample { worker: worker(3), at, depth });
        }
        depths.record(QueueSample { worker: None, at: 50, depth: 7 });
        let found =
            [9, 10, 20_000_000 - 1, 20_000_000, 35_000_000, Nanos::MAX].map(|at| depth_at(&depths, worker(3), at));
        assert_eq!(found, [None, Some(4), Some(4), Some(0), Some(9), Some(2)]);
        assert_eq!((max_depth(&depths, worker(3)), max_depth(&depths, worker(0))), (Some(9), None));
        assert_eq!((depth_at(&depths, None, 60), max_depth(&depths, None)), (Some(7), Some(7)));
        let mut restored = QueueDepths::new(usize::MAX);
        assert!(restored.restore(&depths.encode().expect("there are depths")));
        assert_eq!(restored.encode(), depths.encode());
        assert_eq!(QueueDepths::new(0).encode(), None);
    }

    /// Any number of samples of any number of workers stays within the share of the budget, and keeps its maximum.
    #[test]
    fn depths_stay_within_their_share() {
        for (budget, workers) in [(1 << 20, 1), (1 << 20, 64), (64 << 20, 4_096), (0, 3)] {
            let mut depths = QueueDepths::new(budget);
            for sample in 0..200_000_u64 {
                let worker = worker(sample as usize % workers);
                depths.record(QueueSample { worker, at: sample * 10_000_000, depth: (sample % 977) as u32 });
            }
            let smallest = (workers.next_power_of_two() * SHARE_MIN + workers) * 4 * ENTRY_BYTES;
            let slots = workers * 2 * size_of::<Option<QueueHistory>>();
            let limit = (4 * budget / BUDGET_SHARE).max(smallest) + slots;
            assert!(depths.retained_bytes() <= limit, "{budget}, {workers}: {}", depths.retained_bytes());
            assert!(max_depth(&depths, worker(0)).expect("it was sampled") > 900);
            let mut restored = QueueDepths::new(budget / 4);
            assert!(restored.restore(&depths.encode().expect("there are depths")));
            assert!(restored.retained_bytes() <= depths.retained_bytes());
            assert_eq!(max_depth(&restored, worker(0)), max_depth(&depths, worker(0)));
        }
    }

    #[test]
    fn malformed_depths_are_rejected() {
        let history = || Cow::Owned(QueueHistory::default());
        let restore = |locals| {
            let encoded = super::super::pack::to_postcard(&EncodedDepths { locals, global: None });
            QueueDepths::new(1 << 20).restore(&encoded)
        };
        assert!(restore(vec![(0, history()), (4_095, history())]));
        assert!(!restore(vec![(1, history()), (1, history())]), "twice");
        assert!(!restore(vec![(4_096, history())]), "too many workers");
        assert!(!QueueDepths::new(1 << 20).restore(&[1]));
    }
}
