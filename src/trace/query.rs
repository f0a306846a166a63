//! Questions that the trace answers: the state of a task, now or at any time.

use super::Trace;
use super::awaits::Await;
use super::event::{AwaitKind, Ending, Nanos};
use super::id::{AwaitId, TaskId};
use super::lane::Cycle;
use super::measure::Doing;
use super::task::{Live, Task};

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    Running,
    /// Woken or new, and not polled yet.
    Scheduled,
    /// Waiting on the innermost await that was open when its last poll ended.
    Waiting(Option<AwaitId>, AwaitKind),
    Held,
    Done,
    Cancelled,
    Failed,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Scheduled => "scheduled",
            Self::Waiting(..) => "waiting",
            Self::Held => "held",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }

    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled | Self::Failed)
    }
}

/// Awaits that are looked through for the one that was open at a time.
const AWAITS_LOOKED_AT_MAX: usize = 16;

impl Trace {
    /// The state of `id` at loop time `at`, now or past; `None` before it was spawned, and
    /// where that was forgotten. Of several things at the same
    /// instant the last one counts.
    pub fn state_at(&self, id: TaskId, at: Nanos) -> Option<State> {
        let task = self.task(id)?;
        (task.lane.spawned() <= at && !task.lane.is_forgotten_at(at)).then(|| self.state_of(task, at))
    }

    pub(super) fn state_of(&self, task: &Task, at: Nanos) -> State {
        if task.lane.is_measured() {
            self.measured_state_at(task, at)
        } else {
            state_at(task, at, || task.lane.glance_at(at).1)
        }
    }

    /// The state as the last measure before `at` told it, but for what is known exactly: the end, the polls that
    /// happened to be seen, and awaits.
    pub(super) fn measured_state_at(&self, task: &Task, at: Nanos) -> State {
        if let Some(ending) = task.ending.as_ref().filter(|_| task.lane.ended().is_some_and(|ended| ended <= at)) {
            return ending_state(ending);
        }
        if task.lane.cycle_at(at).is_some_and(|cycle| cycle.end().is_some_and(|end| at < end)) {
            return State::Running;
        }
        match task.lane.measure_at(at).map(|measure| measure.doing) {
            Some(Doing::Running) => State::Running,
            Some(Doing::Scheduled) => State::Scheduled,
            Some(Doing::Waiting) | None => match self.await_at(task, at) {
                Some((id, found)) => {
                    let kind = self.site(found.site).map_or(AwaitKind::Other, |site| site.kind);
                    State::Waiting(Some(id), kind)
                }
                None => State::Waiting(None, AwaitKind::Other),
            },
        }
    }

    /// The innermost await of `task` that was open at `at`, as far as one looks.
    pub(super) fn await_at(&self, task: &Task, at: Nanos) -> Option<(AwaitId, Await)> {
        let looked_at = task.awaits.until(at, &self.awaits).take(AWAITS_LOOKED_AT_MAX);
        looked_at
            .filter_map(|id| Some((id, self.awaits().get(id)?)))
            .find(|(_, found)| found.end().is_none_or(|end| at < end))
    }

    /// The state of `id` now.
    pub fn state(&self, id: TaskId) -> Option<State> {
        let task = self.task(id)?;
        if task.ending.is_none() && task.is_held() && task.live != Live::Running {
            return Some(State::Held);
        }
        Some(self.state_of(task, Nanos::MAX))
    }
}

pub(super) fn ending_state(ending: &Ending) -> State {
    match ending {
        Ending::Done => State::Done,
        Ending::Cancelled => State::Cancelled,
        Ending::Failed(_) => State::Failed,
    }
}

/// The state at `at`, of which `cycle` tells the newest cycle.
pub(super) fn state_at(task: &Task, at: Nanos, cycle: impl FnOnce() -> Option<Cycle>) -> State {
    if let Some(ending) = task.ending.as_ref().filter(|_| task.lane.ended().is_some_and(|ended| ended <= at)) {
        return ending_state(ending);
    }
    let state = cycle().map_or(State::Scheduled, |cycle| cycle_state(&cycle, at));
    if state != State::Running && task.is_held_at(at) { State::Held } else { state }
}

fn cycle_state(cycle: &Cycle, at: Nanos) -> State {
    if cycle.end().is_none_or(|end| at < end) {
        State::Running
    } else if cycle.woken().is_some_and(|woken| woken <= at) {
        State::Scheduled
    } else {
        let (id, kind) = cycle.waiting_on();
        State::Waiting(id, kind)
    }
}
