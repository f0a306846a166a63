//! Monotonic time, cheaply: the processor's time-stamp counter, held against the system's monotonic clock.
//!
//! Asking the system takes two or three times as long as reading the counter. How fast the counter ticks is learnt from
//! the system's clock and learnt again ever so often, over ever longer stretches, and what the two came apart is made up
//! for before the next look. Where the machine has no counter that ticks evenly, and from the moment one is caught
//! telling another time, the system's clock is asked instead.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::trace::Nanos;

/// The first look at the system's clock comes after so long; each next one after twice the time, up to the last.
const FIRST_LOOK_NS: u64 = 4_000_000;
const LOOK_NS_MAX: u64 = 1_000_000_000;

/// How far the two clocks may be apart at a look: so much of the time since the last, and the time that a thread may be
/// kept from running between reading the one and the other.
const APART_PARTS: u64 = 1_000;
const APART_NS: u64 = 1_000_000;

/// How far one core's counter may be behind another's.
const BEHIND_TICKS: u64 = 4_096;

/// A clock that is early goes slower by so much of the time, until it is not.
const SLOWER_PARTS: u64 = 100;

/// Where time is read.
pub trait Source {
    /// The counter now, which ticks evenly; `None` where there is none.
    fn ticks(&self) -> Option<u64>;
    /// The system's monotonic clock: nanoseconds since this source was made.
    fn system_ns(&self) -> Nanos;
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct Machine {
    start: Instant,
    /// Absent where the processor does not promise that its counter ticks evenly.
    counter: Option<quanta::Clock>,
}

impl Machine {
    /// Time that begins at `start`.
    pub fn since(start: Instant) -> Self {
        let clock = quanta::Clock::new();
        // Where there is no counter that can be trusted, this crate reads the system's clock under the same name.
        let is_counter = clock.delta_as_nanos(0, 1 << 40) != 1 << 40;
        Self { start, counter: is_counter.then_some(clock) }
    }
}

impl Source for Machine {
    #[inline]
    fn ticks(&self) -> Option<u64> {
        self.counter.as_ref().map(quanta::Clock::raw)
    }

