//! tokio's own primitives without tokio's own spans: what we wrap around them says more, and with the script's location.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tracing::Dispatch;

thread_local! {
    /// This thread is inside a quiet poll.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Makes something of tokio's without its spans.
pub(super) fn quietly<R>(make: impl FnOnce() -> R) -> R {
    tracing::dispatcher::with_default(&super::uninstrumented(), make)
}

/// Wakes somebody, heard by `dispatch` even from inside a quiet poll: a send wakes who receives, and a wake that one
/// witness misses is a disagreement.
pub(super) fn aloud(dispatch: &Dispatch, wake: impl FnOnce()) {
    if QUIET.get() { tracing::dispatcher::with_default(dispatch, wake) } else { wake() }
}

pin_project! {
    /// A future of tokio's that is made and polled without its spans.
    pub struct Quiet<F> {
        // Somebody listens to spans at all.
        is_heard: bool,
        #[pin]
        future: F,
    }
}

impl<F: Future> Quiet<F> {
    pub(super) fn new(is_heard: bool, future: F) -> Self {
        Self { is_heard, future }
    }
}

impl<F: Future> Future for Quiet<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if !*this.is_heard {
            return this.future.poll(context);
        }
        let before = QUIET.replace(true);
        let polled = quietly(|| this.future.poll(context));
        QUIET.set(before);
        polled
    }
}
