//! Tasks that can be held and cancelled.

use std::collections::HashMap;
use std::future::Future;
use std::hash::BuildHasherDefault;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;
use tokio::task::{AbortHandle, JoinHandle};

use crate::live::IdHasher;
use crate::record::RecordKind;
use crate::{control, events, hold, hooks, live, thread};

/// What loopscope can do with a task.
#[derive(Default)]
struct TaskControl {
    is_held: AtomicBool,
    /// Wakes the task after its release, if it was to be polled meanwhile.
    waker: Mutex<Option<Waker>>,
    link: Mutex<Link>,
}

/// What connects a control with its task.
#[derive(Default)]
enum Link {
    /// The task was spawned just now.
    #[default]
    New,
    Linked(u64, AbortHandle),
    Ended,
}

/// Number of parts of the table with a lock each, so that workers rarely wait for each other.
const SHARDS: usize = 64;

type Shard = HashMap<u64, Arc<TaskControl>, BuildHasherDefault<IdHasher>>;

/// Tasks that were spawned by [`spawn`] and live, by their ids.
static TASKS: LazyLock<[Mutex<Shard>; SHARDS]> = LazyLock::new(|| std::array::from_fn(|_| Mutex::default()));

fn shard(task: u64) -> MutexGuard<'static, Shard> {
    lock(&TASKS[task as usize % SHARDS])
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Spawns a task as [`tokio::spawn`] does, and makes it possible to hold and to cancel it from loopscope.
///
/// That needs permission, by [`allow_control`](crate::Guard::allow_control) or by a start with `loopscope exec`; it must
/// be there when the task is spawned. Tasks that are spawned in any other way cannot be cancelled, and can be held only on a
/// multi-threaded runtime with [hooks](crate::runtime), four at one time.
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
    // Without permission, a control would never be used.
    let control = control::is_possible().then(Arc::<TaskControl>::default);
    let handle = tokio::spawn(ControlledTask {
        future,
        control: ControlGuard { control: control.clone(), has_completed: false },
    });
    if let Some(control) = control {
        let task = hooks::number(&handle.id());
        let mut link = lock(&control.link);
        // The task may have ended already.
        if matches!(*link, Link::New) {
            *link = Link::Linked(task, handle.abort_handle());
            shard(task).insert(task, control.clone());
        }
    }
    handle
}

/// Removes the control when the future is dropped.
struct ControlGuard {
    control: Option<Arc<TaskControl>>,
    has_completed: bool,
}

impl Drop for ControlGuard {
    fn drop(&mut self) {
        let Some(control) = &self.control else { return };
        if !self.has_completed {
            let _ = thread::with(|thread| crate::tasks::note_dropped(thread, current_task()));
        }
        if let Link::Linked(task, _) = std::mem::replace(&mut *lock(&control.link), Link::Ended) {
            shard(task).remove(&task);
        }
    }
}

pin_project! {
    struct ControlledTask<F> {
        #[pin]
        future: F,
        control: ControlGuard,
    }
}

impl<F: Future> Future for ControlledTask<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if events::flags() & events::HOLDING != 0
            && let Some(control) = &this.control.control
            && control.suspend(cx)
        {
            return Poll::Pending;
        }
        let polled = this.future.poll(cx);
        this.control.has_completed = polled.is_ready();
        polled
    }
}

/// Returns the task that is polled or dropped, or 0.
fn current_task() -> u64 {
    tokio::task::try_id().map_or(0, |id| hooks::number(&id))
}

impl TaskControl {
    /// Keeps the waker if the task is held. Returns whether it is.
    fn suspend(&self, cx: &Context<'_>) -> bool {
        let mut waker = lock(&self.waker);
        if !self.is_held.load(Ordering::SeqCst) {
            return false;
        }
        *waker = Some(cx.waker().clone());
        let _ = thread::with(|thread| crate::tasks::note_suspended(thread, current_task()));
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

/// Returns the control of a task that was spawned by [`spawn`].
fn find(task: u64) -> Option<Arc<TaskControl>> {
    shard(task).get(&task).cloned()
}

/// Returns whether a task of [`spawn`] is held.
pub(crate) fn is_held(task: u64) -> bool {
    events::flags() & events::HOLDING != 0 && find(task).is_some_and(|control| control.is_held.load(Ordering::SeqCst))
}

/// Returns why a task that [`spawn`] did not spawn cannot be controlled: `needs`, unless it has ended.
fn refuse(task: u64, needs: &str) -> String {
    let is_live = live::task_name(task).is_some();
    (if is_live { needs } else { "the task has ended" }).to_owned()
}

/// Holds a task: it is not polled until it is released. Where [`spawn`] did not spawn it, a hook holds it.
pub(crate) fn hold(task: u64) -> Result<(), String> {
    let control = find(task);
    if control.is_none() && !live::has_hooks(events::task_span(task)) {
        return Err(refuse(task, "hold needs `loopscope_probe::spawn` or a runtime with hooks"));
    }
    events::set_flag(events::HOLDING, true);
    let is_new = match control {
        Some(control) => !control.is_held.swap(true, Ordering::SeqCst),
        None => hold::hold(task)?,
    };
    if is_new {
        events::write(RecordKind::Held, task);
    }
    Ok(())
}

/// Releases a held task.
pub(crate) fn release(task: u64) -> Result<(), String> {
    match find(task) {
        Some(control) => control.release(task),
        None if hold::release(task) => events::write(RecordKind::Released, task),
        None => return Err("the task is not held".to_owned()),
    }
    Ok(())
}

/// Releases all held tasks.
pub(crate) fn release_all() {
    for shard in &*TASKS {
        let tasks: Vec<_> = lock(shard).iter().map(|(&task, control)| (task, control.clone())).collect();
        tasks.iter().for_each(|(task, control)| control.release(*task));
    }
    for task in hold::held_tasks() {
        hold::release(task);
        events::write(RecordKind::Released, task);
    }
    events::set_flag(events::HOLDING, false);
}

/// Cancels a task.
pub(crate) fn cancel(task: u64) -> Result<(), String> {
    let control = find(task).ok_or_else(|| refuse(task, "only a task of `loopscope_probe::spawn` can be cancelled"))?;
    if let Link::Linked(_, handle) = &*lock(&control.link) {
        handle.abort();
    }
    Ok(())
}
