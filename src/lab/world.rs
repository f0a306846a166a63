//! The world of a program that runs in the lab: its clock, its tasks, its awaits and its output.
//!
//! Every task and await made through it is seen by both witnesses: the probe is told here, and console-subscriber hears
//! the spans that tokio makes for tasks and that [`super::awaiting`] makes for awaits.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::sync::Notify;
use tracing::Dispatch;

use super::awaiting::Awaiting;
use super::clock::LoopClock;
use super::gate::{Delivery, Gate, Stopped, Witness};
use super::idle::Idle;
use super::quiet::{Quiet, quietly};
use super::stuck::Stuck;
use super::task::{TaskCell, TaskFuture};
use super::timers::{Sleep, Timers};
use super::valve::Valve;
use crate::control::ClockKind;
use crate::feed::console::TaskNumbers;
use crate::feed::probe::Probe;
use crate::plain::plain;
use crate::trace::{Event, Location, Nanos, PauseCause, ResourceId, Site, Spawned, TaskId, TaskKind};

/// The resolution of tokio's timers.
const TIMER_NS: Nanos = 1_000_000;

/// Where loop time ends: 146 years. Nothing is due after it, so sums and axes have room above.
const LOOP_TIME_MAX: Nanos = 1 << 62;

/// Characters of a printed line that are kept.
const LINE_CHARS_MAX: usize = 2_000;

/// What a new task is called and where its program made it.
#[derive(Clone, Debug, Default)]
pub struct TaskSpec {
    pub name: String,
    pub location: Option<Location>,
}

/// A handle to the lab, cheap to clone. See the module.
#[derive(Clone, Debug)]
pub struct World(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub clock: LoopClock,
    pub gate: Arc<Gate>,
    pub probe: Arc<Probe>,
    pub timers: Timers,
    /// Where console-subscriber listens too: what keeps it from being flooded, and what tells it our task ids.
    pub console: Option<(Arc<Valve>, TaskNumbers)>,
    pub seed: u64,
    /// Tasks that are alive, by tokio's number and by ours.
    pub alive: Mutex<Alive>,
    /// Who watches the loop, for what happens where its dispatcher is not the default.
    pub dispatch: Dispatch,
    /// Wakes the loop's root.
    pub kick: Arc<Notify>,
    pub idle: Idle,
    /// Where waiting in vain is noticed: on a virtual clock, for elsewhere the world outside may still act.
    pub stuck: Option<Stuck>,
}

#[derive(Debug, Default)]
pub(super) struct Alive {
    by_tokio: FxHashMap<tokio::task::Id, Arc<TaskCell>>,
    pub by_id: FxHashMap<TaskId, (tokio::task::Id, Arc<TaskCell>)>,
}

impl World {
    pub(super) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    pub fn clock(&self) -> ClockKind {
        self.0.clock.kind()
    }

