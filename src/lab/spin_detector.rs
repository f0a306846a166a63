//! Detects that a virtual clock cannot go on, because tasks are always ready.
//!
//! A virtual clock advances when the loop is idle. Tasks that only yield, or wake each other without end, keep it from
//! being idle, and no timer would ever fire.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::trace::Nanos;

/// Number of consecutive polls, at one time, that end with a yield, after which time passes.
const YIELDS_MAX: u64 = 1_000;

/// Number of polls at one time after which time passes, whatever they do.
const POLLS_MAX: u64 = 10_000_000;

/// Counts the polls at one time. Only the loop thread uses it.
#[derive(Debug, Default)]
pub struct SpinDetector {
    /// The current poll yields.
    has_yielded: AtomicBool,
    at: AtomicU64,
    yields: AtomicU64,
    polls: AtomicU64,
}

impl SpinDetector {
    /// Records that the current poll yields.
    pub fn mark_yield(&self) {
        self.has_yielded.store(true, Ordering::Relaxed);
    }

    /// Counts the end of a poll at loop time `now`. Returns whether time should pass.
    #[inline]
    pub fn count_poll(&self, now: Nanos) -> bool {
        let has_yielded = self.has_yielded.load(Ordering::Relaxed);
        self.has_yielded.store(false, Ordering::Relaxed);
        if self.at.load(Ordering::Relaxed) != now {
            self.at.store(now, Ordering::Relaxed);
            self.reset();
        }
        let polls = self.polls.load(Ordering::Relaxed) + 1;
        let yields = if has_yielded { self.yields.load(Ordering::Relaxed) + 1 } else { 0 };
        self.polls.store(polls, Ordering::Relaxed);
        self.yields.store(yields, Ordering::Relaxed);
        let is_due = yields >= YIELDS_MAX || polls >= POLLS_MAX;
        if is_due {
            self.reset();
        }
        is_due
    }

    fn reset(&self) {
        self.yields.store(0, Ordering::Relaxed);
        self.polls.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_consecutive_yields_let_time_pass() {
        let detector = SpinDetector::default();
        let poll = |yields: bool, now| {
            if yields {
                detector.mark_yield();
            }
            detector.count_poll(now)
        };
        assert!((1..YIELDS_MAX).all(|_| !poll(true, 5)));
        assert!(poll(true, 5), "the last one");
        assert!((1..YIELDS_MAX).all(|_| !poll(true, 5)));
        assert!(!poll(false, 5), "a poll that does something else");
        assert!((1..YIELDS_MAX).all(|_| !poll(true, 5)));
        assert!(!poll(true, 6), "time has passed");
    }
}
