//! Ingests what the workers of a runtime do.

use super::Trace;
use super::block_owner::BlockOwner;
use super::id::{TaskId, WorkerId};
use super::queue_depths::QueueSample;
use super::time::Nanos;
use super::worker::{WORKERS_MAX, Worker};

impl Trace {
    /// Adds the next worker. Ignores an id that is not the next one, or past [`WORKERS_MAX`].
    pub(super) fn add_worker(&mut self, id: WorkerId, at: Nanos, name: Box<str>) {
        let workers = &mut self.history.workers;
        debug_assert!(id.index() == workers.len() || id.index() >= WORKERS_MAX, "worker ids are dense and in order");
        if id.index() == workers.len() && id.index() < WORKERS_MAX {
            let worker = Worker::new(id, name, at);
            let bytes = worker.row_bytes();
            workers.push(worker);
            self.add_history_bytes(bytes);
        }
    }

    /// Names the worker of the poll of `task` that has just started.
    pub(super) fn set_poll_worker(&mut self, task: TaskId, worker: WorkerId) {
        let Some(delta) = self.history.start_worker_poll(task, worker, self.loop_state.steps.saturating_sub(1)) else {
            return;
        };
        self.record_storage(BlockOwner::Worker(worker), delta);
    }

    /// Records a sample of the depth of a queue.
    pub(super) fn record_queue_depth(&mut self, sample: QueueSample) {
        self.loop_state.advance(sample.at);
        self.history.queue_depths.record(sample);
        self.evict_to_budget();
    }

    pub(super) fn park_worker(&mut self, id: WorkerId, at: Nanos) {
        self.loop_state.advance(at);
        let Some(delta) = self.history.park_worker(id, at, self.loop_state.steps) else { return };
        self.loop_state.counts.parks += 1;
        self.record_storage(BlockOwner::Worker(id), delta);
    }

    pub(super) fn unpark_worker(&mut self, id: WorkerId, at: Nanos) {
        self.loop_state.advance(at);
        let unparked = self.history.workers.get_mut(id.index()).and_then(|worker| worker.lane.unpark_worker(at));
        if let Some(parked_ns) = unparked {
            let counts = &mut self.loop_state.counts;
            counts.parked_ns = counts.parked_ns.saturating_add(parked_ns);
            counts.turns += 1;
        }
    }
}
