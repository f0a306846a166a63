//! Throttle between the loop and console-subscriber's aggregator, which drops events that do not fit its buffer.
//!
//! On a virtual clock waiting takes no loop time, so the loop waits before it would overrun the buffer, and nothing is
//! dropped. On the real clock waiting would disturb the program, so drops are counted and shown instead.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::gate::Gate;

/// Capacity of console-subscriber's buffer, in events.
pub const BUFFER_EVENTS: usize = 1 << 18;

/// Events that may be sent before the loop checks that the buffer was emptied.
const UNCHECKED_EVENTS_MAX: usize = BUFFER_EVENTS / 4;

/// Makes the loop wait for the aggregator on a virtual clock.
#[derive(Debug)]
pub struct AggregatorThrottle {
    is_blocking: bool,
    sent: AtomicUsize,
    published: Mutex<PublishTimes>,
    updated: Condvar,
    is_closed: AtomicBool,
}

/// When the last two updates were published.
///
/// An update is collected before its timestamp is taken. So if the one before the last is later than a moment, the
/// aggregator has emptied its buffer since that moment.
#[derive(Debug, Default)]
struct PublishTimes {
    last: Option<Instant>,
    before_last: Option<Instant>,
}

impl AggregatorThrottle {
    /// Creates a throttle, which only blocks if `is_blocking`.
    pub fn new(is_blocking: bool) -> Self {
        Self {
            is_blocking,
            sent: AtomicUsize::new(0),
            published: Mutex::default(),
            updated: Condvar::new(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Records an update that was published at `at` or later.
    pub fn record_update(&self, at: Instant) {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        *published = PublishTimes { last: Some(at), before_last: published.last };
        self.updated.notify_all();
    }

    /// Returns whether everything sent before `moment` has been published.
    pub fn has_published_all_before(&self, moment: Instant) -> bool {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.before_last.is_some_and(|at| at > moment)
    }

    /// Stops all waiting, because the console thread has ended.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.updated.notify_all();
    }

    /// Accounts for `events` that are about to be sent. Waits while the aggregator may be too far behind.
    pub fn admit(&self, events: usize, gate: &Gate) {
        /// How often a waiting loop checks whether it must stop.
        const QUIT_CHECK_INTERVAL: Duration = Duration::from_millis(20);
        let sent = self.sent.fetch_add(events, Ordering::Relaxed) + events;
        if !self.is_blocking || sent < UNCHECKED_EVENTS_MAX {
            return;
        }
        let now = Instant::now();
        while !self.has_published_all_before(now) && !self.is_closed.load(Ordering::Acquire) && !gate.is_quitting() {
            let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
            drop(self.updated.wait_timeout(published, QUIT_CHECK_INTERVAL).unwrap_or_else(PoisonError::into_inner));
        }
        self.sent.store(0, Ordering::Relaxed);
    }
}
