//! The timers that are set, in loop time: the next one limits pacing and is shown on the screen.
//!
//! tokio does not expose its timers, so every timer of the loop is registered here as well.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::trace::Nanos;

/// A timer that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerEntry {
    due: Nanos,
    number: u64,
}

/// The timers that are set, by due time.
#[derive(Debug, Default)]
pub struct TimerRegistry(Mutex<TimerSet>);

#[derive(Debug, Default)]
struct TimerSet {
    timers: BTreeSet<TimerEntry>,
    count: u64,
}

impl TimerRegistry {
    fn lock(&self) -> MutexGuard<'_, TimerSet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a timer that is due at `due`.
    pub fn register(&self, due: Nanos) -> TimerEntry {
        let mut set = self.lock();
        set.count += 1;
        let timer = TimerEntry { due, number: set.count };
        set.timers.insert(timer);
        timer
    }

    /// Removes a timer.
    pub fn remove(&self, timer: TimerEntry) {
        self.lock().timers.remove(&timer);
    }

    /// Returns whether no timer is set.
    pub fn is_empty(&self) -> bool {
        self.lock().timers.is_empty()
    }

    /// Returns when the earliest timer after `now` is due. A timer that is due has fired already, but stays registered
    /// until its task is polled, which a hold can delay.
    pub fn next_due(&self, now: Nanos) -> Option<Nanos> {
        let after = TimerEntry { due: now.saturating_add(1), number: 0 };
        self.lock().timers.range(after..).next().map(|timer| timer.due)
    }
}
