//! Queries for the state of a task, now or at any loop time.

use super::await_site::AwaitKind;
use super::awaits::Await;
use super::history::History;
use super::id::{AwaitId, TaskId};
use super::lane::Cycle;
use super::stack_frame::StackFrame;
use super::stats::TaskActivity;
use super::task::{Task, TaskPhase};
use super::task_meta::TaskOutcome;
use super::time::Nanos;

/// State of a task at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// It is being polled.
    Running,
    /// It was spawned or woken, and has not been polled since.
    Scheduled,
    /// It waits on the innermost await that was open when its last poll ended, if known.
    Waiting(Option<AwaitId>, AwaitKind),
    /// The user holds it.
    Held,
    /// It ran to completion.
    Completed,
    /// It was cancelled.
    Cancelled,
    /// It panicked or returned an error.
    Failed,
    /// It ended, and nothing shows how.
    Ended,
}

impl TaskState {
    /// Returns the name used on the screen and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Scheduled => "scheduled",
            Self::Waiting(..) => "waiting",
            Self::Held => "held",
            Self::Completed => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Ended => "unknown",
        }
    }

    /// Returns whether the task has ended.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Failed | Self::Ended)
    }
}

/// Maximum number of awaits searched for the one that was open at a given time.
const AWAIT_SEARCH_MAX: usize = 16;

/// Number of blocking calls that a lookup inspects, from the newest before the window.
const INSPECTED_CALLS_MAX: usize = 32;

impl History {
    /// Returns the state of task `id` at loop time `at`. Of several changes at the same time the last one counts.
    ///
    /// Returns `None` before the task was spawned, and where its history was evicted.
    pub fn state_at(&self, id: TaskId, at: Nanos) -> Option<TaskState> {
        let task = self.task(id)?;
        (task.lane.spawned_at() <= at && !task.lane.is_evicted_at(at)).then(|| self.state_of(task, at))
    }

    /// Returns the state of `task` at `at`, whose history must cover that time.
    pub(super) fn state_of(&self, task: &Task, at: Nanos) -> TaskState {
        if task.lane.is_sampled() {
            self.measured_state_at(task, at)
        } else {
            state_at(task, at, || task.lane.lookup_at(at).1)
        }
    }

    /// Returns the state at `at` of a task with sampled polls: the activity in the last snapshot before `at`, unless an
    /// end, a sampled poll or an await gives it exactly.
    pub(super) fn measured_state_at(&self, task: &Task, at: Nanos) -> TaskState {
        if let Some(outcome) = task.outcome.as_ref().filter(|_| task.lane.ended_at().is_some_and(|ended| ended <= at)) {
            return state_of_outcome(outcome);
        }
        if task.lane.cycle_at(at).is_some_and(|cycle| cycle.end().is_some_and(|end| at < end)) {
            return TaskState::Running;
        }
        match task.lane.stats_at(at).map(|measure| measure.activity) {
            Some(TaskActivity::Running) => TaskState::Running,
            Some(TaskActivity::Scheduled) => TaskState::Scheduled,
            Some(TaskActivity::Waiting) | None => match self.open_await_at(task, at) {
                Some((id, found)) => {
                    let kind = self.kind_of(found.site);
                    TaskState::Waiting(Some(id), kind)
                }
                None => TaskState::Waiting(None, AwaitKind::Other),
            },
        }
    }

    /// Returns the innermost await of `task` that was open at `at`, among the last [`AWAIT_SEARCH_MAX`] before it. Of several side by
    /// side it is the one that says most about why the task waits.
    pub(super) fn open_await_at(&self, task: &Task, at: Nanos) -> Option<(AwaitId, Await)> {
        let candidates = task.awaits.iter_until(at, &self.awaits).take(AWAIT_SEARCH_MAX);
        let mut open = candidates
            .filter_map(|id| Some((id, self.awaits.get(id)?)))
            .filter(|(_, found)| found.end().is_none_or(|end| at < end));
        if self.are_awaits_side_by_side {
            open.min_by_key(|(_, found)| self.kind_of(found.site).wait_rank())
        } else {
            open.next()
        }
    }

    /// Returns the current state of task `id`, or `None` if it does not exist or was evicted.
    pub fn state(&self, id: TaskId) -> Option<TaskState> {
        let task = self.task(id)?;
        if task.outcome.is_none() && task.is_held() && task.phase != TaskPhase::Running {
            return Some(TaskState::Held);
        }
        Some(self.state_of(task, Nanos::MAX))
    }

    /// Returns the functions that await each other in the current wait of task `id`, or in its last one, from the outermost
    /// one. Empty if they are not known.
    pub fn await_chain(&self, id: TaskId) -> &[StackFrame] {
        let Some(task) = self.task(id) else { return &[] };
        let found = match self.state(id) {
            Some(TaskState::Waiting(current, _)) => current,
            _ => task.awaits.iter_until(Nanos::MAX, &self.awaits).next(),
        };
        let site = found.and_then(|id| self.sites.get(self.awaits.get(id)?.site.index()));
        site.and_then(|site| site.chain.as_deref()).unwrap_or_default()
    }

    /// Returns a blocking call of `id` that overlaps `from` up to, not including, `to`.
    pub fn blocking_call(&self, id: TaskId, from: Nanos, to: Nanos) -> Option<AwaitId> {
        let calls = self.task(id)?.blocking_calls()?;
        let started = calls.iter_until(to.checked_sub(1)?, &self.awaits);
        started
            .take(INSPECTED_CALLS_MAX)
            .find(|id| self.awaits.get(*id).is_some_and(|found| found.end().is_none_or(|end| end > from)))
    }
}

/// Returns the final state of a task with this outcome.
pub(super) fn state_of_outcome(outcome: &TaskOutcome) -> TaskState {
    match outcome {
        TaskOutcome::Completed => TaskState::Completed,
        TaskOutcome::Cancelled => TaskState::Cancelled,
        TaskOutcome::Failed(_) => TaskState::Failed,
        TaskOutcome::Unknown => TaskState::Ended,
    }
}

/// Returns the state of `task` at `at`. `cycle` looks up the newest cycle that began at or before `at`.
pub(super) fn state_at(task: &Task, at: Nanos, cycle: impl FnOnce() -> Option<Cycle>) -> TaskState {
    if let Some(outcome) = task.outcome.as_ref().filter(|_| task.lane.ended_at().is_some_and(|ended| ended <= at)) {
        return state_of_outcome(outcome);
    }
    let state = cycle().map_or(TaskState::Scheduled, |cycle| cycle_state(&cycle, at));
    if state != TaskState::Running && task.is_held_at(at) { TaskState::Held } else { state }
}

/// Returns the state at `at` of a task whose newest cycle is `cycle`.
fn cycle_state(cycle: &Cycle, at: Nanos) -> TaskState {
    if cycle.end().is_none_or(|end| at < end) {
        TaskState::Running
    } else if cycle.scheduled_at().is_some_and(|woken| woken <= at) {
        TaskState::Scheduled
    } else {
        let (id, kind) = cycle.waiting_on();
        TaskState::Waiting(id, kind)
    }
}
