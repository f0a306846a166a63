//! Parking for the two ends of the ring: the reader waits for events, the writer for free space.
//!
//! Checking whether the other end is parked takes no lock, and it nearly never is. A notification that races with
//! parking may be missed; the parked thread then wakes after at most [`PARK_MAX`].

use std::sync::atomic::{AtomicU8, Ordering, fence};
use std::sync::{Mutex, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Longest single park before the condition is checked again.
const PARK_MAX: Duration = Duration::from_millis(20);

/// Which notifications end a park.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ParkDepth {
    /// [`Parker::notify`] and [`Parker::unpark`] do.
    Light = 1,
    /// Only [`Parker::unpark`] does.
    Deep = 2,
}

/// Parks one thread until the other end wakes it.
#[derive(Debug, Default)]
pub struct Parker {
    /// The [`ParkDepth`] of the parked thread; 0 if none is parked.
    depth: AtomicU8,
    thread: Mutex<Option<Thread>>,
}

impl Parker {
    /// Parks until `is_over` returns true, for at most `at_most`. Returns whether it did.
    pub fn park_until(&self, mode: ParkDepth, at_most: Duration, mut is_over: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + at_most;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current());
        loop {
            self.depth.store(mode as u8, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            let left = deadline.saturating_duration_since(Instant::now());
            let over = is_over();
            if over || left.is_zero() {
                self.depth.store(0, Ordering::SeqCst);
                return over;
            }
            std::thread::park_timeout(left.min(PARK_MAX));
        }
    }

    /// Whether a thread is parked lightly. One relaxed load, so the answer may be stale.
    #[inline]
    pub fn is_parked_lightly(&self) -> bool {
        self.depth.load(Ordering::Relaxed) == ParkDepth::Light as u8
    }

    /// Wakes a lightly parked thread, which then observes all writes made before this call.
    #[cold]
    pub fn notify(&self) {
        fence(Ordering::SeqCst);
        if self.is_parked_lightly() {
            self.wake();
        }
    }

    /// Wakes a parked thread, whatever its depth.
    #[cold]
    pub fn unpark(&self) {
        fence(Ordering::SeqCst);
        if self.depth.load(Ordering::Relaxed) != 0 {
            self.wake();
        }
    }

    fn wake(&self) {
        if self.depth.swap(0, Ordering::SeqCst) != 0 {
            let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(thread) = &*thread {
                thread.unpark();
            }
        }
    }
}

/// The parkers of both ends.
#[derive(Debug, Default)]
pub struct ParkerPair {
    /// Waits for events.
    pub reader: Parker,
    /// Waits for free space.
    pub writer: Parker,
}
