//! A cached reading of the real clock for events that happen at practically the same time.
//!
//! Between the end of a poll and the start of the next, or between two wakes by the driver, no code of the program
//! runs: only tokio, for tens of nanoseconds. Reading the clock takes as long, so the loop thread reads it once for
//! both. The cached time is invalid as soon as anything else happens in between: the driver waits, the user pauses, or
//! another thread reports an event.

use std::cell::Cell;

use crate::trace::Nanos;

/// Consecutive wakes by the driver that share one reading.
const SHARED_WAKES_MAX: u8 = 16;

/// A time that was read outside any poll.
///
/// Each field is a cell of its own: a value that is written in parts and read at once stalls the processor.
struct CachedNow {
    /// The cached loop time.
    at: Cell<Nanos>,
    /// Events that other threads had reported at that time.
    thread_events: Cell<u32>,
    /// Whether the time may be used for the next poll start.
    is_valid: Cell<bool>,
    /// Further wakes by the driver that may use the time.
    wakes_left: Cell<u8>,
}

thread_local! {
    static CACHED_NOW: CachedNow = const {
        CachedNow { at: Cell::new(0), thread_events: Cell::new(0), is_valid: Cell::new(false), wakes_left: Cell::new(0) }
    };
}

impl CachedNow {
    #[inline]
    fn set(&self, at: Nanos, thread_events: u32, wakes_left: u8) {
        self.at.set(at);
        self.thread_events.set(thread_events);
        self.is_valid.set(true);
        self.wakes_left.set(wakes_left);
    }

    #[inline]
    fn invalidate(&self) {
        self.is_valid.set(false);
        self.wakes_left.set(0);
    }
}

/// Caches the end of a poll at `at`, when other threads had reported `thread_events` events.
#[inline]
pub fn store_poll_end(at: Nanos, thread_events: u32) {
    CACHED_NOW.with(|cached| cached.set(at, thread_events, 0));
}

/// Returns the start time of a poll that begins now: the cached time if it is valid, else `now()`.
#[inline]
pub fn poll_start_time(thread_events: u32, now: impl FnOnce() -> Nanos) -> Nanos {
    CACHED_NOW.with(|cached| {
        let is_valid = cached.is_valid.get() && cached.thread_events.get() == thread_events;
        cached.invalidate();
        if is_valid { cached.at.get() } else { now() }
    })
}

/// Returns the time of a wake by the driver: the cached time if it is valid, else `now()`.
#[inline]
pub fn driver_wake_time(thread_events: u32, now: impl FnOnce() -> Nanos) -> Nanos {
    CACHED_NOW.with(|cached| {
        let left = cached.wakes_left.get();
        if left > 0 && cached.thread_events.get() == thread_events {
            cached.wakes_left.set(left - 1);
            return cached.at.get();
        }
        let at = now();
        cached.set(at, thread_events, SHARED_WAKES_MAX - 1);
        at
    })
}

/// Invalidates the cached time.
#[inline]
pub fn invalidate() {
    CACHED_NOW.with(CachedNow::invalidate);
}
