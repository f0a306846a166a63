//! Maps the machine's clock, which console-subscriber uses, to loop time, which everything else uses.
//!
//! The lab records each break: a park that ended at a later virtual time, a blocking step, a pause and its end.
//! Between two breaks loop time stands still or runs at the machine's rate.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::trace::Nanos;

/// Loop time was `at` at `since`, and runs from there or stands still.
#[derive(Clone, Copy, Debug)]
struct TimeBreak {
    since: Instant,
    at: Nanos,
    is_running: bool,
}

/// Maps instants to loop time, shared between the loop thread and the decoder.
#[derive(Debug, Default)]
pub struct TimeMap(Mutex<VecDeque<TimeBreak>>);

impl TimeMap {
    fn lock(&self) -> MutexGuard<'_, VecDeque<TimeBreak>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that loop time is `at` at `since`. Breaks must be recorded in order.
    pub fn push_break(&self, since: Instant, at: Nanos, is_running: bool) {
        self.lock().push_back(TimeBreak { since, at, is_running });
    }

    /// Returns loop time at `instant`, at the earliest that of the first break.
    pub fn loop_time(&self, instant: Instant) -> Nanos {
        let breaks = self.lock();
        let index = breaks.partition_point(|last_break| last_break.since <= instant);
        let Some(last_break) = index.checked_sub(1).and_then(|index| breaks.get(index)) else {
            return breaks.front().map_or(0, |first| first.at);
        };
        let passed_ns = if last_break.is_running { instant.duration_since(last_break.since).as_nanos() } else { 0 };
        let at = last_break.at.saturating_add(u64::try_from(passed_ns).unwrap_or(u64::MAX));
        // A clock that runs up to a break never passes it.
        breaks.get(index).map_or(at, |next| at.min(next.at))
    }

    /// Evicts breaks that are only needed for times before `instant`.
    pub fn evict_before(&self, instant: Instant) {
        let mut breaks = self.lock();
        while breaks.get(1).is_some_and(|second| second.since < instant) {
            breaks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn time_stands_or_runs_between_breaks() {
        let map = TimeMap::default();
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        map.push_break(start, 0, false);
        map.push_break(after(10), 5_000, false);
        map.push_break(after(20), 6_000, true);
        map.push_break(after(21), 500_000, false);
        for (ms, expected) in [(0, 0), (9, 0), (10, 5_000), (19, 5_000), (20, 6_000), (21, 500_000), (90, 500_000)] {
            assert_eq!(map.loop_time(after(ms)), expected, "after {ms} ms");
        }
        assert_eq!(map.loop_time(after(20) + Duration::from_nanos(7)), 6_007);
        map.evict_before(after(20));
        assert_eq!(map.loop_time(after(15)), 5_000, "the current break is not evicted");
    }
}
