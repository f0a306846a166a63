//! The state that a task shares with its wakers and with the user's commands.
//!
//! Every wake of a task is reported to the probe from here. The wakes of a held task are deferred until the release.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Wake, Waker};

use tokio::task::AbortHandle;

use super::LoopShared;
use crate::lab::gate::GatedTask;
use crate::lab::loop_thread;
use crate::lab::untraced::with_tracing;
use crate::trace::{Event, Nanos, TaskId, WakeSource};

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
    /// The task ends because it was cancelled.
    is_cancelled: AtomicBool,
    /// A wake came while the task was held. Locked wherever holding and waking could race.
    deferred_wake: Mutex<bool>,
    /// tokio's waker of this task, set at the first poll.
    tokio_waker: OnceLock<Waker>,
    /// Cancels the task, set after the spawn.
    abort_handle: OnceLock<AbortHandle>,
    /// The loop time at which the current wait began, or [`NOT_WAITING`] or [`IN_POLL`].
    waiting_since: AtomicU64,
    shared: Arc<LoopShared>,
}

impl TaskControl {
    /// Creates the state of a new task.
    pub fn new(id: TaskId, name: Arc<str>, shared: Arc<LoopShared>) -> Arc<Self> {
        Arc::new(Self {
            id,
            name,
            is_held: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            is_cancelled: AtomicBool::new(false),
            deferred_wake: Mutex::new(false),
            tokio_waker: OnceLock::new(),
            abort_handle: OnceLock::new(),
            waiting_since: AtomicU64::new(NOT_WAITING),
            shared,
        })
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

    /// Sets tokio's waker of this task, unless it is set.
    #[inline]
    pub fn init_tokio_waker(&self, waker: &Waker) {
        if self.tokio_waker.get().is_none() {
            let _ = self.tokio_waker.set(waker.clone());
        }
    }

    /// Records that the task ends because it was cancelled.
    pub fn mark_cancelled(&self) {
        self.is_cancelled.store(true, Ordering::Release);
    }

    /// Returns whether the task ends because it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Acquire)
    }

    /// Marks the task as ended: its wakes are ignored from then on.
    pub fn mark_ended(&self) {
        self.has_ended.store(true, Ordering::Release);
    }

    /// Returns the loop that runs the task.
    #[inline]
    pub fn shared(&self) -> &Arc<LoopShared> {
        &self.shared
    }

    /// Defers a wake if the task is held. Returns whether it did.
    #[inline]
    pub fn defer_wake_if_held(&self) -> bool {
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
        self.shared.emit_wake(self, cause);
        if let Some(waker) = self.tokio_waker.get() {
            with_tracing(&self.shared.dispatch, || waker.wake_by_ref());
        }
    }
}

impl GatedTask for TaskControl {
    fn id(&self) -> TaskId {
        self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Acquire)
    }

    fn mark_wait_reported(&self) {
        self.waiting_since.store(NOT_WAITING, Ordering::Relaxed);
    }
}

impl Wake for TaskControl {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    #[inline]
    fn wake_by_ref(self: &Arc<Self>) {
        let cause = loop_thread::wake_source(self.id);
        if self.defer_wake_if_held() {
            self.shared.emit(|at| Event::WakeDeferred { task: self.id, at, source: cause });
        } else {
            self.forward_wake(cause);
        }
    }
}
