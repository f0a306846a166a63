//! Maps wire timestamps, from another program's clock that may step, to loop time, which never steps.

use std::cell::RefCell;

use prost_types::Timestamp;
use rustc_hash::FxHashSet;

use crate::trace::Nanos;

/// How far a timestamp may lie past its update, in nanoseconds: statistics are read while the program runs.
const LEAD_MAX_NS: i64 = 10_000_000_000;

/// How far a timestamp may lie before the origin, in nanoseconds: threads of the program report their events a little
/// out of order. Such a timestamp maps to the origin.
const EARLY_MAX_NS: i64 = 1_000_000_000;

/// Number of different odd timestamps that are counted.
const ODD_MAX: usize = 1 << 16;

/// How far the program's clock may gain on the local one between two updates, in nanoseconds, before it counts as a
/// step.
const STEP_MIN_NS: i64 = 30_000_000_000;

/// Nanoseconds since 1970 by the clock of the sending program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireTimestamp(i64);

impl WireTimestamp {
    /// Converts a protobuf timestamp; `None` if it is malformed or outside 1970 to 2262.
    pub fn from_proto(stamp: Option<Timestamp>) -> Option<Self> {
        let Timestamp { seconds, nanos } = stamp?;
        let nanos = i64::from(nanos);
        let is_time = seconds >= 0 && (0..1_000_000_000).contains(&nanos);
        is_time.then(|| seconds.checked_mul(1_000_000_000)?.checked_add(nanos).map(Self)).flatten()
    }

    /// Creates a timestamp from nanoseconds since 1970.
    pub fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Returns nanoseconds since 1970.
    pub fn nanos(self) -> i64 {
        self.0
    }
}

/// Converts wire timestamps to loop time.
pub trait ToLoopTime {
    /// Returns loop time at `stamp`; without a valid timestamp, the latest loop time.
    fn loop_time(&self, stamp: Option<Timestamp>) -> Nanos;
}

/// Loop time of another program: nanoseconds since the earliest time in its first update that describes anything.
///
/// The first update can be empty, and later ones then describe what was created before it. Until then the origin is
/// preliminary and may move to an earlier time, so loop time only moves ahead.
///
/// console-subscriber derives its timestamps from a monotonic clock, so they do not step. But input is untrusted: if
/// the clock is set back, time continues from there; if it runs ahead of the local clock, it is held back. Both count
/// as steps.
#[derive(Debug, Default)]
pub struct WireClock {
    /// Loop time 0 in the program's clock, adjusted for steps.
    origin: Option<i64>,
    /// Whether the origin is the time of an entity. Before that it may still move.
    is_origin_final: bool,
    /// Timestamp of the last update, and the local time of its arrival.
    last: Option<(i64, Option<Nanos>)>,
    now: Nanos,
    steps: u64,
    /// The timestamps that were clamped.
    odd: RefCell<FxHashSet<i64>>,
}

impl WireClock {
    /// Sets the origin of loop time to `earliest`, the earliest time of an entity, unless it is final.
    pub fn set_origin(&mut self, earliest: Option<WireTimestamp>) {
        if let (false, Some(WireTimestamp(earliest))) = (self.is_origin_final, earliest) {
            self.origin = Some(self.origin.map_or(earliest, |preliminary| preliminary.min(earliest)));
            self.is_origin_final = true;
        }
    }

    /// Advances to the timestamp of an update that arrived at local time `arrived`, and returns loop time. It never
    /// goes back. Without `arrived` every step ahead is accepted.
    pub fn advance(&mut self, stamp: Option<Timestamp>, arrived: Option<Nanos>) -> Nanos {
        let Some(WireTimestamp(stamp)) = WireTimestamp::from_proto(stamp) else { return self.now };
        let mut origin = *self.origin.get_or_insert(stamp);
        if let Some((before, arrived_before)) = self.last {
            let passed = stamp.saturating_sub(before);
            let elapsed = arrived.zip(arrived_before).map(|(now, then)| to_i64(now.saturating_sub(then)));
            let ahead = elapsed.map_or(0, |elapsed| passed.saturating_sub(elapsed));
            let step = if passed < 0 {
                passed.saturating_sub(elapsed.unwrap_or(0))
            } else if ahead > STEP_MIN_NS {
                ahead
            } else {
                0
            };
            if step != 0 {
                self.steps += 1;
                origin = origin.saturating_add(step);
            }
        }
        self.origin = Some(origin);
        self.last = Some((stamp, arrived));
        self.now = self.now.max(Nanos::try_from(stamp.saturating_sub(origin)).unwrap_or(0));
        self.now
    }

    /// Returns loop time at `stamp`, at most that of the last update.
    pub fn loop_time_of(&self, stamp: WireTimestamp) -> Nanos {
        let at = stamp.nanos().saturating_sub(self.origin.unwrap_or(0));
        Nanos::try_from(at).unwrap_or(0).min(self.now)
    }

