//! The rows of tasks: all in spawn order, or filtered by text and state, and sorted by any column.
//!
//! Filtering and sorting are incremental: each frame does a bounded amount of work. Until the work is done, the rows
//! found so far are shown in the previous order.

mod refresh;
mod sorter;

use std::cell::Cell;

use super::columns::COLUMNS;
use super::text_match::contains_ignoring_case;
use crate::trace::{Task, TaskId, TaskState, Trace};
use refresh::RowRefresh;
use sorter::RowSorter;

/// Rows that one frame examines to sort them again; with more rows, a sort takes more frames. Divided by the column's
/// [`lookup_cost`](super::columns::TaskColumn::lookup_cost).
const SORTED_PER_FRAME: usize = 2_000;

/// Rows that one frame examines while the user waits for a requested order.
const SORTED_PER_FRAME_REQUESTED: usize = 20_000;

/// Tasks that one frame searches.
const SEARCHED_PER_FRAME: usize = 20_000;

/// Tasks that one frame searches again because states change.
const SEARCHED_PER_REFRESH: usize = 2_000;

/// Tasks that one frame adds when no filter is set.
const LISTED_PER_FRAME: usize = 200_000;

/// Sort order of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowOrder {
    /// Index of the column in [`COLUMNS`].
    pub column: usize,
    /// Whether the greatest value comes first.
    pub is_descending: bool,
}

impl RowOrder {
    /// Sorts by `column` in its usual direction: numbers descending, text ascending.
    pub fn by(column: usize) -> Self {
        // By id, the oldest task comes first.
        Self { column, is_descending: column > 0 && COLUMNS.get(column).is_some_and(|column| column.is_number) }
    }
}

/// Which tasks have a row.
#[derive(Clone, Debug, Default)]
struct RowFilter {
    /// Text that the name, location, kind or state must contain, in lower case; empty for all tasks.
    text: String,
    /// Whether tasks that have ended have no row.
    hides_ended: bool,
}

impl RowFilter {
    /// Whether every task has a row.
    fn is_empty(&self) -> bool {
        self.text.is_empty() && !self.hides_ended
    }

    fn matches(&self, task: &Task, trace: &Trace) -> bool {
        if self.hides_ended && task.outcome.is_some() {
            return false;
        }
        let contains = |text: &str| contains_ignoring_case(text, &self.text);
        self.text.is_empty()
            || contains(&task.name())
            || contains(task.meta.kind.name())
            || trace.state(task.id).is_some_and(|state| contains(TaskState::name(state)))
            || task.meta.location.as_ref().is_some_and(|location| contains(&location.to_string()))
    }
}

/// The filtered and sorted rows of tasks.
#[derive(Clone, Debug, Default)]
pub struct TaskRows {
    filter: RowFilter,
    order: RowOrder,
    /// Tasks that have a row, in order. Unused in the default view, which therefore costs nothing.
    listed: Vec<TaskId>,
    /// How many of the listed tasks are not tasks of the program.
    listed_others: usize,
    /// Number of tasks that were examined, by index.
    examined: usize,
    /// The new search in progress: the states of tasks have changed since the last one.
    refresh: Option<RowRefresh>,
    /// The sort in progress.
    sorter: Option<RowSorter>,
    /// The trace's event count when the last sort began.
    sorted_at: Option<u64>,
    /// The user waits for a requested filter or order.
    is_requested: bool,
    /// Number of tasks when the view was frozen; later ones have no row.
    limit: Option<usize>,
    /// Row of the last task that was looked up: the same lookup is repeated often.
    last_lookup: Cell<usize>,
}

impl TaskRows {
    /// Returns the text that a task's name, location, kind or state must contain, in lower case; empty for all tasks.
    pub fn filter(&self) -> &str {
        &self.filter.text
    }

    /// Whether tasks that have ended have no row.
    pub fn hides_ended(&self) -> bool {
        self.filter.hides_ended
    }

