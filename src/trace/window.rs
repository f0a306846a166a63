//! Cuts a window of a lane into columns, which a frame draws. Each column takes at most two lookups, however many
//! events it covers, and none if it is cached.

use super::Trace;
use super::cell_cache::{CachedCells, ColumnGrid, LaneOwner};
use super::id::{TaskId, WorkerId};
use super::lane::{Cycle, Lane, LaneCursor, LaneInterval, LaneTotals};
use super::lane_cell::{Axis, LaneCell, column_edge};
use super::task::Task;
use super::task_state::{TaskState, state_at, state_of_outcome};
use super::time::Nanos;

/// A window: its start, its exclusive end, and the number of columns.
type LaneWindow = (u64, u64, u16);

impl Trace {
    /// Returns the lane of `id` from `from` to `to` (nanoseconds or steps, by `axis`), cut into `columns` equal cells.
    /// All cells are empty where there is no such task. A cell covers the time up to one nanosecond before its end.
    ///
    /// ```
    /// use loopscope::trace::{Axis, Event, TaskId, TaskMeta, Trace};
    ///
    /// let mut trace = Trace::default();
    /// let task = TaskId::from_index(0);
    /// trace.apply(Event::Spawn { task, at: 0, meta: Box::new(TaskMeta::default()) });
    /// trace.apply(Event::PollStart { task, at: 0 });
    /// trace.apply(Event::PollEnd { task, at: 50 });
    /// trace.apply(Event::Advance { at: 100 });
    ///
    /// let cells = trace.window(task, Axis::Time, 0, 100, 2);
    /// assert_eq!((cells[0].polls, cells[1].polls), (1, 0));
    /// assert_eq!((cells[0].busy_ns, cells[1].waiting_ns), (49, 49));
    /// ```
    pub fn window(&self, id: TaskId, axis: Axis, from: u64, to: u64, columns: u16) -> Vec<LaneCell> {
        let Some(task) = self.task(id) else { return vec![LaneCell::default(); columns.into()] };
        let (lane, window) = (&task.lane, (from, to, columns));
        let mut cursor = LaneCursor::new(lane);
        match axis {
            Axis::Time => {
                // A column that the statistics cover only in part is scaled by that part.
                let complete_until = self.loop_lane().stats_until().max(lane.stats_until());
                let now =
                    complete_until.filter(|_| lane.is_sampled()).map_or(self.now(), |until| self.now().min(until));
                let mut cells = self.cached_or_new_cells(axis, LaneOwner::Task(id), lane, window, |start, end| {
                    match cursor.interval(start, end, now) {
                        LaneInterval::Dense(dense) => LaneCell::from_dense(&dense),
                        LaneInterval::Exact(totals, cycle) => {
                            self.time_cell(task, (start, end), totals, cycle.as_ref())
                        }
                    }
                });
                self.mark_blocking_calls(&mut cells, task, window);
                cells
            }
            Axis::Steps => {
                let steps = self.steps().into();
                let mut cells = self.cached_or_new_cells(axis, LaneOwner::Task(id), lane, window, |from, to| {
                    step_cell(task, &mut cursor, from, to, steps)
                });
                if to.saturating_sub(from) < columns.into() {
                    keep_last_end(&mut cells);
                }
                cells
            }
        }
    }

    /// Marks the cells in which a blocking call overlaps a poll. Not cached, because blocking calls are evicted on their
    /// own.
    fn mark_blocking_calls(&self, cells: &mut [LaneCell], task: &Task, (from, to, columns): LaneWindow) {
        if task.blocking_calls().is_none() {
            return;
        }
        let edge = |column: u16| column_edge(from, to, column, columns);
        for (column, cell) in (0..columns).zip(cells).filter(|(_, cell)| cell.is_mostly_running) {
            let (start, end) = (edge(column), edge(column + 1).max(edge(column) + 1));
            cell.has_blocking_call = self.blocking_call(task.id, start, end).is_some();
        }
    }

    /// Returns the state of `id` after the loop's `step`-th poll; `None` before the spawn and where it was evicted.
    /// Does not touch the cell cache.
    pub fn state_at_step(&self, id: TaskId, step: u64) -> Option<TaskState> {
        let task = self.task(id)?;
        let mut cursor = LaneCursor::new(&task.lane);
        step_cell(task, &mut cursor, step, step.saturating_add(1), self.steps().into()).state
    }

    /// Returns the loop's lane from `from` to `to`, cut into `columns` equal cells without a state. `now` may be later
    /// than the last event.
    pub fn loop_window(&self, from: Nanos, to: Nanos, columns: u16, now: Nanos) -> Vec<LaneCell> {
        self.thread_window(LaneOwner::Loop, self.loop_lane(), (from, to, columns), now)
    }

