//! The valve between the loop and console-subscriber's aggregator, which drops what does not fit its buffer.
//!
//! On a virtual clock waiting takes no loop time, so the loop waits here before it would overrun the aggregator, and
//! nothing is ever dropped. On the real clock waiting would disturb the program: there, drops are counted and shown.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::gate::Gate;

/// Events that console-subscriber's buffer is made to hold.
pub const BUFFER_EVENTS: usize = 1 << 18;

/// Events after which the loop makes sure that the buffer was emptied.
const SENT_MAX: usize = BUFFER_EVENTS / 4;

#[derive(Debug)]
pub struct Valve {
    waits: bool,
    sent: AtomicUsize,
    updates: Mutex<u64>,
    updated: Condvar,
    closed: AtomicBool,
}

impl Valve {
    pub fn new(waits: bool) -> Self {
        Self {
            waits,
            sent: AtomicUsize::new(0),
            updates: Mutex::new(0),
            updated: Condvar::new(),
            closed: AtomicBool::new(false),
        }
    }

    /// The aggregator published an update, and had emptied its buffer before.
    pub fn updated(&self) {
        *self.updates.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.updated.notify_all();
    }

    /// Nobody listens any more.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.updated.notify_all();
    }

    /// Asked before `events` are sent. The second update from now was surely begun after now, so whatever was sent
    /// before is out of the buffer by then.
    pub fn admit(&self, events: usize, gate: &Gate) {
        /// How often a loop that waits looks whether it is to stop.
        const LOOK: Duration = Duration::from_millis(20);
        let sent = self.sent.fetch_add(events, Ordering::Relaxed) + events;
        if !self.waits || sent < SENT_MAX {
            return;
        }
        let mut updates = self.updates.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = *updates + 2;
        while *updates < enough && !self.closed.load(Ordering::Acquire) && !gate.is_quitting() {
            (updates, _) = self.updated.wait_timeout(updates, LOOK).unwrap_or_else(PoisonError::into_inner);
        }
        self.sent.store(0, Ordering::Relaxed);
    }
}
