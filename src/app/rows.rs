//! Which tasks have a row, and where: all in order of spawning, those whose name matches the search, in the order of any
//! column.
//!
//! Each look at the rows goes on with what there is to do about them by a bounded piece: looking through names for what is
//! searched for, and putting rows in order again. Meanwhile the rows are those that were found so far, in the order before.

mod ordering;

use std::cell::Cell;

use super::columns::{self, COLUMNS};
use crate::trace::{TaskId, Trace};
use ordering::Sorter;

/// Rows that are looked at for each look, to put them in order anew: more of them are in order less often. Of columns that
/// weigh more it is so many fewer.
const ORDERED_PER_LOOK: usize = 2_000;

/// The same where somebody asked for another order and waits for it.
const ORDERED_WHEN_ASKED: usize = 20_000;

/// Names that are looked through for each look.
const SEARCHED_PER_LOOK: usize = 20_000;

/// Tasks that get their row for each look, where every one has one.
const LISTED_PER_LOOK: usize = 200_000;

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
    /// Tasks that have a row, in order; unused while all have one in order of spawning, so that these cost nothing.
    listed: Vec<TaskId>,
    /// Tasks that there were and that were looked at.
    seen: usize,
    /// The order that is in the making.
    sorter: Option<Sorter>,
    /// What the trace knew when the rows were put in order last, or begun to be.
    ordered_at: Option<u64>,
    /// Somebody waits for these rows.
    is_asked: bool,
    /// So many tasks there were when the picture was frozen; later ones have no row.
    limit: Option<usize>,
    /// Where the task that was asked for last has its row: it is asked for again and again.
    hint: Cell<usize>,
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
        (self.listed, self.seen) = (Vec::new(), 0);
        self.restart(trace);
    }

    /// Puts the rows in order by something else: few at once, many soon.
    pub fn set_order(&mut self, order: Order, trace: &Trace) {
        self.order = order;
        self.restart(trace);
    }

    fn restart(&mut self, trace: &Trace) {
        (self.sorter, self.ordered_at, self.is_asked) = (None, None, true);
        if self.is_plain() {
            (self.listed, self.seen) = (Vec::new(), 0);
        }
        self.go_on(trace);
    }

    /// Only the first `limit` tasks have rows until this is called again.
    pub fn freeze(&mut self, limit: Option<usize>) {
        self.limit = limit;
        if limit.is_some() && !self.is_asked {
            self.sorter = None;
        }
    }

    /// How many tasks there were that may have a row.
    fn tasks(&self, trace: &Trace) -> usize {
        self.limit.unwrap_or(usize::MAX).min(trace.tasks().len())
    }

    /// Every task has a row, in order of spawning.
    fn is_plain(&self) -> bool {
        self.filter.is_empty() && self.order == Order::default()
    }

    /// Not every task was looked at that may have a row.
    fn is_searching(&self, trace: &Trace) -> bool {
        !self.is_plain() && self.seen < self.tasks(trace)
    }

    /// `id` may yet get a row.
    pub fn may_come(&self, id: TaskId, trace: &Trace) -> bool {
        self.is_searching(trace) && id.index() >= self.seen && trace.task(id).is_some()
    }

    /// Somebody asked for rows that are not there yet.
    pub fn is_awaited(&self) -> bool {
        self.is_asked
    }

    /// There is something left to do about the rows, though nothing more should happen.
    pub fn is_behind(&self, trace: &Trace) -> bool {
        self.is_searching(trace) || self.sorter.is_some() || self.is_to_be_ordered(trace)
    }

    fn is_to_be_ordered(&self, trace: &Trace) -> bool {
        let is_new = self.ordered_at != Some(trace.counts().events);
        !self.is_plain() && is_new && (self.limit.is_none() || self.is_asked)
    }

    /// Looks at tasks that are new since the last time, and goes on with putting the rows in order. Tells whether what
    /// somebody waited for is there now.
    pub fn go_on(&mut self, trace: &Trace) -> bool {
        if !self.is_plain() {
            self.search(trace);
            self.sort(trace);
        }
        let is_done = self.sorter.is_none() && !self.is_searching(trace);
        is_done && std::mem::take(&mut self.is_asked)
    }

    fn search(&mut self, trace: &Trace) {
        let tasks = self.tasks(trace);
        let (tasks_from, filter) = (self.seen, &self.filter);
        if filter.is_empty() {
            self.seen = tasks.min(self.seen.saturating_add(LISTED_PER_LOOK));
            let ids = trace.tasks().ids_from(tasks_from);
            self.listed.extend(ids.take_while(|id| id.index() < self.seen));
        } else {
            self.seen = tasks.min(self.seen.saturating_add(SEARCHED_PER_LOOK));
            let found = trace.tasks().from(tasks_from).take_while(|task| task.id.index() < self.seen);
            // What is new comes last until the next order.
            self.listed.extend(found.filter(|task| matches(&task.name(), filter)).map(|task| task.id));
        }
    }

    fn sort(&mut self, trace: &Trace) {
        let Some(column) = COLUMNS.get(self.order.column) else { return };
        if self.sorter.is_none() && self.is_to_be_ordered(trace) && !(self.is_asked && self.is_searching(trace)) {
            (self.sorter, self.ordered_at) = (Some(Sorter::default()), Some(trace.counts().events));
        }
        let Some(sorter) = &mut self.sorter else { return };
        let budget = if self.is_asked { ORDERED_WHEN_ASKED } else { ORDERED_PER_LOOK };
        let budget = budget / columns::weight(self.order.column);
        let ordered = sorter.go_on(&self.listed, (column, self.order.is_descending), trace, budget);
        if let Some(mut ordered) = ordered {
            ordered.extend(self.listed.drain(..).skip(sorter.looked_at));
            (self.listed, self.sorter) = (ordered, None);
        }
    }

    /// How many rows there are.
    pub fn count(&self, trace: &Trace) -> usize {
        match self.limit {
            _ if !self.is_plain() => self.listed.len(),
            None => trace.tasks().kept(),
            Some(limit) => trace.tasks().before(TaskId::from_index(limit)),
        }
    }

    /// The task of a row.
    pub fn get(&self, row: usize, trace: &Trace) -> Option<TaskId> {
        if !self.is_plain() {
            return self.listed.get(row).copied();
        }
        trace.tasks().nth(row).map(|task| task.id).filter(|id| id.index() < self.tasks(trace))
    }

    /// The row of a task.
    pub fn row_of(&self, id: TaskId, trace: &Trace) -> Option<usize> {
        let task = trace.task(id).filter(|task| task.id.index() < self.tasks(trace))?;
        if self.is_plain() {
            return Some(trace.tasks().before(task.id));
        }
        if self.listed.get(self.hint.get()) != Some(&id) {
            self.hint.set(self.listed.iter().position(|listed| *listed == id)?);
        }
        Some(self.hint.get())
    }
}

/// Whether `text` has `filter` (in lower case) in it.
pub fn matches(text: &str, filter: &str) -> bool {
    text.to_lowercase().contains(filter)
}
