//! The handle of a program to the embedded loop: its clock, tasks, awaits and output.
//!
//! Both feeds observe every task and await made through it. The probe is called from here; console-subscriber receives
//! tokio's spans for tasks and the spans of [`super::instrumented_await`] for awaits.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::boxed_future::BoxFuture;
use super::gate::RunStopped;
use super::instrumented_await::InstrumentedAwait;
use super::loop_shared::{LoopShared, TaskControl};
use super::loop_thread;
use super::sleep::LoopSleep;
use super::spawn_location::spawn_at;
use super::task::TaskFuture;
use super::untraced::Untraced;
use crate::control::ClockKind;
use crate::sanitize::sanitize;
use crate::trace::{AwaitSite, Event, Location, Nanos, ResourceId, TaskId, TaskKind, TaskMeta};

/// The resolution of tokio's timers, in nanoseconds.
const TIMER_RESOLUTION_NS: Nanos = 1_000_000;

/// The end of loop time, 146 years. No timer is due later, so sums and axes have headroom.
const LOOP_TIME_MAX: Nanos = 1 << 62;

/// The maximum length of a printed line, in characters.
const LINE_CHARS_MAX: usize = 2_000;

/// The name and spawn location of a new task.
#[derive(Clone, Debug, Default)]
pub struct TaskSpec {
    /// The task's name.
    pub name: String,
    /// Where the program spawns it, if known.
    pub location: Option<Location>,
}

/// A cheaply cloned handle to the embedded loop, through which a program spawns tasks, sleeps and awaits.
#[derive(Clone, Debug)]
pub struct LoopHandle(Arc<LoopShared>);

impl LoopHandle {
    /// Creates a handle of the loop with this state.
    pub(super) fn new(shared: Arc<LoopShared>) -> Self {
        Self(shared)
    }

    /// Returns which clock defines loop time.
    pub fn clock(&self) -> ClockKind {
        self.0.clock.kind()
    }

    /// Returns loop time in nanoseconds.
    pub fn now_ns(&self) -> Nanos {
        self.0.clock.now()
    }

