//! Standing still and letting time pass, in a poll or before a park.

use std::sync::{Arc, MutexGuard};

use super::breaks::Seen;
use super::{Gate, Inner, Leave, Place, Stopped, Witness};
use crate::control::{ClockKind, Speed};
use crate::lab::clock::LoopClock;
use crate::lab::task::TaskCell;
use crate::trace::Nanos;

/// Who lets time pass.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Here {
    Park,
    Poll,
}

/// A wait that gets too long for a breakpoint.
#[derive(Clone, Debug)]
pub struct LongWait {
    pub task: Arc<TaskCell>,
    pub since: Nanos,
    /// When it is too long.
    pub at: Nanos,
}

impl Gate {
    /// Lets loop time pass inside a poll that blocks, at the speed that is set, and stands still while paused. `waits` of
    /// others get too long for a breakpoint, the first of them first.
    pub fn block_until(
        &self,
        to: Nanos,
        waits: &[LongWait],
        clock: &LoopClock,
        witness: &impl Witness,
    ) -> Result<(), Stopped> {
        let inner = self.pass(self.lock(), (clock.now(), to), waits, clock, witness, Here::Poll);
        if inner.quit { Err(Stopped) } else { Ok(()) }
    }

    /// Inside a poll that does not come to an end: stands still while paused.
    pub fn checkpoint(&self, clock: &LoopClock, witness: &impl Witness) -> Result<(), Stopped> {
        if self.is_free() {
            return Ok(());
        }
        let mut inner = self.lock();
        while inner.leave == Leave::Paused && !inner.quit {
            inner = self.stand(inner, clock, witness);
        }
        if inner.quit { Err(Stopped) } else { Ok(()) }
    }

    /// Stands at the gate until something is asked for.
    pub(super) fn stand<'a>(
        &'a self,
        mut inner: MutexGuard<'a, Inner>,
        clock: &LoopClock,
        witness: &impl Witness,
    ) -> MutexGuard<'a, Inner> {
        clock.freeze();
        let asked = inner.asked;
        if inner.place != Place::Stopped {
            inner.place = Place::Stopped;
            // Telling may wait for room in the ring, and whoever is to make room may first want this lock.
            let cause = inner.cause.clone();
            drop(inner);
            witness.paused(cause);
            inner = self.lock();
        }
        while inner.asked == asked {
            inner = self.changed.wait(inner).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        if inner.leave != Leave::Paused || inner.quit {
            clock.thaw();
            inner.place = Place::Inside;
        }
        inner
    }

    /// Waits through loop time `from` to `to` at the set speed, and moves a virtual clock there. Ends early, with the
    /// clock moved as far as it came, for a release (while parked) or a stop.
    pub(super) fn pass<'a>(
        &'a self,
        mut inner: MutexGuard<'a, Inner>,
        (from, to): (Nanos, Nanos),
        mut waits: &[LongWait],
        clock: &LoopClock,
        witness: &impl Witness,
        here: Here,
    ) -> MutexGuard<'a, Inner> {
        let mut at = from;
        while !inner.quit {
            if here == Here::Park && !inner.deliveries.is_empty() {
                // There is something to poll: the caller delivers it, and the park ends at once.
                break;
            }
            if matches!(inner.leave, Leave::Until(stop) if at >= stop) {
                inner.leave = inner.made_steps();
            }
            if let Some((long, later)) = waits.split_first().filter(|(long, _)| at >= long.at) {
                waits = later;
                inner.stops_at(&long.task, Seen::WaitOver(at - long.since), at);
                long.task.wait_is_told();
            }
            if inner.leave == Leave::Paused {
                clock.set_stretch(Some((at, to, None)));
                inner = self.stand(inner, clock, witness);
                continue;
            }
            if at >= to {
                break;
            }
            let goal = if let Leave::Until(stop) = inner.leave { stop.clamp(at, to) } else { to };
            let goal = waits.first().map_or(goal, |long| goal.min(long.at));
            let stepping = matches!(inner.leave, Leave::Polls(_) | Leave::To(_) | Leave::Turn);
            let speed = match clock.kind() {
                ClockKind::Real => Speed::Times(1.0),
                // A person who steps wants the next thing to happen, not to wait for it.
                ClockKind::Virtual if stepping => Speed::Max,
                ClockKind::Virtual => inner.speed,
            };
            let Some(real) = speed.real(goal - at) else {
                at = goal;
                continue;
            };
            clock.set_stretch(Some((at, goal, Some(speed))));
            let begun = std::time::Instant::now();
            let (again, timeout) =
                self.changed.wait_timeout(inner, real).unwrap_or_else(|poisoned| poisoned.into_inner());
            inner = again;
            let passed_ns = match speed {
                Speed::Times(times) if !timeout.timed_out() => (begun.elapsed().as_secs_f64() * times * 1e9) as u64,
                _ => goal - at,
            };
            at = at.saturating_add(passed_ns).min(goal);
        }
        clock.set_stretch(None);
        // tokio would go there by itself, but in hops: to each slot of its timer wheel on the way.
        clock.advance_to(at);
        inner
    }
}
