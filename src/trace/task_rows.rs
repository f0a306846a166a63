//! Memory accounting and eviction of task rows. The tasks that ended first are evicted first.
//!
//! A row is worth more than a block of its history, so blocks are evicted first. Only once rows take more than their
//! share of the memory budget are rows evicted. The totals of evicted tasks remain in [`super::EvictedTasks`].

use super::Trace;
use super::id::TaskId;
use super::location::Location;
use super::storage::ALLOCATION_BYTES;
use super::task::{ColdState, ConsoleTaskStats, Task};
use super::task_meta::TaskMeta;
use super::time::Nanos;

/// Rows may take one part in this many of the memory budget.
const ROWS_SHARE: usize = 4;

impl Trace {
    /// Adds the next task.
    pub(super) fn add_task(&mut self, meta: TaskMeta, at: Nanos, step: u32) {
        let id = TaskId::from_index(self.tasks.len());
        let task = Task::new(id, self.meta_interner.intern(meta), at, step);
        self.rows_bytes += task.row_bytes();
        self.tasks.push(task);
        self.account_bytes(0);
    }

    /// Returns the console's statistics of a task, and creates them if needed.
    pub(super) fn console_stats_mut(&mut self, id: TaskId) -> Option<&mut ConsoleTaskStats> {
        let stats = &mut self.tasks.get_mut(id)?.console_stats;
        if stats.is_none() {
            self.rows_bytes += size_of::<ConsoleTaskStats>() + ALLOCATION_BYTES;
        }
        Some(stats.get_or_insert_default())
    }

    /// Returns the rarely used state of a task, and creates it if needed.
    pub(super) fn cold_state_mut(&mut self, id: TaskId) -> Option<&mut ColdState> {
        let cold = &mut self.tasks.get_mut(id)?.cold;
        if cold.is_none() {
            self.rows_bytes += size_of::<ColdState>() + ALLOCATION_BYTES;
        }
        Some(cold.get_or_insert_default())
    }

    /// Sets the spawn location of a task.
    pub(super) fn set_spawn_location(&mut self, id: TaskId, location: Option<Location>) {
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.meta.location != location) else { return };
        let meta = self.meta_interner.intern(TaskMeta { location, ..TaskMeta::clone(&task.meta) });
        self.meta_interner.release(std::mem::replace(&mut task.meta, meta));
    }

    /// Returns the memory use of task rows in bytes, with shared metadata and indices.
    pub(super) fn task_rows_bytes(&self) -> usize {
        let ended_bytes = self.ended_tasks.capacity() * size_of::<TaskId>();
        self.rows_bytes + self.meta_interner.retained_bytes() + self.tasks.retained_bytes() + ended_bytes
    }

    /// Returns whether task rows are to be evicted next, rather than blocks.
    pub(super) fn should_evict_tasks(&self) -> bool {
        self.sealed_blocks.is_empty() || self.task_rows_bytes() > self.budget_bytes / ROWS_SHARE
    }

    /// Evicts an ended task with the rest of its history, and adds its totals to those of the evicted tasks.
    pub(super) fn evict_task(&mut self, id: TaskId) {
        let Some(task) = self.remove_task(id) else { return };
        let verdict = self.verdict(&task);
        self.evicted.add_task(&task, verdict);
        self.note_evicted(task.lane.ended_at().unwrap_or(0));
        self.release_task(*task);
    }

    /// Drops a removed task, and its reference to shared metadata.
    pub(super) fn release_task(&mut self, task: Task) {
        let Task { meta, .. } = task;
        self.meta_interner.release(meta);
    }

    /// Removes a task from the table and from the memory accounting.
    pub(super) fn remove_task(&mut self, id: TaskId) -> Option<Box<Task>> {
        let task = self.tasks.remove(id)?;
        self.rows_bytes = self.rows_bytes.saturating_sub(task.row_bytes());
        self.history_bytes = self.history_bytes.saturating_sub(task.history_bytes());
        Some(task)
    }
}
