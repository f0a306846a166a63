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

/// A time that was read outside of any poll.
#[derive(Clone, Copy)]
struct Moment {
    at: Nanos,
    /// What other threads had told by then.
    others: u32,
    holds: bool,
    wakes_left: u8,
}

thread_local! {
    static MOMENT: Cell<Moment> = const { Cell::new(Moment { at: 0, others: 0, holds: false, wakes_left: 0 }) };
}

/// A poll ended at `at`, when other threads had told `others` facts.
#[inline]
pub fn poll_ended(at: Nanos, others: u32) {
    MOMENT.set(Moment { at, others, holds: true, wakes_left: 0 });
}

/// When a poll that begins now begins: in the moment that lasts, or when the clock says.
#[inline]
pub fn poll_begins(others: u32, now: impl FnOnce() -> Nanos) -> Nanos {
    let moment = MOMENT.get();
    MOMENT.set(Moment { holds: false, wakes_left: 0, ..moment });
    if moment.holds && moment.others == others { moment.at } else { now() }
}

/// When a wake by the driver happens.
#[inline]
pub fn driver_wakes(others: u32, now: impl FnOnce() -> Nanos) -> Nanos {
    let moment = MOMENT.get();
    if moment.wakes_left > 0 && moment.others == others {
        MOMENT.set(Moment { wakes_left: moment.wakes_left - 1, ..moment });
        return moment.at;
    }
    let at = now();
    MOMENT.set(Moment { at, others, holds: true, wakes_left: WAKES_MAX - 1 });
    at
}

/// Somebody else acts, or time passes: the moment is over.
#[inline]
pub fn forget() {
    MOMENT.set(Moment { at: 0, others: 0, holds: false, wakes_left: 0 });
}
