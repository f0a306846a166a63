//! A stretch of a lane cut into columns: what a frame asks for. Each column is two look-ups at most, however much happened
//! in it, and none where it was asked for before.

use super::Trace;
use super::event::{AwaitKind, Nanos};
use super::id::TaskId;
use super::lane::{Crowd, Cycle, Lane, Stretch, Sweep, Totals};
use super::measure::Sampled;
use super::query::{State, ending_state, state_at};
use super::sampling::sampled;
use super::seen::{Grid, Settled};
use super::task::Task;

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
    /// The state at the column's end, or running where it is crowded; `None` before the task was spawned.
    pub state: Option<State>,
    /// The task ended in this column.
    pub ended: bool,
    /// The kind that most of the waiting in this column was for.
    pub wait: Option<AwaitKind>,
    /// A poll was under way for at least half of the time that the task had in this column.
    pub mostly_running: bool,
    /// More polls began in it than anybody could tell apart. Its sums are then those of the blocks of polls that begin in
    /// it: off by less than a block at each end. All else is exact.
    pub is_crowded: bool,
    /// Times and polls are shares of what was measured over a longer stretch; single polls were not seen, but for what
    /// this says.
    pub sampled: Option<Sampled>,
}

impl Cell {
    fn of(totals: &Totals) -> Self {
        let (busy_ns, waiting_ns) = (totals.busy_ns, totals.waiting_total_ns());
        Self {
            polls: totals.polls,
            busy_ns,
            scheduled_ns: totals.scheduled_ns,
            waiting_ns,
            wait: totals.main_wait(),
            mostly_running: busy_ns > 0 && busy_ns >= totals.scheduled_ns.saturating_add(waiting_ns),
            ..Self::default()
        }
    }

    fn crowded(Crowd { sums, mostly_running }: &Crowd) -> Self {
        let state = Some(State::Running);
        Self { state, mostly_running: *mostly_running, is_crowded: true, ..Self::of(sums) }
    }
}

/// Where `column` begins on an axis that shows `from` to `to` in `columns` equal columns. The one place that says so:
/// lanes, the loop's strip and what a mouse points at line up by it.
pub fn column_edge(from: u64, to: u64, column: u16, columns: u16) -> u64 {
    let share = u128::from(to.saturating_sub(from)) * u128::from(column) / u128::from(columns.max(1));
    from.saturating_add(u64::try_from(share).unwrap_or(u64::MAX))
}

/// What is asked for: from, up to but not including, and in how many columns.
type Window = (u64, u64, u16);

impl Trace {
    /// The lane of `id` from `from` to `to` (nanoseconds or steps, by `axis`), cut into `columns` equal cells.
    pub fn window(&self, id: TaskId, axis: Axis, from: u64, to: u64, columns: u16) -> Vec<Cell> {
        let Some(task) = self.task(id) else { return vec![Cell::default(); columns.into()] };
        let (lane, window) = (&task.lane, (from, to, columns));
        let mut sweep = Sweep::new(lane);
        match axis {
            Axis::Time => {
                // In a column that was told of only in part, that part says how high its share is.
                let all_told = self.loop_lane().told_until().max(lane.told_until());
                let now = all_told.filter(|_| lane.is_measured()).map_or(self.now(), |told| self.now().min(told));
                self.cells(axis, Some(id), lane, window, |start, end| match sweep.stretch(start, end, now) {
                    Stretch::Crowded(crowd) => Cell::crowded(&crowd),
                    Stretch::Told(totals, cycle) => self.time_cell(task, (start, end), totals, cycle.as_ref()),
                })
            }
            Axis::Steps => {
                let steps = self.steps().into();
                self.cells(axis, Some(id), lane, window, |from, to| step_cell(task, &mut sweep, from, to, steps))
            }
        }
    }

