//! The worker strip: which worker each row shows, and clicks on it.

use super::Dashboard;
use crate::app::geometry::{CellRect, ScreenGeometry};
use crate::session::interface::Session;
use crate::trace::{Axis, Nanos, TaskId, Trace, Worker, WorkerId, column_edge};

/// Maximum number of parks that are passed in search of the last poll in a column.
const PARKS_PASSED_MAX: usize = 64;

impl Dashboard {
    /// Returns the worker in a row of the strip, of which `shown` rows have one: the first workers, and in the last row
    /// the worker of the selected task if it is none of them. `now` is the viewed time.
    pub fn worker_in_row<'a>(&self, trace: &'a Trace, now: Nanos, shown: u16, row: u16) -> Option<&'a Worker> {
        let worker = self.selected.and_then(|id| trace.task(id)?.worker_at(now)).map(WorkerId::index);
        let hidden = worker.filter(|index| row + 1 == shown && *index >= usize::from(shown));
        trace.workers().get(hidden.unwrap_or(row.into()))
    }

    /// Handles a click on a worker: selects the task that it polls at the viewed time, or polled last in the column of
    /// its lane, where it also sets the time cursor.
    pub(super) fn click_worker(
        &mut self,
        (column, row): (u16, u16),
        session: &dyn Session,
        geometry: &ScreenGeometry,
    ) -> Option<()> {
        let CellRect { y, height, .. } = geometry.workers;
        let (trace, lanes) = (session.trace(), geometry.lanes);
        let end = self.axis_end(session, Axis::Time);
        let now = self.viewed_time().unwrap_or(end);
        let worker = self.worker_in_row(trace, now, height, row - y)?;
        if column < lanes.x || self.viewport.axis != Axis::Time {
            let poll = worker.cycle_at(now)?;
            self.select(poll.polled_task()?, session, geometry);
            return Some(());
        }
        let (from, to) = self.viewport.range(end, lanes.width);
        let edge = |column: u16| column_edge(from, to, column, lanes.width);
        let start = edge(column - lanes.x);
        let last = edge(column - lanes.x + 1).saturating_sub(1).max(start);
        let poll = last_poll(worker, start, last);
        if let Some((task, _)) = poll {
            self.select(task, session, geometry);
        }
        self.set_cursor(poll.map_or(start, |(_, at)| at.max(start)), (end, lanes.width));
        Some(())
    }
}

/// Returns the last task that a worker polled from `from` to `last`, and the start of that poll.
fn last_poll(worker: &Worker, from: Nanos, last: Nanos) -> Option<(TaskId, Nanos)> {
    let mut until = last;
    for _ in 0..PARKS_PASSED_MAX {
        let cycle = worker.cycle_at(until)?;
        if let Some(task) = cycle.polled_task() {
            return cycle.end().is_none_or(|end| end >= from).then_some((task, cycle.start));
        }
        if cycle.start <= from {
            return None;
        }
        until = cycle.start - 1;
    }
    None
}