    /// Returns the lane of worker `id` from `from` to `to`, cut into `columns` equal cells without a state. Its waiting
    /// time is that in which it was parked, its scheduled time the remaining one, and its polls include the parks. All
    /// cells are empty where there is no such worker. `now` may be later than the last event.
    pub fn worker_window(&self, id: WorkerId, from: Nanos, to: Nanos, columns: u16, now: Nanos) -> Vec<LaneCell> {
        let Some(worker) = self.worker(id) else { return vec![LaneCell::default(); columns.into()] };
        let mut cells = self.thread_window(LaneOwner::Worker(id), &worker.lane, (from, to, columns), now);
        for (column, cell) in (0..columns).zip(&mut cells) {
            let start = column_edge(from, to, column, columns);
            if start >= worker.evicted_until() {
                break;
            }
            *cell = LaneCell { is_evicted: worker.known_since() <= start, ..LaneCell::default() };
        }
        cells
    }

    /// Returns the lane of the loop or of a worker, cut into cells without a state.
    fn thread_window(&self, owner: LaneOwner, lane: &Lane, window: LaneWindow, now: Nanos) -> Vec<LaneCell> {
        let mut cursor = LaneCursor::new(lane);
        self.cached_or_new_cells(Axis::Time, owner, lane, window, |start, end| match cursor.interval(start, end, now) {
            LaneInterval::Dense(dense) => LaneCell::from_dense(&dense),
            LaneInterval::Exact(totals, _) => LaneCell::from_totals(&totals),
        })
    }

    /// Returns the cells of a lane: from the cache where possible, computed by `cell` in ascending order otherwise.
    fn cached_or_new_cells(
        &self,
        axis: Axis,
        owner: LaneOwner,
        lane: &Lane,
        (from, to, columns): LaneWindow,
        mut cell: impl FnMut(u64, u64) -> LaneCell,
    ) -> Vec<LaneCell> {
        let edge = |column: u16| column_edge(from, to, column, columns);
        let immutable_until = match axis {
            Axis::Time => lane.immutable_until(),
            Axis::Steps => lane.immutable_until_step().into(),
        };
        let evicted_polls = lane.evicted_polls();
        let grid = ColumnGrid::of(axis, from, to, columns);
        let cached =
            grid.and_then(|(grid, _)| self.loop_state.cell_cache.take(grid, owner, evicted_polls)).unwrap_or_default();
        let (overlap, cached_cells) = grid.map_or((0..0, &[][..]), |(_, first)| cached.overlap(first, columns));
        let (mut cells, mut cacheable_count, mut column) = (Vec::with_capacity(columns.into()), 0, 0);
        while column < columns {
            if overlap.contains(&column) {
                cells.extend_from_slice(cached_cells);
                (column, cacheable_count) = (overlap.end, cells.len());
                continue;
            }
            let (start, end) = (edge(column), edge(column + 1).max(edge(column) + 1));
            cells.push(cell(start, end));
            if end <= immutable_until {
                cacheable_count = cells.len();
            }
            column += 1;
        }
        if let Some((_, first)) = grid {
            let is_unchanged = usize::from(overlap.start) == 0 && usize::from(overlap.end) == cacheable_count;
            let cached = if is_unchanged {
                cached
            } else {
                CachedCells { first, cells: cells[..cacheable_count].to_vec(), evicted_polls }
            };
            self.loop_state.cell_cache.put_back(owner, cached);
        }
        cells
    }

    /// Creates a cell of the time axis from the totals of its column and the newest cycle at its end.
    fn time_cell(
        &self,
        task: &Task,
        (start, end): (Nanos, Nanos),
        totals: LaneTotals,
        cycle: Option<&Cycle>,
    ) -> LaneCell {
        let (last, now) = (end - 1, self.now());
        if task.lane.spawned_at() > last || start > now || task.lane.is_evicted_at(last.min(now)) {
            let is_evicted = task.lane.spawned_at() <= start && task.lane.is_evicted_at(start);
            return LaneCell { is_evicted, ..LaneCell::default() };
        }
        let ended = task.lane.ended_at();
        if ended.is_some_and(|ended| ended < start) {
            return LaneCell { state: Some(self.history.state_of(task, Nanos::MAX)), ..LaneCell::default() };
        }
        let (cell, has_ended) = (LaneCell::from_totals(&totals), ended.is_some_and(|ended| ended <= last));
        let Some(sampled) = task.lane.sampled_interval(start, last, self.loop_lane().stats_until()) else {
            let state = state_at(task, last.min(now), || cycle.copied());
            return LaneCell { state: Some(state), has_ended, ..cell };
        };
        let state = self.history.measured_state_at(task, last.min(now));
        // Statistics do not include what the task waited on, but awaits are known exactly.
        let longest_wait = match state {
            TaskState::Waiting(_, kind) => Some(kind),
            _ => self.history.open_await_at(task, last).and_then(|(_, found)| Some(self.site(found.site)?.kind)),
        };
        LaneCell {
            state: Some(state),
            has_ended,
            longest_wait,
            is_mostly_running: false,
            sampled: Some(sampled),
            ..cell
        }
    }
}

