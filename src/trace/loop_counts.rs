//! Totals over the whole loop.

use serde::{Deserialize, Serialize};

/// Numbers of the program's tasks by state. Workers, `block_on` futures and blocking closures are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskStateCounts {
    /// Tasks that were spawned.
    pub spawned: u64,
    /// Tasks that are being polled now.
    pub running: u32,
    /// Tasks that are ready to be polled now and are not held.
    pub scheduled: u32,
    /// Tasks that wait for a wake now and are not held.
    pub waiting: u32,
    /// Tasks that the user holds and that are not being polled now.
    pub held: u32,
    /// Tasks that ran to completion.
    pub completed: u32,
    /// Tasks that were cancelled.
    pub cancelled: u32,
    /// Tasks that panicked or returned an error.
    pub failed: u32,
}

/// Totals over the whole loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopCounts {
    /// Polls of all tasks.
    pub polls: u64,
    /// Wakes of all tasks.
    pub wakes: u64,
    /// Number of times the loop, or one of its workers, parked.
    pub parks: u64,
    /// Number of turns: a turn is what runs between two parks.
    pub turns: u64,
    /// Time spent in polls on the loop, in nanoseconds.
    pub busy_ns: u64,
    /// Time spent parked, in nanoseconds.
    pub parked_ns: u64,
    /// Length of the longest poll on the loop, in nanoseconds.
    pub longest_poll_ns: u64,
    /// Tasks that are being polled now.
    pub running: u32,
    /// Tasks that are ready to be polled now.
    pub scheduled: u32,
    /// Tasks that wait for a wake now.
    pub waiting: u32,
    /// Tasks that ran to completion.
    pub completed: u32,
    /// Tasks that were cancelled.
    pub cancelled: u32,
    /// Tasks that panicked or returned an error.
    pub failed: u32,
    /// Events that were applied to the trace.
    pub events: u64,
}
