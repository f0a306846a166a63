//! Remembers which tasks closed last.
//!
//! Lines of different threads are out of order, so a wake may be recorded after the close of its task, which it preceded.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::trace::{Nanos, TaskId};

/// Tasks that are remembered. With one thread per worker, only few lines of a thread are late.
const TASKS_MAX: usize = 1 << 12;

/// The tasks that closed last.
#[derive(Debug, Default)]
pub struct ClosedTasks {
    /// By span id: the task, and the loop time at which it closed.
    tasks: FxHashMap<u64, (TaskId, Nanos)>,
    /// Span ids in the order in which their tasks closed; may hold ids that are used again.
    order: VecDeque<u64>,
}

impl ClosedTasks {
    /// Adds a task that closed at this loop time.
    pub fn add(&mut self, span: u64, task: TaskId, at: Nanos) {
        self.tasks.insert(span, (task, at));
        self.order.push_back(span);
        if self.order.len() > TASKS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.tasks.remove(&oldest);
        }
    }

    /// Forgets the task with this span id, because another task has it now.
    pub fn remove(&mut self, span: u64) {
        self.tasks.remove(&span);
    }

    /// Returns the task that had this span id, and the loop time at which it closed.
    pub fn find(&self, span: u64) -> Option<(TaskId, Nanos)> {
        self.tasks.get(&span).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_a_limited_number_of_tasks() {
        let mut closed = ClosedTasks::default();
        for span in 0..=TASKS_MAX as u64 {
            closed.add(span, TaskId::from_index(span as usize), span);
        }
        assert_eq!((closed.find(0), closed.find(1)), (None, Some((TaskId::from_index(1), 1))));
        closed.remove(1);
        assert_eq!((closed.find(1), closed.tasks.len()), (None, TASKS_MAX - 1));
    }
}
