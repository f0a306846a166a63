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
        self.tasks += 1;
        self.until = self.until.max(task.lane.ended().unwrap_or(0));
        // Somebody else's numbers, and those of a file, may be any.
        for (sum, more) in [
            (&mut self.counts.polls, polls),
            (&mut self.counts.wakes, wakes),
            (&mut self.counts.self_wakes, self_wakes),
            (&mut self.counts.awaits, awaits),
            (&mut self.busy_ns, totals.busy_ns),
            (&mut self.scheduled_ns, totals.scheduled_ns),
            (&mut self.waiting_ns, totals.waiting_total_ns()),
        ] {
            *sum = sum.saturating_add(more);
        }
        let [done, cancelled, failed] = &mut self.endings;
        match &task.ending {
            Some(Ending::Done) => *done += 1,
            Some(Ending::Cancelled) => *cancelled += 1,
            Some(Ending::Failed(_)) => *failed += 1,
            None => {}
        }
        self.told += u64::from(task.console().is_some());
        match verdict {
            Verdict::Agree => {}
            Verdict::Unknown => self.uncompared += 1,
            Verdict::Differ(_) if self.disagreements.len() >= DISAGREEMENTS_MAX => self.unlisted += 1,
            Verdict::Differ(found) => self.disagreements.push(found),
        }
    }
}
