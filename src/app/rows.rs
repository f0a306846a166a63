//! Which tasks have a row, and where: all in order of spawning, or those whose name matches the search.

use crate::trace::{Task, TaskId, Trace};

/// The rows; see the module.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    filter: String,
    /// Tasks that match, in order; unused while there is no filter, so that 100,000 tasks cost nothing.
    matching: Vec<TaskId>,
    /// Tasks of the trace that were looked at already.
    seen: usize,
    /// So many tasks there were when the picture was frozen; later ones have no row.
    limit: Option<usize>,
}

impl Rows {
    /// What the names must have in them, in lower case; empty for every task.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// Shows only tasks whose name has `filter` in it, whatever the case.
    pub fn set_filter(&mut self, filter: &str, trace: &Trace) {
        *self = Self { filter: filter.to_lowercase(), limit: self.limit, ..Self::default() };
        self.refresh(trace);
    }

    /// Only the first `limit` tasks have rows until this is called again.
    pub fn freeze(&mut self, limit: Option<usize>) {
        self.limit = limit;
    }

    /// The tasks that may have a row.
    fn tasks<'a>(&self, trace: &'a Trace) -> &'a [Task] {
        let tasks = trace.tasks();
        &tasks[..self.limit.unwrap_or(tasks.len()).min(tasks.len())]
    }

    /// Looks at the tasks that are new since the last time.
    pub fn refresh(&mut self, trace: &Trace) {
        if self.filter.is_empty() {
            return;
        }
        let tasks = self.tasks(trace);
        let new = tasks.get(self.seen..).unwrap_or_default();
        self.matching.extend(new.iter().filter(|task| matches(&task.name(), &self.filter)).map(|task| task.id));
        self.seen = self.seen.max(tasks.len());
    }

    /// How many rows there are.
    pub fn count(&self, trace: &Trace) -> usize {
        if self.filter.is_empty() { self.tasks(trace).len() } else { self.matching.len() }
    }

    /// The task of a row.
    pub fn get(&self, row: usize, trace: &Trace) -> Option<TaskId> {
        if self.filter.is_empty() {
            self.tasks(trace).get(row).map(|task| task.id)
        } else {
            self.matching.get(row).copied()
        }
    }

    /// The row of a task.
    pub fn row_of(&self, id: TaskId, trace: &Trace) -> Option<usize> {
        if self.filter.is_empty() {
            self.tasks(trace).get(id.index()).map(|_| id.index())
        } else {
            self.matching.binary_search(&id).ok()
        }
    }
}

/// Whether `text` has `filter` (in lower case) in it.
pub fn matches(text: &str, filter: &str) -> bool {
    text.to_lowercase().contains(filter)
}
