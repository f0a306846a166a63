//! The selected task, and keeping it visible while rows are added, removed and reordered.

use super::Dashboard;
use crate::app::geometry::ScreenGeometry;
use crate::control::BreakpointHit;
use crate::session::interface::Session;
use crate::trace::{TaskId, Trace};

impl Dashboard {
    /// Updates derived state from the session and continues incremental work.
    pub fn refresh(&mut self, session: &dyn Session) {
        let trace = session.trace();
        self.viewport.begin_fit_at(trace.recorded_from());
        self.log.observe(trace, &session.status());
        (self.page.rules().refresh)(self, trace);
        if self.rows.advance(trace) {
            self.scroll_to_selected(trace);
        }
        self.ensure_selection(trace);
    }

    /// Whether incremental work is left, even if no further events arrive.
    pub fn has_pending_work(&self, trace: &Trace) -> bool {
        self.rows.has_pending_work(trace) || (self.page.rules().has_pending_work)(self, trace)
    }

    /// Ensures that the selected task and the first visible row exist.
    pub fn ensure_selection(&mut self, trace: &Trace) {
        let is_shown =
            self.selected.is_some_and(|id| self.rows.row_of(id, trace).is_some() || self.rows.may_match(id, trace));
        if !is_shown || self.has_better_default(trace) {
            // The next row takes the place of a task that has ended and is hidden.
            let row = self.selected_row.filter(|_| self.rows.hides_ended()).map_or(0, |(_, row, _)| row);
            let row = row.min(self.rows.count(trace).saturating_sub(1));
            self.selected = self.rows.get(row, trace);
            self.is_default_selection = row == 0;
            (self.first_row, self.details_top) = (if row == 0 { 0 } else { self.first_row }, 0);
        }
        // Rows above may have been evicted: keep the selected task at its screen position.
        let row = self.selected.and_then(|id| Some((id, self.rows.row_of(id, trace)?, trace.evicted().count)));
        if let (Some((id, row, evicted)), Some((before, row_before, evicted_before))) = (row, self.selected_row)
            && (id == before && evicted > evicted_before)
        {
            self.first_row = self.first_row.saturating_sub(row_before.saturating_sub(row));
        }
        self.selected_row = row;
        self.first_row = self.first_row.min(self.rows.count(trace).saturating_sub(self.list_height.max(1)));
    }

    /// Whether a worker, a `block_on` future or a blocking closure is selected only because there was no task of the
    /// program yet.
    fn has_better_default(&self, trace: &Trace) -> bool {
        let is_program =
            |id: Option<TaskId>| id.and_then(|id| trace.task(id)).is_some_and(|task| task.meta.kind.is_task());
        self.is_default_selection && !is_program(self.selected) && is_program(self.rows.get(0, trace))
    }

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
            self.rows.set_hides_ended(false, trace);
        }
        (self.selected, self.details_top, self.is_default_selection) = (Some(task), 0, false);
        if let Some(row) = self.rows.row_of(task, trace) {
            // Scroll so that a few rows above it stay visible, whatever the size of the screen.
            let is_near = (self.first_row..self.first_row + 5).contains(&row);
            self.first_row = if is_near { self.first_row } else { row.saturating_sub(3) };
        }
    }

    /// Shows only tasks whose name, location, kind or state contains `filter`.
    pub fn search(&mut self, filter: &str, session: &dyn Session, geometry: &ScreenGeometry) {
        self.rows.set_filter(filter, session.trace());
        self.ensure_selection(session.trace());
        self.reveal_selected(session, geometry);
    }

    /// Hides or shows the tasks that have ended.
    pub fn toggle_ended(&mut self, session: &dyn Session, geometry: &ScreenGeometry) {
        self.rows.set_hides_ended(!self.rows.hides_ended(), session.trace());
        self.ensure_selection(session.trace());
        self.reveal_selected(session, geometry);
    }

    /// Selects a task and scrolls to it.
    pub fn select(&mut self, id: TaskId, session: &dyn Session, geometry: &ScreenGeometry) {
        if self.selected != Some(id) {
            self.details_top = 0;
        }
        (self.selected, self.is_default_selection) = (Some(id), false);
        self.reveal_selected(session, geometry);
    }

    pub(super) fn reveal_selected(&mut self, session: &dyn Session, geometry: &ScreenGeometry) {
        self.list_height = geometry.rows.height.into();
        self.scroll_to_selected(session.trace());
    }

    /// Scrolls to the selected task, given the last known height of the list.
    fn scroll_to_selected(&mut self, trace: &Trace) {
        if let Some(row) = self.selected.and_then(|id| self.rows.row_of(id, trace)) {
            let height = self.list_height.max(1);
            let last_top = self.rows.count(trace).saturating_sub(height);
            self.first_row = self.first_row.min(last_top).clamp((row + 1).saturating_sub(height), row);
        }
    }
}
