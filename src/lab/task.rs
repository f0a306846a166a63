//! Tasks of the embedded loop: the future that tokio polls, which wraps the task's own future and its waker.
//!
//! The wrapper reports every poll, wake and end to the probe, exactly. It also lets the user hold a task: its wakes are
//! then deferred until the release.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::task::AbortHandle;

use super::gate::BreakpointTrigger;
use super::loop_handle::LoopHandle;
use super::untraced::with_tracing;
use crate::trace::{Event, Nanos, TaskId, TaskOutcome, WakeSource};

/// Value of `waiting_since` when the task is not waiting, or its wait was reported already.
const NOT_WAITING: u64 = u64::MAX;
/// Value of `waiting_since` during a poll, until the task is woken.
const IN_POLL: u64 = u64::MAX - 1;

/// The state that a task shares with its wakers and with the user's commands.
#[derive(Debug)]
pub struct TaskControl {
    id: TaskId,
    name: Arc<str>,
    /// The user holds the task.
    is_held: AtomicBool,
    /// The task has ended.
    has_ended: AtomicBool,
    /// A wake came while the task was held. Locked wherever holding and waking could race.
    deferred_wake: Mutex<bool>,
    /// tokio's waker of this task, set at the first poll.
    tokio_waker: OnceLock<Waker>,
    /// Cancels the task, set after the spawn.
    abort_handle: OnceLock<AbortHandle>,
    /// The loop time at which the current wait began, or [`NOT_WAITING`] or [`IN_POLL`].
    waiting_since: AtomicU64,
    loop_handle: LoopHandle,
}

impl TaskControl {
    /// Creates the state of a new task.
    pub fn new(id: TaskId, name: Arc<str>, loop_handle: LoopHandle) -> Arc<Self> {
        Arc::new(Self {
            id,
            name,
            is_held: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            deferred_wake: Mutex::new(false),
            tokio_waker: OnceLock::new(),
            abort_handle: OnceLock::new(),
            waiting_since: AtomicU64::new(NOT_WAITING),
            loop_handle,
        })
    }

    /// Returns the task's id.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Returns the task's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether the user holds the task.
    pub fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Acquire)
    }

    /// Holds the task. Returns false if it was held already or has ended.
    pub fn hold(&self) -> bool {
        !self.has_ended.load(Ordering::Acquire) && !self.is_held.swap(true, Ordering::AcqRel)
    }

    /// Releases the task. Returns `None` if it was not held, else whether a deferred wake must be delivered.
    pub fn release(&self) -> Option<bool> {
        let mut deferred_wake = self.deferred_wake.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_held.swap(false, Ordering::AcqRel).then(|| std::mem::take(&mut *deferred_wake))
    }

    /// Delivers the deferred wake. Call it on the loop thread.
    pub fn deliver_deferred_wake(&self) {
        self.forward_wake(WakeSource::User);
    }

    /// Returns the loop time at which the current wait began, or `None` if the task does not wait.
    pub fn waiting_since(&self) -> Option<Nanos> {
        Some(self.waiting_since.load(Ordering::Relaxed)).filter(|since| *since < IN_POLL)
    }

    /// Records the start of a poll.
    pub fn mark_poll_start(&self) {
        self.waiting_since.store(IN_POLL, Ordering::Relaxed);
    }

    /// Records the end of a poll at `at`: the task waits from then on, unless it was woken during the poll.
    pub fn mark_waiting(&self, at: Nanos) {
        // A wake by another thread between the two is overlooked until the next poll. An exchange would rule that out,
        // but costs too much for each poll.
        if self.waiting_since.load(Ordering::Relaxed) == IN_POLL {
            self.waiting_since.store(at, Ordering::Relaxed);
        }
    }

    /// Marks the current wait as reported, so that no breakpoint reports it again.
    pub fn mark_wait_reported(&self) {
        self.waiting_since.store(NOT_WAITING, Ordering::Relaxed);
    }

    /// Sets the handle that cancels the task.
    pub fn set_abort_handle(&self, handle: AbortHandle) {
        let _ = self.abort_handle.set(handle);
    }

    /// Cancels the task. Call it on the loop thread.
    pub fn cancel(&self) {
        if let Some(handle) = self.abort_handle.get() {
            handle.abort();
        }
    }

    /// Defers a wake if the task is held. Returns whether it did.
    #[inline]
    fn defer_wake_if_held(&self) -> bool {
        if !self.is_held() {
            return false;
        }
        let mut deferred_wake = self.deferred_wake.lock().unwrap_or_else(PoisonError::into_inner);
        let is_held = self.is_held();
        *deferred_wake |= is_held;
        is_held
    }

    #[inline]
    fn forward_wake(&self, cause: WakeSource) {
        // Wakes of a finished task are ignored, here as in console-subscriber.
        if self.has_ended.load(Ordering::Acquire) {
            return;
        }
        self.waiting_since.store(NOT_WAITING, Ordering::Relaxed);
        self.loop_handle.emit_wake(self, cause);
        if let Some(waker) = self.tokio_waker.get() {
            with_tracing(&self.loop_handle.shared().dispatch, || waker.wake_by_ref());
        }
    }
}

