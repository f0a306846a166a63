//! The gate: what stands between the loop and its next poll, its next park and the time that passes meanwhile.
//!
//! It is asked by tokio's own hooks, before any span of the poll is entered, so that a poll that waits here has not
//! begun on anybody's clock. While the loop is free the question costs one relaxed atomic load.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::clock::LoopClock;
use super::task::TaskCell;
use crate::control::{ClockKind, Command, Phase, Speed};
use crate::trace::{Nanos, PauseCause, TaskId};
use breaks::Breaks;
use passing::Here;

mod breaks;
mod passing;

pub use breaks::Seen;
pub use passing::LongWait;

/// The run is being stopped; whoever hears this lets go of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the run was stopped")]
pub struct Stopped;

/// How far the loop may go.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Leave {
    Free,
    Paused,
    Polls(u32),
    Turn,
    To(TaskId),
    Until(Nanos),
}

/// Where the loop's thread is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// Between the gates: in a poll, or on its way to the next.
    Inside,
    /// Stopped at a gate, before a poll, a park or the passing of time.
    Stopped,
    /// In the driver, with nothing ready.
    Driver,
}

#[derive(Debug)]
struct Inner {
    leave: Leave,
    /// Why it is paused, or was last.
    cause: PauseCause,
    /// How far it may go once loopscope goes on, where nothing else pauses it.
    suspended: Option<Leave>,
    place: Place,
    speed: Speed,
    quit: bool,
    over: bool,
    /// What is to be done to tasks by the loop's own thread: elsewhere no witness would see it.
    deliveries: VecDeque<Delivery>,
    /// The person is about to hand in so many more.
    announced: u32,
    /// How many of them were made so far.
    delivered: u64,
    /// How often something was asked for.
    asked: u64,
    /// The poll under way was paid for with a step.
    is_charged: bool,
    breaks: Breaks,
}

/// See the module.
#[derive(Debug)]
pub struct Gate {
    /// Nothing was asked for: every gate is open.
    free: AtomicBool,
    inner: Mutex<Inner>,
    changed: Condvar,
}

/// What happens at the gates that the trace must know, told by whoever owns the probe.
pub trait Witness {
    /// The loop stopped here.
    fn paused(&self, cause: PauseCause);
    /// The person did something to a task, and the loop's thread is there to see it.
    fn deliver(&self, delivery: &Delivery);
}

/// What the person did to a task.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// It was held and goes on: the wake that was kept for it.
    Wake(Arc<TaskCell>),
    Cancel(Arc<TaskCell>),
}

impl Inner {
    fn pause(&mut self, cause: PauseCause) {
        // What has stopped it already is why it stands.
        if self.leave != Leave::Paused || self.suspended.take().is_some() {
            self.cause = cause;
        }
        self.leave = Leave::Paused;
    }

    fn suspend(&mut self) {
        if self.leave != Leave::Paused {
            self.suspended = Some(self.leave);
            self.cause = PauseCause::Suspended;
            self.leave = Leave::Paused;
        }
    }

    /// What was asked for is done; gives how far it may go from here.
    fn made_steps(&mut self) -> Leave {
        self.cause = PauseCause::Step;
        Leave::Paused
    }
}

