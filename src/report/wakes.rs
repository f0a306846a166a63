//! The wakes of all tasks merged by time, as an iterator: the trace stores them per task.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::trace::{Nanos, TaskId, Trace, WakeSource};

/// A wake and the woken task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimedWake {
    /// Time of the wake.
    pub at: Nanos,
    /// The woken task.
    pub task: TaskId,
    /// Source of the wake.
    pub cause: WakeSource,
}

/// Returns all wakes by time. Wakes at the same time are ordered by task, then by occurrence.
pub(super) fn merge_by_time(trace: &Trace) -> impl Iterator<Item = TimedWake> {
    let mut tasks: Vec<_> = trace.tasks().iter().map(|task| task.wakes().peekable()).collect();
    let next_at = |wakes: &mut std::iter::Peekable<_>| wakes.peek().map(|(at, _): &(Nanos, WakeSource)| *at);
    let mut heads: BinaryHeap<_> =
        tasks.iter_mut().enumerate().filter_map(|(index, wakes)| Some(Reverse((next_at(wakes)?, index)))).collect();
    std::iter::from_fn(move || {
        let Reverse((_, index)) = heads.pop()?;
        let wakes = &mut tasks[index];
        let (at, cause) = wakes.next()?;
        heads.extend(next_at(wakes).map(|at| Reverse((at, index))));
        Some(TimedWake { at, task: TaskId::from_index(index), cause })
    })
}
