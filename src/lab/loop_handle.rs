//! The handle of a program to the embedded loop: its clock, tasks, awaits and output.
//!
//! Both feeds observe every task and await made through it. The probe is called from here; console-subscriber receives
//! tokio's spans for tasks and the spans of [`super::instrumented_await`] for awaits.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::sync::Notify;
use tracing::Dispatch;

use super::clock::LoopClock;
use super::deadlock::DeadlockDetector;
use super::gate::{Gate, GateHandler, RunStopped, TaskAction};
use super::idle_hook::IdleHook;
use super::instrumented_await::InstrumentedAwait;
use super::task::{TaskControl, TaskFuture};
use super::throttle::AggregatorThrottle;
use super::timers::{LoopSleep, TimerRegistry};
use super::untraced::{Untraced, without_tracing};
use crate::control::ClockKind;
use crate::feed::console::TokioTaskIds;
use crate::feed::probe::Probe;
use crate::sanitize::sanitize;
use crate::trace::{AwaitSite, Event, Location, Nanos, PauseReason, ResourceId, TaskId, TaskKind, TaskMeta};

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

/// The state that all handles of a loop share.
#[derive(Debug)]
pub(super) struct LoopShared {
    /// The loop's clock.
    pub clock: LoopClock,
    /// The gate before each poll and park.
    pub gate: Arc<Gate>,
    /// Receives the reports of this loop.
    pub probe: Arc<Probe>,
    /// The timers that are set.
    pub timers: TimerRegistry,
    /// With the console feed: the throttle, and the map from tokio's task ids to trace ids.
    pub console: Option<(Arc<AggregatorThrottle>, TokioTaskIds)>,
    /// The random seed of the run.
    pub seed: u64,
    /// The tasks that are alive.
    pub live_tasks: Mutex<LiveTasks>,
    /// The dispatcher that traces the loop, for code that runs where it is not the default.
    pub dispatch: Dispatch,
    /// Wakes the loop's root future.
    pub root_wakeup: Arc<Notify>,
    /// Runs before each park.
    pub idle_hook: IdleHook,
    /// The deadlock detector. `None` on the real clock, where the outside world may still wake a task.
    pub deadlock: Option<DeadlockDetector>,
}

/// The tasks that have not ended.
#[derive(Debug, Default)]
pub(super) struct LiveTasks {
    /// The tasks by tokio's id.
    by_tokio_id: FxHashMap<tokio::task::Id, Arc<TaskControl>>,
    /// The tasks by their trace id, with tokio's id.
    pub by_id: FxHashMap<TaskId, (tokio::task::Id, Arc<TaskControl>)>,
}

impl LoopHandle {
    /// Creates the first handle of a loop.
    pub(super) fn new(shared: LoopShared) -> Self {
        Self(Arc::new(shared))
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
        let due = self.without_tracing(|| tokio::time::sleep_until(self.0.clock.tokio_instant(at)));
        LoopSleep::new(self.clone(), at, due)
    }

    /// Wraps a future of tokio's so that it is created and polled without tokio's spans. It is reported as an await
    /// only through [`LoopHandle::await_at`].
    pub fn untraced<F: Future>(&self, make: impl FnOnce() -> F) -> Untraced<F> {
        let has_subscriber = self.0.console.is_some();
        Untraced::new(has_subscriber, self.without_tracing(make))
    }

    /// Runs `make` without tracing, if the console feed is on.
    pub fn without_tracing<R>(&self, make: impl FnOnce() -> R) -> R {
        if self.0.console.is_some() { without_tracing(make) } else { make() }
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
        if let Some((throttle, _)) = &self.0.console {
            throttle.admit(2, &self.0.gate);
        }
        InstrumentedAwait::new(self, site, resource, future)
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
                let waits = self.long_waits();
                Poll::Ready(self.0.gate.block_until(until, &waits, &self.0.clock, self))
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
        let id = self.0.probe.next_task_id();
        let name: String = sanitize_bounded(&spec.name, LINE_CHARS_MAX);
        let meta = TaskMeta {
            name: name.as_str().into(),
            kind: TaskKind::Task,
            parent: Self::current_task_id(),
            location: spec.location,
            size_bytes: Some(size_of_val(&future) as u64),
            // Every future is boxed here, so tokio never boxes one.
            original_size_bytes: None,
        };
        let shared_name = Arc::clone(&meta.name);
        self.emit(|at| Event::Spawn { task: id, at, meta: Box::new(meta) });
        if let Some((throttle, _)) = &self.0.console {
            throttle.admit(1, &self.0.gate);
        }
        let control = TaskControl::new(id, shared_name, self.clone());
        let spawn = || {
            tokio::task::Builder::new()
                .name(&name)
                .spawn(TaskFuture::new(control.clone(), future))
                .expect("tasks are spawned from inside the runtime")
        };
        let handle = match &self.0.console {
            Some((_, task_ids)) => task_ids.register(id, spawn),
            None => spawn(),
        };
        control.set_abort_handle(handle.abort_handle());
        let mut live_tasks = self.live_tasks();
        live_tasks.by_tokio_id.insert(handle.id(), control.clone());
        live_tasks.by_id.insert(id, (handle.id(), control));
        handle
    }

