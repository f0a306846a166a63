//! Retention: when the trace exceeds its memory budget, the oldest sealed blocks are evicted.
//!
//! Lanes, awaits, lists of awaits and extra wakes are sealed block by block, and a queue has one entry for each sealed
//! block. Eviction takes the oldest entry and drops its block, at a cost that does not depend on what else is retained.
//!
//! A task row is worth more than a block of its history, so blocks are evicted first. Only once rows take more than
//! their share of the memory budget are rows evicted, those of the tasks that ended first. The totals of evicted tasks
//! remain in [`EvictedTasks`].

use std::collections::VecDeque;

use super::block_owner::{BlockOwner, TaskBlockKind};
use super::evicted_tasks::EvictedTasks;
use super::feed_check::FeedCheck;
use super::history::History;
use super::id::TaskId;
use super::resource::Acquisition;
use super::storage::StorageDelta;
use super::task::Task;

/// Capacity that a queue always retains.
const QUEUE_CAPACITY_MIN: usize = 1_024;

/// Rows may take one part in this many of the memory budget.
const ROWS_SHARE: usize = 4;

/// Memory accounting, the queues of what is evicted next, and the totals of evicted tasks.
#[derive(Clone, Debug)]
pub(super) struct Retention {
    /// Memory budget of the trace, in bytes.
    budget_bytes: usize,
    /// Bytes of sealed blocks and other per-event data; task rows are counted in `rows_bytes`.
    history_bytes: usize,
    /// Bytes of task rows.
    rows_bytes: usize,
    /// Tasks that have ended, in the order in which they ended.
    ended_tasks: VecDeque<TaskId>,
    /// Owners of the retained blocks, in the order in which the blocks were sealed.
    sealed_blocks: VecDeque<BlockOwner>,
    /// Number of blocks sealed so far, including evicted ones.
    sealed_count: u64,
    /// Totals of evicted tasks.
    pub evicted: EvictedTasks,
}

impl Retention {
    /// Creates the accounting of an empty trace with a memory budget of about `budget_bytes`.
    pub fn new(budget_bytes: usize) -> Self {
        Self {
            budget_bytes,
            history_bytes: 0,
            rows_bytes: 0,
            ended_tasks: VecDeque::new(),
            sealed_blocks: VecDeque::new(),
            sealed_count: 0,
            evicted: EvictedTasks::default(),
        }
    }

    /// Accounts for a change in the stored bytes of `owner`, and queues its new block for eviction.
    #[inline]
    pub fn record(&mut self, owner: BlockOwner, delta: StorageDelta) {
        if delta.has_sealed_block {
            self.queue_sealed_block(owner);
        }
        self.history_bytes = self.history_bytes.saturating_add_signed(delta.bytes);
    }

    /// Queues a sealed block for eviction.
    pub fn queue_sealed_block(&mut self, owner: BlockOwner) {
        self.sealed_blocks.push_back(owner);
        self.sealed_count += 1;
    }

    /// Queues an ended task for eviction.
    pub fn queue_ended_task(&mut self, id: TaskId) {
        self.ended_tasks.push_back(id);
    }

    /// Adds `bytes` of history that belongs to no sealed block.
    pub fn add_history_bytes(&mut self, bytes: usize) {
        self.history_bytes += bytes;
    }

    /// Subtracts `bytes` of history.
    pub fn subtract_history_bytes(&mut self, bytes: usize) {
        self.history_bytes = self.history_bytes.saturating_sub(bytes);
    }

    /// Adds `bytes` of task rows.
    pub fn add_rows_bytes(&mut self, bytes: usize) {
        self.rows_bytes += bytes;
    }

    /// Accounts for a changed task: `before` has the bytes of its row and of its history before the change.
    pub fn record_changed_task(&mut self, task: &Task, before: (usize, usize)) {
        let (row_bytes, history_bytes) = before;
        self.rows_bytes = (self.rows_bytes + task.row_bytes()).saturating_sub(row_bytes);
        self.history_bytes = (self.history_bytes + task.history_bytes()).saturating_sub(history_bytes);
    }

    /// Returns the owners of the retained blocks from the `number`-th sealed block on, oldest first.
    pub fn sealed_since(&self, number: u64) -> impl Iterator<Item = &BlockOwner> + Clone {
        let from = usize::try_from(number.saturating_sub(self.first_retained())).unwrap_or(usize::MAX);
        self.sealed_blocks.range(from.min(self.sealed_blocks.len())..)
    }

    /// Returns the number of the first sealed block that is retained, from 0.
    pub fn first_retained(&self) -> u64 {
        self.sealed_count - self.sealed_blocks.len() as u64
    }

    /// Returns the number of blocks sealed so far, including evicted ones.
    pub fn sealed_count(&self) -> u64 {
        self.sealed_count
    }

    /// Returns the approximate memory use of `history` in bytes, with allocator overhead.
    pub fn retained_bytes(&self, history: &History) -> usize {
        let sealed_bytes = self.sealed_blocks.capacity() * size_of::<BlockOwner>();
        self.history_bytes + self.task_rows_bytes(history) + history.awaits.unsealed_bytes() + sealed_bytes
    }