    /// Returns why there is no row although there are tasks, and what to do.
    pub fn empty_reason(&self) -> &'static str {
        match (self.filter(), self.hides_ended()) {
            ("", _) => "every task has ended (E: show ended)",
            (_, true) => "no matching task (esc: all names, E: show ended)",
            (_, false) => "no matching task (esc: show all)",
        }
    }

    /// Returns the sort order.
    pub fn order(&self) -> RowOrder {
        self.order
    }

    /// Shows only tasks whose name, location, kind or state contains `filter`, ignoring case.
    pub fn set_filter(&mut self, filter: &str, trace: &Trace) {
        self.filter.text = filter.to_lowercase();
        self.search_again(trace);
    }

    /// Hides or shows the tasks that have ended.
    pub fn set_hides_ended(&mut self, hides_ended: bool, trace: &Trace) {
        self.filter.hides_ended = hides_ended;
        self.search_again(trace);
    }

    fn search_again(&mut self, trace: &Trace) {
        self.clear();
        self.restart(trace);
    }

    fn clear(&mut self) {
        (self.listed, self.listed_others, self.examined) = (Vec::new(), 0, 0);
    }

    /// Changes the sort order. Few rows are sorted at once, many over several frames.
    pub fn set_order(&mut self, order: RowOrder, trace: &Trace) {
        self.order = order;
        self.restart(trace);
    }

    fn restart(&mut self, trace: &Trace) {
        (self.refresh, self.sorter, self.sorted_at, self.is_requested) = (None, None, None, true);
        if self.is_default_view() {
            self.clear();
        }
        self.advance(trace);
    }

    /// Limits the rows to the first `limit` tasks; `None` lifts the limit.
    pub fn freeze(&mut self, limit: Option<usize>) {
        self.limit = limit;
        if limit.is_some() && !self.is_requested {
            (self.refresh, self.sorter) = (None, None);
        }
    }

    /// Returns the number of tasks, by index, that may have a row.
    fn tasks(&self, trace: &Trace) -> usize {
        self.limit.unwrap_or(usize::MAX).min(trace.tasks().len())
    }

    /// Whether every task has a row, in spawn order: first the tasks of the program, then the others.
    fn is_default_view(&self) -> bool {
        self.filter.is_empty() && self.order == RowOrder::default()
    }

    /// Whether some tasks have not been examined yet.
    fn is_searching(&self, trace: &Trace) -> bool {
        !self.is_default_view() && self.examined < self.tasks(trace)
    }

    /// Whether the task has not been examined yet, so that it may still get a row.
    pub fn may_match(&self, id: TaskId, trace: &Trace) -> bool {
        self.is_searching(trace) && id.index() >= self.examined && trace.task(id).is_some()
    }

    /// Whether a requested filter or order is not complete yet.
    pub fn is_request_pending(&self) -> bool {
        self.is_requested
    }

    /// Whether incremental work is left, even if no further events arrive.
    pub fn has_pending_work(&self, trace: &Trace) -> bool {
        self.is_searching(trace) || self.sorter.is_some() || self.needs_sort(trace)
    }

    fn needs_sort(&self, trace: &Trace) -> bool {
        let is_new = self.sorted_at != Some(trace.counts().events);
        !self.is_default_view() && is_new && (self.limit.is_none() || self.is_requested)
    }

    /// Examines new tasks and continues sorting. Returns whether a requested filter or order was completed.
    pub fn advance(&mut self, trace: &Trace) -> bool {
        if !self.is_default_view() {
            self.search(trace);
            self.sort(trace);
        }
        let is_done = self.sorter.is_none() && !self.is_searching(trace);
        is_done && std::mem::take(&mut self.is_requested)
    }

    fn search(&mut self, trace: &Trace) {
        let tasks = self.tasks(trace);
        let (tasks_from, filter) = (self.examined, &self.filter);
        if filter.is_empty() {
            self.examined = tasks.min(self.examined.saturating_add(LISTED_PER_FRAME));
            let ids = trace.tasks().ids_from(tasks_from);
            self.listed.extend(ids.take_while(|id| id.index() < self.examined));
            let counts = [self.examined, tasks_from].map(|index| trace.tasks().counts_before(index).other);
            self.listed_others += counts[0] - counts[1];
        } else {
            self.examined = tasks.min(self.examined.saturating_add(SEARCHED_PER_FRAME));
            let found = trace.tasks().iter_from(tasks_from).take_while(|task| task.id.index() < self.examined);
            // New tasks come last until the next sort.
            for task in found.filter(|task| filter.matches(task, trace)) {
                self.listed.push(task.id);
                self.listed_others += usize::from(!task.meta.kind.is_task());
            }
        }
    }

    fn sort(&mut self, trace: &Trace) {
        let Some(column) = COLUMNS.get(self.order.column) else { return };
        if self.sorter.is_none() && self.needs_sort(trace) && !(self.is_requested && self.is_searching(trace)) {
            (self.sorter, self.sorted_at) = (Some(RowSorter::default()), Some(trace.counts().events));
            // A requested search has just examined every task.
            let is_outdated = !self.filter.is_empty() && !self.is_requested;
            self.refresh = is_outdated.then(|| RowRefresh::new(self.listed.len(), self.examined));
        }
        let Some(sorter) = &mut self.sorter else { return };
        if let Some(refresh) = &mut self.refresh
            && !refresh.advance(trace, SEARCHED_PER_REFRESH, |task| self.filter.matches(task, trace))
        {
            return;
        }
        let budget = if self.is_requested { SORTED_PER_FRAME_REQUESTED } else { SORTED_PER_FRAME };
        let budget = budget / column.lookup_cost;
        let rows = self.refresh.as_ref().map_or(&self.listed, |refresh| &refresh.found);
        let ordered = sorter.advance(rows, (column, self.order.is_descending), trace, budget);
        if let Some(mut ordered) = ordered {
            // Tasks that were listed meanwhile come last until the next sort.
            let listed_before = self.refresh.take().map_or(sorter.examined, |refresh| refresh.listed_before);
            let newer = self.listed.drain(..).skip(listed_before);
            let is_other = |id: &TaskId| trace.task(*id).is_some_and(|task| !task.meta.kind.is_task());
            let sorted = ordered.len();
            ordered.extend(newer);
            self.listed_others = sorter.others + ordered[sorted..].iter().filter(|id| is_other(id)).count();
            (self.listed, self.sorter) = (ordered, None);
        }
    }

    /// Returns the number of rows.
    pub fn count(&self, trace: &Trace) -> usize {
        if !self.is_default_view() {
            return self.listed.len();
        }
        trace.tasks().counts_before(self.tasks(trace)).total()
    }

    /// Returns the number of rows of tasks of the program, without workers, `block_on` futures and blocking closures.
    pub fn program_count(&self, trace: &Trace) -> usize {
        if !self.is_default_view() {
            return self.listed.len() - self.listed_others;
        }
        trace.tasks().counts_before(self.tasks(trace)).program
    }

    /// Returns the task of a row.
    pub fn get(&self, row: usize, trace: &Trace) -> Option<TaskId> {
        if !self.is_default_view() {
            return self.listed.get(row).copied();
        }
        let counts = trace.tasks().counts_before(self.tasks(trace));
        let task = match row.checked_sub(counts.program) {
            None => trace.tasks().nth(true, row),
            Some(position) if position < counts.other => trace.tasks().nth(false, position),
            Some(_) => None,
        };
        task.map(|task| task.id)
    }

    /// Returns the row of a task.
    pub fn row_of(&self, id: TaskId, trace: &Trace) -> Option<usize> {
        let task = trace.task(id).filter(|task| task.id.index() < self.tasks(trace))?;
        if self.is_default_view() {
            let before = trace.tasks().counts_before(id.index());
            return Some(if task.meta.kind.is_task() {
                before.program
            } else {
                trace.tasks().counts_before(self.tasks(trace)).program + before.other
            });
        }
        if self.listed.get(self.last_lookup.get()) != Some(&id) {
            self.last_lookup.set(self.listed.iter().position(|listed| *listed == id)?);
        }
        Some(self.last_lookup.get())
    }
}
