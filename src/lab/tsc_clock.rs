//! Monotonic time from the processor's time-stamp counter (TSC), calibrated against the system's monotonic clock.
//!
//! Reading the system clock takes two or three times as long as reading the counter. The rate of the counter is
//! measured at the start and again at growing intervals. Each calibration corrects the difference before the next one.
//! Where the machine has no counter with a constant rate, or once the counter deviates too far, the system clock is
//! read instead.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::trace::Nanos;

/// The time to the first calibration after the start. It doubles after each one, up to the maximum.
const FIRST_CALIBRATION_NS: u64 = 4_000_000;
/// The longest time between calibrations.
const CALIBRATION_NS_MAX: u64 = 1_000_000_000;

/// The tolerated difference at a calibration: a thousandth of the time since the last one, plus [`TOLERANCE_NS`].
const TOLERANCE_PARTS: u64 = 1_000;
/// The tolerated difference for a thread that is preempted between reading the two clocks.
const TOLERANCE_NS: u64 = 1_000_000;

/// How far one core's counter may be behind another's, in ticks.
const BEHIND_TICKS: u64 = 4_096;

/// A clock that is ahead runs slower by a hundredth until it is not.
const SLOWDOWN_PARTS: u64 = 100;

/// The counter and the system clock.
pub trait ClockSource {
    /// Returns the counter, which has a constant rate; `None` if there is none.
    fn ticks(&self) -> Option<u64>;
    /// Returns the system's monotonic clock, in nanoseconds since the source was created.
    fn system_ns(&self) -> Nanos;
}

/// The machine's own counter and clock.
#[derive(Debug)]
pub struct SystemClocks {
    start: Instant,
    /// `None` if the processor does not guarantee a constant rate.
    counter: Option<quanta::Clock>,
}

impl SystemClocks {
    /// Measures time from `start`.
    pub fn since(start: Instant) -> Self {
        let clock = quanta::Clock::new();
        // Without a reliable counter this crate reads the system clock under the same name.
        let is_counter = clock.delta_as_nanos(0, 1 << 40) != 1 << 40;
        Self { start, counter: is_counter.then_some(clock) }
    }
}

impl ClockSource for SystemClocks {
    #[inline]
    fn ticks(&self) -> Option<u64> {
        self.counter.as_ref().map(quanta::Clock::raw)
    }

