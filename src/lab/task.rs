//! A task of the lab: the future that tokio polls, with a waker of its own between tokio and whatever it awaits.
//!
//! Through it the probe sees every poll, wake and end exactly, and a person can hold the task: its wakes are then kept
//! here and delivered when it is released.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::task::AbortHandle;

use super::gate::Seen;
use super::quiet::aloud;
use super::world::World;
use crate::trace::{Cause, Ending, Event, Nanos, TaskId};

/// It does not wait; or it is in the midst of a poll, and has not been woken since that began.
const NOT: u64 = u64::MAX;
const POLLED: u64 = u64::MAX - 1;

/// What is shared between a task, its wakers and the person.
#[derive(Debug)]
pub struct TaskCell {
    id: TaskId,
    name: Arc<str>,
    held: AtomicBool,
    over: AtomicBool,
    /// A wake that came while held. Locked wherever holding and waking could cross.
    kept: Mutex<bool>,
    /// tokio's waker of this task; set at the first poll.
    tokio: OnceLock<Waker>,
    abort: OnceLock<AbortHandle>,
    /// Loop time since which it waits for its next wake; [`NOT`] while it is polled, woken, or was told to wait too long.
    waits_since: AtomicU64,
    world: World,
}

impl TaskCell {
    pub fn new(id: TaskId, name: Arc<str>, world: World) -> Arc<Self> {
        Arc::new(Self {
            id,
            name,
            held: AtomicBool::new(false),
            over: AtomicBool::new(false),
            kept: Mutex::new(false),
            tokio: OnceLock::new(),
            abort: OnceLock::new(),
            waits_since: AtomicU64::new(NOT),
            world,
        })
    }

    pub fn id(&self) -> TaskId {
        self.id
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// Holds the task; false where it was held already or is over.
    pub fn hold(&self) -> bool {
        !self.over.load(Ordering::Acquire) && !self.held.swap(true, Ordering::AcqRel)
    }

    /// Lets the task go on. `None` where it was not held, else whether a kept wake is to be delivered to it.
    pub fn release(&self) -> Option<bool> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        self.held.swap(false, Ordering::AcqRel).then(|| std::mem::take(&mut *kept))
    }

    /// Delivers the kept wake. On the loop's thread.
    pub fn deliver(&self) {
        self.forward(Cause::Person);
    }

    /// Loop time since which it waits for its next wake.
    pub fn waits_since(&self) -> Option<Nanos> {
        Some(self.waits_since.load(Ordering::Relaxed)).filter(|since| *since < POLLED)
    }

    /// A poll of it begins.
    pub fn is_polled(&self) {
        self.waits_since.store(POLLED, Ordering::Relaxed);
    }

    /// Its poll is over: it waits, unless it was woken in the midst of it.
    pub fn waits_from(&self, at: Nanos) {
        // Another thread that wakes it between the two is overlooked, until the poll that this wake leads to: not worth
        // what an exchange costs each poll.
        if self.waits_since.load(Ordering::Relaxed) == POLLED {
            self.waits_since.store(at, Ordering::Relaxed);
        }
    }

    /// Somebody was told of this wait; nobody is told again.
    pub fn wait_is_told(&self) {
        self.waits_since.store(NOT, Ordering::Relaxed);
    }

    pub fn can_be_cancelled(&self, abort: AbortHandle) {
        let _ = self.abort.set(abort);
    }

    /// Cancels the task. On the loop's thread.
    pub fn cancel(&self) {
        if let Some(abort) = self.abort.get() {
            abort.abort();
        }
    }

    /// Keeps a wake for later if the task is held.
    #[inline]
    fn keep(&self) -> bool {
        if !self.is_held() {
            return false;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.is_held();
        *kept |= held;
        held
    }

    #[inline]
    fn forward(&self, cause: Cause) {
        // A finished task may leave wakers behind; nobody counts those, here or in console-subscriber.
        if self.over.load(Ordering::Acquire) {
            return;
        }
        self.waits_since.store(NOT, Ordering::Relaxed);
        self.world.tell_wake(self, cause);
        if let Some(tokio) = self.tokio.get() {
            aloud(&self.world.shared().dispatch, || tokio.wake_by_ref());
        }
    }
}

impl Wake for TaskCell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    #[inline]
    fn wake_by_ref(self: &Arc<Self>) {
        let cause = self.world.cause(self.id);
        if self.keep() {
            self.world.tell(|at| Event::WakeKept { task: self.id, at, cause });
        } else {
            self.forward(cause);
        }
    }
}

/// The future that tokio polls.
pub struct TaskFuture<F> {
    cell: Arc<TaskCell>,
    waker: Waker,
    inner: Option<Pin<Box<F>>>,
}

impl<F> TaskFuture<F> {
    pub fn new(cell: Arc<TaskCell>, inner: F) -> Self {
        Self { waker: Waker::from(cell.clone()), cell, inner: Some(Box::pin(inner)) }
    }

    fn end(&mut self, outcome: Ending) {
        let world = self.cell.world.clone();
        world.during(self.cell.id, || self.inner = None);
        self.cell.over.store(true, Ordering::Release);
        world.tell(|at| {
            world.shared().gate.see(&self.cell, Seen::Ended, at);
            Event::End { task: self.cell.id, at, outcome }
        });
        world.forget(&self.cell);
    }
}

impl<T, F: Future<Output = Result<T, String>>> Future for TaskFuture<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let cell = &*this.cell;
        if cell.tokio.get().is_none() {
            let _ = cell.tokio.set(context.waker().clone());
        }
        if cell.keep() {
            cell.world.tell(|at| Event::Bounce { task: cell.id, at });
            return Poll::Pending;
        }
        let Some(inner) = &mut this.inner else { return Poll::Pending };
        let polled = cell.world.polling(cell, || {
            catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll(&mut Context::from_waker(&this.waker))))
        });
        let polled = match polled {
            Ok(polled) => polled,
            Err(panic) => {
                // The trace learns what the panic said; then it goes on to tokio, as in any program.
                this.end(Ending::Failed(format!("panicked: {}", panic_message(&*panic)).into()));
                resume_unwind(panic)
            }
        };
        if let Poll::Ready(result) = &polled {
            let outcome = match result {
                Ok(_) => Ending::Done,
                // A task that fails because it was told to stop did not fail by itself.
                Err(_) if cell.world.shared().gate.is_quitting() => Ending::Cancelled,
                Err(message) => Ending::Failed(message.as_str().into()),
            };
            this.end(outcome);
        }
        polled
    }
}

impl<F> Drop for TaskFuture<F> {
    fn drop(&mut self) {
        if self.inner.is_some() {
            self.end(Ending::Cancelled);
        }
    }
}

/// Keeps a panic of a task from being printed where it happens: its lane, the report and whoever awaits the task tell
/// it. Every other panic is printed as before.
pub fn hush_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if World::current().is_none() {
                before(info);
            }
        }));
    });
}

/// What a panic said, if it said it in words.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without words")
}
