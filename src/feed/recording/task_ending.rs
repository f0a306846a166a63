//! Decides how a task ended.
//!
//! A recording shows no outcome: tracing enters the span of a task once more to drop its future, whether that returned,
//! panicked or was aborted. A future that returned is dropped by the next thing that its thread does. One that is
//! aborted waits at that time, or was never polled.

use crate::trace::{Nanos, TaskOutcome};

/// Longest time between the last poll of a future that returned and its drop, unless its thread is preempted: 100 µs in
/// nanoseconds.
const RETURNED_MAX_NS: u64 = 100_000;

/// Shortest time between the last poll of a future and its drop from which on it waited: 100 ms in nanoseconds. A thread
/// that is ready to run is not kept from it for so long.
const WAITED_MIN_NS: u64 = 100_000_000;

/// What the lines of a task show about its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskEnding {
    /// Enters of its span. The last one drops its future.
    enters: u64,
    /// Loop time of its last exit, and number of that line.
    exited: (Nanos, u64),
    /// Time between its last enter and the exit before.
    idle_ns: u64,
    /// No line came between these two.
    is_uninterrupted: bool,
    /// A clone of its waker was dropped since its last enter.
    has_dropped_waker: bool,
    /// It was woken before.
    was_woken: bool,
}

impl TaskEnding {
    /// Records an enter in line number `line`.
    pub fn enter(&mut self, at: Nanos, line: u64) {
        self.enters += 1;
        self.idle_ns = at.saturating_sub(self.exited.0);
        self.is_uninterrupted = self.exited.1 + 1 == line;
        self.has_dropped_waker = false;
    }

    /// Records an exit in line number `line`.
    pub fn exit(&mut self, at: Nanos, line: u64) {
        self.exited = (at, line);
    }

    /// Records a wake.
    pub fn wake(&mut self) {
        self.was_woken = true;
    }

    /// Whether its wakes are recorded, as far as that shows: it was woken, or polled at most once.
    pub fn has_wakes(&self) -> bool {
        self.was_woken || self.enters <= 2
    }

    /// Records that a clone of its waker was dropped.
    pub fn waker_dropped(&mut self) {
        self.has_dropped_waker = true;
    }

    /// Returns the outcome of the task, whose span was closed now. `has_workers` states that tasks are polled by several
    /// threads, `is_multi_threaded` that lines of other threads may come in between.
    pub fn outcome(&self, is_multi_threaded: bool, has_workers: bool) -> TaskOutcome {
        match self {
            // Its only enter dropped it.
            Self { enters: 0 | 1, .. } => TaskOutcome::Cancelled,
            Self { is_uninterrupted: true, .. } if !has_workers => TaskOutcome::Completed,
            _ if !is_multi_threaded => TaskOutcome::Cancelled,
            Self { idle_ns, .. } if *idle_ns >= WAITED_MIN_NS => TaskOutcome::Cancelled,
            // A waker that is dropped with the future is that of a wait.
            Self { idle_ns, has_dropped_waker: false, .. } if *idle_ns <= RETURNED_MAX_NS => TaskOutcome::Completed,
            _ => TaskOutcome::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the outcome of a task that was polled once, and dropped `idle_ns` later.
    fn outcome(idle_ns: u64, drops_waker: bool, is_multi_threaded: bool, has_workers: bool) -> TaskOutcome {
        let mut ending = TaskEnding::default();
        ending.enter(1_000, 1);
        ending.exit(2_000, 3);
        ending.enter(2_000 + idle_ns, if idle_ns == 0 { 4 } else { 9 });
        if drops_waker {
            ending.waker_dropped();
        }
        ending.exit(3_000 + idle_ns, 20);
        ending.outcome(is_multi_threaded, has_workers)
    }

    #[test]
    fn unpolled_task_was_aborted() {
        let mut ending = TaskEnding::default();
        ending.enter(1_000, 1);
        ending.exit(2_000, 2);
        assert_eq!(ending.outcome(true, true), TaskOutcome::Cancelled);
    }

    #[test]
    fn dropped_at_once_is_completed() {
        assert_eq!(outcome(0, false, false, false), TaskOutcome::Completed);
        assert_eq!(outcome(0, false, true, true), TaskOutcome::Completed);
        assert_eq!(outcome(0, true, true, true), TaskOutcome::Unknown, "it was dropped with a waker");
        assert_eq!(outcome(5_000, false, false, false), TaskOutcome::Cancelled, "the only thread did something else");
    }

    #[test]
    fn dropped_later_is_cancelled_or_unknown() {
        assert_eq!(outcome(200_000_000, false, true, true), TaskOutcome::Cancelled);
        assert_eq!(outcome(5_000_000, false, true, true), TaskOutcome::Unknown, "its thread may have been preempted");
        assert_eq!(outcome(5_000_000, false, true, false), TaskOutcome::Unknown);
    }
}
