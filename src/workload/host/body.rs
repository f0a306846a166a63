//! The cancellation state of a running script body: a task's, or one that runs inside a task.
//!
//! A cancel is a request. The body takes it where it awaits, and there it raises an error, as in asyncio. So the body's
//! handlers and `<close>` variables run, and they may await.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Waker;

use super::lock::lock;
use crate::workload::fault::{FaultKind, ScriptFault};

/// A request to cancel a body, with the message that the script gave it.
#[derive(Clone, Debug, Default)]
pub(super) struct CancelRequest {
    pub message: Option<Arc<str>>,
}

impl CancelRequest {
    /// Returns the error that the request raises at `line`.
    pub fn fault(&self, line: Option<u32>) -> ScriptFault {
        let text = self.message.as_deref().map_or_else(|| "cancelled".to_owned(), |text| format!("cancelled: {text}"));
        ScriptFault { cancel_message: self.message.clone(), ..ScriptFault::new(text) }
            .line(line)
            .kind(FaultKind::Cancelled)
    }
}

/// The cancellation state of one body.
#[derive(Default)]
pub(super) struct BodyContext {
    has_request: AtomicBool,
    request: Mutex<Option<CancelRequest>>,
    /// Number of calls of `pcall` and the like that are under way. For a task, this includes bodies inside it.
    handlers: AtomicUsize,
    /// Number of awaits under way that take a request themselves, because they pass it on.
    forwarding_awaits: AtomicUsize,
    /// Whether the body is being polled.
    is_polled: AtomicBool,
    /// Wakes the task. Unset for a body inside a task, and before the first poll.
    waker: OnceLock<Waker>,
}

impl BodyContext {
    /// Requests a cancel and wakes the task, unless it is being polled.
    pub fn request_cancel(&self, request: CancelRequest) {
        *lock(&self.request) = Some(request);
        self.has_request.store(true, Ordering::Release);
        if let Some(waker) = self.waker.get().filter(|_| !self.is_polled()) {
            waker.wake_by_ref();
        }
    }

    /// Returns whether there is a cancel request that was not taken.
    pub fn has_request(&self) -> bool {
        self.has_request.load(Ordering::Acquire)
    }

    /// Takes the cancel request, if there is one.
    #[inline]
    pub fn take_cancel(&self) -> Option<CancelRequest> {
        if !self.has_request.load(Ordering::Acquire) {
            return None;
        }
        self.has_request.store(false, Ordering::Release);
        lock(&self.request).take()
    }

    /// Returns whether no `pcall` or the like is under way.
    pub fn has_no_handlers(&self) -> bool {
        self.handlers.load(Ordering::Relaxed) == 0
    }

    /// Returns whether no await under way takes a cancel request itself.
    pub fn has_no_forwarding_awaits(&self) -> bool {
        self.forwarding_awaits.load(Ordering::Relaxed) == 0
    }

    /// Returns whether the body is being polled.
    pub fn is_polled(&self) -> bool {
        self.is_polled.load(Ordering::Relaxed)
    }

    /// Marks the begin or the end of a poll.
    pub fn set_polled(&self, is_polled: bool) {
        self.is_polled.store(is_polled, Ordering::Relaxed);
    }

    /// Sets the waker of the task, unless it is set.
    pub fn init_waker(&self, waker: &Waker) {
        if self.waker.get().is_none() {
            let _ = self.waker.set(waker.clone());
        }
    }

    /// Counts a call of `pcall` or the like that begins.
    pub fn enter_handler(&self) {
        self.handlers.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a call of `pcall` or the like that ended.
    pub fn leave_handler(&self) {
        self.handlers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts the calls of `pcall` and the like in `inner`, a suspended body inside this task, until the guard is dropped.
    pub fn count_handlers_of(self: &Arc<Self>, inner: &Self) -> InnerHandlersGuard {
        let count = inner.handlers.load(Ordering::Relaxed);
        self.handlers.fetch_add(count, Ordering::Relaxed);
        InnerHandlersGuard { task: Arc::clone(self), count }
    }

    /// Counts an await that takes cancel requests itself, until the guard is dropped.
    pub fn count_forwarding_await(self: &Arc<Self>) -> ForwardingAwaitGuard {
        self.forwarding_awaits.fetch_add(1, Ordering::Relaxed);
        ForwardingAwaitGuard(Arc::clone(self))
    }
}

/// Counts one await that takes cancel requests itself. Created by [`BodyContext::count_forwarding_await`].
pub(super) struct ForwardingAwaitGuard(Arc<BodyContext>);

impl Drop for ForwardingAwaitGuard {
    fn drop(&mut self) {
        self.0.forwarding_awaits.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts the handlers of a body inside a task as the task's. Created by [`BodyContext::count_handlers_of`].
pub(super) struct InnerHandlersGuard {
    task: Arc<BodyContext>,
    count: usize,
}

impl Drop for InnerHandlersGuard {
    fn drop(&mut self) {
        self.task.handlers.fetch_sub(self.count, Ordering::Relaxed);
    }
}
