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
        let passed = ticks.saturating_sub(from_ticks);
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
        let told_ns = from_ns + scale(now_ticks.saturating_sub(from_ticks), self.slope.load(Ordering::Relaxed));
        let apart_max_ns = system_ns.saturating_sub(looks.last.1) / APART_PARTS + APART_NS;
        if now_ticks <= looks.last.0 || told_ns.abs_diff(system_ns) > apart_max_ns {
            looks.floor_ns = told_ns.min(system_ns.saturating_add(apart_max_ns));
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
