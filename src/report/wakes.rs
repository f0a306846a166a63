//! Every wake of every task in order of time, without holding them all: the trace keeps them task by task.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::trace::{Cause, Nanos, TaskId, Trace};

/// One wake and who was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wake {
    pub at: Nanos,
    pub task: TaskId,
    pub cause: Cause,
}

/// By time; of the same instant the older task's first, and one task's in the order in which they came.
pub(super) fn by_time(trace: &Trace) -> impl Iterator<Item = Wake> {
    let mut tasks: Vec<_> = trace.tasks().iter().map(|task| task.wakes().peekable()).collect();
    let next_at = |wakes: &mut std::iter::Peekable<_>| wakes.peek().map(|(at, _): &(Nanos, Cause)| *at);
    let mut heads: BinaryHeap<_> =
        tasks.iter_mut().enumerate().filter_map(|(index, wakes)| Some(Reverse((next_at(wakes)?, index)))).collect();
    std::iter::from_fn(move || {
        let Reverse((_, index)) = heads.pop()?;
        let wakes = &mut tasks[index];
        let (at, cause) = wakes.next()?;
        heads.extend(next_at(wakes).map(|at| Reverse((at, index))));
        Some(Wake { at, task: TaskId::from_index(index), cause })
    })
}
