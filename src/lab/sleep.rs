//! A sleep until a loop time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::loop_shared::LoopShared;
use super::timers::TimerEntry;
use super::untraced::Untraced;
use crate::trace::Nanos;

pin_project! {
    /// A tokio sleep until a loop time, registered for as long as it lives.
    pub struct LoopSleep {
        // With tracing, tokio reports a ready poll of the await around it before the sleep is over: the cooperative budget
        // is polled first, as the same operation.
        #[pin]
        sleep: Untraced<tokio::time::Sleep>,
        at: Nanos,
        guard: Option<TimerGuard>,
    }
}

/// Removes a timer from the registry on drop.
struct TimerGuard {
    timer: TimerEntry,
    shared: Arc<LoopShared>,
}

impl LoopSleep {
    /// Registers a sleep until `at`; `sleep` is the tokio sleep that implements it.
    pub fn new(shared: Arc<LoopShared>, at: Nanos, sleep: Untraced<tokio::time::Sleep>) -> Self {
        Self { sleep, at, guard: Some(TimerGuard { timer: shared.timers.register(at), shared }) }
    }
}

impl Future for LoopSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        while let Some(TimerGuard { shared, .. }) = &*this.guard {
            ready!(this.sleep.as_mut().poll(context));
            if shared.clock.now() >= *this.at {
                *this.guard = None;
            } else {
                // A pause on the real clock stops loop time but not tokio's timers, so the sleep is set again. With
                // tracing, that would create an async op of tokio's own.
                shared.without_tracing(|| this.sleep.as_mut().inner().reset(shared.clock.tokio_instant(*this.at)));
            }
        }
        Poll::Ready(())
    }
}

impl Drop for TimerGuard {
    fn drop(&mut self) {
        self.shared.timers.remove(self.timer);
    }
}
