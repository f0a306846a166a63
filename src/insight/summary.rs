//! The run in a few numbers: how the loop spent its time, and which tasks it spent it on.

use std::cmp::Reverse;

use crate::trace::{Cycle, Nanos, State, Task, TaskId, Trace};

/// How the loop spent its time. What is under way at the newest end of the trace is counted up to there, so that a
/// loop that was cut off in the middle of a long poll is not reported as idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Loop time since the run began.
    pub elapsed_ns: Nanos,
    /// Inside the polls of tasks.
    pub busy_ns: u64,
    /// Nothing was ready.
    pub parked_ns: u64,
    /// Awake, but in no task's poll: the runtime's own work and whatever ran between polls.
    pub overhead_ns: u64,
    pub longest_poll_ns: u64,
}

impl Summary {
    pub fn of(trace: &Trace) -> Self {
        let counts = trace.counts();
        let now = trace.now();
        let open_poll_ns = open_poll_ns(trace);
        let open_park_ns = if trace.is_parked() {
            now.saturating_sub(trace.loop_lane().last().and_then(Cycle::end).unwrap_or(0))
        } else {
            0
        };
        // Somebody else's numbers, and those of a file, may be any.
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

    /// The part of the elapsed time that `part_ns` is, from 0 to 1; 0 for a run that took no time.
    pub fn share(&self, part_ns: u64) -> f64 {
        if self.elapsed_ns == 0 { 0.0 } else { part_ns as f64 / self.elapsed_ns as f64 }
    }

    /// Loop utilisation, from 0 to 1.
    pub fn busy_share(&self) -> f64 {
        self.share(self.busy_ns)
    }

    pub fn parked_share(&self) -> f64 {
        self.share(self.parked_ns)
    }

    pub fn overhead_share(&self) -> f64 {
        self.share(self.overhead_ns)
    }
}

/// Time in the poll under way, which the counts have only once it ends.
fn open_poll_ns(trace: &Trace) -> u64 {
    // Where there are only measures, a poll counts once it has ended.
    if trace.counts().running == 0 || trace.loop_lane().is_measured() {
        return 0;
    }
    let running = trace.tasks().iter().filter(|task| trace.state(task.id) == Some(State::Running));
    let running = running.filter(|task| !task.is_beside_the_loop());
    let open = running.filter_map(|task| Some(trace.now().saturating_sub(task.lane.last()?.start)));
    open.fold(0, u64::saturating_add)
}

/// At most `limit` tasks, those first that kept the loop busy longest; of equals the one woken more often, then the
/// older one.
pub fn busiest(trace: &Trace, limit: usize) -> Vec<TaskId> {
    let now = trace.now();
    top(trace, limit, |task| (task.lane.totals_at(now).busy_ns, task.counts.wakes))
}

/// At most `limit` tasks, those first that were woken most; of equals the older one.
pub fn most_woken(trace: &Trace, limit: usize) -> Vec<TaskId> {
    top(trace, limit, |task| task.counts.wakes)
}

fn top<K: Ord>(trace: &Trace, limit: usize, key: impl Fn(&Task) -> K) -> Vec<TaskId> {
    let mut ranked: Vec<_> = trace.tasks().iter().map(|task| (Reverse(key(task)), task.id)).collect();
    ranked.sort_unstable();
    ranked.truncate(limit);
    ranked.into_iter().map(|(_, id)| id).collect()
}
