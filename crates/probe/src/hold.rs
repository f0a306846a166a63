//! Tasks that are held by a hook, which blocks their thread before their next poll. tokio gives the worker of the thread to
//! another thread meanwhile, as [`tokio::task::block_in_place`] does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::events;

/// The most tasks that hooks hold at one time. Each may occupy a thread of the runtime's blocking pool.
pub(crate) const HELD_MAX: usize = 4;

/// The tasks that are held, or 0.
static HELD: [AtomicU64; HELD_MAX] = [const { AtomicU64::new(0) }; HELD_MAX];

/// Notified when a task is released.
static RELEASED: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());

fn lock() -> MutexGuard<'static, ()> {
    RELEASED.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns whether a hook holds this task before its next poll.
pub(crate) fn is_held(task: u64) -> bool {
    task != 0 && HELD.iter().any(|held| held.load(Ordering::SeqCst) == task)
}

/// Returns whether a hook holds this task, or is to hold it. Usually no task is held.
#[inline]
pub(crate) fn is_held_now(task: u64) -> bool {
    events::flags() & events::HOLDING != 0 && is_held(task)
}

/// Holds a task before its next poll. Returns whether it was not held already.
///
/// # Errors
/// Fails if [`HELD_MAX`] tasks are held.
pub(crate) fn hold(task: u64) -> Result<bool, String> {
    // Commands are carried out one after the other.
    if is_held(task) {
        return Ok(false);
    }
    let take = |held: &AtomicU64| held.compare_exchange(0, task, Ordering::SeqCst, Ordering::SeqCst).is_ok();
    let is_taken = HELD.iter().any(take);
    let error = || format!("{HELD_MAX} tasks are held, the most without `loopscope_probe::spawn`");
    is_taken.then_some(true).ok_or_else(error)
}

/// Releases a task. Returns whether it was held.
pub(crate) fn release(task: u64) -> bool {
    let clear = |held: &AtomicU64| held.compare_exchange(task, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok();
    let was_held = task != 0 && HELD.iter().any(clear);
    if was_held {
        let _released = lock();
        RELEASED.1.notify_all();
    }
    was_held
}

/// Returns all tasks that are held.
pub(crate) fn held_tasks() -> impl Iterator<Item = u64> {
    HELD.iter().map(|held| held.load(Ordering::SeqCst)).filter(|&task| task != 0)
}

#[cfg(tokio_unstable)]
pub(crate) use blocking::block;

#[cfg(tokio_unstable)]
mod blocking {
    use std::sync::PoisonError;
    use std::time::{Duration, Instant};

    use tokio::runtime::{Handle, RuntimeFlavor};

    use super::{RELEASED, is_held, lock, release};
    use crate::protocol::Reply;
    use crate::record::RecordKind;
    use crate::{collector, events, gate};

    /// How long a thread waits for another one that takes over its worker.
    const HANDOVER_TIMEOUT: Duration = Duration::from_secs(1);

    /// Time between two looks whether another thread has taken over the worker.
    const HANDOVER_INTERVAL: Duration = Duration::from_millis(5);

    /// Blocks this thread until the task is released. Returns whether it is still the worker that it was: otherwise another
    /// thread has taken that over, and this one returns to the blocking pool after the poll.
    #[cold]
    pub(crate) fn block(task: u64) -> bool {
        let runtime = Handle::try_current().ok();
        let is_multi_thread = |runtime: &Handle| runtime.runtime_flavor() == RuntimeFlavor::MultiThread;
        let Some(runtime) = runtime.filter(is_multi_thread) else {
            give_up(task, "hold needs `loopscope_probe::spawn` on a current-thread runtime");
            return true;
        };
        let (metrics, worker) = (runtime.metrics(), tokio::runtime::worker_index());
        let thread = std::thread::current().id();
        let is_worker = || worker.is_none_or(|worker| metrics.worker_thread_id(worker) == Some(thread));
        tokio::task::block_in_place(|| wait(task, &is_worker));
        is_worker()
    }

    /// Waits until the task is released, or no other thread takes over the worker.
    fn wait(task: u64, is_worker: &dyn Fn() -> bool) {
        let since = Instant::now();
        let mut is_taken_over = false;
        let mut lock = lock();
        while is_held(task) {
            is_taken_over = is_taken_over || !is_worker();
            if is_taken_over {
                lock = RELEASED.1.wait(lock).unwrap_or_else(PoisonError::into_inner);
            } else if since.elapsed() < HANDOVER_TIMEOUT {
                let waited = RELEASED.1.wait_timeout(lock, HANDOVER_INTERVAL);
                lock = waited.unwrap_or_else(PoisonError::into_inner).0;
            } else {
                drop(lock);
                return give_up(task, "the task is not held: no thread of the blocking pool is free");
            }
        }
    }

    /// Releases a task that cannot be held, and reports why.
    fn give_up(task: u64, error: &str) {
        if release(task) {
            events::write(RecordKind::Released, task);
            collector::add_reply(Reply { error: Some(error.to_owned()), ..gate::status() });
        }
    }
}