    /// Records a line of output with its time and task. Control characters are replaced and long lines cut.
    pub fn print(&self, text: &str) {
        let text = sanitize_bounded(text, LINE_CHARS_MAX);
        self.emit(|at| Event::Output { task: Self::current_task_id(), at, text: text.as_str().into() });
    }

    /// Blocks while the loop is paused. A script that runs long without awaiting calls this at intervals.
    ///
    /// # Errors
    ///
    /// If the run is being stopped.
    pub fn checkpoint(&self) -> Result<(), RunStopped> {
        self.0.gate.checkpoint(&self.0.clock, self)
    }

    /// Returns loop time after `duration`, at most [`LOOP_TIME_MAX`].
    fn time_after(&self, duration: Duration) -> Nanos {
        let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.now_ns().saturating_add(duration_ns).min(LOOP_TIME_MAX)
    }

    /// Returns the shared state of the loop.
    pub(super) fn shared(&self) -> &LoopShared {
        &self.0
    }

    /// Locks the tasks that have not ended.
    pub(super) fn live_tasks(&self) -> std::sync::MutexGuard<'_, LiveTasks> {
        self.0.live_tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the live task with this id.
    pub(super) fn find_task(&self, id: TaskId) -> Option<Arc<TaskControl>> {
        self.live_tasks().by_id.get(&id).map(|(_, control)| control.clone())
    }

    /// Returns the live task with this tokio id.
    pub(super) fn find_by_tokio_id(&self, id: tokio::task::Id) -> Option<Arc<TaskControl>> {
        self.live_tasks().by_tokio_id.get(&id).cloned()
    }

    /// Removes a task that ended.
    pub(super) fn remove_task(&self, control: &TaskControl) {
        let mut live_tasks = self.live_tasks();
        if let Some((tokio, _)) = live_tasks.by_id.remove(&control.id()) {
            live_tasks.by_tokio_id.remove(&tokio);
        }
    }

    /// Called when no task is ready and no timer is pending: reports a deadlock, unless a task is held.
    pub(super) fn check_deadlock(&self) {
        let Some(detector) = &self.0.deadlock else { return };
        let live_tasks = self.live_tasks();
        // Once main has ended, the root ends the run by itself. A timer that is due but not yet delivered to its task
        // still counts as pending.
        let is_main_alive = live_tasks.by_id.contains_key(&TaskId::from_index(0));
        // The order matters: a task that is being released counts as held until its wake is queued.
        let is_any_held =
            live_tasks.by_id.values().any(|(_, control)| control.is_held()) || !self.0.gate.has_no_pending_actions();
        if is_main_alive && !is_any_held && self.0.timers.is_empty() {
            let name =
                |task| live_tasks.by_id.get(&task).map_or_else(String::new, |(_, control)| control.name().to_owned());
            detector.set_message(name, |site| self.0.probe.site_by_id(site));
            self.0.root_wakeup.notify_one();
        }
    }
}

impl GateHandler for LoopHandle {
    fn on_pause(&self, cause: PauseReason) {
        let at = self.0.clock.display_now();
        self.0.probe.emit(at, Event::Pause { at, reason: cause });
    }

    fn run_action(&self, action: &TaskAction) {
        match action {
            TaskAction::Wake(task) => task.deliver_deferred_wake(),
            TaskAction::Cancel(task) => task.cancel(),
        }
    }
}

/// Sanitizes text from a program and limits its length.
fn sanitize_bounded(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => sanitize(&text[..end]) + "…",
        None => sanitize(text),
    }
}
