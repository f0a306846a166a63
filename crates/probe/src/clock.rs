//! Time: ticks of the processor since the base of the stream.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

static CLOCK: OnceLock<Clock> = OnceLock::new();

/// Clock of the process, and the base of the stream.
struct Clock {
    clock: quanta::Clock,
    base: u64,
    base_monotonic_ns: u64,
    base_unix_ns: u64,
}

impl Clock {
    fn new() -> Self {
        let clock = quanta::Clock::new();
        Self { base: clock.raw(), base_monotonic_ns: monotonic_ns(), base_unix_ns: unix_ns(), clock }
    }
}

/// Sets the base of the stream at the first call. This takes about a millisecond, for the calibration.
pub(crate) fn start() {
    CLOCK.get_or_init(Clock::new);
}

/// Returns the ticks since the base of the stream.
#[inline]
pub(crate) fn ticks() -> u64 {
    let clock = CLOCK.get_or_init(Clock::new);
    // Other threads' counters may be behind by some ticks.
    clock.clock.raw().saturating_sub(clock.base)
}

/// Returns the nanoseconds of the monotonic clock.
pub(crate) fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Returns the nanoseconds since 1970.
pub(crate) fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the time of the base in nanoseconds: since 1970, and of the monotonic clock.
pub(crate) fn base() -> (u64, u64) {
    let clock = CLOCK.get_or_init(Clock::new);
    (clock.base_unix_ns, clock.base_monotonic_ns)
}

/// Returns the ticks per second, as calibrated at the start.
pub(crate) fn ticks_per_second() -> u64 {
    const SAMPLE: u64 = 1 << 32;
    let ns = CLOCK.get_or_init(Clock::new).clock.delta_as_nanos(0, SAMPLE).max(1);
    u64::try_from(u128::from(SAMPLE) * 1_000_000_000 / u128::from(ns)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_follow_the_monotonic_clock() {
        let (ticks_before, ns_before) = (ticks(), monotonic_ns());
        while monotonic_ns() < ns_before + 20_000_000 {}
        let (elapsed, elapsed_ns) = (ticks() - ticks_before, monotonic_ns() - ns_before);
        let expected = u128::from(elapsed) * 1_000_000_000 / u128::from(ticks_per_second());
        let error = expected.abs_diff(u128::from(elapsed_ns));
        assert!(error < u128::from(elapsed_ns) / 20, "{expected} instead of {elapsed_ns}");
    }
}
