//! Retention: when the trace exceeds its memory budget, the oldest sealed blocks are evicted.
//!
//! Lanes, awaits, lists of awaits and extra wakes are sealed block by block, and a queue has one entry for each sealed
//! block. Eviction takes the oldest entry and drops its block, at a cost that does not depend on what else is retained.

use std::collections::VecDeque;

use super::Trace;
use super::block_owner::{BlockOwner, TaskBlockKind};
use super::gap::Gap;
use super::marks::push_mark;
use super::resource::Acquisition;
use super::storage::StorageDelta;
use super::time::Nanos;

/// Capacity that a queue always retains.
const QUEUE_CAPACITY_MIN: usize = 1_024;

impl Trace {
    /// Accounts for a change in stored bytes, and evicts if the budget is exceeded.
    #[inline]
    pub(super) fn account_storage(&mut self, delta: StorageDelta, owner: BlockOwner) {
        if delta == StorageDelta::default() {
            return;
        }
        if delta.has_sealed_block {
            self.queue_sealed_block(owner);
        }
        self.history_bytes = self.history_bytes.saturating_add_signed(delta.bytes);
        self.account_bytes(0);
    }

    /// Queues a sealed block for eviction.
    pub(super) fn queue_sealed_block(&mut self, owner: BlockOwner) {
        self.sealed_blocks.push_back(owner);
        self.sealed_count += 1;
    }

    /// Accounts for `bytes` more, and evicts if the budget is exceeded.
    pub(super) fn account_bytes(&mut self, bytes: usize) {
        self.history_bytes += bytes;
        if self.retained_bytes() > self.budget_bytes {
            self.evict_to_budget();
        }
    }

    /// Evicts the oldest blocks, or rows of ended tasks, until the trace fits its budget. The tail of the lane of a
    /// live task is never evicted.
    #[cold]
    fn evict_to_budget(&mut self) {
        while self.retained_bytes() > self.budget_bytes {
            if self.should_evict_tasks()
                && let Some(id) = self.ended_tasks.pop_front()
            {
                self.evict_task(id);
                self.skip_evicted_tasks();
                continue;
            }
            let Some(oldest) = self.sealed_blocks.pop_front() else { break };
            self.evict_block(oldest);
        }
        shrink_queue(&mut self.sealed_blocks);
        shrink_queue(&mut self.ended_tasks);
    }

    /// Removes queue entries of evicted tasks, whose blocks have been dropped already.
    fn skip_evicted_tasks(&mut self) {
        while let Some(oldest) = self.sealed_blocks.front()
            && oldest.task().is_some_and(|id| self.task(id).is_none())
        {
            self.sealed_blocks.pop_front();
        }
    }

    /// Evicts the oldest block of `oldest`.
    fn evict_block(&mut self, oldest: BlockOwner) {
        let (freed, until) = match oldest {
            BlockOwner::Loop => (self.loop_lane.evict_oldest_block(), self.loop_lane.evicted_until()),
            BlockOwner::LoopStats => (self.loop_lane.evict_oldest_stats(), self.loop_lane.evicted_until()),
            BlockOwner::Awaits => match self.awaits.evict_oldest_block() {
                Some((freed_bytes, until)) => (Some(freed_bytes), until),
                None => (None, 0),
            },
            BlockOwner::Task(id, kind) => {
                let Some(task) = self.tasks.get_mut(id) else { return };
                let freed = match kind {
                    TaskBlockKind::Lane => task.lane.evict_oldest_block(),
                    TaskBlockKind::LaneTail => task.lane.evict_tail(),
                    TaskBlockKind::Stats => task.lane.evict_oldest_stats(),
                    TaskBlockKind::Awaits => task.awaits.evict_oldest_block(&self.awaits),
                    TaskBlockKind::BlockingCalls => {
                        task.cold.as_mut().and_then(|cold| cold.blocking_calls.evict_oldest_block(&self.awaits))
                    }
                    TaskBlockKind::Wakes => task.wakes.as_mut().and_then(|wakes| wakes.evict_oldest_block()),
                };
                (freed, task.lane.evicted_until())
            }
        };
        let Some(freed_bytes) = freed else { return };
        self.history_bytes = self.history_bytes.saturating_sub(freed_bytes);
        let acquisitions = self.resources.evict_before(until);
        self.history_bytes = self.history_bytes.saturating_sub(acquisitions * size_of::<Acquisition>());
        self.note_evicted(until);
    }

    /// Extends the gap of evicted data up to `until`.
    pub(super) fn note_evicted(&mut self, until: Nanos) {
        match self.gaps.back_mut().filter(|gap| gap.is_evicted()) {
            Some(gap) => gap.to = gap.to.max(until),
            None => push_mark(&mut self.gaps, Gap { from: 0, to: until, dropped: 0, is_disconnected: false }),
        }
    }
}

/// Frees capacity that a queue no longer needs.
fn shrink_queue<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > 4 * queue.len() + QUEUE_CAPACITY_MIN {
        queue.shrink_to(2 * queue.len() + QUEUE_CAPACITY_MIN);
    }
}