    /// The state of `id` when the loop's `step`-th poll was over; `None` before it was spawned, and where that was forgotten.
    /// Columns that are remembered stay so.
    pub fn state_at_step(&self, id: TaskId, step: u64) -> Option<State> {
        let task = self.task(id)?;
        let mut sweep = Sweep::new(&task.lane);
        step_cell(task, &mut sweep, step, step.saturating_add(1), self.steps().into()).state
    }

    /// The loop's own row from `from` to `to`, cut into `columns` equal cells without a state; up to `now`, which may be
    /// later than anything that was told.
    pub fn loop_window(&self, from: Nanos, to: Nanos, columns: u16, now: Nanos) -> Vec<Cell> {
        let lane = self.loop_lane();
        let mut sweep = Sweep::new(lane);
        self.cells(Axis::Time, None, lane, (from, to, columns), |start, end| match sweep.stretch(start, end, now) {
            Stretch::Crowded(crowd) => Cell::crowded(&crowd),
            Stretch::Told(totals, _) => Cell::of(&totals),
        })
    }

    /// The cells of a lane: those that are remembered, and for the others what `cell` says, of one after the other.
    fn cells(
        &self,
        axis: Axis,
        of: Option<TaskId>,
        lane: &Lane,
        (from, to, columns): Window,
        mut cell: impl FnMut(u64, u64) -> Cell,
    ) -> Vec<Cell> {
        let edge = |column: u16| column_edge(from, to, column, columns);
        let settled_until = match axis {
            Axis::Time => lane.settled_until(),
            Axis::Steps => lane.settled_until_step().into(),
        };
        let forgotten_polls = lane.forgotten_polls();
        let grid = Grid::of(axis, from, to, columns);
        let known = grid.and_then(|(grid, _)| self.seen.take(grid, of, forgotten_polls)).unwrap_or_default();
        let (within, known_cells) = grid.map_or((0..0, &[][..]), |(_, first)| known.within(first, columns));
        let (mut cells, mut settled_count, mut column) = (Vec::with_capacity(columns.into()), 0, 0);
        while column < columns {
            if within.contains(&column) {
                cells.extend_from_slice(known_cells);
                (column, settled_count) = (within.end, cells.len());
                continue;
            }
            let (start, end) = (edge(column), edge(column + 1).max(edge(column) + 1));
            cells.push(cell(start, end));
            if end <= settled_until {
                settled_count = cells.len();
            }
            column += 1;
        }
        if let Some((_, first)) = grid {
            let is_known = usize::from(within.start) == 0 && usize::from(within.end) == settled_count;
            let settled = if is_known {
                known
            } else {
                Settled { first, cells: cells[..settled_count].to_vec(), forgotten_polls }
            };
            self.seen.give_back(of, settled);
        }
        cells
    }

    /// One column of the time axis, in which `totals` came about and at whose end `cycle` is the newest.
    fn time_cell(&self, task: &Task, (start, end): (Nanos, Nanos), totals: Totals, cycle: Option<&Cycle>) -> Cell {
        let (last, now) = (end - 1, self.now());
        if task.lane.spawned() > last || start > now || task.lane.is_forgotten_at(last.min(now)) {
            return Cell::default();
        }
        let ended = task.lane.ended();
        if ended.is_some_and(|ended| ended < start) {
            return Cell { state: Some(self.state_of(task, Nanos::MAX)), ..Cell::default() };
        }
        let (cell, ended) = (Cell::of(&totals), ended.is_some_and(|ended| ended <= last));
        let Some(sampled) = sampled(&task.lane, start, last, self.loop_lane().told_until()) else {
            let state = state_at(task, last.min(now), || cycle.copied());
            return Cell { state: Some(state), ended, ..cell };
        };
        let state = self.measured_state_at(task, last.min(now));
        // Measures do not say what for, but awaits are known exactly.
        let wait = match state {
            State::Waiting(_, kind) => Some(kind),
            _ => self.await_at(task, last).and_then(|(_, found)| Some(self.site(found.site)?.kind)),
        };
        Cell { state: Some(state), ended, wait, mostly_running: false, sampled: Some(sampled), ..cell }
    }
}

