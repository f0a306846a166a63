//! Summary of a run: how the loop spent its time, and the tasks that used most of it.

use std::cmp::Reverse;

use crate::trace::{Cycle, Nanos, Task, TaskId, TaskState, Trace};

/// How the loop spent its time. A poll or park in progress counts up to the end of the trace, so that a loop that was
/// cut off during a long poll is not reported as idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunSummary {
    /// Loop time since the run began.
    pub elapsed_ns: Nanos,
    /// Time in polls of tasks.
    pub busy_ns: u64,
    /// Time parked, with no task scheduled.
    pub parked_ns: u64,
    /// Time awake outside of polls: the runtime itself and code that ran between polls.
    pub overhead_ns: u64,
    /// Length of the longest poll.
    pub longest_poll_ns: u64,
}

impl RunSummary {
    /// Summarizes the trace up to its end.
    pub fn of(trace: &Trace) -> Self {
        let counts = trace.counts();
        let now = trace.now();
        let open_poll_ns = open_poll_ns(trace);
        let open_park_ns = if trace.is_parked() {
            now.saturating_sub(trace.loop_lane().last().and_then(Cycle::end).unwrap_or(0))
        } else {
            0
        };
        // Numbers from external apps and files are untrusted.
        let busy_ns = counts.busy_ns.saturating_add(open_poll_ns);
        let parked_ns = counts.parked_ns.saturating_add(open_park_ns);
        Self {
            elapsed_ns: now,
            busy_ns,
            parked_ns,
            overhead_ns: now.saturating_sub(busy_ns).saturating_sub(parked_ns),
            longest_poll_ns: counts.longest_poll_ns.max(open_poll_ns),
        }
    }

    /// Share of the elapsed time, from 0 to 1; 0 if no time has elapsed.
    pub fn share(&self, part_ns: u64) -> f64 {
        if self.elapsed_ns == 0 { 0.0 } else { part_ns as f64 / self.elapsed_ns as f64 }
    }

    /// Loop utilisation, from 0 to 1.
    pub fn busy_share(&self) -> f64 {
        self.share(self.busy_ns)
    }

    /// Share of time parked, from 0 to 1.
    pub fn parked_share(&self) -> f64 {
        self.share(self.parked_ns)
    }

    /// Share of time awake outside of polls, from 0 to 1.
    pub fn overhead_share(&self) -> f64 {
        self.share(self.overhead_ns)
    }
}

/// Time in polls in progress, which the counts include only once they end.
fn open_poll_ns(trace: &Trace) -> u64 {
    // Sampled traces count a poll once it has ended.
    if trace.counts().running == 0 || trace.loop_lane().is_sampled() {
        return 0;
    }
    let running = trace.tasks().iter().filter(|task| trace.state(task.id) == Some(TaskState::Running));
    let running = running.filter(|task| !task.is_off_loop());
    let open = running.filter_map(|task| Some(trace.now().saturating_sub(task.lane.last()?.start)));
    open.fold(0, u64::saturating_add)
}

/// Returns at most `limit` tasks, longest total poll time first; ties by number of wakes, then by age.
pub fn busiest_tasks(trace: &Trace, limit: usize) -> Vec<TaskId> {
    let now = trace.now();
    top_tasks(trace, limit, |task| (task.lane.totals_at(now).busy_ns, task.counts.wakes))
}

/// Returns at most `limit` tasks, most wakes first; ties by age.
pub fn most_woken_tasks(trace: &Trace, limit: usize) -> Vec<TaskId> {
    top_tasks(trace, limit, |task| task.counts.wakes)
}

fn top_tasks<K: Ord>(trace: &Trace, limit: usize, key: impl Fn(&Task) -> K) -> Vec<TaskId> {
    let mut ranked: Vec<_> = trace.tasks().iter().map(|task| (Reverse(key(task)), task.id)).collect();
    ranked.sort_unstable();
    ranked.truncate(limit);
    ranked.into_iter().map(|(_, id)| id).collect()
}
