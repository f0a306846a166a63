//! The state that all parts of one loop share, and its reports to the probe.
//!
//! A poll is reported twice, its wake once and its await twice. None of these reports takes a lock or allocates while
//! the gate is open.

mod live_tasks;
mod task_control;

pub use live_tasks::LiveTasks;
pub use task_control::TaskControl;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tracing::Dispatch;

use super::cached_now;
use super::clock::LoopClock;
use super::deadlock::DeadlockDetector;
use super::gate::{BreakpointTrigger, Gate, GateHandler, GatedTask, LongWait, TaskAction};
use super::idle_hook::IdleHook;
use super::loop_thread;
use super::program_hooks::ProgramHooks;
use super::spin_detector::SpinDetector;
use super::throttle::AggregatorThrottle;
use super::timers::TimerRegistry;
use super::untraced::without_tracing;
use crate::control::ClockKind;
use crate::feed::console::TokioTaskIds;
use crate::feed::probe::Probe;
use crate::trace::{AwaitId, AwaitSite, Event, Nanos, PauseReason, ResourceId, TaskId, WakeSource};

/// The state of a loop, shared by its handles, its tasks and their awaits.
#[derive(Debug)]
pub struct LoopShared {
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
    /// Detects on a virtual clock that tasks are always ready.
    pub spin_detector: SpinDetector,
    /// What the loop calls in its program.
    pub program_hooks: ProgramHooks,
    /// The deadlock detector. `None` on the real clock, where the outside world may still wake a task.
    pub deadlock: Option<DeadlockDetector>,
}

impl LoopShared {
    /// Locks the tasks that have not ended.
    pub fn live_tasks(&self) -> MutexGuard<'_, LiveTasks> {
        self.live_tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the live task with this id.
    pub fn find_task(&self, id: TaskId) -> Option<Arc<TaskControl>> {
        self.live_tasks().find(id).cloned()
    }

    /// Runs `make` without tracing, if the console feed is on.
    pub fn without_tracing<R>(&self, make: impl FnOnce() -> R) -> R {
        if self.console.is_some() { without_tracing(make) } else { make() }
    }

    /// Accounts for `events` that are about to be sent to console-subscriber, if the console feed is on.
    #[inline]
    pub fn admit_console_events(&self, events: usize) {
        if let Some((throttle, _)) = &self.console {
            throttle.admit(events, &self.gate);
        }
    }

    /// Reports an event that happens now to the probe.
    #[inline]
    pub fn emit(&self, event: impl FnOnce(Nanos) -> Event) {
        let at = self.event_time();
        self.probe.emit(at, event(at));
    }

    /// Returns loop time for an event that happens now.
    #[inline]
    fn event_time(&self) -> Nanos {
        if let Some(since) = loop_thread::parked_since() {
            // The driver advances tokio's clock before it wakes a task.
            self.clock.sync_from_tokio(since);
        }
        self.clock.now()
    }

    /// Reports a wake of a task to the probe and checks the breakpoints.
    #[inline]
    fn emit_wake(&self, control: &TaskControl, source: WakeSource) {
        let is_real = self.clock.kind() == ClockKind::Real;
        let at = if is_real && source == WakeSource::Driver {
            cached_now::driver_wake_time(self.probe.thread_events_sent(), || self.clock.now())
        } else {
            self.event_time()
        };
        self.gate.check_breakpoints(control, BreakpointTrigger::Wake, at);
        self.probe.wake(at, control.id(), source);
    }

    /// Runs one poll of a task and reports it.
    ///
    /// The task stays current until tokio's after-poll hook, because tokio wakes the tasks that await a finished task
    /// in between.
    #[inline]
    pub fn poll_instrumented<R>(&self, control: &TaskControl, poll: impl FnOnce() -> R) -> R {
        let task = control.id();
        loop_thread::begin_poll(task);
        control.mark_poll_start();
        let probe = &self.probe;
        let is_real = self.clock.kind() == ClockKind::Real;
        let now = || self.clock.now();
        let start = if is_real { cached_now::poll_start_time(probe.thread_events_sent(), now) } else { now() };
        probe.poll_start(start, task);
        let polled = poll();
        let (thread_events, at) = (probe.thread_events_sent(), now());
        control.mark_waiting(at);
        self.gate.check_breakpoints(control, BreakpointTrigger::PollEnd(at.saturating_sub(start)), at);
        probe.poll_end(at, task);
        if is_real {
            cached_now::store_poll_end(at, thread_events);
        }
        polled
    }

