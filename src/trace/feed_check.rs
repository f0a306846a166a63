//! Compares the two feeds of one loop, console and probe, which count polls, wakes and self-wakes independently.

use serde::{Deserialize, Serialize};

use super::Trace;
use super::id::TaskId;
use super::task::Task;
use super::task_meta::TaskCounts;

/// A task whose counts differ between the two feeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedDisagreement {
    /// The task.
    pub task: TaskId,
    /// Counts of the probe, plus suppressed polls, which console-subscriber counts as polls.
    pub probe: TaskCounts,
    /// Counts of console-subscriber, or `None` if it never reported the task.
    pub console: Option<TaskCounts>,
}

/// Result of comparing the counts of a task before both feeds are drained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FeedVerdict {
    /// Both feeds have the same counts.
    Agree,
    /// The console's counts are lower, which may only mean that its next update is outstanding.
    Unknown,
    /// The counts differ, whatever the console still reports.
    Differ(FeedDisagreement),
}

impl Trace {
    /// Returns the tasks whose counts differ between the feeds, in spawn order.
    ///
    /// Meaningful once the run is over and both feeds are drained: before that, console-subscriber is up to one publish
    /// interval late.
    pub fn disagreements(&self) -> Vec<FeedDisagreement> {
        let retained = self.tasks().iter().filter_map(|task| self.disagreement(task));
        self.evicted.disagreements.iter().cloned().chain(retained).collect()
    }

    /// Returns the disagreement of the feeds about `task`, if there is one.
    fn disagreement(&self, task: &Task) -> Option<FeedDisagreement> {
        let probe = TaskCounts { polls: task.counts.polls.saturating_add(task.suppressed_polls()), ..task.counts };
        if self.is_external && self.is_compatible(task, probe) {
            return None;
        }
        let console = task.console_counts();
        (console != Some(probe)).then_some(FeedDisagreement { task: task.id, probe, console })
    }

    /// Compares the counts of `task`, which has ended, allowing for console updates that are still outstanding.
    pub(super) fn verdict(&self, task: &Task) -> FeedVerdict {
        let Some(disagreement) = self.disagreement(task) else { return FeedVerdict::Agree };
        let may_be_late = disagreement.console.is_none_or(|console| {
            let fields = |counts: &TaskCounts| [counts.polls, counts.wakes, counts.self_wakes, counts.awaits];
            fields(&console).iter().zip(fields(&disagreement.probe)).all(|(console, probe)| *console <= probe)
        });
        if may_be_late && !self.is_external { FeedVerdict::Unknown } else { FeedVerdict::Differ(disagreement) }
    }

    /// Returns whether the console's counts of `task`, in an external program, do not contradict the `exact` ones.
    ///
    /// The console may not have reported the task, or may have stopped before the task ended. Awaits are not compared,
    /// because each feed counts them differently. A program does not wait until its last events are written to the
    /// recording, so the console may have more counts of a task whose end is not recorded.
    fn is_compatible(&self, task: &Task, exact: TaskCounts) -> bool {
        let Some(console) = task.console_counts() else { return true };
        let last_poll = task.lane.last().map_or(0, |cycle| cycle.end().unwrap_or(cycle.start));
        let last = last_poll.max(task.last_wake.map_or(0, |(at, _)| at)).max(task.lane.ended_at().unwrap_or(0));
        let is_reported = last < self.console_complete_until;
        let is_unfinished =
            task.outcome.is_none() && self.recording_stats.as_ref().is_some_and(|recording| recording.is_unfinished);
        (!is_reported || counts_at_least(console, exact)) && (is_unfinished || counts_at_least(exact, console))
    }
}

/// Returns whether every compared count of `one` is at least that of `other`.
fn counts_at_least(one: TaskCounts, other: TaskCounts) -> bool {
    one.polls >= other.polls && one.wakes >= other.wakes && one.self_wakes >= other.self_wakes
}
