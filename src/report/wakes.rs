//! The wakes of all tasks merged by time, as an iterator: the trace stores them per task.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::iter::Peekable;

use crate::insight::OutsideWake;
use crate::trace::{Cycle, Nanos, Task, TaskId, Trace, WakeSource};

/// A wake and the woken task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimedWake {
    /// Time of the wake.
    pub at: Nanos,
    /// The woken task.
    pub task: TaskId,
    /// Source of the wake.
    pub cause: WakeSource,
    /// The source of a wake outside any poll.
    pub outside: Option<OutsideWake>,
}

/// The wakes of one task, each with the cycle that it ends.
struct TaskWakes<'a> {
    task: TaskId,
    wakes: Peekable<Box<dyn Iterator<Item = (Nanos, WakeSource)> + 'a>>,
    cycles: Peekable<Box<dyn Iterator<Item = Cycle> + 'a>>,
    /// The poll before the last wake that was taken.
    cycle: Option<Cycle>,
}

impl<'a> TaskWakes<'a> {
    fn new(task: &'a Task) -> Self {
        let wakes: Box<dyn Iterator<Item = _> + 'a> = Box::new(task.wakes());
        let cycles: Box<dyn Iterator<Item = _> + 'a> =
            Box::new(task.lane.cycles().filter(|cycle| cycle.first_wake().is_some()));
        Self { task: task.id, wakes: wakes.peekable(), cycles: cycles.peekable(), cycle: None }
    }

    /// Takes the next wake and the cycle that it ends. Further wakes after a poll end the same cycle.
    fn take(&mut self) -> Option<((Nanos, WakeSource), Option<Cycle>)> {
        let wake = self.wakes.next()?;
        self.cycle = self.cycles.next_if(|cycle| cycle.first_wake() == Some(wake)).or(self.cycle);
        Some((wake, self.cycle))
    }
}

/// Returns all wakes by time. Wakes at the same time are ordered by task, then by occurrence.
pub(super) fn merge_by_time(trace: &Trace) -> impl Iterator<Item = TimedWake> {
    let mut tasks: Vec<_> = trace.tasks().iter().map(TaskWakes::new).collect();
    let next_at = |task: &mut TaskWakes<'_>| task.wakes.peek().map(|(at, _)| *at);
    let mut heads: BinaryHeap<_> =
        tasks.iter_mut().enumerate().filter_map(|(index, wakes)| Some(Reverse((next_at(wakes)?, index)))).collect();
    std::iter::from_fn(move || {
        let Reverse((_, index)) = heads.pop()?;
        let wakes = &mut tasks[index];
        let ((at, cause), cycle) = wakes.take()?;
        heads.extend(next_at(wakes).map(|at| Reverse((at, index))));
        let outside = (cause == WakeSource::Driver).then(|| OutsideWake::after(trace, cycle.as_ref()));
        Some(TimedWake { at, task: wakes.task, cause, outside })
    })
}
