//! Summary of a run: how the loop spent its time, and the tasks that used most of it.

use std::cmp::Reverse;

use crate::trace::{Cycle, Nanos, Task, TaskId, TaskState, Trace, Worker, WorkerId, WorkerTotals};

/// How the loop spent its time: the sum over its workers where they are known. A poll or park in progress counts up to
/// the end of the trace, so that a loop that was cut off during a long poll is not reported as idle.
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
    /// Number of polls.
    pub polls: u64,
    /// Time that the workers had together; the elapsed time where they are not known.
    pub available_ns: Nanos,
}

/// Sampled depths of a queue of the runtime, up to the end of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSummary {
    /// Number of tasks in it at the last sample.
    pub depth: u32,
    /// Maximum number of tasks in it at any sample.
    pub max_depth: u32,
}

impl QueueSummary {
    /// Summarizes the local queue of `worker`, or else the global queues of all runtimes together. `None` if it was not
    /// sampled.
    pub fn of(trace: &Trace, worker: Option<WorkerId>) -> Option<Self> {
        let (depth, max_depth) = (trace.queue_depth_at(worker, Nanos::MAX)?, trace.max_queue_depth(worker)?);
        Some(Self { depth, max_depth })
    }
}

/// What one worker did, up to the end of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSummary {
    /// Number of the worker, from 0.
    pub index: usize,
    /// Name of its thread.
    pub name: String,
    /// Time in polls.
    pub busy_ns: u64,
    /// Time parked.
    pub parked_ns: u64,
    /// Number of polls.
    pub polls: u64,
    /// Its local queue, if that was sampled.
    pub queue: Option<QueueSummary>,
}

impl WorkerSummary {
    /// Summarizes every worker, in order. Our own loop is one worker; the workers of an external app may not be known.
    pub fn all(trace: &Trace) -> Vec<Self> {
        if trace.workers().is_empty() && !trace.is_external() {
            let RunSummary { busy_ns, parked_ns, polls, .. } = RunSummary::of(trace);
            return vec![Self { index: 0, name: "loop".to_owned(), busy_ns, parked_ns, polls, queue: None }];
        }
        let summarize = |worker: &Worker| {
            let WorkerTotals { busy_ns, parked_ns, polls, .. } = worker.totals_at(trace.now());
            let queue = QueueSummary::of(trace, Some(worker.id));
            Self { index: worker.id.index(), name: worker.name().into_owned(), busy_ns, parked_ns, polls, queue }
        };
        trace.workers().iter().map(summarize).collect()
    }
}

impl RunSummary {
    /// Summarizes the trace up to its end.
    pub fn of(trace: &Trace) -> Self {
        if !trace.workers().is_empty() {
            return Self::of_workers(trace);
        }
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
            polls: counts.polls,
            available_ns: now,
        }
    }

    /// Sums up the workers. Polls on other threads, such as those of `block_on` futures, are not included.
    fn of_workers(trace: &Trace) -> Self {
        let now = trace.now();
        let open_poll_ns = |worker: &Worker| {
            let newest = worker.cycles().next_back().filter(|cycle| cycle.polled_task().is_some());
            newest.filter(|poll| poll.end().is_none()).map_or(0, |poll| now.saturating_sub(poll.start))
        };
        let longest_open_ns = trace.workers().iter().map(open_poll_ns).max().unwrap_or(0);
        let empty = Self {
            elapsed_ns: now,
            busy_ns: 0,
            parked_ns: 0,
            overhead_ns: 0,
            longest_poll_ns: trace.counts().longest_poll_ns.max(longest_open_ns),
            polls: 0,
            available_ns: 0,
        };
        // Numbers from files are untrusted.
        trace.workers().iter().fold(empty, |sum, worker| {
            let totals = worker.totals_at(now);
            Self {
                busy_ns: sum.busy_ns.saturating_add(totals.busy_ns),
                parked_ns: sum.parked_ns.saturating_add(totals.parked_ns),
                overhead_ns: sum.overhead_ns.saturating_add(totals.runtime_ns),
                polls: sum.polls.saturating_add(totals.polls),
                available_ns: sum.available_ns.saturating_add(now.saturating_sub(worker.known_since())),
                ..sum
            }
        })
    }

    /// Share of the available time, from 0 to 1; 0 if no time has elapsed.
    pub fn share(&self, part_ns: u64) -> f64 {
        if self.available_ns == 0 { 0.0 } else { part_ns as f64 / self.available_ns as f64 }
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