/// One column of the steps axis, polls `from` up to but not including `to`.
fn step_cell(task: &Task, sweep: &mut Sweep<'_>, from: u64, to: u64, steps: u64) -> Cell {
    if from >= steps {
        return Cell::default();
    }
    let step = |step: u64| u32::try_from(step).unwrap_or(u32::MAX);
    let (first, last) = (step(from), step(to.min(steps) - 1));
    if last < task.spawn_step || task.lane.is_forgotten_at_step(last) {
        return Cell::default();
    }
    let over = task.ending.as_ref().filter(|_| task.end_step.is_some_and(|end| end <= last.saturating_add(1)));
    let ended = over.is_some() && task.end_step.is_some_and(|end| u64::from(end) > from);
    if let Some(polls) = sweep.crowd_of_steps(first, last) {
        return Cell { polls, state: Some(State::Running), ended, is_crowded: true, ..Cell::default() };
    }
    let (polls, glance) = sweep.stretch_of_steps(first, last);
    let state = match (over, glance) {
        _ if polls > 0 => State::Running,
        (Some(ending), _) => ending_state(ending),
        (None, None) => State::Scheduled,
        (None, Some(glance)) if glance.woken_step.is_some_and(|woken| woken <= last) => State::Scheduled,
        (None, Some(glance)) => State::Waiting(glance.waiting_on.0, glance.waiting_on.1),
    };
    let is_held = !matches!(state, State::Running) && !state.is_over() && task.is_held_at_step(last);
    let state = if is_held { State::Held } else { state };
    let wait = if let State::Waiting(_, kind) = state { Some(kind) } else { None };
    Cell { polls, state: Some(state), ended, wait, ..Cell::default() }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Event, Spawned};
    use super::*;

    /// Polls of a task at one instant, as on a virtual clock where nothing takes time.
    fn poll(trace: &mut Trace, task: TaskId, times: usize) {
        for _ in 0..times {
            trace.apply(Event::PollStart { task, at: 5 });
            trace.apply(Event::PollEnd { task, at: 5 });
        }
    }

    #[test]
    fn what_is_forgotten_of_one_instant_is_not_remembered_by_steps() {
        let mut trace = Trace::with_budget(20_000);
        let task = TaskId::from_index(0);
        trace.apply(Event::Spawn { task, at: 0, spawned: Box::new(Spawned::default()) });
        poll(&mut trace, task, 64);
        let window = |trace: &Trace| trace.window(task, Axis::Steps, 0, 60, 6);
        assert!(window(&trace).iter().all(|cell| cell.polls == 10));
        let mut rounds = 0;
        while !trace.lane_is_forgotten(task) {
            poll(&mut trace, task, 64);
            window(&trace);
            rounds += 1;
            assert!(rounds < 10_000, "the budget is small");
        }
        assert!(window(&trace).iter().all(|cell| *cell == Cell::default()), "nothing of it is known any more");
    }

    impl Trace {
        fn lane_is_forgotten(&self, id: TaskId) -> bool {
            self.task(id).is_some_and(|task| task.lane.is_forgotten_at_step(60))
        }
    }

    #[test]
    fn who_looks_at_one_step_leaves_what_is_remembered() {
        let mut trace = Trace::default();
        let task = TaskId::from_index(0);
        trace.apply(Event::Spawn { task, at: 0, spawned: Box::new(Spawned::default()) });
        poll(&mut trace, task, 200);
        trace.window(task, Axis::Steps, 0, 160, 16);
        for step in [0, 7, 199, 200, u64::MAX] {
            let one = (step < u64::MAX).then(|| trace.clone().window(task, Axis::Steps, step, step + 1, 1)[0].state);
            assert_eq!(trace.state_at_step(task, step), one.flatten(), "at step {step}");
        }
        let (grid, first) = Grid::of(Axis::Steps, 0, 160, 16).expect("its columns are of one width");
        let known = trace.seen.take(grid, Some(task), 0).expect("it was asked for");
        assert_eq!(known.within(first, 16).0, 0..16);
    }
}
