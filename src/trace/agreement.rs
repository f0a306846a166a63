//! Do the two feeds of an embedded loop agree? Each counts polls, wakes and self-wakes by itself, from the same loop.

use super::Trace;
use super::event::Counts;
use super::id::TaskId;

/// One task on which the feeds differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    pub task: TaskId,
    /// As the probe counted; a poll turned back by a hold is added, for console-subscriber sees it as a poll.
    pub probe: Counts,
    /// As console-subscriber counted; `None` where it never told of the task.
    pub console: Option<Counts>,
}

impl Trace {
    /// The tasks on which the feeds differ, in order of spawning. Meaningful once the run is over and both feeds are
    /// drained: meanwhile console-subscriber is an interval late.
    pub fn disagreements(&self) -> Vec<Disagreement> {
        self.tasks()
            .iter()
            .filter_map(|task| {
                let probe = Counts { polls: task.counts.polls + task.bounces, ..task.counts };
                (task.console != Some(probe)).then_some(Disagreement { task: task.id, probe, console: task.console })
            })
            .collect()
    }
}
