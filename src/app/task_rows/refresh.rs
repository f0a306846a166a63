//! A repeated search through all tasks, a bounded number per frame, while the previous rows stay visible.

use crate::trace::{Task, TaskId, Trace};

/// The search in progress.
#[derive(Clone, Debug)]
pub(super) struct RowRefresh {
    /// The tasks found so far, in spawn order.
    pub found: Vec<TaskId>,
    /// Number of rows when it began. Rows after these were added meanwhile.
    pub listed_before: usize,
    /// Number of tasks that were examined, by index, and that are to be examined.
    examined: usize,
    until: usize,
}

impl RowRefresh {
    /// Begins a search through the first `until` tasks, of which `listed` have a row now.
    pub fn new(listed: usize, until: usize) -> Self {
        Self { found: Vec::new(), listed_before: listed, examined: 0, until }
    }

    /// Examines up to `budget` further tasks. Returns whether all are examined.
    pub fn advance(&mut self, trace: &Trace, budget: usize, matches: impl Fn(&Task) -> bool) -> bool {
        let from = self.examined;
        self.examined = self.until.min(from.saturating_add(budget));
        let tasks = trace.tasks().iter_from(from).take_while(|task| task.id.index() < self.examined);
        self.found.extend(tasks.filter(|task| matches(task)).map(|task| task.id));
        self.examined == self.until
    }
}
