//! Instrumentation of polls, wakes, awaits and parks: what the current thread does for the loop, and its reports to the
//! probe.
//!
//! A poll passes here twice, its wake once and its await twice. Nothing here takes a lock or allocates while the gate
//! is open.

use std::cell::Cell;
use std::time::Instant;

use super::cached_now;
use super::gate::BreakpointTrigger;
use super::loop_handle::LoopHandle;
use super::task::TaskControl;
use crate::control::ClockKind;
use crate::trace::{AwaitId, AwaitSite, Event, Nanos, ResourceId, TaskId, WakeSource};

thread_local! {
    /// The task that this thread polls or whose end it handles: it is the wake source of tasks woken meanwhile.
    static CURRENT_TASK: Cell<Option<TaskId>> = const { Cell::new(None) };
    /// Whether the current task was polled, not only dropped.
    static WAS_POLLED: Cell<bool> = const { Cell::new(false) };
    /// When this thread, the loop's, entered the driver; `None` outside a park.
    static PARKED_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Whether this thread runs the loop, as opposed to the blocking pool and the rest of the process.
    static IS_LOOP_THREAD: Cell<bool> = const { Cell::new(false) };
}

impl LoopHandle {
    /// Marks this thread as the loop thread.
    pub(super) fn mark_loop_thread() {
        IS_LOOP_THREAD.set(true);
    }

    /// Reports an event that happens now to the probe.
    #[inline]
    pub(super) fn emit(&self, event: impl FnOnce(Nanos) -> Event) {
        let at = self.event_time();
        self.shared().probe.emit(at, event(at));
    }

    /// Returns loop time for an event that happens now.
    #[inline]
    fn event_time(&self) -> Nanos {
        if let Some(since) = PARKED_SINCE.get() {
            // The driver advances tokio's clock before it wakes a task.
            self.shared().clock.sync_from_tokio(since);
        }
        self.shared().clock.now()
    }

    /// Reports a wake of a task to the probe and checks the breakpoints.
    #[inline]
    pub(super) fn emit_wake(&self, control: &TaskControl, source: WakeSource) {
        let is_real = self.shared().clock.kind() == ClockKind::Real;
        let at = if is_real && source == WakeSource::Driver {
            cached_now::driver_wake_time(self.shared().probe.thread_events_sent(), || self.shared().clock.now())
        } else {
            self.event_time()
        };
        self.shared().gate.check_breakpoints(control, BreakpointTrigger::Wake, at);
        self.shared().probe.wake(at, control.id(), source);
    }

    /// Reports the start of an await of `task`, which is being polled, and returns its id.
    #[inline]
    pub(super) fn emit_await_start(&self, task: TaskId, site: &AwaitSite, resource: Option<ResourceId>) -> AwaitId {
        let shared = self.shared();
        let id = shared.probe.next_await_id();
        let site = shared.probe.await_start(self.event_time(), id, task, site);
        if let Some(deadlock) = &shared.deadlock {
            deadlock.await_started(id, task, site);
        }
        if let Some(resource) = resource {
            shared.probe.emit(0, Event::AwaitResource { id, resource });
        }
        id
    }

    /// Reports the end of an await.
    #[inline]
    pub(super) fn emit_await_end(&self, id: AwaitId) {
        let shared = self.shared();
        shared.probe.await_end(self.event_time(), id);
        if let Some(deadlock) = &shared.deadlock {
            deadlock.await_ended(id);
        }
    }

    /// Returns the source of a wake of `task` by this thread.
    #[inline]
    pub(super) fn wake_source(&self, task: TaskId) -> WakeSource {
        match CURRENT_TASK.get() {
            Some(current) if current == task => WakeSource::SelfWake,
            Some(current) => WakeSource::Task(current),
            None if IS_LOOP_THREAD.get() => WakeSource::Driver,
            None => WakeSource::Thread,
        }
    }

    /// Runs one poll of a task and reports it.
    ///
    /// The task stays current until tokio's after-poll hook, because tokio wakes the tasks that await a finished task
    /// in between.
    #[inline]
    pub(super) fn poll_instrumented<R>(&self, control: &TaskControl, poll: impl FnOnce() -> R) -> R {
        let task = control.id();
        CURRENT_TASK.set(Some(task));
        WAS_POLLED.set(true);
        control.mark_poll_start();
        let probe = &self.shared().probe;
        let is_real = self.shared().clock.kind() == ClockKind::Real;
        let now = || self.shared().clock.now();
        let start = if is_real { cached_now::poll_start_time(probe.thread_events_sent(), now) } else { now() };
        probe.poll_start(start, task);
        let polled = poll();
        let (thread_events, at) = (probe.thread_events_sent(), now());
        control.mark_waiting(at);
        self.shared().gate.check_breakpoints(control, BreakpointTrigger::PollEnd(at.saturating_sub(start)), at);
        probe.poll_end(at, task);
        if is_real {
            cached_now::store_poll_end(at, thread_events);
        }
        polled
    }

    /// Runs `work` as `task`, outside a poll.
    pub(super) fn run_as_task<R>(&self, task: TaskId, work: impl FnOnce() -> R) -> R {
        let previous = CURRENT_TASK.replace(Some(task));
        let result = work();
        CURRENT_TASK.set(previous);
        // That was the program's code too and may have taken long.
        cached_now::invalidate();
        result
    }

    /// Returns the task that this thread polls, if any.
    pub(super) fn current_task_id() -> Option<TaskId> {
        CURRENT_TASK.get()
    }

    /// Handles tokio's after-poll hook.
    pub(super) fn after_poll(&self) {
        CURRENT_TASK.set(None);
        self.shared().gate.after_poll(WAS_POLLED.take());
    }

    /// Handles tokio's park hook: waits at the gate, paces the clock and checks for a deadlock.
    pub(super) fn before_park(&self) {
        cached_now::invalidate();
        self.shared().idle_hook.run();
        self.emit(|at| Event::Park { at });
        let deadline = self.shared().timers.next_due(self.now_ns());
        let can_end = self.shared().gate.before_park(deadline, &self.long_waits(), &self.shared().clock, self);
        if !can_end {
            self.check_deadlock();
        }
        if self.shared().gate.is_quitting() {
            // The thread that asked to quit may not have woken the root yet, and an idle virtual clock would advance to
            // its next timer.
            self.shared().root_wakeup.notify_one();
        }
        cached_now::invalidate();
        self.shared().probe.notify_reader();
        PARKED_SINCE.set(Some(Instant::now()));
    }

    /// Handles tokio's unpark hook.
    pub(super) fn after_park(&self) {
        self.shared().gate.after_park();
        if let Some(since) = PARKED_SINCE.take() {
            self.shared().clock.sync_from_tokio(since);
        }
        self.emit(|at| Event::Unpark { at });
    }
}
