//! The moment between two polls, on the machine's own clock.
//!
//! Nothing of the program runs between the end of one poll and the start of the next, or between one wake by the driver
//! and the next: only tokio, for tens of nanoseconds. Reading the clock takes as long, so the loop's thread reads it once
//! for all that falls into such a moment. Where anybody else acts in between (the driver waits, the person pauses,
//! another thread tells something) the moment is over.

use std::cell::Cell;

use crate::trace::Nanos;

/// Wakes by the driver in a row that are told with one time.
const WAKES_MAX: u8 = 16;

/// A time that was read outside of any poll. Each part is a cell of its own: what was written in parts and is read in
/// one is slow to read.
struct Moment {
    at: Cell<Nanos>,
    /// What other threads had told by then.
    others: Cell<u32>,
    holds: Cell<bool>,
    wakes_left: Cell<u8>,
}

thread_local! {
    static MOMENT: Moment = const {
        Moment { at: Cell::new(0), others: Cell::new(0), holds: Cell::new(false), wakes_left: Cell::new(0) }
    };
}

impl Moment {
    #[inline]
    fn set(&self, at: Nanos, others: u32, wakes: u8) {
        self.at.set(at);
        self.others.set(others);
        self.holds.set(true);
        self.wakes_left.set(wakes);
    }

    #[inline]
    fn end(&self) {
        self.holds.set(false);
        self.wakes_left.set(0);
    }
}

/// A poll ended at `at`, when other threads had told `others` facts.
#[inline]
pub fn poll_ended(at: Nanos, others: u32) {
    MOMENT.with(|moment| moment.set(at, others, 0));
}

/// When a poll that begins now begins: in the moment that lasts, or when the clock says.
#[inline]
pub fn poll_begins(others: u32, now: impl FnOnce() -> Nanos) -> Nanos {
    MOMENT.with(|moment| {
        let lasts = moment.holds.get() && moment.others.get() == others;
        moment.end();
        if lasts { moment.at.get() } else { now() }
    })
}

/// When a wake by the driver happens.
#[inline]
pub fn driver_wakes(others: u32, now: impl FnOnce() -> Nanos) -> Nanos {
    MOMENT.with(|moment| {
        let left = moment.wakes_left.get();
        if left > 0 && moment.others.get() == others {
            moment.wakes_left.set(left - 1);
            return moment.at.get();
        }
        let at = now();
        moment.set(at, others, WAKES_MAX - 1);
        at
    })
}

/// Somebody else acts, or time passes: the moment is over.
#[inline]
pub fn forget() {
    MOMENT.with(Moment::end);
}
