//! From the machine's clock to loop time: console-subscriber stamps with the one, everybody else speaks the other.
//!
//! The lab notes each break (a park that ended at a later virtual time, a blocking step, a pause and its end); between
//! two breaks loop time stands still or runs at the machine's pace.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::trace::Nanos;

/// From `since` on, loop time was `at`, and moved from there or not.
#[derive(Clone, Copy, Debug)]
struct Break {
    since: Instant,
    at: Nanos,
    runs: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct TimeMap(Mutex<VecDeque<Break>>);

impl TimeMap {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Break>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From `since` on, loop time is `at`. Breaks are noted in order.
    pub fn note(&self, since: Instant, at: Nanos, runs: bool) {
        self.lock().push_back(Break { since, at, runs });
    }

    /// Loop time at `instant`; its beginning for anything earlier.
    pub fn loop_time(&self, instant: Instant) -> Nanos {
        let breaks = self.lock();
        let index = breaks.partition_point(|noted| noted.since <= instant);
        let Some(noted) = index.checked_sub(1).and_then(|index| breaks.get(index)) else {
            return breaks.front().map_or(0, |first| first.at);
        };
        let passed_ns = if noted.runs { instant.duration_since(noted.since).as_nanos() } else { 0 };
        let at = noted.at.saturating_add(u64::try_from(passed_ns).unwrap_or(u64::MAX));
        // A clock that ran up to a break never shows more than the break does.
        breaks.get(index).map_or(at, |next| at.min(next.at))
    }

    /// Nothing before `instant` will be asked for again.
    pub fn forget_before(&self, instant: Instant) {
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
    fn time_stands_between_breaks_of_a_virtual_clock_and_runs_on_a_real_one() {
        let map = TimeMap::default();
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        map.note(start, 0, false);
        map.note(after(10), 5_000, false);
        map.note(after(20), 6_000, true);
        map.note(after(21), 500_000, false);
        for (ms, expected) in [(0, 0), (9, 0), (10, 5_000), (19, 5_000), (20, 6_000), (21, 500_000), (90, 500_000)] {
            assert_eq!(map.loop_time(after(ms)), expected, "after {ms} ms");
        }
        assert_eq!(map.loop_time(after(20) + Duration::from_nanos(7)), 6_007);
        map.forget_before(after(20));
        assert_eq!(map.loop_time(after(15)), 5_000, "the break that still holds is kept");
    }
}