    /// Returns the memory use of task rows in bytes, with shared metadata and indices.
    fn task_rows_bytes(&self, history: &History) -> usize {
        let ended_bytes = self.ended_tasks.capacity() * size_of::<TaskId>();
        self.rows_bytes + history.meta_interner.retained_bytes() + history.tasks.retained_bytes() + ended_bytes
    }

    /// Returns whether `history` and `other_bytes` together exceed the memory budget.
    #[inline]
    pub fn is_over_budget(&self, history: &History, other_bytes: usize) -> bool {
        self.retained_bytes(history) + other_bytes > self.budget_bytes
    }

    /// Evicts the oldest blocks, or rows of ended tasks, until `history` and `other_bytes` fit the memory budget. The
    /// tail of the lane of a live task is never evicted.
    #[cold]
    pub fn evict(&mut self, history: &mut History, feed_check: &FeedCheck, other_bytes: usize) {
        while self.is_over_budget(history, other_bytes) {
            if self.should_evict_tasks(history)
                && let Some(id) = self.ended_tasks.pop_front()
            {
                self.evict_task(history, feed_check, id);
                self.skip_evicted_tasks(history);
                continue;
            }
            let Some(oldest) = self.sealed_blocks.pop_front() else { break };
            self.evict_block(history, oldest);
        }
        shrink_queue(&mut self.sealed_blocks);
        shrink_queue(&mut self.ended_tasks);
    }

    /// Returns whether task rows are to be evicted next, rather than blocks.
    fn should_evict_tasks(&self, history: &History) -> bool {
        self.sealed_blocks.is_empty() || self.task_rows_bytes(history) > self.budget_bytes / ROWS_SHARE
    }

    /// Evicts an ended task with the rest of its history, and adds its totals to those of the evicted tasks.
    fn evict_task(&mut self, history: &mut History, feed_check: &FeedCheck, id: TaskId) {
        let Some(task) = self.remove_task(history, id) else { return };
        self.evicted.add_task(&task, feed_check.verdict(&task));
        history.extend_evicted_gap(task.lane.ended_at().unwrap_or(0));
        let Task { meta, .. } = *task;
        history.release_meta(meta);
    }

    /// Removes a task from `history` and from the memory accounting.
    pub fn remove_task(&mut self, history: &mut History, id: TaskId) -> Option<Box<Task>> {
        let task = history.remove_task(id)?;
        self.rows_bytes = self.rows_bytes.saturating_sub(task.row_bytes());
        self.history_bytes = self.history_bytes.saturating_sub(task.history_bytes());
        Some(task)
    }

    /// Removes queue entries of evicted tasks, whose blocks have been dropped already.
    fn skip_evicted_tasks(&mut self, history: &History) {
        while let Some(oldest) = self.sealed_blocks.front()
            && oldest.task().is_some_and(|id| history.task(id).is_none())
        {
            self.sealed_blocks.pop_front();
        }
    }

    /// Evicts the oldest block of `oldest`.
    fn evict_block(&mut self, history: &mut History, oldest: BlockOwner) {
        let (freed, until) = match oldest {
            BlockOwner::Loop => (history.loop_lane.evict_oldest_block(), history.loop_lane.evicted_until()),
            BlockOwner::LoopStats => (history.loop_lane.evict_oldest_stats(), history.loop_lane.evicted_until()),
            BlockOwner::Worker(id) => {
                let Some(worker) = history.workers.get_mut(id.index()) else { return };
                (worker.lane.evict_oldest_block(), worker.lane.evicted_until())
            }
            BlockOwner::Awaits => match history.awaits.evict_oldest_block() {
                Some((freed_bytes, until)) => (Some(freed_bytes), until),
                None => (None, 0),
            },
            BlockOwner::Task(id, kind) => {
                let Some(task) = history.tasks.get_mut(id) else { return };
                let freed = match kind {
                    TaskBlockKind::Lane => task.lane.evict_oldest_block(),
                    TaskBlockKind::LaneTail => task.lane.evict_tail(),
                    TaskBlockKind::Stats => task.lane.evict_oldest_stats(),
                    TaskBlockKind::Awaits => task.awaits.evict_oldest_block(&history.awaits),
                    TaskBlockKind::BlockingCalls => {
                        task.cold.as_mut().and_then(|cold| cold.blocking_calls.evict_oldest_block(&history.awaits))
                    }
                    TaskBlockKind::Wakes => task.wakes.as_mut().and_then(|wakes| wakes.evict_oldest_block()),
                };
                (freed, task.lane.evicted_until())
            }
        };
        let Some(freed_bytes) = freed else { return };
        self.subtract_history_bytes(freed_bytes);
        self.subtract_history_bytes(history.resources.evict_before(until) * size_of::<Acquisition>());
        history.extend_evicted_gap(until);
    }
}

/// Frees capacity that a queue no longer needs.
fn shrink_queue<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > 4 * queue.len() + QUEUE_CAPACITY_MIN {
        queue.shrink_to(2 * queue.len() + QUEUE_CAPACITY_MIN);
    }
}
