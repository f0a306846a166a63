//! Totals of evicted tasks, and the disagreements of the two feeds about them.

use serde::{Deserialize, Serialize};

use super::feed_check::{FeedDisagreement, FeedVerdict};
use super::task::Task;
use super::task_meta::{TaskCounts, TaskOutcome};
use super::time::Nanos;

/// Maximum number of disagreements about evicted tasks that are listed. Further ones are only counted.
const DISAGREEMENTS_MAX: usize = 100;

/// Totals of the tasks that were evicted to stay within the memory budget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvictedTasks {
    /// Number of evicted tasks.
    pub count: u64,
    /// Time by which all of them had ended.
    pub ended_until: Nanos,
    /// How many of them completed, were cancelled, and failed.
    pub outcomes: [u32; 3],
    /// Sums of their counts.
    pub counts: TaskCounts,
    /// Time spent in their polls, in nanoseconds.
    pub busy_ns: u64,
    /// The part of `busy_ns` that ran on the loop.
    pub(super) loop_busy_ns: u64,
    /// Time they spent scheduled, in nanoseconds.
    pub scheduled_ns: u64,
    /// Time they spent waiting, in nanoseconds.
    pub waiting_ns: u64,
    /// Tasks that the console had reported.
    pub console_reported: u64,
    /// Tasks that were evicted before the console's counts had caught up with the probe's.
    pub not_compared: u64,
    /// Tasks whose counts certainly differed between the feeds, beyond those that are listed.
    pub unlisted_disagreements: u64,
    pub(super) disagreements: Vec<FeedDisagreement>,
}

impl EvictedTasks {
    /// Adds the totals of a task that is being evicted.
    pub(super) fn add_task(&mut self, task: &Task, verdict: FeedVerdict) {
        let totals = task.lane.totals_at(Nanos::MAX);
        let TaskCounts { polls, wakes, self_wakes, awaits } = task.counts;
        let is_unlisted = matches!(verdict, FeedVerdict::Differ(_)) && self.disagreements.len() >= DISAGREEMENTS_MAX;
        self.ended_until = self.ended_until.max(task.lane.ended_at().unwrap_or(0));
        // Counts from an external app or a file are untrusted, hence the saturating arithmetic.
        for (sum, more) in [
            (&mut self.count, 1),
            (&mut self.console_reported, u64::from(task.console_counts().is_some())),
            (&mut self.not_compared, u64::from(verdict == FeedVerdict::Unknown)),
            (&mut self.unlisted_disagreements, u64::from(is_unlisted)),
            (&mut self.counts.polls, polls),
            (&mut self.counts.wakes, wakes),
            (&mut self.counts.self_wakes, self_wakes),
            (&mut self.counts.awaits, awaits),
            (&mut self.busy_ns, totals.busy_ns),
            (&mut self.loop_busy_ns, if task.is_off_loop() { 0 } else { totals.busy_ns }),
            (&mut self.scheduled_ns, totals.scheduled_ns),
            (&mut self.waiting_ns, totals.waiting_total_ns()),
        ] {
            *sum = sum.saturating_add(more);
        }
        let [completed, cancelled, failed] = &mut self.outcomes;
        let count = match &task.outcome {
            Some(TaskOutcome::Completed) => Some(completed),
            Some(TaskOutcome::Cancelled) => Some(cancelled),
            Some(TaskOutcome::Failed(_)) => Some(failed),
            Some(TaskOutcome::Unknown) | None => None,
        };
        count.into_iter().for_each(|count| *count = count.saturating_add(1));
        match verdict {
            FeedVerdict::Differ(disagreement) if !is_unlisted => self.disagreements.push(disagreement),
            FeedVerdict::Agree | FeedVerdict::Unknown | FeedVerdict::Differ(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::id::TaskId;
    use super::*;

    #[test]
    fn saturates_on_hostile_totals() {
        let most = u64::MAX;
        let counts = TaskCounts { polls: most, wakes: most, self_wakes: most, awaits: most };
        let mut evicted = EvictedTasks {
            count: most,
            outcomes: [u32::MAX; 3],
            counts,
            console_reported: most,
            not_compared: most,
            unlisted_disagreements: most,
            ..EvictedTasks::default()
        };
        let before = evicted.clone();
        let mut task = Task::placeholder(TaskId::from_index(0));
        task.counts = counts;
        let failed = TaskOutcome::Failed("panicked".into());
        for outcome in [TaskOutcome::Completed, TaskOutcome::Cancelled, failed, TaskOutcome::Completed] {
            task.outcome = Some(outcome);
            evicted.add_task(&task, FeedVerdict::Unknown);
        }
        assert_eq!(EvictedTasks { scheduled_ns: 0, ..evicted }, EvictedTasks { ended_until: 0, ..before });
    }

    #[test]
    fn lists_first_disagreements_and_counts_rest() {
        let mut evicted = EvictedTasks::default();
        for index in 0..DISAGREEMENTS_MAX + 7 {
            let task = Task::placeholder(TaskId::from_index(index));
            let disagreement = FeedDisagreement { task: task.id, probe: TaskCounts::default(), console: None };
            evicted.add_task(&task, FeedVerdict::Differ(disagreement));
        }
        let listed: Vec<_> = evicted.disagreements.iter().map(|disagreement| disagreement.task.index()).collect();
        assert_eq!(
            (listed.len(), listed.last(), evicted.unlisted_disagreements),
            (DISAGREEMENTS_MAX, Some(&(DISAGREEMENTS_MAX - 1)), 7)
        );
        assert_eq!((evicted.count, evicted.not_compared), (DISAGREEMENTS_MAX as u64 + 7, 0));
    }
}
