//! The loop's clock.
//!
//! A virtual clock advances only while the loop waits or blocks. The real clock is the machine's, with pauses cut out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::tsc_clock::{SystemClocks, TscClock};
use crate::control::{ClockKind, Speed};
use crate::feed::time_map::TimeMap;
use crate::trace::Nanos;

/// Value of `frozen_ns` while the clock runs.
const NOT_FROZEN: u64 = u64::MAX;

/// Loop time in nanoseconds. Any thread may read it; the loop thread advances it.
#[derive(Debug)]
pub struct LoopClock {
    kind: ClockKind,
    /// The start of loop time on tokio's clock (virtual or not).
    tokio_start: tokio::time::Instant,
    /// The start of loop time on the machine's clock.
    start: Instant,
    /// The machine's clock; `None` on a virtual clock.
    tsc_clock: Option<TscClock<SystemClocks>>,
    /// Virtual time, as last read from tokio's paused clock.
    virtual_ns: AtomicU64,
    /// Nanoseconds of real time that do not count: before the loop started, and in completed pauses.
    paused_ns: AtomicU64,
    /// Loop time at which the clock is frozen, or [`NOT_FROZEN`].
    frozen_ns: AtomicU64,
    /// The paced wait under way, if any.
    paced_interval: Mutex<Option<PacedInterval>>,
    /// Maps timestamps of the machine's clock to loop time, if a feed needs it.
    time_map: Option<Arc<TimeMap>>,
}

/// An interval of loop time that passes at a set speed.
#[derive(Clone, Copy, Debug)]
struct PacedInterval {
    from: Nanos,
    to: Nanos,
    begun: Instant,
    /// `None` while paused.
    speed: Option<Speed>,
}

impl PacedInterval {
    fn now(&self) -> Nanos {
        match self.speed {
            None => self.from,
            Some(Speed::Max) => self.to,
            Some(Speed::Factor(times)) => {
                let passed_ns = self.begun.elapsed().as_secs_f64() * times * 1e9;
                self.from.saturating_add(passed_ns as u64).min(self.to)
            }
        }
    }
}

impl LoopClock {
    /// Starts a clock at loop time 0. Call it on the loop thread, inside the runtime.
    pub fn start(kind: ClockKind, time_map: Option<Arc<TimeMap>>) -> Self {
        let start = Instant::now();
        let tsc_clock = (kind == ClockKind::Real).then(|| TscClock::since(start));
        let clock = Self {
            kind,
            tokio_start: tokio::time::Instant::now(),
            start,
            virtual_ns: AtomicU64::new(0),
            paused_ns: AtomicU64::new(tsc_clock.as_ref().map_or(0, TscClock::now)),
            tsc_clock,
            frozen_ns: AtomicU64::new(NOT_FROZEN),
            paced_interval: Mutex::new(None),
            time_map,
        };
        clock.record_mapping(Instant::now(), 0);
        clock
    }

    fn record_mapping(&self, since: Instant, at: Nanos) {
        if let Some(map) = &self.time_map {
            map.push_break(
                since,
                at,
                self.kind == ClockKind::Real && self.frozen_ns.load(Ordering::Acquire) == NOT_FROZEN,
            );
        }
    }

    /// Returns which clock defines loop time.
    pub fn kind(&self) -> ClockKind {
        self.kind
    }

    /// Returns loop time for the events of the loop.
    #[inline]
    pub fn now(&self) -> Nanos {
        match self.kind {
            ClockKind::Virtual => self.virtual_ns.load(Ordering::Acquire),
            ClockKind::Real => match self.frozen_ns.load(Ordering::Acquire) {
                NOT_FROZEN => self.unfrozen_now(),
                frozen => frozen,
            },
        }
    }

    /// Returns loop time for display: on a virtual clock it advances through the paced wait under way.
    pub fn display_now(&self) -> Nanos {
        let interval = self.paced_interval.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match (*interval, self.kind) {
            (Some(interval), ClockKind::Virtual) => interval.now().max(self.now()),
            _ => self.now(),
        }
    }

    #[inline]
    fn unfrozen_now(&self) -> Nanos {
        let elapsed_ns = self.tsc_clock.as_ref().map_or(0, TscClock::now);
        elapsed_ns.saturating_sub(self.paused_ns.load(Ordering::Acquire))
    }

    /// Reads tokio's paused clock, which moves while the loop is parked. A new value has applied since `since`. Call it
    /// on the loop thread.
    pub fn sync_from_tokio(&self, since: Instant) {
        if self.kind == ClockKind::Virtual {
            let elapsed = tokio::time::Instant::now().duration_since(self.tokio_start);
            let at = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
            if self.virtual_ns.swap(at, Ordering::AcqRel) != at {
                self.record_mapping(since, at);
            }
        }
    }

    /// Advances virtual time to `to` at once, without firing timers. Call it on the loop thread.
    pub fn advance_to(&self, to: Nanos) {
        let missing_ns = to.saturating_sub(self.now());
        if self.kind == ClockKind::Virtual && missing_ns > 0 {
            // `advance` moves the clock on its first poll; the rest of it only yields, which is not wanted here.
            let mut advance = std::pin::pin!(tokio::time::advance(Duration::from_nanos(missing_ns)));
            let since = Instant::now();
            let _ = advance.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
            self.sync_from_tokio(since);
        }
    }

    /// Returns the tokio instant at which loop time will be `at`, if there is no pause until then.
    pub fn tokio_instant(&self, at: Nanos) -> tokio::time::Instant {
        match self.kind {
            ClockKind::Virtual => self.tokio_start + Duration::from_nanos(at),
            ClockKind::Real => {
                tokio::time::Instant::from_std(self.start)
                    + Duration::from_nanos(at.saturating_add(self.paused_ns.load(Ordering::Acquire)))
            }
        }
    }

    /// Freezes the real clock. A second call has no effect.
    pub fn freeze(&self) {
        if self.kind == ClockKind::Real {
            let at = self.unfrozen_now();
            if self.frozen_ns.compare_exchange(NOT_FROZEN, at, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                self.record_mapping(Instant::now(), at);
            }
        }
    }

    /// Resumes the real clock at the time at which it was frozen.
    pub fn thaw(&self) {
        let frozen = self.frozen_ns.load(Ordering::Acquire);
        if frozen != NOT_FROZEN {
            let skipped_ns = self.unfrozen_now().saturating_sub(frozen);
            self.paused_ns.fetch_add(skipped_ns, Ordering::AcqRel);
            self.frozen_ns.store(NOT_FROZEN, Ordering::Release);
            self.record_mapping(Instant::now(), frozen);
        }
    }

    /// Sets the paced wait: loop time passes from `from` to `to` at `speed`, or stands still at `from`.
    pub(super) fn set_paced_interval(&self, interval: Option<(Nanos, Nanos, Option<Speed>)>) {
        let mut current = self.paced_interval.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *current = interval.map(|(from, to, speed)| PacedInterval { from, to, begun: Instant::now(), speed });
    }
}
