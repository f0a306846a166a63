//! Breakpoint hits: their description, and how the dashboard shows them.

use super::{Dashboard, time};
use crate::control::{Breakpoint, BreakpointHit};
use crate::trace::Trace;

/// Describes a breakpoint hit, such as `count-1 is about to be polled (break poll count-1)`.
pub fn describe_hit(hit: &BreakpointHit, trace: &Trace) -> String {
    let task = hit.task.and_then(|id| trace.task(id)).map_or_else(|| "a task".into(), |task| task.name().into_owned());
    let length = time::duration(hit.duration_ns);
    let what = match hit.breakpoint {
        Breakpoint::PollStart(_) => format!("{task} is about to be polled"),
        Breakpoint::Wake(_) => format!("{task} was woken"),
        Breakpoint::End(_) => format!("{task} ended"),
        Breakpoint::LongPoll(..) => format!("a poll of {task} took {length}"),
        Breakpoint::LongWait(..) => format!("{task} has waited for {length}"),
        Breakpoint::Finding(_) => format!("new finding {} (n shows it)", hit.finding),
    };
    format!("{what} (break {})", hit.breakpoint)
}

impl Dashboard {
    /// Selects the task at which a breakpoint was hit, once for each hit.
    pub fn show_hit(&mut self, hit: Option<BreakpointHit>, trace: &Trace) {
        if self.shown_hit == hit {
            return;
        }
        // The trace may not have received the task yet.
        let task = hit.and_then(|hit| hit.task);
        if task.is_some_and(|task| trace.task(task).is_none()) {
            return;
        }
        self.shown_hit = hit;
        let Some(task) = task else { return };
        self.cursor = None;
        if self.rows.row_of(task, trace).is_none() {
            self.rows.set_filter("", trace);
        }
        (self.selected, self.details_top) = (Some(task), 0);
        if let Some(row) = self.rows.row_of(task, trace) {
            // Scroll so that a few rows above it stay visible, whatever the size of the screen.
            let is_near = (self.first_row..self.first_row + 5).contains(&row);
            self.first_row = if is_near { self.first_row } else { row.saturating_sub(3) };
        }
    }
}