    fn system_ns(&self) -> Nanos {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A counter turned into time. See the module.
#[derive(Debug)]
pub struct Pace<S> {
    source: S,
    /// The counter is believed.
    is_fast: AtomicBool,
    /// Odd while the line is being changed.
    version: AtomicU64,
    /// The line from ticks to time that holds now: through this point, at `slope` / 2^32 nanoseconds a tick, as far as
    /// `valid_ticks` from there.
    from_ticks: AtomicU64,
    from_ns: AtomicU64,
    slope: AtomicU64,
    valid_ticks: AtomicU64,
    looks: Mutex<Looks>,
}

/// What was seen at the looks so far.
#[derive(Debug)]
struct Looks {
    first: (u64, Nanos),
    last: (u64, Nanos),
    /// The time to the next.
    next_ns: u64,
    /// The latest time that was told before the counter was found out.
    floor_ns: Nanos,
}

impl Pace<Machine> {
    pub fn since(start: Instant) -> Self {
        Self::new(Machine::since(start))
    }
}

impl<S: Source> Pace<S> {
    /// Learns how fast the counter ticks, for about a millisecond.
    pub fn new(source: S) -> Self {
        const LEARN: Duration = Duration::from_micros(500);
        let begun = read_both(&source);
        let learnt = begun.and_then(|first| {
            loop {
                let last = read_both(&source)?;
                if last.1 >= first.1 + LEARN.as_nanos() as u64 {
                    return Some((first, last)).filter(|_| last.0 > first.0);
                }
            }
        });
        let (first, last) = learnt.unwrap_or_default();
        let pace = Self {
            source,
            is_fast: AtomicBool::new(learnt.is_some()),
            version: AtomicU64::new(0),
            from_ticks: AtomicU64::new(last.0),
            from_ns: AtomicU64::new(last.1),
            slope: AtomicU64::new(0),
            valid_ticks: AtomicU64::new(0),
            looks: Mutex::new(Looks { first, last, next_ns: FIRST_LOOK_NS, floor_ns: 0 }),
        };
        if learnt.is_some() {
            let slope = slope(first, last);
            pace.slope.store(slope, Ordering::Relaxed);
            pace.valid_ticks.store(ticks(FIRST_LOOK_NS, slope), Ordering::Relaxed);
        }
        pace
    }

    /// Nanoseconds since the beginning, never fewer than on this thread before.
    #[inline]
    pub fn now(&self) -> Nanos {
        if self.is_fast.load(Ordering::Relaxed)
            && let Some(ticks) = self.source.ticks()
            && let Some(now) = self.on_line(ticks)
        {
            return now;
        }
        self.look()
    }

    /// The time at `ticks`, as far as the line holds.
    #[inline]
    fn on_line(&self, ticks: u64) -> Option<Nanos> {
        let version = self.version.load(Ordering::Acquire);
        let from_ticks = self.from_ticks.load(Ordering::Relaxed);
        let from_ns = self.from_ns.load(Ordering::Relaxed);
        let slope = self.slope.load(Ordering::Relaxed);
        let valid_ticks = self.valid_ticks.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        let is_whole = version & 1 == 0 && self.version.load(Ordering::Relaxed) == version;
        // Another core's counter may be a few ticks behind.
        let passed = ticks.wrapping_sub(from_ticks);
        let passed = if passed.wrapping_neg() <= BEHIND_TICKS { 0 } else { passed };
        (is_whole && passed < valid_ticks).then(|| from_ns + scale(passed, slope))
    }

    fn lock(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds the counter against the system's clock and draws the line anew.
    #[cold]
    fn look(&self) -> Nanos {
        let mut looks = self.lock();
        let fast = if self.is_fast.load(Ordering::Relaxed) { read_both(&self.source) } else { None };
        let Some(read @ (now_ticks, system_ns)) = fast else {
            return self.source.system_ns().max(looks.floor_ns);
        };
        if let Some(now) = self.on_line(now_ticks) {
            // Another thread has looked meanwhile.
            return now;
        }
        let (from_ticks, from_ns) = (self.from_ticks.load(Ordering::Relaxed), self.from_ns.load(Ordering::Relaxed));
        let (slope_before, valid_ticks) =
            (self.slope.load(Ordering::Relaxed), self.valid_ticks.load(Ordering::Relaxed));
        let told_ns = from_ns + scale(now_ticks.saturating_sub(from_ticks), slope_before);
        let apart_max_ns = system_ns.saturating_sub(looks.last.1) / APART_PARTS + APART_NS;
        if now_ticks <= from_ticks || told_ns.abs_diff(system_ns) > apart_max_ns {
            // Nothing later than the end of the line was ever told.
            looks.floor_ns = told_ns.min(from_ns + scale(valid_ticks, slope_before));
            self.is_fast.store(false, Ordering::Relaxed);
            return system_ns.max(looks.floor_ns);
        }
        looks.last = read;
        let true_slope = slope(looks.first, read);
        // Time that was told stays told: being late is made up for by a step, being early by going a little slower.
        let from_ns = told_ns.max(system_ns);
        let early_ns = (from_ns - system_ns).min(looks.next_ns / SLOWER_PARTS);
        let slope = scale_down(true_slope, looks.next_ns - early_ns, looks.next_ns);
        self.version.fetch_add(1, Ordering::AcqRel);
        self.from_ticks.store(now_ticks, Ordering::Release);
        self.from_ns.store(from_ns, Ordering::Release);
        self.slope.store(slope, Ordering::Release);
        self.valid_ticks.store(ticks(looks.next_ns, true_slope), Ordering::Release);
        self.version.fetch_add(1, Ordering::Release);
        looks.next_ns = (looks.next_ns * 2).min(LOOK_NS_MAX);
        from_ns
    }
}

/// Counter and clock at nearly one moment: of a few tries the one in which the least happened in between.
fn read_both(source: &impl Source) -> Option<(u64, Nanos)> {
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

/// Nanoseconds a tick between two readings, times 2^32.
fn slope(first: (u64, Nanos), last: (u64, Nanos)) -> u64 {
    let ticks = u128::from(last.0 - first.0).max(1);
    u64::try_from((u128::from(last.1 - first.1) << 32) / ticks).unwrap_or(u64::MAX)
}

#[inline]
fn scale(ticks: u64, slope: u64) -> Nanos {
    ((u128::from(ticks) * u128::from(slope)) >> 32) as u64
}

fn scale_down(slope: u64, part: u64, whole: u64) -> u64 {
    (u128::from(slope) * u128::from(part) / u128::from(whole.max(1))) as u64
}

/// Ticks in a length of time.
fn ticks(length_ns: u64, slope: u64) -> u64 {
    ((u128::from(length_ns) << 32) / u128::from(slope.max(1))) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Clocks that a test turns: real time passes by a little at each reading.
    struct Wound {
        real_ns: Cell<u64>,
        /// Ticks a thousand nanoseconds, from here on, and where the counter stood.
        ticks_per_1000: Cell<u64>,
        offset_ticks: Cell<u64>,
    }

    impl Wound {
        fn new(ticks_per_1000: u64) -> Self {
            let offset_ticks = Cell::new(7_000_000_000);
            Self { real_ns: Cell::new(50), ticks_per_1000: Cell::new(ticks_per_1000), offset_ticks }
        }

        fn pass(&self, ns: u64) {
            self.real_ns.set(self.real_ns.get() + ns);
        }

        fn counter(&self) -> u64 {
            self.offset_ticks.get() + self.real_ns.get() * self.ticks_per_1000.get() / 1_000
        }
    }

    impl Source for &Wound {
        fn ticks(&self) -> Option<u64> {
            self.pass(8);
            (self.ticks_per_1000.get() > 0).then(|| self.counter())
        }

        fn system_ns(&self) -> Nanos {
            self.pass(20);
            self.real_ns.get()
        }
    }

    #[track_caller]
    fn assert_near(told: Nanos, wound: &Wound, apart_max_ns: u64) {
        let real_ns = wound.real_ns.get();
        assert!(told.abs_diff(real_ns) <= apart_max_ns, "{told} was told at {real_ns}");
    }

    #[test]
    fn a_counter_at_any_pace_tells_the_systems_time() {
        // From an ARM board's 24 MHz to five ticks a nanosecond.
        for ticks_per_1000 in [24, 1_000, 2_596, 5_000] {
            let wound = Wound::new(ticks_per_1000);
            let pace = Pace::new(&wound);
            let mut before = 0;
            for step in 0..10_000 {
                wound.pass([3, 400, 70_000, 12_000_000][step % 4]);
                let now = pace.now();
                assert!(now >= before, "{now} after {before}");
                assert_near(now, &wound, 2_000);
                before = now;
            }
            assert!(pace.is_fast.load(Ordering::Relaxed));
        }
    }

    #[test]
    fn an_hour_in_which_nobody_asks_is_told_right() {
        let wound = Wound::new(2_596);
        let pace = Pace::new(&wound);
        wound.pass(3_600_000_000_000);
        let first = pace.now();
        assert_near(first, &wound, 3_600_000_000_000 / APART_PARTS);
        (0..1_000).for_each(|_| {
            wound.pass(1_000_000);
            assert!(pace.now() > first);
        });
        assert_near(pace.now(), &wound, 100);
    }

    #[test]
    fn a_counter_that_changes_its_pace_or_jumps_is_not_believed_any_more() {
        let quicker = |wound: &Wound| {
            wound.offset_ticks.set(wound.counter() - wound.real_ns.get() * 4_000 / 1_000);
            wound.ticks_per_1000.set(4_000);
        };
        let ahead = |wound: &Wound| wound.offset_ticks.set(wound.offset_ticks.get() + 60_000_000_000);
        let back = |wound: &Wound| wound.offset_ticks.set(wound.offset_ticks.get() - 6_000_000_000);
        for spoil in [&quicker as &dyn Fn(&Wound), &ahead, &back] {
            let wound = Wound::new(2_596);
            let pace = Pace::new(&wound);
            (0..100).for_each(|_| {
                wound.pass(1_000_000);
                pace.now();
            });
            spoil(&wound);
            let mut before = pace.now();
            for _ in 0..5_000 {
                wound.pass(1_000_000);
                let now = pace.now();
                assert!(now >= before, "{now} after {before}");
                before = now;
            }
            assert!(!pace.is_fast.load(Ordering::Relaxed));
            assert_near(before, &wound, 100);
        }
    }

    #[test]
    fn without_a_counter_the_system_is_asked() {
        let wound = Wound::new(0);
        let pace = Pace::new(&wound);
        wound.pass(1_000_000_000);
        assert_near(pace.now(), &wound, 0);
    }

    #[test]
    fn this_machines_counter_agrees_with_its_clock() {
        let start = Instant::now();
        let pace = Pace::since(start);
        let deadline = start + Duration::from_millis(100);
        while Instant::now() < deadline {
            // The thread may be kept from running between two readings, but not backwards.
            let (before, now, after) = (start.elapsed(), pace.now(), start.elapsed());
            let apart = Duration::from_micros(500);
            assert!(Duration::from_nanos(now) + apart >= before, "{now} ns, and it was {before:?} already");
            assert!(Duration::from_nanos(now) <= after + apart, "{now} ns, and it was only {after:?}");
        }
    }
}