    fn system_ns(&self) -> Nanos {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A monotonic clock that converts a counter to nanoseconds. Any thread may read it.
#[derive(Debug)]
pub struct TscClock<S> {
    source: S,
    /// Whether the counter is in use; false for good once it deviated too far.
    is_tsc_trusted: AtomicBool,
    /// Sequence lock of the next four fields: odd while they are changed.
    version: AtomicU64,
    /// The counter at the last calibration.
    from_ticks: AtomicU64,
    /// The time at the last calibration.
    from_ns: AtomicU64,
    /// Nanoseconds a tick, times 2^32.
    slope: AtomicU64,
    /// Ticks after the last calibration for which the conversion is valid.
    valid_ticks: AtomicU64,
    calibration: Mutex<Calibration>,
}

/// The state between calibrations.
#[derive(Debug)]
struct Calibration {
    /// Counter and system clock at the start.
    first: (u64, Nanos),
    /// Counter and system clock at the last calibration.
    last: (u64, Nanos),
    /// The time to the next calibration.
    interval_ns: u64,
    /// The latest time that was returned before the counter was given up.
    min_ns: Nanos,
}

impl TscClock<SystemClocks> {
    /// Creates a clock that starts at `start`. Takes about half a millisecond; see [`Self::new`].
    pub fn since(start: Instant) -> Self {
        Self::new(SystemClocks::since(start))
    }
}

impl<S: ClockSource> TscClock<S> {
    /// Creates a clock from `source`. Measures the rate of the counter for 500 µs.
    pub fn new(source: S) -> Self {
        const MEASUREMENT: Duration = Duration::from_micros(500);
        let begun = read_both(&source);
        let measured = begun.and_then(|first| {
            loop {
                let last = read_both(&source)?;
                if last.1 >= first.1 + MEASUREMENT.as_nanos() as u64 {
                    return Some((first, last)).filter(|_| last.0 > first.0);
                }
            }
        });
        let (first, last) = measured.unwrap_or_default();
        let clock = Self {
            source,
            is_tsc_trusted: AtomicBool::new(measured.is_some()),
            version: AtomicU64::new(0),
            from_ticks: AtomicU64::new(last.0),
            from_ns: AtomicU64::new(last.1),
            slope: AtomicU64::new(0),
            valid_ticks: AtomicU64::new(0),
            calibration: Mutex::new(Calibration { first, last, interval_ns: FIRST_CALIBRATION_NS, min_ns: 0 }),
        };
        if measured.is_some() {
            let slope = slope_between(first, last);
            clock.slope.store(slope, Ordering::Relaxed);
            clock.valid_ticks.store(ns_to_ticks(FIRST_CALIBRATION_NS, slope), Ordering::Relaxed);
        }
        clock
    }

    /// Returns nanoseconds since the start. Never decreases on one thread.
    #[inline]
    pub fn now(&self) -> Nanos {
        if self.is_tsc_trusted.load(Ordering::Relaxed)
            && let Some(ticks) = self.source.ticks()
            && let Some(now) = self.convert(ticks)
        {
            return now;
        }
        self.calibrate()
    }

    /// Converts `ticks` to time; `None` where the current calibration is not valid.
    #[inline]
    fn convert(&self, ticks: u64) -> Option<Nanos> {
        let version = self.version.load(Ordering::Acquire);
        let from_ticks = self.from_ticks.load(Ordering::Relaxed);
        let from_ns = self.from_ns.load(Ordering::Relaxed);
        let slope = self.slope.load(Ordering::Relaxed);
        let valid_ticks = self.valid_ticks.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        let is_consistent = version & 1 == 0 && self.version.load(Ordering::Relaxed) == version;
        // Another core's counter may be a few ticks behind.
        let passed = ticks.wrapping_sub(from_ticks);
        let passed = if passed.wrapping_neg() <= BEHIND_TICKS { 0 } else { passed };
        (is_consistent && passed < valid_ticks).then(|| from_ns + ticks_to_ns(passed, slope))
    }

    fn lock(&self) -> MutexGuard<'_, Calibration> {
        self.calibration.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calibrates the counter against the system clock and returns the time.
    #[cold]
    fn calibrate(&self) -> Nanos {
        let mut calibration = self.lock();
        let reading = if self.is_tsc_trusted.load(Ordering::Relaxed) { read_both(&self.source) } else { None };
        let Some(read @ (now_ticks, system_ns)) = reading else {
            return self.source.system_ns().max(calibration.min_ns);
        };
        if let Some(now) = self.convert(now_ticks) {
            // Another thread has calibrated in the meantime.
            return now;
        }
        let (from_ticks, from_ns) = (self.from_ticks.load(Ordering::Relaxed), self.from_ns.load(Ordering::Relaxed));
        let (slope_before, valid_ticks) =
            (self.slope.load(Ordering::Relaxed), self.valid_ticks.load(Ordering::Relaxed));
        let counter_ns = from_ns + ticks_to_ns(now_ticks.saturating_sub(from_ticks), slope_before);
        let tolerance_ns = system_ns.saturating_sub(calibration.last.1) / TOLERANCE_PARTS + TOLERANCE_NS;
        if now_ticks <= from_ticks || counter_ns.abs_diff(system_ns) > tolerance_ns {
            // No time after the end of the valid range was ever returned.
            calibration.min_ns = counter_ns.min(from_ns + ticks_to_ns(valid_ticks, slope_before));
            self.is_tsc_trusted.store(false, Ordering::Relaxed);
            return system_ns.max(calibration.min_ns);
        }
        calibration.last = read;
        let true_slope = slope_between(calibration.first, read);
        // Time never steps back: a clock that is behind steps forward, one that is ahead runs slower for a while.
        let from_ns = counter_ns.max(system_ns);
        let early_ns = (from_ns - system_ns).min(calibration.interval_ns / SLOWDOWN_PARTS);
        let slope = scale_by_ratio(true_slope, calibration.interval_ns - early_ns, calibration.interval_ns);
        self.version.fetch_add(1, Ordering::AcqRel);
        self.from_ticks.store(now_ticks, Ordering::Release);
        self.from_ns.store(from_ns, Ordering::Release);
        self.slope.store(slope, Ordering::Release);
        self.valid_ticks.store(ns_to_ticks(calibration.interval_ns, true_slope), Ordering::Release);
        self.version.fetch_add(1, Ordering::Release);
        calibration.interval_ns = (calibration.interval_ns * 2).min(CALIBRATION_NS_MAX);
        from_ns
    }
}

/// Reads counter and system clock as simultaneously as possible: the closest of three tries.
fn read_both(source: &impl ClockSource) -> Option<(u64, Nanos)> {
    const TRIES: usize = 3;
    let mut best: Option<(u64, u64, Nanos)> = None;
    for _ in 0..TRIES {
        let before = source.ticks()?;
        let system_ns = source.system_ns();
        let after = source.ticks()?;
        let between = after.saturating_sub(before);
        if best.is_none_or(|(least, ..)| between < least) {
            best = Some((between, before + between / 2, system_ns));
        }
    }
    best.map(|(_, ticks, system_ns)| (ticks, system_ns))
}

/// Returns the nanoseconds a tick between two readings, times 2^32.
fn slope_between(first: (u64, Nanos), last: (u64, Nanos)) -> u64 {
    let ticks = u128::from(last.0 - first.0).max(1);
    u64::try_from((u128::from(last.1 - first.1) << 32) / ticks).unwrap_or(u64::MAX)
}

#[inline]
fn ticks_to_ns(ticks: u64, slope: u64) -> Nanos {
    ((u128::from(ticks) * u128::from(slope)) >> 32) as u64
}

fn scale_by_ratio(slope: u64, part: u64, whole: u64) -> u64 {
    (u128::from(slope) * u128::from(part) / u128::from(whole.max(1))) as u64
}

/// Returns the number of ticks in `duration_ns`.
fn ns_to_ticks(duration_ns: u64, slope: u64) -> u64 {
    ((u128::from(duration_ns) << 32) / u128::from(slope.max(1))) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Clocks that a test advances. Each reading takes a little time.
    struct MockClock {
        real_ns: Cell<u64>,
        /// Ticks per 1,000 ns from now on.
        ticks_per_1000: Cell<u64>,
        /// Added to the counter.
        offset_ticks: Cell<u64>,
    }

    impl MockClock {
        fn new(ticks_per_1000: u64) -> Self {
            let offset_ticks = Cell::new(7_000_000_000);
            Self { real_ns: Cell::new(50), ticks_per_1000: Cell::new(ticks_per_1000), offset_ticks }
        }

        fn advance(&self, ns: u64) {
            self.real_ns.set(self.real_ns.get() + ns);
        }

        fn counter(&self) -> u64 {
            self.offset_ticks.get() + self.real_ns.get() * self.ticks_per_1000.get() / 1_000
        }
    }

    impl ClockSource for &MockClock {
        fn ticks(&self) -> Option<u64> {
            self.advance(8);
            (self.ticks_per_1000.get() > 0).then(|| self.counter())
        }

        fn system_ns(&self) -> Nanos {
            self.advance(20);
            self.real_ns.get()
        }
    }

    #[track_caller]
    fn assert_near(read_ns: Nanos, mock: &MockClock, tolerance_ns: u64) {
        let real_ns = mock.real_ns.get();
        assert!(read_ns.abs_diff(real_ns) <= tolerance_ns, "read {read_ns} ns at {real_ns} ns");
    }

    #[test]
    fn any_counter_rate_gives_system_time() {
        // From an ARM board's 24 MHz to five ticks a nanosecond.
        for ticks_per_1000 in [24, 1_000, 2_596, 5_000] {
            let mock = MockClock::new(ticks_per_1000);
            let clock = TscClock::new(&mock);
            let mut before = 0;
            for step in 0..10_000 {
                mock.advance([3, 400, 70_000, 12_000_000][step % 4]);
                let now = clock.now();
                assert!(now >= before, "{now} after {before}");
                assert_near(now, &mock, 2_000);
                before = now;
            }
            assert!(clock.is_tsc_trusted.load(Ordering::Relaxed));
        }
    }

    #[test]
    fn stays_accurate_after_an_hour_unread() {
        let mock = MockClock::new(2_596);
        let clock = TscClock::new(&mock);
        mock.advance(3_600_000_000_000);
        let first = clock.now();
        assert_near(first, &mock, 3_600_000_000_000 / TOLERANCE_PARTS);
        (0..1_000).for_each(|_| {
            mock.advance(1_000_000);
            assert!(clock.now() > first);
        });
        assert_near(clock.now(), &mock, 100);
    }

    #[test]
    fn gives_up_on_unreliable_counter() {
        let runs_faster = |mock: &MockClock| {
            mock.offset_ticks.set(mock.counter() - mock.real_ns.get() * 4_000 / 1_000);
            mock.ticks_per_1000.set(4_000);
        };
        let jumps_ahead = |mock: &MockClock| mock.offset_ticks.set(mock.offset_ticks.get() + 60_000_000_000);
        let jumps_back = |mock: &MockClock| mock.offset_ticks.set(mock.offset_ticks.get() - 6_000_000_000);
        for disturb in [&runs_faster as &dyn Fn(&MockClock), &jumps_ahead, &jumps_back] {
            let mock = MockClock::new(2_596);
            let clock = TscClock::new(&mock);
            (0..100).for_each(|_| {
                mock.advance(1_000_000);
                clock.now();
            });
            disturb(&mock);
            let mut before = clock.now();
            for _ in 0..5_000 {
                mock.advance(1_000_000);
                let now = clock.now();
                assert!(now >= before, "{now} after {before}");
                before = now;
            }
            assert!(!clock.is_tsc_trusted.load(Ordering::Relaxed));
            assert_near(before, &mock, 100);
        }
    }

    #[test]
    fn reads_system_clock_without_counter() {
        let mock = MockClock::new(0);
        let clock = TscClock::new(&mock);
        mock.advance(1_000_000_000);
        assert_near(clock.now(), &mock, 0);
    }

    #[test]
    fn machine_counter_agrees_with_its_clock() {
        let start = Instant::now();
        let clock = TscClock::since(start);
        let deadline = start + Duration::from_millis(100);
        while Instant::now() < deadline {
            // The thread may be preempted between two readings, but time must not step back.
            let (before, now, after) = (start.elapsed(), clock.now(), start.elapsed());
            let tolerance = Duration::from_micros(500);
            assert!(Duration::from_nanos(now) + tolerance >= before, "{now} ns is before {before:?}");
            assert!(Duration::from_nanos(now) <= after + tolerance, "{now} ns is after {after:?}");
        }
    }
}
