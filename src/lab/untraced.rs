//! Futures of tokio that are polled without tokio's own spans.
//!
//! The await that wraps such a future says more, including the script's location.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tracing::Dispatch;

thread_local! {
    /// Whether this thread is inside a poll of an [`Untraced`] future.
    static IS_UNTRACED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `make` without a tracing subscriber on this thread.
pub(super) fn without_tracing<R>(make: impl FnOnce() -> R) -> R {
    tracing::dispatcher::with_default(&super::untraced_dispatch(), make)
}

/// Runs `wake` with `dispatch` as the subscriber, also inside an untraced poll. A send wakes its receiver from there,
/// and a wake that only one feed observes would be a disagreement.
pub(super) fn with_tracing(dispatch: &Dispatch, wake: impl FnOnce()) {
    if IS_UNTRACED.get() { tracing::dispatcher::with_default(dispatch, wake) } else { wake() }
}

pin_project! {
    /// A future that is created and polled without tracing.
    pub struct Untraced<F> {
        // Whether there is a subscriber to hide from.
        has_subscriber: bool,
        #[pin]
        future: F,
    }
}

impl<F: Future> Untraced<F> {
    /// Wraps `future`, which must have been created without tracing.
    pub(super) fn new(has_subscriber: bool, future: F) -> Self {
        Self { has_subscriber, future }
    }

    /// Returns the future inside.
    pub(super) fn inner(self: Pin<&mut Self>) -> Pin<&mut F> {
        self.project().future
    }
}

impl<F: Future> Future for Untraced<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if !*this.has_subscriber {
            return this.future.poll(context);
        }
        let before = IS_UNTRACED.replace(true);
        let polled = without_tracing(|| this.future.poll(context));
        IS_UNTRACED.set(before);
        polled
    }
}
