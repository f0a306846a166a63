//! What is selected, by id, and keeping it on the screen while rows come, go and change places.

use super::Dashboard;
use crate::app::geometry::Geometry;
use crate::app::pages::Page;
use crate::app::session::Session;
use crate::trace::{TaskId, Trace};

impl Dashboard {
    /// Takes note of what is new in the session, and goes on with what takes more than one frame.
    pub fn refresh(&mut self, session: &dyn Session) {
        let trace = session.trace();
        self.log.observe(trace, &session.status());
        self.refresh_page(trace);
        if self.rows.go_on(trace) {
            self.bring_selected(trace);
        }
        self.look_again(trace);
    }

    /// There is something left of that.
    pub fn is_behind(&self, trace: &Trace) -> bool {
        self.rows.is_behind(trace) || (self.page == Page::Resources && self.sharing.is_behind(trace))
    }

    /// What is selected, and the first row on the screen, are among the rows that there are.
    pub fn look_again(&mut self, trace: &Trace) {
        let is_shown =
            self.selected.is_some_and(|id| self.rows.row_of(id, trace).is_some() || self.rows.may_come(id, trace));
        if !is_shown {
            self.selected = self.rows.get(0, trace);
            (self.top, self.details_top) = (0, 0);
        }
        // Rows above may be forgotten: what is selected stays where it is on the screen.
        let row = self.selected.and_then(|id| Some((id, self.rows.row_of(id, trace)?, trace.forgotten().tasks)));
        if let (Some((id, row, forgotten)), Some((before, row_before, forgotten_before))) = (row, self.selected_row)
            && (id == before && forgotten > forgotten_before)
        {
            self.top = self.top.saturating_sub(row_before.saturating_sub(row));
        }
        self.selected_row = row;
        self.top = self.top.min(self.rows.count(trace).saturating_sub(self.height.max(1)));
    }

    /// Shows only tasks whose name has `filter` in it.
    pub fn search(&mut self, filter: &str, session: &dyn Session, geometry: &Geometry) {
        self.rows.set_filter(filter, session.trace());
        self.look_again(session.trace());
        self.show_selected(session, geometry);
    }

    /// Selects `id` and brings its row on the screen.
    pub fn select(&mut self, id: TaskId, session: &dyn Session, geometry: &Geometry) {
        if self.selected != Some(id) {
            self.details_top = 0;
        }
        self.selected = Some(id);
        self.show_selected(session, geometry);
    }

    pub(super) fn show_selected(&mut self, session: &dyn Session, geometry: &Geometry) {
        self.height = geometry.rows.height.into();
        self.bring_selected(session.trace());
    }

    /// Brings the row of what is selected on the screen, as high as that was last.
    fn bring_selected(&mut self, trace: &Trace) {
        if let Some(row) = self.selected.and_then(|id| self.rows.row_of(id, trace)) {
            let height = self.height.max(1);
            let last_top = self.rows.count(trace).saturating_sub(height);
            self.top = self.top.min(last_top).clamp((row + 1).saturating_sub(height), row);
        }
    }
}
