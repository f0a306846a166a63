//! The two feeds of one loop, console and probe: their counts, how completely they report, and where they disagree.
//!
//! Both feeds count polls, wakes and self-wakes independently, so their counts of each task are compared.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::fidelity::Fidelity;
use super::id::{TaskId, WorkerId};
use super::processor_waits::ProcessorWaits;
use super::recording_stats::RecordingStats;
use super::reported_facts::ReportedFacts;
use super::task::Task;
use super::task_meta::TaskCounts;
use super::time::Nanos;
use super::unknown_counts::UnknownCounts;

/// A task whose counts differ between the two feeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedDisagreement {
    /// The task.
    pub task: TaskId,
    /// Counts of the probe, plus suppressed polls, which console-subscriber counts as polls.
    pub probe: TaskCounts,
    /// console-subscriber's counts, or `None` if it never reported the task.
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

/// State of the feeds, and the rules by which their counts are compared.
#[derive(Clone, Debug, Default)]
pub(super) struct FeedCheck {
    /// Number of console-subscriber updates.
    pub console_updates: u64,
    /// Number of events that console-subscriber dropped.
    pub console_dropped: u64,
    /// Number of events that the probe recorded.
    pub probe_events: u64,
    /// Number of events that were dropped because the ring of the probe was full.
    pub probe_dropped: u64,
    /// How completely polls and wakes are recorded.
    pub fidelity: Fidelity,
    /// The program does not report parks: the loop's lane is derived from the polls of its tasks.
    pub is_external: bool,
    /// When polls on more than one thread were first detected.
    pub multi_threaded_since: Option<Nanos>,
    /// Statistics of the recording that the trace is read from, if any.
    pub recording_stats: Option<RecordingStats>,
    /// The console has reported new events late, or a probe so late that their order is doubtful.
    pub has_late_events: bool,
    /// When an external app waited for a processor.
    pub processor_waits: ProcessorWaits,
    /// The same of single workers, as far as it is known. Archives do not have it.
    pub worker_waits: FxHashMap<WorkerId, ProcessorWaits>,
    /// Whether something outside of the program can wake it; `None` if that is not known.
    pub outside_input: Option<bool>,
    /// What a program with the probe reports.
    pub reported_facts: Option<ReportedFacts>,
    /// What was observed and could not be attributed.
    pub unknown: UnknownCounts,
    /// For a program with two feeds: the time up to which the console's counts are complete.
    pub console_complete_until: Nanos,
}

impl FeedCheck {
    /// Returns the waits of a worker, or of all threads.
    pub fn waits_of_mut(&mut self, worker: Option<WorkerId>) -> &mut ProcessorWaits {
        match worker {
            Some(worker) => self.worker_waits.entry(worker).or_default(),
            None => &mut self.processor_waits,
        }
    }

    /// Returns whether every poll and every wake is recorded.
    #[inline]
    pub fn is_exact(&self) -> bool {
        self.fidelity == Fidelity::Exact
    }

    /// Returns the disagreement of the feeds about `task`, if there is one.
    pub fn disagreement(&self, task: &Task) -> Option<FeedDisagreement> {
        let probe = TaskCounts { polls: task.counts.polls.saturating_add(task.suppressed_polls()), ..task.counts };
        if self.is_external && self.is_compatible(task, probe) {
            return None;
        }
        let console = task.console_counts();
        (console != Some(probe)).then_some(FeedDisagreement { task: task.id, probe, console })
    }

    /// Compares the counts of `task`, which has ended, allowing for console updates that are still outstanding.
    pub fn verdict(&self, task: &Task) -> FeedVerdict {
        let Some(disagreement) = self.disagreement(task) else { return FeedVerdict::Agree };
        let may_be_late = disagreement.console.is_none_or(|console| {
            let fields = |counts: &TaskCounts| [counts.polls, counts.wakes, counts.self_wakes, counts.awaits];
            fields(&console).iter().zip(fields(&disagreement.probe)).all(|(console, probe)| *console <= probe)
        });
        if may_be_late && !self.is_external { FeedVerdict::Unknown } else { FeedVerdict::Differ(disagreement) }
    }

    /// Returns whether the console's counts of `task`, in an external app, do not contradict the `exact` ones.
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
