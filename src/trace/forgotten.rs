//! What is left of tasks whose rows are forgotten: their sums, and what the two witnesses said of them.

use serde::{Deserialize, Serialize};

use super::agreement::{Disagreement, Verdict};
use super::event::{Counts, Ending, Nanos};
use super::task::Task;

/// Disagreements of tasks that are forgotten which are kept; more are counted.
const DISAGREEMENTS_MAX: usize = 100;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// How many they are.
    pub tasks: u64,
    /// Until when all that are forgotten had ended.
    pub until: Nanos,
    /// Of these, done, cancelled and failed.
    pub endings: [u32; 3],
    pub counts: Counts,
    pub busy_ns: u64,
    /// Of this, what kept the loop.
    pub(super) loop_busy_ns: u64,
    pub scheduled_ns: u64,
    pub waiting_ns: u64,
    /// Tasks of which a console had told.
    pub told: u64,
    /// Tasks that were forgotten before the console had told all of them that the probe had.
    pub uncompared: u64,
    /// Tasks on which the feeds certainly differed and that are not among those that are named.
    pub unlisted: u64,
    pub(super) disagreements: Vec<Disagreement>,
}

impl Forgotten {
    /// Takes the sums of a task that is forgotten now.
    pub(super) fn note(&mut self, task: &Task, verdict: Verdict) {
        let totals = task.lane.totals_at(Nanos::MAX);
        let Counts { polls, wakes, self_wakes, awaits } = task.counts;
        let is_unlisted = matches!(verdict, Verdict::Differ(_)) && self.disagreements.len() >= DISAGREEMENTS_MAX;
        self.until = self.until.max(task.lane.ended().unwrap_or(0));
        // Somebody else's numbers, and those of a file, may be any.
        for (sum, more) in [
            (&mut self.tasks, 1),
            (&mut self.told, u64::from(task.console().is_some())),
            (&mut self.uncompared, u64::from(verdict == Verdict::Unknown)),
            (&mut self.unlisted, u64::from(is_unlisted)),
            (&mut self.counts.polls, polls),
            (&mut self.counts.wakes, wakes),
            (&mut self.counts.self_wakes, self_wakes),
            (&mut self.counts.awaits, awaits),
            (&mut self.busy_ns, totals.busy_ns),
            (&mut self.loop_busy_ns, if task.is_beside_the_loop() { 0 } else { totals.busy_ns }),
            (&mut self.scheduled_ns, totals.scheduled_ns),
            (&mut self.waiting_ns, totals.waiting_total_ns()),
        ] {
            *sum = sum.saturating_add(more);
        }
        let [done, cancelled, failed] = &mut self.endings;
        let ending = match &task.ending {
            Some(Ending::Done) => Some(done),
            Some(Ending::Cancelled) => Some(cancelled),
            Some(Ending::Failed(_)) => Some(failed),
            None => None,
        };
        ending.into_iter().for_each(|count| *count = count.saturating_add(1));
        match verdict {
            Verdict::Differ(found) if !is_unlisted => self.disagreements.push(found),
            Verdict::Agree | Verdict::Unknown | Verdict::Differ(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::id::TaskId;
    use super::*;

    #[test]
    fn sums_of_a_file_that_lies_are_no_panic() {
        let most = u64::MAX;
        let counts = Counts { polls: most, wakes: most, self_wakes: most, awaits: most };
        let mut forgotten = Forgotten {
            tasks: most,
            endings: [u32::MAX; 3],
            counts,
            told: most,
            uncompared: most,
            unlisted: most,
            ..Forgotten::default()
        };
        let lying = forgotten.clone();
        let mut task = Task::nobody(TaskId::from_index(0));
        task.counts = counts;
        for ending in [Ending::Done, Ending::Cancelled, Ending::Failed("it lies".into()), Ending::Done] {
            task.ending = Some(ending);
            forgotten.note(&task, Verdict::Unknown);
        }
        assert_eq!(Forgotten { scheduled_ns: 0, ..forgotten }, Forgotten { until: 0, ..lying });
    }

    #[test]
    fn the_first_disagreements_are_kept_and_the_others_counted() {
        let mut forgotten = Forgotten::default();
        for index in 0..DISAGREEMENTS_MAX + 7 {
            let task = Task::nobody(TaskId::from_index(index));
            let found = Disagreement { task: task.id, probe: Counts::default(), console: None };
            forgotten.note(&task, Verdict::Differ(found));
        }
        let kept: Vec<_> = forgotten.disagreements.iter().map(|found| found.task.index()).collect();
        assert_eq!(
            (kept.len(), kept.last(), forgotten.unlisted),
            (DISAGREEMENTS_MAX, Some(&(DISAGREEMENTS_MAX - 1)), 7)
        );
        assert_eq!((forgotten.tasks, forgotten.uncompared), (DISAGREEMENTS_MAX as u64 + 7, 0));
    }
}
