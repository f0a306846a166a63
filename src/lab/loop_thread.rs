//! What the current thread does for the loop: which task it polls, and since when it is parked.

use std::cell::Cell;
use std::time::Instant;

use super::cached_now;
use crate::trace::{TaskId, WakeSource};

thread_local! {
    /// The task that this thread polls or whose end it handles: it is the wake source of tasks woken meanwhile.
    static CURRENT_TASK: Cell<Option<TaskId>> = const { Cell::new(None) };
    /// Whether the current task was polled, not only dropped.
    static WAS_POLLED: Cell<bool> = const { Cell::new(false) };
    /// When this thread, the loop's, entered the driver; `None` outside a park.
    static PARKED_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Whether this thread runs the loop, as opposed to the blocking pool and the rest of the process.
    static IS_LOOP_THREAD: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread carries out a command of the user.
    static IS_USER: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as the loop thread.
pub fn mark() {
    IS_LOOP_THREAD.set(true);
}

/// Returns the task that this thread polls, if any.
#[inline]
pub fn current_task() -> Option<TaskId> {
    CURRENT_TASK.get()
}

/// Records that a poll of `task` begins. The task stays current until [`finish_poll`].
#[inline]
pub fn begin_poll(task: TaskId) {
    CURRENT_TASK.set(Some(task));
    WAS_POLLED.set(true);
}

/// Records the end of a task's turn. Returns whether the task was polled, not only dropped.
#[inline]
pub fn finish_poll() -> bool {
    CURRENT_TASK.set(None);
    WAS_POLLED.take()
}

/// Runs `work` as `task`, outside a poll.
pub fn run_as_task<R>(task: TaskId, work: impl FnOnce() -> R) -> R {
    let previous = CURRENT_TASK.replace(Some(task));
    let result = work();
    CURRENT_TASK.set(previous);
    // That was the program's code too and may have taken long.
    cached_now::invalidate();
    result
}

/// Carries out a command of the user: tasks that it wakes are woken by the user.
pub fn run_as_user<R>(command: impl FnOnce() -> R) -> R {
    IS_USER.set(true);
    let result = command();
    IS_USER.set(false);
    result
}

/// Returns the source of a wake of `task` by this thread.
#[inline]
pub fn wake_source(task: TaskId) -> WakeSource {
    match CURRENT_TASK.get() {
        None if IS_USER.get() => WakeSource::User,
        Some(current) if current == task => WakeSource::SelfWake,
        Some(current) => WakeSource::Task(current),
        None if IS_LOOP_THREAD.get() => WakeSource::Driver,
        None => WakeSource::Thread,
    }
}

/// Records that this thread enters the driver.
pub fn begin_park() {
    PARKED_SINCE.set(Some(Instant::now()));
}

/// Returns when this thread entered the driver; `None` outside a park.
#[inline]
pub fn parked_since() -> Option<Instant> {
    PARKED_SINCE.get()
}

/// Records the end of the park. Returns when it began.
pub fn finish_park() -> Option<Instant> {
    PARKED_SINCE.take()
}
