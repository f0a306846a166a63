//! Stamps of the wire: the machine's clock of somebody else, which may step, in loop time, which never does.

use std::cell::Cell;

use prost_types::Timestamp;

use crate::trace::Nanos;

/// How much later than the update that tells of it something may have happened: what is told was read while it went on.
const LEAD_MAX_NS: i64 = 10_000_000_000;

/// How much further than our own clock an update's may have come, before it is taken to have stepped.
const STEP_MIN_NS: i64 = 30_000_000_000;

/// Nanoseconds since 1970 by the clock of the program that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(i64);

impl Stamp {
    /// `None` for what is no time at all, or one outside 1970 to 2262.
    pub fn of(stamp: Option<Timestamp>) -> Option<Self> {
        let Timestamp { seconds, nanos } = stamp?;
        let nanos = i64::from(nanos);
        let is_time = seconds >= 0 && (0..1_000_000_000).contains(&nanos);
        is_time.then(|| seconds.checked_mul(1_000_000_000)?.checked_add(nanos).map(Self)).flatten()
    }

    pub fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    pub fn nanos(self) -> i64 {
        self.0
    }
}

/// Says stamps in loop time.
pub trait Times {
    /// Loop time at `stamp`; where there is none, loop time as far as it has come.
    fn at(&self, stamp: Option<Timestamp>) -> Nanos;
}

/// Loop time of a program that is not ours: nanoseconds since the earliest moment that its first update tells of.
///
/// console-subscriber says times of a monotonic clock, so they do not step while it runs; but what arrives here is
/// whatever somebody sent. A clock that is set back is followed from where it is set to, one that runs ahead of ours is
/// held back, and both are counted.
#[derive(Debug, Default)]
pub struct Stamps {
    /// What counts as loop time 0, in the program's clock, steps taken into account.
    origin: Option<i64>,
    /// The last update's own stamp, and ours when it came.
    last: Option<(i64, Option<Nanos>)>,
    now: Nanos,
    steps: u64,
    strays: Cell<u64>,
}

impl Stamps {
    /// Loop time begins at `earliest`, if it has not begun.
    pub fn begin(&mut self, earliest: Option<Stamp>) {
        if let (None, Some(Stamp(earliest))) = (self.origin, earliest) {
            self.origin = Some(earliest);
        }
    }

    /// Takes the stamp of an update that came when our own clock said `arrived`, and gives loop time, which moves on or
    /// stands. Without a clock of our own every step ahead is believed.
    pub fn advance(&mut self, stamp: Option<Timestamp>, arrived: Option<Nanos>) -> Nanos {
        let Some(Stamp(stamp)) = Stamp::of(stamp) else { return self.now };
        let mut origin = *self.origin.get_or_insert(stamp);
        if let Some((before, arrived_before)) = self.last {
            let passed = stamp.saturating_sub(before);
            let ours = arrived.zip(arrived_before).map(|(now, then)| clamped(now.saturating_sub(then)));
            let ahead = ours.map_or(0, |ours| passed.saturating_sub(ours));
            let step = if passed < 0 {
                passed.saturating_sub(ours.unwrap_or(0))
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

    /// Loop time of the last update.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// How often the program's clock stepped.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// How many stamps lay before the beginning or in the future, and were said to be the nearest time that can be.
    pub fn strays(&self) -> u64 {
        self.strays.get()
    }
}

impl Times for Stamps {
    fn at(&self, stamp: Option<Timestamp>) -> Nanos {
        let (Some(Stamp(stamp)), Some(origin)) = (Stamp::of(stamp), self.origin) else { return self.now };
        let at = stamp.saturating_sub(origin);
        let latest = clamped(self.now).saturating_add(LEAD_MAX_NS);
        if at < 0 || at > latest {
            self.strays.set(self.strays.get() + 1);
        }
        if at > latest { self.now } else { Nanos::try_from(at).unwrap_or(0) }
    }
}

fn clamped(nanos: Nanos) -> i64 {
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
        clamped(nanos) / SECOND
    }

    #[test]
    fn time_begins_with_the_earliest_moment_and_goes_on() {
        let mut stamps = Stamps::default();
        stamps.begin(Stamp::of(stamp(100)));
        assert_eq!(seconds(stamps.advance(stamp(160), Some(0))), 60);
        assert_eq!(seconds(stamps.advance(stamp(161), Some(1))), 61);
        assert_eq!((seconds(stamps.at(stamp(150))), seconds(stamps.at(None))), (50, 61));
        assert_eq!((stamps.steps(), stamps.strays()), (0, 0));
    }

    #[test]
    fn a_clock_that_steps_never_moves_time_back_nor_makes_a_hole() {
        let second = |count: u64| Some(count * 1_000_000_000);
        let mut stamps = Stamps::default();
        stamps.begin(Stamp::of(stamp(1_000)));
        assert_eq!(seconds(stamps.advance(stamp(1_010), second(0))), 10);
        assert_eq!(seconds(stamps.advance(stamp(500), second(1))), 11, "set back");
        assert_eq!(seconds(stamps.advance(stamp(501), second(2))), 12, "and followed from there");
        assert_eq!(seconds(stamps.at(stamp(499))), 10, "what happened since is told by the new clock");
        assert_eq!(seconds(stamps.advance(stamp(90_000), second(3))), 13, "set forward");
        assert_eq!(seconds(stamps.advance(stamp(90_001), second(4))), 14);
        assert_eq!((stamps.steps(), stamps.strays()), (2, 0));
        assert_eq!((seconds(stamps.at(stamp(1))), seconds(stamps.at(stamp(99_999)))), (0, 14));
        assert_eq!(stamps.strays(), 2);
    }

    #[test]
    fn what_is_no_time_is_now() {
        let mut stamps = Stamps::default();
        stamps.advance(stamp(5), None);
        for nonsense in [(i64::MAX, 0), (i64::MIN, 0), (1, -1), (1, i32::MAX), (-1, 0)] {
            let nonsense = Some(Timestamp { seconds: nonsense.0, nanos: nonsense.1 });
            assert_eq!((stamps.at(nonsense), stamps.advance(nonsense, None)), (0, 0));
        }
    }
}