    /// Loop time.
    pub fn now_ns(&self) -> Nanos {
        self.0.clock.now()
    }

    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// A bare timer; it becomes visible as an await through [`World::await_at`].
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.sleep_until(self.after(duration))
    }

    /// A bare timer that is due at this loop time: on a virtual clock at the next whole millisecond, which is when
    /// tokio's timers are due. Saying so keeps everybody's arithmetic exact.
    pub fn sleep_until(&self, at: Nanos) -> impl Future<Output = ()> + Send + 'static {
        let mut at = at.min(LOOP_TIME_MAX);
        if self.clock() == ClockKind::Virtual {
            at = at.next_multiple_of(TIMER_NS);
        }
        let due = self.quietly(|| tokio::time::sleep_until(self.0.clock.instant(at)));
        Sleep::new(self.clone(), at, due)
    }

    /// A future of tokio's, made and polled without tokio's own spans; it becomes visible through [`World::await_at`].
    pub fn quiet<F: Future>(&self, make: impl FnOnce() -> F) -> Quiet<F> {
        let is_heard = self.0.console.is_some();
        Quiet::new(is_heard, self.quietly(make))
    }

    /// Makes something of tokio's without its own spans, where anybody listens to them.
    pub fn quietly<R>(&self, make: impl FnOnce() -> R) -> R {
        if self.0.console.is_some() { quietly(make) } else { make() }
    }

    /// Makes `future` visible as an await of the task that is being polled, from now until it is dropped.
    pub fn await_at<F: Future + Send>(&self, site: &Site, future: F) -> Awaiting<F> {
        self.await_for(site, None, future)
    }

    pub(super) fn await_for<F: Future + Send>(
        &self,
        site: &Site,
        resource: Option<ResourceId>,
        future: F,
    ) -> Awaiting<F> {
        if let Some((valve, _)) = &self.0.console {
            valve.admit(2, &self.0.gate);
        }
        Awaiting::new(self, site, resource, future)
    }

    /// Blocks the whole loop for `duration` of loop time, inside the poll that is under way.
    pub fn block(&self, site: &Site, duration: Duration) -> Result<(), Stopped> {
        let until = self.after(duration);
        let blocking = self.await_at(
            site,
            poll_fn(|_| {
                let waits = self.long_waits();
                Poll::Ready(self.0.gate.block_until(until, &waits, &self.0.clock, self))
            }),
        );
        match pin!(blocking).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(passed) => passed,
            Poll::Pending => Err(Stopped),
        }
    }

    /// Spawns a task onto the loop; its future's `Err` makes it a failed task.
    pub fn spawn<T: Send + 'static>(
        &self,
        spec: TaskSpec,
        future: impl Future<Output = Result<T, String>> + Send + 'static,
    ) -> tokio::task::JoinHandle<Result<T, String>> {
        let id = self.0.probe.next_task();
        let name: String = clean(&spec.name, LINE_CHARS_MAX);
        let spawned = Spawned {
            name: name.as_str().into(),
            kind: TaskKind::Task,
            parent: Self::current(),
            location: spec.location,
            size_bytes: Some(size_of_val(&future) as u64),
            // The lab boxes every future itself, so tokio has no cause to.
            boxed_from_bytes: None,
        };
        let told_name = Arc::clone(&spawned.name);
        self.tell(|at| Event::Spawn { task: id, at, spawned: Box::new(spawned) });
        if let Some((valve, _)) = &self.0.console {
            valve.admit(1, &self.0.gate);
        }
        let cell = TaskCell::new(id, told_name, self.clone());
        let spawn = || {
            tokio::task::Builder::new()
                .name(&name)
                .spawn(TaskFuture::new(cell.clone(), future))
                .expect("tasks are spawned from inside the runtime")
        };
        let handle = match &self.0.console {
            Some((_, numbers)) => numbers.note(id, spawn),
            None => spawn(),
        };
        cell.can_be_cancelled(handle.abort_handle());
        let mut alive = self.alive();
        alive.by_tokio.insert(handle.id(), cell.clone());
        alive.by_id.insert(id, (handle.id(), cell));
        handle
    }

    /// Says a line, cleaned of control characters, with its time and task.
    pub fn print(&self, text: &str) {
        let text = clean(text, LINE_CHARS_MAX);
        self.tell(|at| Event::Output { task: Self::current(), at, text: text.as_str().into() });
    }

    /// Called now and then by a script that runs without awaiting: stands still while paused.
    pub fn checkpoint(&self) -> Result<(), Stopped> {
        self.0.gate.checkpoint(&self.0.clock, self)
    }

    /// Loop time after `duration`, as far as loop time goes.
    fn after(&self, duration: Duration) -> Nanos {
        let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.now_ns().saturating_add(duration_ns).min(LOOP_TIME_MAX)
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }

    pub(super) fn alive(&self) -> std::sync::MutexGuard<'_, Alive> {
        self.0.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The live task of ours with this id.
    pub(super) fn find(&self, id: TaskId) -> Option<Arc<TaskCell>> {
        self.alive().by_id.get(&id).map(|(_, cell)| cell.clone())
    }

    pub(super) fn find_tokio(&self, id: tokio::task::Id) -> Option<Arc<TaskCell>> {
        self.alive().by_tokio.get(&id).cloned()
    }

    pub(super) fn forget(&self, cell: &TaskCell) {
        let mut alive = self.alive();
        if let Some((tokio, _)) = alive.by_id.remove(&cell.id()) {
            alive.by_tokio.remove(&tokio);
        }
    }

    /// Nothing is ready and no timer is to come. With no task held either, nothing can ever happen again.
    pub(super) fn look_whether_stuck(&self) {
        let Some(stuck) = &self.0.stuck else { return };
        let alive = self.alive();
        // Once main is over the root is about to end the run by itself; a timer that is due but not yet told to its
        // task still counts.
        let main_waits = alive.by_id.contains_key(&TaskId::from_index(0));
        // In this order: what is released counts as held until its wake is there to be delivered.
        let one_is_held = alive.by_id.values().any(|(_, cell)| cell.is_held()) || !self.0.gate.is_settled();
        if main_waits && !one_is_held && self.0.timers.is_empty() {
            let name = |task| alive.by_id.get(&task).map_or_else(String::new, |(_, cell)| cell.name().to_owned());
            stuck.decide(name, |site| self.0.probe.site_of(site));
            self.0.kick.notify_one();
        }
    }
}

impl Witness for World {
    fn paused(&self, cause: PauseCause) {
        let at = self.0.clock.shown();
        self.0.probe.tell(at, Event::Pause { at, cause });
    }

    fn deliver(&self, delivery: &Delivery) {
        match delivery {
            Delivery::Wake(task) => task.deliver(),
            Delivery::Cancel(task) => task.cancel(),
        }
    }
}

/// Text from a program, made safe for a terminal and of bounded length.
fn clean(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => plain(&text[..end]) + "…",
        None => plain(text),
    }
}
