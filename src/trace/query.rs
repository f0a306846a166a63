//! Questions that the trace answers: the state of a task at any time or step, and a window of its lane in columns.

use super::Trace;
use super::awaits::Await;
use super::event::{AwaitKind, Ending, Nanos};
use super::id::{AwaitId, TaskId};
use super::lane::{Cycle, Totals};
use super::measure::{Doing, Sampled};
use super::sampling::sampled;
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

/// What the horizontal axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Axis {
    /// Loop time, in nanoseconds.
    #[default]
    Time,
    /// Polls of the whole loop, one a column when fully zoomed in: order without time.
    Steps,
}

/// A stretch of the axis that is shown in one column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Polls that started in this column.
    pub polls: u64,
    pub busy_ns: u64,
    pub scheduled_ns: u64,
    pub waiting_ns: u64,
    /// The state at the column's end; `None` before the task was spawned.
    pub state: Option<State>,
    /// The task ended in this column.
    pub ended: bool,
    /// The kind that most of the waiting in this column was for.
    pub wait: Option<AwaitKind>,
    /// A poll was under way during all of this column.
    pub running_throughout: bool,
    /// Times and polls are shares of what was measured over a longer stretch; single polls were not seen, but for what
    /// this says.
    pub sampled: Option<Sampled>,
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

    fn state_of(&self, task: &Task, at: Nanos) -> State {
        if task.lane.is_measured() { self.measured_state_at(task, at) } else { state_at(task, at) }
    }

    /// The state as the last measure before `at` told it, but for what is known exactly: the end, the polls that
    /// happened to be seen, and awaits.
    fn measured_state_at(&self, task: &Task, at: Nanos) -> State {
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
    fn await_at(&self, task: &Task, at: Nanos) -> Option<(AwaitId, &Await)> {
        let started = |id: &AwaitId| self.awaits().get(*id).is_none_or(|found| found.start <= at);
        let after = task.awaits.partition_point(started);
        let looked_at = task.awaits.range(..after).rev().take(AWAITS_LOOKED_AT_MAX);
        looked_at
            .filter_map(|id| Some((*id, self.awaits().get(*id)?)))
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

    /// The lane of `id` from `from` to `to` (nanoseconds or steps, by `axis`), cut into `columns` equal cells.
    pub fn window(&self, id: TaskId, axis: Axis, from: u64, to: u64, columns: u16) -> Vec<Cell> {
        let Some(task) = self.task(id) else { return vec![Cell::default(); columns.into()] };
        let edge = |column: u16| column_edge(from, to, column, columns);
        match axis {
            Axis::Time => {
                let now = self.now();
                // In a column that was told of only in part, that part says how high its share is.
                let all_told = self.loop_lane().told_until().max(task.lane.told_until());
                let known = all_told.filter(|_| task.lane.is_measured()).map_or(now, |told| now.min(told));
                let mut before = totals_before(task, edge(0), known);
                (0..columns)
                    .map(|column| {
                        let (start, end) = (edge(column), edge(column + 1).max(edge(column) + 1));
                        let after = totals_before(task, end, known);
                        let cell = self.time_cell(task, start, end, now, after.since(&before));
                        before = after;
                        cell
                    })
                    .collect()
            }
            Axis::Steps => (0..columns)
                .map(|column| step_cell(task, edge(column), edge(column + 1), u64::from(self.steps())))
                .collect(),
        }
    }
}

/// Where `column` begins on an axis that shows `from` to `to` in `columns` equal columns. The one place that says so:
/// lanes, the loop's strip and what a mouse points at line up by it.
pub fn column_edge(from: u64, to: u64, column: u16, columns: u16) -> u64 {
    let share = u128::from(to.saturating_sub(from)) * u128::from(column) / u128::from(columns.max(1));
    from.saturating_add(u64::try_from(share).unwrap_or(u64::MAX))
}

/// Totals of everything strictly before `edge`, and not past `now`.
fn totals_before(task: &Task, edge: Nanos, now: Nanos) -> Totals {
    match edge.checked_sub(1) {
        // A poll that starts at the edge belongs to the next column, so the look-up is for the instant before it.
        Some(last) => task.lane.totals_at(last.min(now)),
        None => Totals::default(),
    }
}

impl Trace {
    fn time_cell(&self, task: &Task, start: Nanos, end: Nanos, now: Nanos, totals: Totals) -> Cell {
        let last = end - 1;
        if task.lane.spawned() > last || start > now || task.lane.is_forgotten_at(last.min(now)) {
            return Cell::default();
        }
        let ended = task.lane.ended();
        if ended.is_some_and(|ended| ended < start) {
            return Cell { state: Some(self.state_of(task, Nanos::MAX)), ..Cell::default() };
        }
        let state = self.state_of(task, last.min(now));
        let sampled = task.lane.is_measured().then(|| sampled(&task.lane, start, last, self.loop_lane().told_until()));
        let wait = match state {
            // Measures do not say what for, but awaits are known exactly.
            State::Waiting(_, kind) if sampled.is_some() => Some(kind),
            _ if sampled.is_some() => {
                self.await_at(task, last).and_then(|(_, found)| Some(self.site(found.site)?.kind))
            }
            _ => totals.main_wait(),
        };
        Cell {
            polls: totals.polls,
            busy_ns: totals.busy_ns,
            scheduled_ns: totals.scheduled_ns,
            waiting_ns: totals.waiting_total_ns(),
            state: Some(state),
            ended: ended.is_some_and(|ended| ended <= last),
            wait,
            running_throughout: sampled.is_none()
                && totals.polls == 0
                && totals.busy_ns > 0
                && totals.scheduled_ns + totals.waiting_total_ns() == 0,
            sampled,
        }
    }
}

/// One column of the steps axis, polls `from` up to but not including `to`.
fn step_cell(task: &Task, from: u64, to: u64, steps: u64) -> Cell {
    let to = to.max(from + 1);
    if from >= steps {
        return Cell::default();
    }
    let last = u32::try_from(to.min(steps) - 1).unwrap_or(u32::MAX);
    if last < task.spawn_step || task.lane.is_forgotten_at_step(last) {
        return Cell::default();
    }
    let over = task.ending.as_ref().filter(|_| task.end_step.is_some_and(|end| end <= last.saturating_add(1)));
    let ended = over.is_some() && task.end_step.is_some_and(|end| u64::from(end) > from);
    let cycle = task.lane.cycle_at_step(last);
    let polls = task.lane.polls_in_steps(u32::try_from(from).unwrap_or(u32::MAX), last);
    let state = match (over, cycle) {
        _ if polls > 0 => State::Running,
        (Some(ending), _) => ending_state(ending),
        (None, None) => State::Scheduled,
        (None, Some(cycle)) => match cycle.woken_step() {
            Some(woken) if woken <= last => State::Scheduled,
            _ => {
                let (id, kind) = cycle.waiting_on();
                State::Waiting(id, kind)
            }
        },
    };
    let is_held = !matches!(state, State::Running) && !state.is_over() && task.is_held_at_step(last);
    let state = if is_held { State::Held } else { state };
    let wait = if let State::Waiting(_, kind) = state { Some(kind) } else { None };
    Cell { polls, state: Some(state), ended, wait, ..Cell::default() }
}

fn ending_state(ending: &Ending) -> State {
    match ending {
        Ending::Done => State::Done,
        Ending::Cancelled => State::Cancelled,
        Ending::Failed(_) => State::Failed,
    }
}

fn state_at(task: &Task, at: Nanos) -> State {
    if let Some(ending) = task.ending.as_ref().filter(|_| task.lane.ended().is_some_and(|ended| ended <= at)) {
        return ending_state(ending);
    }
    let state = match task.lane.cycle_at(at) {
        None => State::Scheduled,
        Some(cycle) => cycle_state(cycle, at),
    };
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
