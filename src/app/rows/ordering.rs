//! Putting rows in order a slice at a time, while the order before it is shown.
//!
//! A slice of the rows is looked at and put in order by itself; once all slices are, they are merged, again as many rows a
//! time as one likes. What a row is in order by is looked at once, so what happens meanwhile confuses nothing.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::app::columns::{Column, Key, Look};
use crate::trace::{TaskId, Trace};

/// Rows that are merged in the time that one is looked at.
const MERGED_FOR_ONE: usize = 2;

/// A row and what it is in order by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Keyed {
    key: Key<'static>,
    id: TaskId,
    is_descending: bool,
}

impl Ord for Keyed {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = if self.is_descending { other.key.cmp(&self.key) } else { self.key.cmp(&other.key) };
        // Tasks that are alike stay in order of spawning, whichever way.
        order.then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Keyed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Sorter {
    /// Rows that were looked at.
    pub looked_at: usize,
    /// Each from its last row to its first, which is taken from its end.
    slices: Vec<Vec<Keyed>>,
    /// The first row that is left of each slice.
    firsts: BinaryHeap<Reverse<(Keyed, usize)>>,
    merged: Vec<TaskId>,
    is_merging: bool,
}

impl Sorter {
    /// Goes on for about as long as it takes to look at `budget` of the `rows`, to which more may have been added since.
    /// Gives them in order once it is done; those after [`Self::looked_at`] are not among them, nor is who is forgotten.
    pub fn go_on(&mut self, rows: &[TaskId], by: (&Column, bool), trace: &Trace, budget: usize) -> Option<Vec<TaskId>> {
        if !self.is_merging {
            let until = rows.len().min(self.looked_at.saturating_add(budget));
            let slice = rows.get(self.looked_at..until).unwrap_or_default();
            self.looked_at = until;
            self.look_at(slice, by, trace);
            if until < rows.len() {
                return None;
            }
            let firsts = self.slices.iter_mut().enumerate();
            self.firsts = firsts.filter_map(|(index, slice)| Some(Reverse((slice.pop()?, index)))).collect();
            self.is_merging = true;
        }
        for _ in 0..budget * MERGED_FOR_ONE {
            let Some(Reverse((first, index))) = self.firsts.pop() else { break };
            self.merged.push(first.id);
            if let Some(next) = self.slices.get_mut(index).and_then(Vec::pop) {
                self.firsts.push(Reverse((next, index)));
            }
        }
        self.firsts.is_empty().then(|| std::mem::take(&mut self.merged))
    }

    fn look_at(&mut self, slice: &[TaskId], (column, is_descending): (&Column, bool), trace: &Trace) {
        let look = Look::now(trace);
        let keyed = |id: &TaskId| {
            let key = column.key(look, trace.task(*id)?).into_owned();
            Some(Keyed { key, id: *id, is_descending })
        };
        let mut keyed: Vec<Keyed> = slice.iter().filter_map(keyed).collect();
        keyed.sort_unstable_by(|a, b| b.cmp(a));
        self.slices.push(keyed);
    }
}