impl Gate {
    pub fn new(speed: Speed, paused: bool) -> Self {
        let leave = if paused { Leave::Paused } else { Leave::Free };
        let inner = Inner {
            leave,
            cause: PauseCause::Person,
            suspended: None,
            place: Place::Inside,
            speed,
            quit: false,
            over: false,
            deliveries: VecDeque::new(),
            announced: 0,
            delivered: 0,
            asked: 0,
            is_charged: false,
            breaks: Breaks::default(),
        };
        Self { free: AtomicBool::new(!paused), inner: Mutex::new(inner), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes a person's command. Holding is the task's own business; everything else is decided here.
    /// There is no clock before the loop's first moment. Tells whether this paused the loop in the driver, where it
    /// cannot say so itself.
    pub fn command(&self, command: Command, clock: Option<&LoopClock>) -> bool {
        let mut inner = self.lock();
        if command.moves_the_loop() {
            inner.breaks.go_on();
            inner.suspended = None;
        }
        // What stands already is not paused once more.
        let is_pause = inner.leave != Leave::Paused && matches!(command, Command::Pause | Command::Suspend(true));
        match command {
            Command::Break(breakpoint) => inner.breaks.add(breakpoint),
            Command::ForgetBreaks => inner.breaks.forget(),
            Command::Pause => inner.pause(PauseCause::Person),
            Command::Suspend(true) => inner.suspend(),
            Command::Suspend(false) => {
                if let Some(leave) = inner.suspended.take() {
                    inner.leave = leave;
                }
            }
            Command::Resume => inner.leave = Leave::Free,
            // Steps asked for while earlier ones still run are made as well.
            Command::StepPolls(more) => {
                let left = if let Leave::Polls(left) = inner.leave { left } else { 0 };
                inner.leave = Leave::Polls(left.saturating_add(more));
            }
            Command::StepTurn => inner.leave = Leave::Turn,
            Command::StepTo(task) => inner.leave = Leave::To(task),
            Command::RunUntil(at) => inner.leave = Leave::Until(at),
            Command::Speed(speed) => inner.speed = speed,
            Command::Quit => inner.quit = true,
            // These are the tasks' own business, and the rest is for programs that are not ours.
            Command::Hold(_) | Command::Release(_) | Command::Cancel(_) => {}
            Command::Freeze(_) | Command::Select(_) | Command::Retry => {}
        }
        self.follow(inner, clock, is_pause)
    }

    /// Stops the loop for `cause`, seen from outside of it; see [`Gate::command`].
    pub fn pause(&self, cause: PauseCause, clock: &LoopClock) -> bool {
        let mut inner = self.lock();
        inner.pause(cause);
        self.follow(inner, Some(clock), true)
    }

    /// Sees to it that what is asked for now happens wherever the loop is. Tells whether that is a pause in the driver.
    fn follow(&self, mut inner: MutexGuard<'_, Inner>, clock: Option<&LoopClock>, is_pause: bool) -> bool {
        // In the driver the loop cannot stop its own clock; at a gate it does, and lets it go on itself.
        let pauses_driver = inner.leave == Leave::Paused && inner.place == Place::Driver;
        match clock {
            Some(clock) if pauses_driver => clock.freeze(),
            Some(clock) if inner.leave != Leave::Paused && inner.place != Place::Stopped => clock.thaw(),
            _ => {}
        }
        self.note(&mut inner);
        pauses_driver && is_pause
    }

    /// Asks `decide` what is to be done by the loop's own thread. A loop that is about to park meanwhile must not take
    /// it that nothing can ever come: a task that is released is not held any more, and not yet woken.
    pub fn deliver_later(&self, decide: impl FnOnce() -> Option<Delivery>) {
        self.lock().announced += 1;
        let delivery = decide();
        let mut inner = self.lock();
        inner.announced -= 1;
        inner.deliveries.extend(delivery);
        self.note(&mut inner);
    }

    /// Nothing that a person did is still to be done to a task.
    pub fn is_settled(&self) -> bool {
        let inner = self.lock();
        inner.announced == 0 && inner.deliveries.is_empty()
    }

    fn note(&self, inner: &mut Inner) {
        inner.asked += 1;
        let is_open = inner.leave == Leave::Free && !inner.quit;
        let free = is_open && inner.deliveries.is_empty() && inner.breaks.is_empty();
        self.free.store(free, Ordering::Release);
        self.changed.notify_all();
    }

    /// The run is over; nobody stands at the gates any more.
    pub fn end(&self) {
        self.lock().over = true;
    }

    /// Nothing was asked for: a poll need not ask.
    #[inline]
    pub fn is_free(&self) -> bool {
        self.free.load(Ordering::Relaxed)
    }

    pub fn is_quitting(&self) -> bool {
        !self.is_free() && self.lock().quit
    }

    pub fn phase(&self) -> Phase {
        let inner = self.lock();
        match (inner.over, inner.leave, inner.place) {
            (true, ..) => Phase::Ended,
            (_, Leave::Paused, Place::Inside) => Phase::Pausing,
            (_, Leave::Paused, _) => Phase::Paused,
            _ => Phase::Running,
        }
    }

    pub fn speed(&self) -> Speed {
        self.lock().speed
    }

    /// Before a poll of `task`, or of one that is not known.
    pub fn before_poll(&self, task: impl FnOnce() -> Option<Arc<TaskCell>>, clock: &LoopClock, witness: &impl Witness) {
        if self.is_free() {
            return;
        }
        let task = task();
        let mut inner = self.deliver(self.lock(), witness);
        let mut is_seen = inner.breaks.is_empty();
        loop {
            // A held task is turned back at its own door: nothing of it will run, so nothing is spent on it here.
            if inner.quit || task.as_ref().is_some_and(|task| task.is_held()) {
                return;
            }
            if let Some(task) = task.as_ref().filter(|_| !is_seen && inner.leave != Leave::Paused) {
                // Once for each poll: whoever goes on from here means this one too.
                is_seen = true;
                inner.stops_at(task, Seen::Polled, clock.now());
            }
            inner.leave = match inner.leave {
                Leave::Paused => {
                    inner = self.deliver(self.stand(inner, clock, witness), witness);
                    continue;
                }
                Leave::Polls(0) => inner.made_steps(),
                Leave::Until(at) if clock.now() >= at => inner.made_steps(),
                Leave::Polls(left) => {
                    inner.leave = Leave::Polls(left - 1);
                    inner.is_charged = true;
                    return;
                }
                Leave::To(wanted) if task.as_ref().is_some_and(|task| task.id() == wanted) => {
                    inner.leave = Leave::Polls(0);
                    return;
                }
                Leave::Free | Leave::Turn | Leave::To(_) | Leave::Until(_) => return,
            };
        }
    }

    /// After a turn of a task, which polled it or (for one that was cancelled) only dropped it: that is no step.
    pub fn after_poll(&self, polled: bool) {
        if self.is_free() {
            return;
        }
        let mut inner = self.lock();
        let was_charged = std::mem::take(&mut inner.is_charged);
        if let Leave::Polls(left) = &mut inner.leave
            && was_charged
            && !polled
        {
            *left += 1;
        }
    }

    /// Before the loop parks until `deadline` (if any timer is set). Returns once it may: whether something is known that
    /// will end the park (a timer, a delivered wake, the person, or the world outside on a real clock).
    /// `waits` get too long for a breakpoint, the first of them first.
    pub fn before_park(
        &self,
        deadline: Option<Nanos>,
        waits: &[LongWait],
        clock: &LoopClock,
        witness: &impl Witness,
    ) -> bool {
        let inner = self.lock();
        let delivered_before = inner.delivered;
        let mut inner = self.deliver(inner, witness);
        if inner.suspended == Some(Leave::Turn) {
            // The turn is over, whoever stands still meanwhile.
            inner.suspended = None;
        }
        if inner.leave == Leave::Turn {
            inner.leave = inner.made_steps();
            self.note(&mut inner);
        }
        if let Leave::Polls(0) = inner.leave {
            inner.leave = inner.made_steps();
        }
        if clock.kind() == ClockKind::Virtual && !inner.quit {
            let now = clock.now();
            inner = self.pass(inner, (now, deadline.unwrap_or(now)), waits, clock, witness, Here::Park);
        }
        inner = self.deliver(inner, witness);
        inner.place = Place::Driver;
        if inner.leave == Leave::Paused {
            clock.freeze();
            let cause = inner.cause.clone();
            // As where it stands at the gate.
            drop(inner);
            witness.paused(cause);
            inner = self.lock();
        }
        let nobody_acts = inner.leave != Leave::Paused && !inner.quit && inner.delivered == delivered_before;
        clock.kind() == ClockKind::Real || deadline.is_some() || !nobody_acts
    }

    /// The driver is done.
    pub fn after_park(&self) {
        self.lock().place = Place::Inside;
    }

    /// Does to tasks what waits to be done, on the loop's thread.
    pub fn service(&self, witness: &impl Witness) {
        drop(self.deliver(self.lock(), witness));
    }

    fn deliver<'a>(&'a self, mut inner: MutexGuard<'a, Inner>, witness: &impl Witness) -> MutexGuard<'a, Inner> {
        while let Some(delivery) = inner.deliveries.pop_front() {
            inner.delivered += 1;
            // Waking runs code of others; none of it may find this lock taken.
            drop(inner);
            witness.deliver(&delivery);
            inner = self.lock();
            self.note(&mut inner);
        }
        inner
    }
}
