//! Rows of tasks: what they take, and forgetting them, those first that ended first.
//!
//! A row says more than a block of what it is of, so it stays longer: once rows take more than their share of the memory
//! budget, they make room; else blocks do. What is forgotten stays in the sums ([`super::Forgotten`]).

use super::event::{Location, Nanos, Spawned};
use super::id::TaskId;
use super::task::{Rare, Task, Told};
use super::{ALLOCATION_BYTES, Trace};

/// Rows may take one part in so many of the budget.
const ROWS_SHARE: usize = 4;

impl Trace {
    /// Adds the row of the next task.
    pub(super) fn spawn(&mut self, spawned: Spawned, at: Nanos, step: u32) {
        let id = TaskId::from_index(self.tasks.len());
        let task = Task::new(id, self.alike.share(spawned), at, step);
        self.rows_bytes += task.row_bytes();
        self.tasks.push(task);
        self.grow(0);
    }

    /// What a console tells of a task.
    pub(super) fn told(&mut self, id: TaskId) -> Option<&mut Told> {
        let told = &mut self.tasks.get_mut(id)?.told;
        if told.is_none() {
            self.rows_bytes += size_of::<Told>() + ALLOCATION_BYTES;
        }
        Some(told.get_or_insert_default())
    }

    /// What happens to few tasks.
    pub(super) fn rare(&mut self, id: TaskId) -> Option<&mut Rare> {
        let rare = &mut self.tasks.get_mut(id)?.rare;
        if rare.is_none() {
            self.rows_bytes += size_of::<Rare>() + ALLOCATION_BYTES;
        }
        Some(rare.get_or_insert_default())
    }

    /// Where a task was spawned is told after that.
    pub(super) fn locate(&mut self, id: TaskId, location: Option<Location>) {
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.spawned.location != location) else { return };
        let spawned = self.alike.share(Spawned { location, ..Spawned::clone(&task.spawned) });
        self.alike.release(std::mem::replace(&mut task.spawned, spawned));
    }

    pub(super) fn kept_rows_bytes(&self) -> usize {
        self.rows_bytes + self.alike.kept_bytes() + self.tasks.kept_bytes() + self.over.capacity() * size_of::<TaskId>()
    }

    pub(super) fn has_too_many_rows(&self) -> bool {
        self.sealed.is_empty() || self.kept_rows_bytes() > self.budget_bytes / ROWS_SHARE
    }

    /// Forgets the row of a task that is over, and all that is left of it.
    pub(super) fn forget_task(&mut self, id: TaskId) {
        let Some(task) = self.unfile(id) else { return };
        let verdict = self.verdict(&task);
        self.forgotten.note(&task, verdict);
        self.note_forgotten(task.lane.ended().unwrap_or(0));
        self.give_up(*task);
    }

    /// What a task had in common with others is no more because of it.
    pub(super) fn give_up(&mut self, task: Task) {
        let Task { spawned, .. } = task;
        self.alike.release(spawned);
    }

    /// Takes a task away, with what it takes.
    pub(super) fn unfile(&mut self, id: TaskId) -> Option<Box<Task>> {
        let task = self.tasks.remove(id)?;
        self.rows_bytes = self.rows_bytes.saturating_sub(task.row_bytes());
        self.kept_bytes = self.kept_bytes.saturating_sub(task.filed_bytes());
        Some(task)
    }
}
