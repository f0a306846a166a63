//! Incremental merge sort of rows, while the previous order stays visible.
//!
//! Each slice of rows is sorted on its own; then all slices are merged, a bounded number of rows at a time. Sort keys
//! are read once, so events that arrive during the sort do not affect it.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::app::columns::{ColumnContext, SortKey, TaskColumn};
use crate::trace::{TaskId, Trace};

/// Rows that can be merged in the time that examining one row takes.
const MERGED_PER_EXAMINED: usize = 2;

/// A row with its sort key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SortEntry {
    /// It is a worker, a `block_on` future or a blocking closure. These come last in every order.
    is_other: bool,
    key: SortKey<'static>,
    id: TaskId,
    is_descending: bool,
}

impl Ord for SortEntry {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = if self.is_descending { other.key.cmp(&self.key) } else { self.key.cmp(&other.key) };
        // Tasks with equal keys stay in spawn order, in either direction.
        self.is_other.cmp(&other.is_other).then(order).then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for SortEntry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// An incremental merge sort.
#[derive(Clone, Debug, Default)]
pub(super) struct RowSorter {
    /// Number of rows that were examined.
    pub examined: usize,
    /// How many of the sorted rows are not of tasks of the program.
    pub others: usize,
    /// Sorted slices, each in reverse, so that its first row is popped from its end.
    slices: Vec<Vec<SortEntry>>,
    /// The first remaining row of each slice.
    firsts: BinaryHeap<Reverse<(SortEntry, usize)>>,
    merged: Vec<TaskId>,
    is_merging: bool,
}

impl RowSorter {
    /// Continues for about as long as examining `budget` of the `rows` takes; rows may have been appended since the
    /// last call. Returns the sorted rows when done, without those after [`Self::examined`] and without evicted tasks.
    pub fn advance(
        &mut self,
        rows: &[TaskId],
        by: (&TaskColumn, bool),
        trace: &Trace,
        budget: usize,
    ) -> Option<Vec<TaskId>> {
        if !self.is_merging {
            let until = rows.len().min(self.examined.saturating_add(budget));
            let slice = rows.get(self.examined..until).unwrap_or_default();
            self.examined = until;
            self.sort_slice(slice, by, trace);
            if until < rows.len() {
                return None;
            }
            let firsts = self.slices.iter_mut().enumerate();
            self.firsts = firsts.filter_map(|(index, slice)| Some(Reverse((slice.pop()?, index)))).collect();
            self.is_merging = true;
        }
        for _ in 0..budget * MERGED_PER_EXAMINED {
            let Some(Reverse((first, index))) = self.firsts.pop() else { break };
            self.merged.push(first.id);
            self.others += usize::from(first.is_other);
            if let Some(next) = self.slices.get_mut(index).and_then(Vec::pop) {
                self.firsts.push(Reverse((next, index)));
            }
        }
        self.firsts.is_empty().then(|| std::mem::take(&mut self.merged))
    }

    fn sort_slice(&mut self, slice: &[TaskId], (column, is_descending): (&TaskColumn, bool), trace: &Trace) {
        let context = ColumnContext::now(trace);
        let keyed = |id: &TaskId| {
            let task = trace.task(*id)?;
            let key = column.key(context, task).into_owned();
            Some(SortEntry { is_other: !task.meta.kind.is_task(), key, id: *id, is_descending })
        };
        let mut keyed: Vec<SortEntry> = slice.iter().filter_map(keyed).collect();
        keyed.sort_unstable_by(|a, b| b.cmp(a));
        self.slices.push(keyed);
    }
}
