//! The valve between the loop and console-subscriber's aggregator, which drops what does not fit its buffer.
//!
//! On a virtual clock waiting takes no loop time, so the loop waits here before it would overrun the aggregator, and
//! nothing is ever dropped. On the real clock waiting would disturb the program: there, drops are counted and shown.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::gate::Gate;

/// Events that console-subscriber's buffer is made to hold.
pub const BUFFER_EVENTS: usize = 1 << 18;

/// Events after which the loop makes sure that the buffer was emptied.
const SENT_MAX: usize = BUFFER_EVENTS / 4;

#[derive(Debug)]
pub struct Valve {
    waits: bool,
    sent: AtomicUsize,
    published: Mutex<Published>,
    updated: Condvar,
    closed: AtomicBool,
}

/// When the last two updates were published. An update is begun before its time, so the one before it, if later than a
/// moment, proves that the aggregator has emptied its buffer since that moment.
#[derive(Debug, Default)]
struct Published {
    last: Option<Instant>,
    before_last: Option<Instant>,
}

impl Valve {
    pub fn new(waits: bool) -> Self {
        Self {
            waits,
            sent: AtomicUsize::new(0),
            published: Mutex::default(),
            updated: Condvar::new(),
            closed: AtomicBool::new(false),
        }
    }

    /// An update came that was not published before `at`.
    pub fn updated(&self, at: Instant) {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        *published = Published { last: Some(at), before_last: published.last };
        self.updated.notify_all();
    }

    /// Everything that was sent before `moment` has been published.
    pub fn has_told_all_until(&self, moment: Instant) -> bool {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.before_last.is_some_and(|at| at > moment)
    }

    /// Nobody listens any more.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.updated.notify_all();
    }

    /// Asked before `events` are sent: waits while the aggregator may be too far behind.
    pub fn admit(&self, events: usize, gate: &Gate) {
        /// How often a loop that waits looks whether it is to stop.
        const LOOK: Duration = Duration::from_millis(20);
        let sent = self.sent.fetch_add(events, Ordering::Relaxed) + events;
        if !self.waits || sent < SENT_MAX {
            return;
        }
        let now = Instant::now();
        while !self.has_told_all_until(now) && !self.closed.load(Ordering::Acquire) && !gate.is_quitting() {
            let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
            drop(self.updated.wait_timeout(published, LOOK).unwrap_or_else(PoisonError::into_inner));
        }
        self.sent.store(0, Ordering::Relaxed);
    }
}
