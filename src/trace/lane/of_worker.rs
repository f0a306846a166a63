//! The lane of a worker. Its cycles are the polls that the worker runs, and its parks.
//!
//! - A poll is a cycle whose await is the polled task, by number. It counts as woken at its end by itself, so the time
//!   from there to the next cycle is the runtime's own: scheduled.
//! - A park is a cycle of no length and without a task. It waits until the worker is unparked.
//!
//! The running, waiting and scheduled time of the lane are thus the worker's busy, parked and remaining time. The wakes
//! with a known source are the ends of its polls.

use super::super::id::{AwaitId, TaskId, WorkerId};
use super::super::storage::StorageDelta;
use super::super::time::{NEVER, Nanos};
use super::super::wake_source::WakeSource;
use super::{Cycle, Lane};

impl Cycle {
    /// Returns the polled task, in the lane of a worker; `None` for a park.
    pub fn polled_task(&self) -> Option<TaskId> {
        self.waiting_on.and_then(|id| TaskId::from_number(id.number()))
    }

    /// Returns whether it runs, in the lane of a worker: a poll that has not ended, or a park.
    fn is_open(&self) -> bool {
        self.start != NEVER && self.wake == NEVER
    }
}

impl Lane {
    /// Names the worker of the current poll of this task, and returns the start of the poll. `None` if no poll is
    /// running, or its worker has a name already.
    pub(in crate::trace) fn set_poll_worker(&mut self, worker: WorkerId) -> Option<Nanos> {
        let cycle = &mut self.newest;
        if cycle.start == NEVER || cycle.end != NEVER || cycle.worker != 0 {
            return None;
        }
        cycle.worker = u16::try_from(worker.number()).ok()?;
        Some(cycle.start)
    }

    /// Starts a poll of `task` on this worker, the `step`-th poll of the loop. Ends what the worker did before.
    pub(in crate::trace) fn start_worker_poll(
        &mut self,
        task: TaskId,
        at: Nanos,
        step: u32,
        scratch: &mut Vec<u8>,
    ) -> StorageDelta {
        let delta = self.start_worker_cycle(at, step, scratch);
        self.newest.waiting_on = AwaitId::from_number(task.number());
        delta
    }

    /// Ends the poll of `task` on this worker. Returns `false` if the worker does not run it.
    pub(in crate::trace) fn end_worker_poll(&mut self, task: TaskId, at: Nanos) -> bool {
        let is_running = self.newest.is_open() && self.newest.polled_task() == Some(task);
        if is_running {
            self.end_worker_cycle(at);
        }
        is_running
    }

    /// Parks this worker. Ends what it did before.
    pub(in crate::trace) fn park_worker(&mut self, at: Nanos, step: u32, scratch: &mut Vec<u8>) -> StorageDelta {
        let delta = self.start_worker_cycle(at, step, scratch);
        let start = self.newest.start;
        self.end_poll(start, None);
        delta
    }

    /// Unparks this worker. Returns for how long it was parked, in nanoseconds; `None` if it was not.
    pub(in crate::trace) fn unpark_worker(&mut self, at: Nanos) -> Option<u64> {
        if !self.newest.is_open() || self.newest.polled_task().is_some() {
            return None;
        }
        self.end_worker_cycle(at);
        Some(self.newest.wake - self.newest.start)
    }

    fn start_worker_cycle(&mut self, at: Nanos, step: u32, scratch: &mut Vec<u8>) -> StorageDelta {
        if self.newest.is_open() {
            self.end_worker_cycle(at);
        }
        let at = if self.newest.start == NEVER { at.max(self.spawned_at) } else { at.max(self.newest.wake) };
        self.start_poll(at, step, scratch)
    }

    fn end_worker_cycle(&mut self, at: Nanos) {
        let step = self.newest.step;
        if self.newest.polled_task().is_some() {
            self.end_poll(at, None);
            self.record_wake(at, step, Some(WakeSource::SelfWake));
        } else {
            self.record_wake(at, step, None);
        }
    }
}
