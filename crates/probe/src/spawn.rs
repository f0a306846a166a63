//! Tasks that can be held and cancelled.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;
use tokio::task::{AbortHandle, JoinHandle};

use crate::events;
use crate::record::RecordKind;
use crate::{hooks, thread};

/// What loopscope can do with a task.
struct TaskControl {
    is_held: AtomicBool,
    /// Wakes the task after its release, if it was to be polled meanwhile.
    waker: Mutex<Option<Waker>>,
    abort: AbortHandle,
}

/// Tasks that were spawned by [`spawn`] and live, by their ids. `None` if a task ended before it was added.
static TASKS: LazyLock<Mutex<HashMap<u64, Arc<TaskControl>>>> = LazyLock::new(Mutex::default);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Spawns a task as [`tokio::spawn`] does, and makes it possible to hold and to cancel it from loopscope.
///
/// Tasks that are spawned in any other way can be paused together with all others, but neither held nor cancelled.
///
/// # Panics
/// Panics outside of a runtime, as [`tokio::spawn`] does.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let answer = loopscope_probe::spawn(async { 42 });
/// assert_eq!(answer.await.ok(), Some(42));
/// # }
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let link = Arc::new(Mutex::new(Link::New));
    let handle = tokio::spawn(ControlledTask { future, link: LinkGuard(link.clone()) });
    let control =
        TaskControl { is_held: AtomicBool::new(false), waker: Mutex::new(None), abort: handle.abort_handle() };
    let task = hooks::number(&handle.id());
    let mut link = lock(&link);
    // The task may have ended already.
    if matches!(*link, Link::New) {
        let control = Arc::new(control);
        lock(&TASKS).insert(task, control.clone());
        *link = Link::Linked(task, control);
    }
    handle
}

/// What connects a task with its control.
enum Link {
    /// The task was spawned just now.
    New,
    Linked(u64, Arc<TaskControl>),
    Ended,
}

/// Removes the control when the future is dropped.
struct LinkGuard(Arc<Mutex<Link>>);

impl Drop for LinkGuard {
    fn drop(&mut self) {
        let link = std::mem::replace(&mut *lock(&self.0), Link::Ended);
        if let Link::Linked(task, _) = link {
            lock(&TASKS).remove(&task);
        }
    }
}

pin_project! {
    struct ControlledTask<F> {
        #[pin]
        future: F,
        link: LinkGuard,
    }
}

impl<F: Future> Future for ControlledTask<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if events::flags() & events::HOLDING != 0
            && let Link::Linked(_, control) = &*lock(&this.link.0)
            && control.suspend(cx)
        {
            return Poll::Pending;
        }
        this.future.poll(cx)
    }
}

impl TaskControl {
    /// Keeps the waker if the task is held. Returns whether it is.
    fn suspend(&self, cx: &Context<'_>) -> bool {
        let mut waker = lock(&self.waker);
        if !self.is_held.load(Ordering::SeqCst) {
            return false;
        }
        *waker = Some(cx.waker().clone());
        let _ = thread::with(crate::tasks::note_suspended);
        true
    }

    fn release(&self, task: u64) {
        let waker = {
            let mut waker = lock(&self.waker);
            if !self.is_held.swap(false, Ordering::SeqCst) {
                return;
            }
            waker.take()
        };
        events::write(RecordKind::Released, task);
        waker.into_iter().for_each(Waker::wake);
    }
}

fn find(task: u64) -> Result<Arc<TaskControl>, String> {
    let control = lock(&TASKS).get(&task).cloned();
    control.ok_or_else(|| format!("task {task} does not live, or was not spawned by `loopscope_probe::spawn`"))
}

/// Holds a task: it is not polled until it is released.
pub(crate) fn hold(task: u64) -> Result<(), String> {
    let control = find(task)?;
    events::set_flag(events::HOLDING, true);
    if !control.is_held.swap(true, Ordering::SeqCst) {
        events::write(RecordKind::Held, task);
    }
    Ok(())
}

/// Releases a held task.
pub(crate) fn release(task: u64) -> Result<(), String> {
    find(task)?.release(task);
    Ok(())
}

/// Releases all held tasks.
pub(crate) fn release_all() {
    let tasks: Vec<_> = lock(&TASKS).iter().map(|(&task, control)| (task, control.clone())).collect();
    tasks.iter().for_each(|(task, control)| control.release(*task));
    events::set_flag(events::HOLDING, false);
}

/// Cancels a task.
pub(crate) fn cancel(task: u64) -> Result<(), String> {
    find(task)?.abort.abort();
    Ok(())
}
