//! Polls that are long enough to matter to a lint.

use crate::trace::{Await, Nanos, TaskId, WorkerId};

/// A poll that computes without yielding.
#[derive(Clone, Copy, Debug)]
pub struct GreedyPoll {
    /// The task that was polled.
    pub task: TaskId,
    /// Start of the poll.
    pub from: Nanos,
    /// End of the poll, or now if it is still running.
    pub to: Nanos,
}

/// A poll over the blocked-loop threshold, with the calls made in it.
#[derive(Clone, Copy, Debug)]
pub struct LongPoll {
    /// Start of the poll.
    pub from: Nanos,
    /// End of the poll, or now if it is still running.
    pub to: Nanos,
    /// The worker that ran it, if known.
    pub worker: Option<WorkerId>,
    /// Its length without the time in which no data arrived, and without waits for a processor.
    pub observed_ns: u64,
    /// Time in calls that the program declares as computing.
    pub computing_ns: u64,
    /// Time in which the thread may have waited for a processor.
    pub waited_ns: u64,
    /// Number of computing calls.
    pub computing_calls: u64,
    /// Number of blocking calls.
    pub blocking_calls: u64,
    /// The longest blocking call.
    pub longest_call: Option<Await>,
}

impl LongPoll {
    /// Length of the poll.
    pub fn duration_ns(&self) -> u64 {
        self.to - self.from
    }

    /// Time outside of declared computing: blocking calls and undeclared work, at least.
    pub fn blocked_ns(&self) -> u64 {
        self.observed_ns.saturating_sub(self.computing_ns)
    }
}
