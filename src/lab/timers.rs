//! The timers that are set, in loop time: the next one limits pacing and is shown on the screen.
//!
//! tokio does not expose its timers, so every timer of the loop is registered here as well.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::loop_handle::LoopHandle;
use crate::trace::Nanos;

/// A timer that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerEntry {
    due: Nanos,
    number: u64,
}

/// The timers that are set, by due time.
#[derive(Debug, Default)]
pub struct TimerRegistry(Mutex<TimerSet>);

#[derive(Debug, Default)]
struct TimerSet {
    timers: BTreeSet<TimerEntry>,
    count: u64,
}

impl TimerRegistry {
    fn lock(&self) -> MutexGuard<'_, TimerSet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a timer that is due at `due`.
    pub fn register(&self, due: Nanos) -> TimerEntry {
        let mut set = self.lock();
        set.count += 1;
        let timer = TimerEntry { due, number: set.count };
        set.timers.insert(timer);
        timer
    }

    /// Removes a timer.
    pub fn remove(&self, timer: TimerEntry) {
        self.lock().timers.remove(&timer);
    }

    /// Returns whether no timer is set.
    pub fn is_empty(&self) -> bool {
        self.lock().timers.is_empty()
    }

    /// Returns when the earliest timer after `now` is due. A timer that is due has fired already, but stays registered
    /// until its task is polled, which a hold can delay.
    pub fn next_due(&self, now: Nanos) -> Option<Nanos> {
        let after = TimerEntry { due: now.saturating_add(1), number: 0 };
        self.lock().timers.range(after..).next().map(|timer| timer.due)
    }
}

pin_project! {
    /// A tokio sleep until a loop time, registered for as long as it lives.
    pub struct LoopSleep {
        #[pin]
        sleep: tokio::time::Sleep,
        at: Nanos,
        guard: Option<TimerGuard>,
    }
}

/// Removes a timer from the registry on drop.
struct TimerGuard {
    timer: TimerEntry,
    loop_handle: LoopHandle,
}

impl LoopSleep {
    /// Registers a sleep until `at`; `sleep` is the tokio sleep that implements it.
    pub fn new(loop_handle: LoopHandle, at: Nanos, sleep: tokio::time::Sleep) -> Self {
        Self { sleep, at, guard: Some(TimerGuard { timer: loop_handle.shared().timers.register(at), loop_handle }) }
    }
}

impl Future for LoopSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        while let Some(TimerGuard { loop_handle, .. }) = &*this.guard {
            ready!(this.sleep.as_mut().poll(context));
            if loop_handle.now_ns() >= *this.at {
                *this.guard = None;
            } else {
                // A pause on the real clock stops loop time but not tokio's timers, so the sleep is set again. With
                // tracing, that would create an async op of tokio's own.
                loop_handle
                    .without_tracing(|| this.sleep.as_mut().reset(loop_handle.shared().clock.tokio_instant(*this.at)));
            }
        }
        Poll::Ready(())
    }
}

impl Drop for TimerGuard {
    fn drop(&mut self) {
        self.loop_handle.shared().timers.remove(self.timer);
    }
}
