//! Which tasks have a row, and where: all in order of spawning, those whose name matches the search, in the order of any
//! column.

use super::columns::{COLUMNS, Key, Look};
use crate::trace::{Task, TaskId, Trace};

/// Rows that are put in order anew for each time that the rows are looked at: more rows are ordered less often, so that a
/// frame never pays for more than this many.
const ORDERED_PER_LOOK: usize = 2_000;

/// What rows are in order by: the column's place in [`COLUMNS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    pub column: usize,
    pub is_descending: bool,
}

impl Order {
    /// By this column, from the end that one asks for first.
    pub fn by(column: usize) -> Self {
        // By id nobody begins with the newest.
        Self { column, is_descending: column > 0 && COLUMNS.get(column).is_some_and(|column| column.is_number) }
    }
}

/// The rows; see the module.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    filter: String,
    order: Order,
    /// Tasks that have a row, in order; unused while all have one in order of spawning, so that 100,000 tasks cost
    /// nothing.
    listed: Vec<TaskId>,
    /// The row of each task that has one, by its number.
    places: Vec<Option<u32>>,
    /// Tasks of the trace that were looked at already.
    seen: usize,
    /// Looks since the rows were put in order, and what the trace knew then.
    looks: usize,
    ordered_at: u64,
    /// So many tasks there were when the picture was frozen; later ones have no row.
    limit: Option<usize>,
}

impl Rows {
    /// What the names must have in them, in lower case; empty for every task.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    pub fn order(&self) -> Order {
        self.order
    }

    /// Shows only tasks whose name has `filter` in it, whatever the case.
    pub fn set_filter(&mut self, filter: &str, trace: &Trace) {
        self.filter = filter.to_lowercase();
        self.restart(trace);
    }

    /// Puts the rows in order by something else, at once.
    pub fn set_order(&mut self, order: Order, trace: &Trace) {
        self.order = order;
        self.restart(trace);
    }

    fn restart(&mut self, trace: &Trace) {
        let (filter, order, limit) = (std::mem::take(&mut self.filter), self.order, self.limit);
        *self = Self { filter, order, limit, ..Self::default() };
        self.refresh(trace);
        self.sort(trace);
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

    /// Every task has a row, in order of spawning.
    fn is_plain(&self) -> bool {
        self.filter.is_empty() && self.order == Order::default()
    }

    /// Looks at the tasks that are new since the last time, and puts the rows in order again if it is time to.
    pub fn refresh(&mut self, trace: &Trace) {
        if self.is_plain() {
            return;
        }
        let tasks = self.tasks(trace);
        for task in tasks.get(self.seen..).unwrap_or_default() {
            let is_listed = self.filter.is_empty() || matches(&task.name(), &self.filter);
            // What is new comes last until the next order.
            self.places.push(is_listed.then(|| u32::try_from(self.listed.len()).unwrap_or(u32::MAX)));
            if is_listed {
                self.listed.push(task.id);
            }
        }
        self.seen = self.seen.max(tasks.len());
        self.looks += 1;
        let is_due = self.looks.saturating_mul(ORDERED_PER_LOOK) >= self.listed.len();
        if is_due && self.limit.is_none() && self.ordered_at != trace.counts().events {
            self.sort(trace);
        }
    }

    fn sort(&mut self, trace: &Trace) {
        (self.looks, self.ordered_at) = (0, trace.counts().events);
        let Some(column) = COLUMNS.get(self.order.column) else { return };
        if self.is_plain() {
            return;
        }
        let look = Look::now(trace);
        let mut keyed: Vec<(Key<'_>, TaskId)> =
            self.listed.iter().filter_map(|id| Some((column.key(look, trace.task(*id)?), *id))).collect();
        // Tasks that are alike stay in order of spawning, whichever way.
        let descending = self.order.is_descending;
        keyed.sort_unstable_by(|(a, a_id), (b, b_id)| {
            let order = if descending { b.cmp(a) } else { a.cmp(b) };
            order.then(a_id.cmp(b_id))
        });
        self.listed = keyed.into_iter().map(|(_, id)| id).collect();
        for (row, id) in (0..).zip(&self.listed) {
            if let Some(place) = self.places.get_mut(id.index()) {
                *place = Some(row);
            }
        }
    }

    /// How many rows there are.
    pub fn count(&self, trace: &Trace) -> usize {
        if self.is_plain() { self.tasks(trace).len() } else { self.listed.len() }
    }

    /// The task of a row.
    pub fn get(&self, row: usize, trace: &Trace) -> Option<TaskId> {
        if self.is_plain() { self.tasks(trace).get(row).map(|task| task.id) } else { self.listed.get(row).copied() }
    }

    /// The row of a task.
    pub fn row_of(&self, id: TaskId, trace: &Trace) -> Option<usize> {
        if self.is_plain() {
            return self.tasks(trace).get(id.index()).map(|_| id.index());
        }
        self.places.get(id.index()).copied().flatten().map(|row| row as usize)
    }
}

/// Whether `text` has `filter` (in lower case) in it.
pub fn matches(text: &str, filter: &str) -> bool {
    text.to_lowercase().contains(filter)
}
