//! The loop's clock: virtual nanoseconds that pass only while the loop waits or blocks, or the machine's own with the
//! pauses cut out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::pace::{Machine, Pace};
use crate::control::{ClockKind, Speed};
use crate::feed::time_map::TimeMap;
use crate::trace::Nanos;

/// No time at all: not frozen.
const NONE: u64 = u64::MAX;

/// Loop time, read from any thread and moved by the loop's own.
#[derive(Debug)]
pub struct LoopClock {
    kind: ClockKind,
    /// Where this clock began: as tokio counts (virtual or not), and as the machine does.
    tokio_start: tokio::time::Instant,
    start: Instant,
    /// The machine's clock, read cheaply; absent on a virtual one.
    pace: Option<Pace<Machine>>,
    /// Virtual now, as tokio's paused clock had it when it was last read.
    virtual_ns: AtomicU64,
    /// Real time that does not count: before the loop began and in pauses so far; and where the clock stands while one
    /// lasts.
    paused_ns: AtomicU64,
    frozen_ns: AtomicU64,
    /// The stretch of time that is being waited through at a set speed, if one is.
    stretch: Mutex<Option<Stretch>>,
    /// Where somebody translates stamps of the machine's clock.
    map: Option<Arc<TimeMap>>,
}

/// Loop time passing at a speed, from a moment on.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    from: Nanos,
    to: Nanos,
    begun: Instant,
    /// `None` while it stands still.
    speed: Option<Speed>,
}

impl Stretch {
    fn now(&self) -> Nanos {
        match self.speed {
            None => self.from,
            Some(Speed::Max) => self.to,
            Some(Speed::Times(times)) => {
                let passed_ns = self.begun.elapsed().as_secs_f64() * times * 1e9;
                self.from.saturating_add(passed_ns as u64).min(self.to)
            }
        }
    }
}

impl LoopClock {
    /// A clock that starts now. Made on the loop's own thread, inside its runtime.
    pub fn start(kind: ClockKind, map: Option<Arc<TimeMap>>) -> Self {
        let start = Instant::now();
        let pace = (kind == ClockKind::Real).then(|| Pace::since(start));
        let clock = Self {
            kind,
            tokio_start: tokio::time::Instant::now(),
            start,
            virtual_ns: AtomicU64::new(0),
            paused_ns: AtomicU64::new(pace.as_ref().map_or(0, Pace::now)),
            pace,
            frozen_ns: AtomicU64::new(NONE),
            stretch: Mutex::new(None),
            map,
        };
        clock.note(Instant::now(), 0);
        clock
    }

    fn note(&self, since: Instant, at: Nanos) {
        if let Some(map) = &self.map {
            map.note(since, at, self.kind == ClockKind::Real && self.frozen_ns.load(Ordering::Acquire) == NONE);
        }
    }

    pub fn kind(&self) -> ClockKind {
        self.kind
    }

    /// Loop time, for the events of the loop.
    #[inline]
    pub fn now(&self) -> Nanos {
        match self.kind {
            ClockKind::Virtual => self.virtual_ns.load(Ordering::Acquire),
            ClockKind::Real => match self.frozen_ns.load(Ordering::Acquire) {
                NONE => self.running(),
                frozen => frozen,
            },
        }
    }

    /// Loop time for the eye: on a virtual clock it moves on through the wait that is under way.
    pub fn shown(&self) -> Nanos {
        let stretch = self.stretch.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match (*stretch, self.kind) {
            (Some(stretch), ClockKind::Virtual) => stretch.now().max(self.now()),
            _ => self.now(),
        }
    }

    #[inline]
    fn running(&self) -> Nanos {
        let elapsed_ns = self.pace.as_ref().map_or(0, Pace::now);
        elapsed_ns.saturating_sub(self.paused_ns.load(Ordering::Acquire))
    }

    /// Reads tokio's own clock, which moves by itself while the loop is parked: what is found new has been true since
    /// `since`. On the loop's thread.
    pub fn read_tokio(&self, since: Instant) {
        if self.kind == ClockKind::Virtual {
            let elapsed = tokio::time::Instant::now().duration_since(self.tokio_start);
            let at = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
            if self.virtual_ns.swap(at, Ordering::AcqRel) != at {
                self.note(since, at);
            }
        }
    }

    /// Moves virtual time forward to `to` at once, firing no timer. On the loop's thread.
    pub fn advance_to(&self, to: Nanos) {
        let missing_ns = to.saturating_sub(self.now());
        if self.kind == ClockKind::Virtual && missing_ns > 0 {
            // `advance` moves the clock when it is first polled; what remains of it only yields, which is not wanted.
            let mut advance = std::pin::pin!(tokio::time::advance(Duration::from_nanos(missing_ns)));
            let since = Instant::now();
            let _ = advance.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
            self.read_tokio(since);
        }
    }

    /// The tokio instant at which loop time is `at`, as long as nobody pauses.
    pub fn instant(&self, at: Nanos) -> tokio::time::Instant {
        match self.kind {
            ClockKind::Virtual => self.tokio_start + Duration::from_nanos(at),
            ClockKind::Real => {
                tokio::time::Instant::from_std(self.start)
                    + Duration::from_nanos(at.saturating_add(self.paused_ns.load(Ordering::Acquire)))
            }
        }
    }

    /// Stops real time where it is; a second call changes nothing.
    pub fn freeze(&self) {
        if self.kind == ClockKind::Real {
            let at = self.running();
            if self.frozen_ns.compare_exchange(NONE, at, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                self.note(Instant::now(), at);
            }
        }
    }

    /// Lets real time go on from where it stopped.
    pub fn thaw(&self) {
        let frozen = self.frozen_ns.load(Ordering::Acquire);
        if frozen != NONE {
            let skipped_ns = self.running().saturating_sub(frozen);
            self.paused_ns.fetch_add(skipped_ns, Ordering::AcqRel);
            self.frozen_ns.store(NONE, Ordering::Release);
            self.note(Instant::now(), frozen);
        }
    }

    /// Says that loop time now passes from `from` to `to` at `speed`, or stands still at `from`.
    pub(super) fn set_stretch(&self, stretch: Option<(Nanos, Nanos, Option<Speed>)>) {
        let mut shown = self.stretch.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *shown = stretch.map(|(from, to, speed)| Stretch { from, to, begun: Instant::now(), speed });
    }
}
