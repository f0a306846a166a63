//! Where the two ends of a ring wait for each other: the reader for something to read, the writer for room.
//!
//! Neither takes a lock to find that nobody waits, which is nearly always. A call that falls into the moment in which
//! the other end lies down may be missed; it then sleeps for [`NAP`] at most.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Mutex, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// The longest that one end sleeps before it looks again by itself.
const NAP: Duration = Duration::from_millis(20);

/// One end's bed.
#[derive(Debug, Default)]
pub struct Bed {
    is_taken: AtomicBool,
    sleeper: Mutex<Option<Thread>>,
}

impl Bed {
    /// Sleeps until `is_over` says so, called to look by [`Bed::call`], or `at_most`. Tells whether it is over.
    pub fn sleep_until(&self, at_most: Duration, is_over: impl Fn() -> bool) -> bool {
        let deadline = Instant::now() + at_most;
        *self.sleeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current());
        loop {
            self.is_taken.store(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            let left = deadline.saturating_duration_since(Instant::now());
            let over = is_over();
            if over || left.is_zero() {
                self.is_taken.store(false, Ordering::SeqCst);
                return over;
            }
            std::thread::park_timeout(left.min(NAP));
        }
    }

    /// Somebody sleeps there, as far as can be seen at no cost.
    #[inline]
    pub fn is_taken(&self) -> bool {
        self.is_taken.load(Ordering::Relaxed)
    }

    /// Wakes who sleeps there to look again. What was done before this call is seen then.
    #[cold]
    pub fn call(&self) {
        fence(Ordering::SeqCst);
        if self.is_taken() && self.is_taken.swap(false, Ordering::SeqCst) {
            let sleeper = self.sleeper.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(thread) = &*sleeper {
                thread.unpark();
            }
        }
    }
}

/// Both beds.
#[derive(Debug, Default)]
pub struct Meeting {
    pub reader: Bed,
    pub writer: Bed,
}