    /// Reports the start of an await of `task`, which is being polled, and returns its id.
    #[inline]
    pub fn emit_await_start(&self, task: TaskId, site: &AwaitSite, resource: Option<ResourceId>) -> AwaitId {
        let id = self.probe.next_await_id();
        let site = self.probe.await_start(self.event_time(), id, task, site);
        if let Some(deadlock) = &self.deadlock {
            deadlock.await_started(id, task, site);
        }
        if let Some(resource) = resource {
            self.probe.emit(0, Event::AwaitResource { id, resource });
        }
        id
    }

    /// Reports the end of an await.
    #[inline]
    pub fn emit_await_end(&self, id: AwaitId) {
        self.probe.await_end(self.event_time(), id);
        if let Some(deadlock) = &self.deadlock {
            deadlock.await_ended(id);
        }
    }

    /// Returns the waits that will exceed a breakpoint's limit unless they end before, earliest first.
    pub fn long_waits(&self) -> Vec<LongWait<TaskControl>> {
        let limits = self.gate.wait_limits();
        if limits.is_empty() { Vec::new() } else { self.live_tasks().long_waits(&limits) }
    }

    /// Handles tokio's after-poll hook.
    pub fn after_poll(&self) {
        self.gate.after_poll(loop_thread::finish_poll());
        if self.clock.kind() == ClockKind::Virtual && self.spin_detector.count_poll(self.clock.now()) {
            self.pass_time_of_spin();
        }
    }

    /// Lets time pass until the next timer although tasks are ready: they spin, and would keep it from ever firing.
    #[cold]
    fn pass_time_of_spin(&self) {
        if let Some(due) = self.timers.next_due(self.clock.now()) {
            // A stop ends the wait early; the loop handles it at the next gate.
            let _ = self.gate.block_until(due, &self.long_waits(), &self.clock, self);
            self.emit(|at| Event::Advance { at });
        }
    }

    /// Handles tokio's park hook: waits at the gate, paces the clock and checks for a deadlock.
    pub fn before_park(&self) {
        cached_now::invalidate();
        self.idle_hook.run();
        self.emit(|at| Event::Park { at });
        let deadline = self.timers.next_due(self.clock.now());
        let can_end = self.gate.before_park(deadline, &self.long_waits(), &self.clock, self);
        if !can_end {
            self.check_deadlock();
        }
        if self.gate.is_quitting() {
            // The thread that asked to quit may not have woken the root yet, and an idle virtual clock would advance to
            // its next timer.
            self.root_wakeup.notify_one();
        }
        cached_now::invalidate();
        self.probe.notify_reader();
        loop_thread::begin_park();
    }

    /// Handles tokio's unpark hook.
    pub fn after_park(&self) {
        self.gate.after_park();
        if let Some(since) = loop_thread::finish_park() {
            self.clock.sync_from_tokio(since);
        }
        self.emit(|at| Event::Unpark { at });
    }

    /// Called when no task is ready and no timer is pending: reports a deadlock, unless a task is held.
    fn check_deadlock(&self) {
        let Some(detector) = &self.deadlock else { return };
        let live_tasks = self.live_tasks();
        // Once main has ended, the root ends the run by itself. A timer that is due but not yet delivered to its task
        // still counts as pending.
        let is_main_alive = live_tasks.find(TaskId::from_index(0)).is_some();
        // The order matters: a task that is being released counts as held until its wake is queued.
        let is_any_held = live_tasks.is_any_held() || !self.gate.has_no_pending_actions();
        if is_main_alive && !is_any_held && self.timers.is_empty() {
            let name = |task| live_tasks.find(task).map_or_else(String::new, |control| control.name().to_string());
            detector.set_message(name, |site| self.probe.site_by_id(site));
            self.root_wakeup.notify_one();
        }
    }
}

impl GateHandler for LoopShared {
    fn on_pause(&self, cause: PauseReason) {
        let at = self.clock.display_now();
        self.probe.emit(at, Event::Pause { at, reason: cause });
    }

    fn run_action(&self, action: TaskAction) {
        // A task that is gone needs neither.
        match action {
            TaskAction::Wake(task) => self.find_task(task).iter().for_each(|task| task.deliver_deferred_wake()),
            TaskAction::Cancel(task) => {
                if !loop_thread::run_as_user(|| self.program_hooks.cancel(task)) {
                    self.find_task(task).iter().for_each(|task| task.cancel());
                }
            }
        }
    }
}
