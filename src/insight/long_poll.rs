//! Polls that are long enough to matter to a lint.

use crate::trace::{Await, Nanos, TaskId};

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
    /// Time in which no data arrived: the app may have been stopped.
    pub unobserved_ns: u64,
}

impl LongPoll {
    /// Length of the poll.
    pub fn duration_ns(&self) -> u64 {
        self.to - self.from
    }

    /// Time outside of declared computing: blocking calls and undeclared work, at least. Leaves out time without data and
    /// waits for a processor.
    pub fn blocked_ns(&self) -> u64 {
        let unblocked_ns = [self.computing_ns, self.unobserved_ns, self.waited_ns];
        unblocked_ns.into_iter().fold(self.duration_ns(), u64::saturating_sub)
    }
}
