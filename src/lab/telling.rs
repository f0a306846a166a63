//! What this thread is doing for the loop, and telling the probe of it: polls, wakes and parks.
//!
//! A poll passes here twice, its wake once and what it awaits twice, so nothing here takes a lock or allocates while the
//! gate is free.

use std::cell::Cell;
use std::time::Instant;

use super::gate::Seen;
use super::moment;
use super::task::TaskCell;
use super::world::World;
use crate::control::ClockKind;
use crate::trace::{AwaitId, Cause, Event, Nanos, ResourceId, Site, TaskId};

thread_local! {
    /// The task that this thread polls, or whose end it is working on: whoever is woken meanwhile is woken by it.
    static CURRENT: Cell<Option<TaskId>> = const { Cell::new(None) };
    /// The task that tokio has in hand was really polled.
    static POLLED: Cell<bool> = const { Cell::new(false) };
    /// This thread is the loop's, and it is in the driver since then.
    static PARKED: Cell<Option<Instant>> = const { Cell::new(None) };
    /// This thread runs the loop (as opposed to its blocking pool and the rest of the program).
    static LOOP: Cell<bool> = const { Cell::new(false) };
}

impl World {
    pub(super) fn enter_loop() {
        LOOP.set(true);
    }

    /// Tells the probe something that happens now.
    #[inline]
    pub(super) fn tell(&self, event: impl FnOnce(Nanos) -> Event) {
        let at = self.now_told();
        self.shared().probe.tell(at, event(at));
    }

    /// Loop time for something that is told.
    #[inline]
    fn now_told(&self) -> Nanos {
        if let Some(since) = PARKED.get() {
            // The driver moves tokio's clock before it wakes anybody.
            self.shared().clock.read_tokio(since);
        }
        self.shared().clock.now()
    }

    /// Tells the probe, and whatever breakpoints there are, that a task is woken now.
    #[inline]
    pub(super) fn tell_wake(&self, cell: &TaskCell, cause: Cause) {
        let is_real = self.shared().clock.kind() == ClockKind::Real;
        let at = if is_real && cause == Cause::Driver {
            moment::driver_wakes(self.shared().probe.told_elsewhere(), || self.shared().clock.now())
        } else {
            self.now_told()
        };
        self.shared().gate.see(cell, Seen::Woken, at);
        self.shared().probe.wake(at, cell.id(), cause);
    }

    /// Tells the probe that `task`, which is being polled, begins to await something, and gives the await's number.
    #[inline]
    pub(super) fn await_begins(&self, task: TaskId, site: &Site, resource: Option<ResourceId>) -> AwaitId {
        let shared = self.shared();
        let id = shared.probe.next_await();
        let site = shared.probe.await_start(self.now_told(), id, task, site);
        if let Some(stuck) = &shared.stuck {
            stuck.opened(id, task, site);
        }
        if let Some(resource) = resource {
            shared.probe.tell(0, Event::AwaitOf { id, resource });
        }
        id
    }

    /// Tells the probe that what was awaited is gone.
    #[inline]
    pub(super) fn await_is_over(&self, id: AwaitId) {
        let shared = self.shared();
        shared.probe.await_end(self.now_told(), id);
        if let Some(stuck) = &shared.stuck {
            stuck.closed(id);
        }
    }

    /// Who is waking `task` right now.
    #[inline]
    pub(super) fn cause(&self, task: TaskId) -> Cause {
        match CURRENT.get() {
            Some(current) if current == task => Cause::Own,
            Some(current) => Cause::Task(current),
            None if LOOP.get() => Cause::Driver,
            None => Cause::Thread,
        }
    }

    /// Runs one poll of a task. It stays the current one until its poll hook ends: tokio wakes whoever awaits a
    /// finished task in between.
    #[inline]
    pub(super) fn polling<R>(&self, cell: &TaskCell, poll: impl FnOnce() -> R) -> R {
        let task = cell.id();
        CURRENT.set(Some(task));
        POLLED.set(true);
        cell.is_polled();
        let probe = &self.shared().probe;
        let is_real = self.shared().clock.kind() == ClockKind::Real;
        let now = || self.shared().clock.now();
        let begun = if is_real { moment::poll_begins(probe.told_elsewhere(), now) } else { now() };
        probe.poll_start(begun, task);
        let polled = poll();
        let (others, at) = (probe.told_elsewhere(), now());
        cell.waits_from(at);
        self.shared().gate.see(cell, Seen::PollOver(at.saturating_sub(begun)), at);
        probe.poll_end(at, task);
        if is_real {
            moment::poll_ended(at, others);
        }
        polled
    }

    /// Runs something that `task` does outside a poll.
    pub(super) fn during<R>(&self, task: TaskId, work: impl FnOnce() -> R) -> R {
        let before = CURRENT.replace(Some(task));
        let done = work();
        CURRENT.set(before);
        // That was code of the program too, and may have taken long.
        moment::forget();
        done
    }

    pub(super) fn current() -> Option<TaskId> {
        CURRENT.get()
    }

    pub(super) fn poll_is_over(&self) {
        CURRENT.set(None);
        self.shared().gate.after_poll(POLLED.take());
    }

    pub(super) fn park(&self) {
        moment::forget();
        self.shared().idle.run();
        self.tell(|at| Event::Park { at });
        let deadline = self.shared().timers.next(self.now_ns());
        let goes_on = self.shared().gate.before_park(deadline, &self.long_waits(), &self.shared().clock, self);
        if !goes_on {
            self.look_whether_stuck();
        }
        if self.shared().gate.is_quitting() {
            // Who asked may not have come to waking the root yet, and an idle virtual clock would go on to its next timer.
            self.shared().kick.notify_one();
        }
        moment::forget();
        self.shared().probe.call_reader();
        PARKED.set(Some(Instant::now()));
    }

    pub(super) fn unpark(&self) {
        self.shared().gate.after_park();
        if let Some(since) = PARKED.take() {
            self.shared().clock.read_tokio(since);
        }
        self.tell(|at| Event::Unpark { at });
    }
}