/// Keeps only the last of consecutive ends, where one step spans many columns.
fn keep_last_end(cells: &mut [LaneCell]) {
    let mut next_ends = false;
    for cell in cells.iter_mut().rev() {
        let ends = cell.has_ended;
        cell.has_ended = ends && !next_ends;
        next_ends = ends;
    }
}

/// Creates a cell of the steps axis for the polls `from` up to, not including, `to`.
fn step_cell(task: &Task, cursor: &mut LaneCursor<'_>, from: u64, to: u64, steps: u64) -> LaneCell {
    if from >= steps {
        return LaneCell::default();
    }
    let step = |step: u64| u32::try_from(step).unwrap_or(u32::MAX);
    let (first, last) = (step(from), step(to.min(steps) - 1));
    if last < task.spawn_step || task.lane.is_evicted_at_step(last) {
        let is_evicted = task.spawn_step <= first && task.lane.is_evicted_at_step(first);
        return LaneCell { is_evicted, ..LaneCell::default() };
    }
    let outcome = task.outcome.as_ref().filter(|_| task.end_step.is_some_and(|end| end <= last.saturating_add(1)));
    let has_ended = outcome.is_some() && task.end_step.is_some_and(|end| u64::from(end) > from);
    if let Some(polls) = cursor.dense_polls_in_steps(first, last) {
        let state = Some(TaskState::Running);
        return LaneCell {
            polls,
            state,
            has_ended,
            is_mostly_running: polls > 0,
            is_dense: true,
            ..LaneCell::default()
        };
    }
    let (polls, lookup) = cursor.polls_in_steps(first, last);
    let state = match (outcome, lookup) {
        _ if polls > 0 => TaskState::Running,
        (Some(outcome), _) => state_of_outcome(outcome),
        (None, None) => TaskState::Scheduled,
        (None, Some(lookup)) if lookup.woken_step.is_some_and(|woken| woken <= last) => TaskState::Scheduled,
        (None, Some(lookup)) => TaskState::Waiting(lookup.waiting_on.0, lookup.waiting_on.1),
    };
    let is_held = !matches!(state, TaskState::Running) && !state.is_ended() && task.is_held_at_step(last);
    let state = if is_held { TaskState::Held } else { state };
    let longest_wait = if let TaskState::Waiting(_, kind) = state { Some(kind) } else { None };
    let is_mostly_running = polls > 0;
    LaneCell { polls, state: Some(state), has_ended, longest_wait, is_mostly_running, ..LaneCell::default() }
}

#[cfg(test)]
mod tests {
    use super::super::event::Event;
    use super::super::task_meta::TaskMeta;
    use super::*;

    /// Polls a task at one instant, as on a virtual clock.
    fn poll(trace: &mut Trace, task: TaskId, times: usize) {
        for _ in 0..times {
            trace.apply(Event::PollStart { task, at: 5 });
            trace.apply(Event::PollEnd { task, at: 5 });
        }
    }

    #[test]
    fn evicted_steps_leave_the_cache() {
        let mut trace = Trace::with_budget(20_000);
        let task = TaskId::from_index(0);
        trace.apply(Event::Spawn { task, at: 0, meta: Box::new(TaskMeta::default()) });
        poll(&mut trace, task, 64);
        let window = |trace: &Trace| trace.window(task, Axis::Steps, 0, 60, 6);
        assert!(window(&trace).iter().all(|cell| cell.polls == 10));
        let mut rounds = 0;
        while !trace.is_lane_evicted(task) {
            poll(&mut trace, task, 64);
            window(&trace);
            rounds += 1;
            assert!(rounds < 10_000, "the budget is small");
        }
        let evicted = LaneCell { is_evicted: true, ..LaneCell::default() };
        assert!(window(&trace).iter().all(|cell| *cell == evicted), "evicted cells are empty");
    }

    impl Trace {
        fn is_lane_evicted(&self, id: TaskId) -> bool {
            self.task(id).is_some_and(|task| task.lane.is_evicted_at_step(60))
        }
    }

    #[test]
    fn state_at_step_keeps_the_cache() {
        let mut trace = Trace::default();
        let task = TaskId::from_index(0);
        trace.apply(Event::Spawn { task, at: 0, meta: Box::new(TaskMeta::default()) });
        poll(&mut trace, task, 200);
        trace.window(task, Axis::Steps, 0, 160, 16);
        for step in [0, 7, 199, 200, u64::MAX] {
            let one = (step < u64::MAX).then(|| trace.clone().window(task, Axis::Steps, step, step + 1, 1)[0].state);
            assert_eq!(trace.state_at_step(task, step), one.flatten(), "at step {step}");
        }
        let (grid, first) = ColumnGrid::of(Axis::Steps, 0, 160, 16).expect("the columns are of equal width");
        let cached = trace.loop_state.cell_cache.take(grid, LaneOwner::Task(task), 0).expect("the window was cached");
        assert_eq!(cached.overlap(first, 16).0, 0..16);
    }
}
