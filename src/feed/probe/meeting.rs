//! Where the two ends of a ring wait for each other: the reader for something to read, the writer for room.
//!
//! Neither takes a lock to find that nobody waits, which is nearly always. A call that falls into the moment in which
//! the other end lies down may be missed; it then sleeps for [`NAP`] at most.

use std::sync::atomic::{AtomicU8, Ordering, fence};
use std::sync::{Mutex, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// The longest that one end sleeps before it looks again by itself.
const NAP: Duration = Duration::from_millis(20);

/// How well somebody sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Sleep {
    /// [`Bed::call`] wakes the sleeper.
    Light = 1,
    /// Only [`Bed::shake`] does.
    Deep = 2,
}

/// One end's bed.
#[derive(Debug, Default)]
pub struct Bed {
    /// 0, or how its sleeper sleeps.
    taken: AtomicU8,
    sleeper: Mutex<Option<Thread>>,
}

impl Bed {
    /// Sleeps until `is_over` says so when woken to look, or `at_most`. Tells whether it is over.
    pub fn sleep_until(&self, sleep: Sleep, at_most: Duration, is_over: impl Fn() -> bool) -> bool {
        let deadline = Instant::now() + at_most;
        *self.sleeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current());
        loop {
            self.taken.store(sleep as u8, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            let left = deadline.saturating_duration_since(Instant::now());
            let over = is_over();
            if over || left.is_zero() {
                self.taken.store(0, Ordering::SeqCst);
                return over;
            }
            std::thread::park_timeout(left.min(NAP));
        }
    }

    /// Somebody sleeps there lightly, as far as can be seen at no cost.
    #[inline]
    pub fn is_called_for(&self) -> bool {
        self.taken.load(Ordering::Relaxed) == Sleep::Light as u8
    }

    /// Wakes who sleeps there lightly. What was done before this call is seen then.
    #[cold]
    pub fn call(&self) {
        fence(Ordering::SeqCst);
        if self.is_called_for() {
            self.wake();
        }
    }

    /// Wakes whoever sleeps there.
    #[cold]
    pub fn shake(&self) {
        fence(Ordering::SeqCst);
        if self.taken.load(Ordering::Relaxed) != 0 {
            self.wake();
        }
    }

    fn wake(&self) {
        if self.taken.swap(0, Ordering::SeqCst) != 0 {
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
