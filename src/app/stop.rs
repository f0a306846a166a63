//! Why a loop stopped by itself, in a sentence.

use super::{Dashboard, time};
use crate::control::{Breakpoint, Hit};
use crate::trace::Trace;

/// `count-1 is about to be polled (break poll count-1)`.
pub fn told(hit: &Hit, trace: &Trace) -> String {
    let task = hit.task.and_then(|id| trace.task(id)).map_or_else(|| "a task".into(), |task| task.name().into_owned());
    let length = time::duration(hit.length_ns);
    let what = match hit.breakpoint {
        Breakpoint::Polled(_) => format!("{task} is about to be polled"),
        Breakpoint::Woken(_) => format!("{task} was woken"),
        Breakpoint::Ended(_) => format!("{task} ended"),
        Breakpoint::PollOver(..) => format!("a poll of {task} took {length}"),
        Breakpoint::WaitOver(..) => format!("{task} has waited for {length}"),
        Breakpoint::Finding(_) => format!("{} was found, see n", hit.finding),
    };
    format!("{what} (break {})", hit.breakpoint)
}

impl Dashboard {
    /// Shows the task at which the loop stopped by itself, once.
    pub fn stopped(&mut self, hit: Option<Hit>, trace: &Trace) {
        if self.hit == hit {
            return;
        }
        // Until the trace knows of the task there is nothing to show.
        let task = hit.and_then(|hit| hit.task);
        if task.is_some_and(|task| trace.task(task).is_none()) {
            return;
        }
        self.hit = hit;
        let Some(task) = task else { return };
        self.cursor = None;
        if self.rows.row_of(task, trace).is_none() {
            self.rows.set_filter("", trace);
        }
        (self.selected, self.details_top) = (Some(task), 0);
        if let Some(row) = self.rows.row_of(task, trace) {
            // With a few rows above it, whatever the size of the screen.
            let is_near = (self.top..self.top + 5).contains(&row);
            self.top = if is_near { self.top } else { row.saturating_sub(3) };
        }
    }
}
