//! Do the two feeds of an embedded loop agree? Each counts polls, wakes and self-wakes by itself, from the same loop.

use serde::{Deserialize, Serialize};

use super::Trace;
use super::event::Counts;
use super::id::TaskId;
use super::task::Task;

/// One task on which the feeds differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disagreement {
    pub task: TaskId,
    /// As the probe counted; a poll turned back by a hold is added, for console-subscriber sees it as a poll.
    pub probe: Counts,
    /// As console-subscriber counted; `None` where it never told of the task.
    pub console: Option<Counts>,
}

/// What the feeds say of a task, when that is asked before both have told everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Agree,
    /// The console has told less, and may only be late.
    Unknown,
    Differ(Disagreement),
}

impl Trace {
    /// The tasks on which the feeds differ, in order of spawning. Meaningful once the run is over and both feeds are
    /// drained: meanwhile console-subscriber is an interval late.
    pub fn disagreements(&self) -> Vec<Disagreement> {
        let kept = self.tasks().iter().filter_map(|task| self.disagreement(task));
        self.forgotten.disagreements.iter().cloned().chain(kept).collect()
    }

    fn disagreement(&self, task: &Task) -> Option<Disagreement> {
        let probe = Counts { polls: task.counts.polls.saturating_add(task.bounces()), ..task.counts };
        if self.is_foreign && self.is_compatible(task, probe) {
            return None;
        }
        let console = task.console();
        (console != Some(probe)).then_some(Disagreement { task: task.id, probe, console })
    }

    /// What is certain of `task`, which is over, whatever the console may still tell of it.
    pub(super) fn verdict(&self, task: &Task) -> Verdict {
        let Some(found) = self.disagreement(task) else { return Verdict::Agree };
        let may_be_late = found.console.is_none_or(|console| {
            let pairs = |of: &Counts| [of.polls, of.wakes, of.self_wakes, of.awaits];
            pairs(&console).iter().zip(pairs(&found.probe)).all(|(console, probe)| *console <= probe)
        });
        if may_be_late && !self.is_foreign { Verdict::Unknown } else { Verdict::Differ(found) }
    }

    /// Whether what the console of a program that is not ours told of `task` contradicts nothing. It may not have told of
    /// it, may have fallen silent before the end, and is not asked for awaits, which each side counts in its own way. And
    /// a program does not wait until its last moments are recorded: of a task whose end is missing there the console may
    /// know more.
    fn is_compatible(&self, task: &Task, exact: Counts) -> bool {
        let Some(console) = task.console() else { return true };
        let polled = task.lane.last().map_or(0, |cycle| cycle.end().unwrap_or(cycle.start));
        let last = polled.max(task.last_wake.map_or(0, |(at, _)| at)).max(task.lane.ended().unwrap_or(0));
        let is_told = last < self.compared_until;
        let is_cut = task.ending.is_none() && self.recorded.as_ref().is_some_and(|recorded| recorded.is_unfinished);
        (!is_told || counts_as_many(console, exact)) && (is_cut || counts_as_many(exact, console))
    }
}

/// Whether one counts at least what the other does.
fn counts_as_many(one: Counts, other: Counts) -> bool {
    one.polls >= other.polls && one.wakes >= other.wakes && one.self_wakes >= other.self_wakes
}
