//! The timers that are set, in loop time: what pacing waits for, and what the screen says is next.
//!
//! tokio knows its timers but does not tell, so every timer of the lab is noted here as well.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::world::World;
use crate::trace::Nanos;

/// One timer that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    due: Nanos,
    number: u64,
}

#[derive(Debug, Default)]
pub struct Timers(Mutex<Set>);

#[derive(Debug, Default)]
struct Set {
    timers: BTreeSet<Timer>,
    made: u64,
}

impl Timers {
    fn lock(&self) -> MutexGuard<'_, Set> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set(&self, due: Nanos) -> Timer {
        let mut set = self.lock();
        set.made += 1;
        let timer = Timer { due, number: set.made };
        set.timers.insert(timer);
        timer
    }

    pub fn clear(&self, timer: Timer) {
        self.lock().timers.remove(&timer);
    }

    pub fn is_empty(&self) -> bool {
        self.lock().timers.is_empty()
    }

    /// When the earliest timer after `now` is due. One that is due already has fired: it stays noted until its task is
    /// polled, which takes long for a held one.
    pub fn next(&self, now: Nanos) -> Option<Nanos> {
        let after = Timer { due: now.saturating_add(1), number: 0 };
        self.lock().timers.range(after..).next().map(|timer| timer.due)
    }
}

pin_project! {
    /// A sleep of tokio's until this loop time, noted for as long as it lasts.
    pub struct Sleep {
        #[pin]
        due: tokio::time::Sleep,
        at: Nanos,
        noted: Option<Noted>,
    }
}

/// A timer that is noted for as long as this lives.
struct Noted {
    timer: Timer,
    world: World,
}

impl Sleep {
    pub fn new(world: World, at: Nanos, due: tokio::time::Sleep) -> Self {
        Self { due, at, noted: Some(Noted { timer: world.shared().timers.set(at), world }) }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        while let Some(Noted { world, .. }) = &*this.noted {
            ready!(this.due.as_mut().poll(context));
            if world.now_ns() >= *this.at {
                *this.noted = None;
            } else {
                // A pause on the real clock stops loop time, but not tokio's timers. Setting it anew aloud would make an
                // async op of tokio's own.
                world.quietly(|| this.due.as_mut().reset(world.shared().clock.instant(*this.at)));
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.world.shared().timers.clear(self.timer);
    }
}