    /// Returns loop time of the last update.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// Returns how often the program's clock stepped.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Returns how many different timestamps lay long before the origin or in the future, and were clamped.
    pub fn clamped_count(&self) -> u64 {
        self.odd.borrow().len() as u64
    }
}

impl ToLoopTime for WireClock {
    fn loop_time(&self, stamp: Option<Timestamp>) -> Nanos {
        let (Some(WireTimestamp(stamp)), Some(origin)) = (WireTimestamp::from_proto(stamp), self.origin) else {
            return self.now;
        };
        let at = stamp.saturating_sub(origin);
        let latest = to_i64(self.now).saturating_add(LEAD_MAX_NS);
        if at < -EARLY_MAX_NS || at > latest {
            // The same timestamp arrives with each update of its entity.
            let mut odd = self.odd.borrow_mut();
            if odd.len() < ODD_MAX {
                odd.insert(stamp);
            }
        }
        if at > latest { self.now } else { Nanos::try_from(at).unwrap_or(0) }
    }
}

fn to_i64(nanos: Nanos) -> i64 {
    i64::try_from(nanos).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn stamp(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos: 0 })
    }

    fn seconds(nanos: Nanos) -> i64 {
        to_i64(nanos) / SECOND
    }

    #[test]
    fn loop_time_starts_at_the_earliest_timestamp() {
        let mut clock = WireClock::default();
        clock.set_origin(WireTimestamp::from_proto(stamp(100)));
        assert_eq!(seconds(clock.advance(stamp(160), Some(0))), 60);
        assert_eq!(seconds(clock.advance(stamp(161), Some(1))), 61);
        assert_eq!((seconds(clock.loop_time(stamp(150))), seconds(clock.loop_time(None))), (50, 61));
        assert_eq!((clock.steps(), clock.clamped_count()), (0, 0));
    }

    #[test]
    fn clock_steps_never_move_loop_time_back() {
        let second = |count: u64| Some(count * 1_000_000_000);
        let mut clock = WireClock::default();
        clock.set_origin(WireTimestamp::from_proto(stamp(1_000)));
        assert_eq!(seconds(clock.advance(stamp(1_010), second(0))), 10);
        assert_eq!(seconds(clock.advance(stamp(500), second(1))), 11, "set back");
        assert_eq!(seconds(clock.advance(stamp(501), second(2))), 12, "and continued from there");
        assert_eq!(seconds(clock.loop_time(stamp(499))), 10, "later timestamps use the new clock");
        assert_eq!(seconds(clock.advance(stamp(90_000), second(3))), 13, "set forward");
        assert_eq!(seconds(clock.advance(stamp(90_001), second(4))), 14);
        assert_eq!((clock.steps(), clock.clamped_count()), (2, 0));
        assert_eq!((seconds(clock.loop_time(stamp(1))), seconds(clock.loop_time(stamp(99_999)))), (0, 14));
        assert_eq!(clock.clamped_count(), 2);
    }

    #[test]
    fn origin_follows_an_empty_first_update() {
        let second = |count: u64| Some(count * 1_000_000_000);
        let mut clock = WireClock::default();
        clock.set_origin(None);
        assert_eq!(seconds(clock.advance(stamp(100), second(0))), 0);
        clock.set_origin(WireTimestamp::from_proto(stamp(98)));
        assert_eq!(seconds(clock.advance(stamp(101), second(1))), 3);
        assert_eq!((seconds(clock.loop_time(stamp(98))), seconds(clock.loop_time(stamp(99)))), (0, 1));
        clock.set_origin(WireTimestamp::from_proto(stamp(97)));
        assert_eq!((seconds(clock.loop_time(stamp(97))), clock.clamped_count()), (0, 0), "a little out of order");
    }

    #[test]
    fn each_odd_timestamp_counts_once() {
        let mut clock = WireClock::default();
        clock.set_origin(WireTimestamp::from_proto(stamp(100)));
        clock.advance(stamp(160), None);
        for _ in 0..5 {
            assert_eq!((seconds(clock.loop_time(stamp(90))), seconds(clock.loop_time(stamp(900)))), (0, 60));
        }
        assert_eq!(clock.clamped_count(), 2);
    }

    #[test]
    fn invalid_timestamps_map_to_now() {
        let mut clock = WireClock::default();
        clock.advance(stamp(5), None);
        for invalid in [(i64::MAX, 0), (i64::MIN, 0), (1, -1), (1, i32::MAX), (-1, 0)] {
            let invalid = Some(Timestamp { seconds: invalid.0, nanos: invalid.1 });
            assert_eq!((clock.loop_time(invalid), clock.advance(invalid, None)), (0, 0));
        }
    }
}