    /// Returns the random seed of the run.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// Returns a sleep for `duration`. It is reported as an await only through [`LoopHandle::await_at`].
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.sleep_until(self.time_after(duration))
    }

    /// Returns a sleep until loop time `at`, rounded up to the next millisecond on a virtual clock, because tokio's
    /// timers fire at whole milliseconds. Rounding here keeps due times exact everywhere.
    pub fn sleep_until(&self, at: Nanos) -> impl Future<Output = ()> + Send + 'static {
        let mut at = at.min(LOOP_TIME_MAX);
        if self.clock() == ClockKind::Virtual {
            at = at.next_multiple_of(TIMER_RESOLUTION_NS);
        }
        let due = self.untraced(|| tokio::time::sleep_until(self.0.clock.tokio_instant(at)));
        LoopSleep::new(self.0.clone(), at, due)
    }

    /// Lets the other ready tasks run first. It is reported as an await only through [`LoopHandle::await_at`].
    ///
    /// A virtual clock stands still while tasks are ready. So that tasks that only yield do not stop it for ever, it goes
    /// on to the next timer after many yields in a row.
    pub fn yield_now(&self) -> impl Future<Output = ()> + Send + 'static {
        let shared = self.0.clone();
        let yielding = self.untraced(tokio::task::yield_now);
        async move {
            shared.spin_detector.mark_yield();
            yielding.await;
        }
    }

    /// Lets the tasks run first that are ready now: the current task is queued behind them, as by `asyncio.sleep(0)`.
    /// It is reported as an await only through [`LoopHandle::await_at`].
    ///
    /// In contrast to [`LoopHandle::yield_now`], tasks that become ready meanwhile do not run first. On a virtual clock
    /// both count as yields.
    pub fn requeue(&self) -> impl Future<Output = ()> + Send + 'static {
        let shared = self.0.clone();
        let mut has_yielded = false;
        poll_fn(move |context| {
            if std::mem::replace(&mut has_yielded, true) {
                return Poll::Ready(());
            }
            shared.spin_detector.mark_yield();
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// Wraps a future of tokio's so that it is created and polled without tokio's spans. It is reported as an await
    /// only through [`LoopHandle::await_at`].
    pub fn untraced<F: Future>(&self, make: impl FnOnce() -> F) -> Untraced<F> {
        let has_subscriber = self.0.console.is_some();
        Untraced::new(has_subscriber, self.without_tracing(make))
    }

    /// Runs `make` without tracing, if the console feed is on.
    pub fn without_tracing<R>(&self, make: impl FnOnce() -> R) -> R {
        self.0.without_tracing(make)
    }

    /// Reports `future` as an await of the current task, from now until it is dropped.
    pub fn await_at<F: Future + Send>(&self, site: &AwaitSite, future: F) -> InstrumentedAwait<F> {
        self.await_for(site, None, future)
    }

    /// Reports `future` as an await of the current task, for `resource` if it is registered.
    pub(super) fn await_for<F: Future + Send>(
        &self,
        site: &AwaitSite,
        resource: Option<ResourceId>,
        future: F,
    ) -> InstrumentedAwait<F> {
        InstrumentedAwait::new(&self.0, site, resource, future)
    }

    /// Blocks the whole loop for `duration` of loop time, inside the current poll.
    ///
    /// # Errors
    ///
    /// If the run is being stopped.
    pub fn block(&self, site: &AwaitSite, duration: Duration) -> Result<(), RunStopped> {
        let until = self.time_after(duration);
        let blocking = self.await_at(
            site,
            poll_fn(|_| {
                let waits = self.0.long_waits();
                Poll::Ready(self.0.gate.block_until(until, &waits, &self.0.clock, &*self.0))
            }),
        );
        match pin!(blocking).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(passed) => passed,
            Poll::Pending => Err(RunStopped),
        }
    }

    /// Spawns a task onto the loop. A task whose future returns `Err` ends as failed.
    pub fn spawn<T: Send + 'static>(
        &self,
        spec: TaskSpec,
        future: impl Future<Output = Result<T, String>> + Send + 'static,
    ) -> tokio::task::JoinHandle<Result<T, String>> {
        self.spawn_with_id(spec, future).1
    }

    /// Spawns a task as [`LoopHandle::spawn`] does. Also returns its id.
    pub fn spawn_with_id<T: Send + 'static>(
        &self,
        spec: TaskSpec,
        future: impl Future<Output = Result<T, String>> + Send + 'static,
    ) -> (TaskId, tokio::task::JoinHandle<Result<T, String>>) {
        let id = self.0.probe.next_task_id();
        let name: String = sanitize_bounded(&spec.name, LINE_CHARS_MAX);
        let meta = TaskMeta {
            name: name.as_str().into(),
            kind: TaskKind::Task,
            parent: loop_thread::current_task(),
            location: spec.location,
            size_bytes: Some(size_of_val(&future) as u64),
            // Every future is boxed here, so tokio never boxes one.
            original_size_bytes: None,
        };
        let shared_name = Arc::clone(&meta.name);
        let location = meta.location.clone().filter(|_| self.0.console.is_some());
        self.0.emit(|at| Event::Spawn { task: id, at, meta: Box::new(meta) });
        self.0.admit_console_events(1);
        let control = TaskControl::new(id, shared_name, self.0.clone());
        let spawn = || {
            tokio::task::Builder::new()
                .name(&name)
                .spawn(TaskFuture::new(control.clone(), future))
                .expect("tasks are spawned from inside the runtime")
        };
        let handle = match &self.0.console {
            Some((_, task_ids)) => task_ids.register(id, || spawn_at(location, spawn)),
            None => spawn(),
        };
        control.set_abort_handle(handle.abort_handle());
        self.0.live_tasks().insert(handle.id(), control);
        (id, handle)
    }

    /// Records that the current task ends because it was cancelled, although its future returns an error.
    pub fn mark_cancelled(&self) {
        if let Some(control) = loop_thread::current_task().and_then(|task| self.0.find_task(task)) {
            control.mark_cancelled();
        }
    }

    /// Sets what the loop runs at the end of the run, before it drops the remaining tasks. It does not run if the user
    /// stops the run.
    pub fn on_run_end(&self, cleanup: impl FnOnce() -> BoxFuture<()> + Send + 'static) {
        self.0.program_hooks.set_cleanup(cleanup);
    }

    /// Sets what cancels a task that the user cancels. It returns false for a task that it does not know.
    pub fn on_cancel(&self, cancel: impl Fn(TaskId) -> bool + Send + Sync + 'static) {
        self.0.program_hooks.set_cancel(cancel);
    }

    /// Records a line of output with its time and task. Control characters are replaced and long lines cut.
    pub fn print(&self, text: &str) {
        let text = sanitize_bounded(text, LINE_CHARS_MAX);
        self.0.emit(|at| Event::Output { task: loop_thread::current_task(), at, text: text.as_str().into() });
    }

    /// Blocks while the loop is paused. A script that runs long without awaiting calls this at intervals.
    ///
    /// # Errors
    ///
    /// If the run is being stopped.
    pub fn checkpoint(&self) -> Result<(), RunStopped> {
        self.0.gate.checkpoint(&self.0.clock, &*self.0)
    }

    /// Sets `callback` to run before each park, when no task is ready. It must be short, and may wake tasks.
    pub fn on_idle(&self, callback: impl FnMut() + Send + 'static) {
        self.0.idle_hook.set(callback);
    }

    /// Returns the shared state of the loop.
    pub(super) fn shared(&self) -> &LoopShared {
        &self.0
    }

    /// Returns loop time after `duration`, at most [`LOOP_TIME_MAX`].
    fn time_after(&self, duration: Duration) -> Nanos {
        let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.now_ns().saturating_add(duration_ns).min(LOOP_TIME_MAX)
    }
}

/// Sanitizes text from a program and limits its length.
fn sanitize_bounded(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => sanitize(&text[..end]) + "…",
        None => sanitize(text),
    }
}