impl Wake for TaskControl {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    #[inline]
    fn wake_by_ref(self: &Arc<Self>) {
        let cause = self.loop_handle.wake_source(self.id);
        if self.defer_wake_if_held() {
            self.loop_handle.emit(|at| Event::WakeDeferred { task: self.id, at, source: cause });
        } else {
            self.forward_wake(cause);
        }
    }
}

/// The future that tokio polls: wraps a task's own future and reports its polls and its end.
pub struct TaskFuture<F> {
    control: Arc<TaskControl>,
    waker: Waker,
    inner: Option<Pin<Box<F>>>,
}

impl<F> TaskFuture<F> {
    /// Wraps `inner`, the future of the task behind `control`.
    pub fn new(control: Arc<TaskControl>, inner: F) -> Self {
        Self { waker: Waker::from(control.clone()), control, inner: Some(Box::pin(inner)) }
    }

    fn finish(&mut self, outcome: TaskOutcome) {
        let loop_handle = self.control.loop_handle.clone();
        loop_handle.run_as_task(self.control.id, || self.inner = None);
        self.control.has_ended.store(true, Ordering::Release);
        loop_handle.emit(|at| {
            loop_handle.shared().gate.check_breakpoints(&self.control, BreakpointTrigger::End, at);
            Event::TaskEnd { task: self.control.id, at, outcome }
        });
        loop_handle.remove_task(&self.control);
    }
}

impl<T, F: Future<Output = Result<T, String>>> Future for TaskFuture<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let control = &*this.control;
        if control.tokio_waker.get().is_none() {
            let _ = control.tokio_waker.set(context.waker().clone());
        }
        if control.defer_wake_if_held() {
            control.loop_handle.emit(|at| Event::PollSuppressed { task: control.id, at });
            return Poll::Pending;
        }
        let Some(inner) = &mut this.inner else { return Poll::Pending };
        let polled = control.loop_handle.poll_instrumented(control, || {
            catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll(&mut Context::from_waker(&this.waker))))
        });
        let polled = match polled {
            Ok(polled) => polled,
            Err(panic) => {
                // Record the message in the trace, then pass the panic on to tokio as in any program.
                this.finish(TaskOutcome::Failed(format!("panicked: {}", panic_message(&*panic)).into()));
                resume_unwind(panic)
            }
        };
        if let Poll::Ready(result) = &polled {
            let outcome = match result {
                Ok(_) => TaskOutcome::Completed,
                // A task that returns an error because the run is being stopped was cancelled.
                Err(_) if control.loop_handle.shared().gate.is_quitting() => TaskOutcome::Cancelled,
                Err(message) => TaskOutcome::Failed(message.as_str().into()),
            };
            this.finish(outcome);
        }
        polled
    }
}

impl<F> Drop for TaskFuture<F> {
    fn drop(&mut self) {
        if self.inner.is_some() {
            self.finish(TaskOutcome::Cancelled);
        }
    }
}

/// Installs a panic hook that does not print panics of tasks: the lane, the report and the awaiting task show them.
/// Other panics are printed as before.
pub fn silence_task_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if LoopHandle::current_task_id().is_none() {
                previous(info);
            }
        }));
    });
}

/// Returns the message of a panic, or a placeholder if its payload is not a string.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}
