//! Mouse handling of the dashboard.

use super::{Dashboard, Pane};
use crate::app::action::Action;
use crate::app::columns::{self, COLUMNS};
use crate::app::geometry::ScreenGeometry;
use crate::app::input::{MouseInput, MouseKind};
use crate::app::motion::Motion;
use crate::app::page::DashboardPage;
use crate::app::viewport::Viewport;
use crate::session::interface::Session;
use crate::trace::column_edge;

impl Dashboard {
    pub(super) fn mouse(
        &mut self,
        mouse: MouseInput,
        session: &dyn Session,
        geometry: &ScreenGeometry,
        was_panning: bool,
    ) {
        let end = self.axis_end(session, self.viewport.axis);
        let lanes = geometry.lanes;
        let shown = (end, lanes.width);
        let (from, to) = self.viewport.range(end, lanes.width);
        let over_lanes = lanes.contains(mouse.column, mouse.row);
        let pointed = over_lanes.then(|| column_edge(from, to, mouse.column - lanes.x, lanes.width));
        let over_output = geometry.output.contains(mouse.column, mouse.row);
        let over_details = geometry.details.contains(mouse.column, mouse.row);
        let count = self.rows.count(session.trace());
        match mouse.kind {
            MouseKind::Press | MouseKind::Drag if geometry.minimap.contains(mouse.column, mouse.row) => {
                let (start, whole) = Viewport::fit_all(self.viewport.axis).range(end, geometry.minimap.width);
                let middle = column_edge(start, whole, mouse.column - geometry.minimap.x, geometry.minimap.width);
                self.push_undo();
                let width = to - from;
                let from = middle.saturating_sub(width / 2);
                self.viewport.show(from, from.saturating_add(width));
            }
            MouseKind::Press if geometry.titles.contains(mouse.column, mouse.row) => {
                let at = mouse.column - geometry.titles.x;
                let shown = columns::visible_columns(self.scrolled_columns, geometry.titles.width);
                if let Some((column, ..)) = shown.into_iter().rev().find(|(_, from, _)| *from <= at) {
                    self.sort(Action::SortBy(column), session, geometry);
                }
            }
            MouseKind::Press if geometry.rows.contains(mouse.column, mouse.row) && self.page.has_list() => {
                self.focus = Pane::Timeline;
                self.choose_row(usize::from(mouse.row - geometry.rows.y), geometry);
            }
            MouseKind::Press if geometry.rows.contains(mouse.column, mouse.row) => {
                self.focus = Pane::Timeline;
                let row = self.first_row + usize::from(mouse.row - geometry.rows.y);
                if let Some(id) = self.rows.get(row, session.trace()) {
                    self.select(id, session, geometry);
                }
                if let Some(at) = pointed {
                    self.set_cursor(at, shown);
                }
            }
            MouseKind::Press if geometry.workers.contains(mouse.column, mouse.row) => {
                self.focus = Pane::Timeline;
                let _ = self.click_worker((mouse.column, mouse.row), session, geometry);
            }
            MouseKind::Press if over_output => self.focus = Pane::Output,
            MouseKind::Press if over_details => self.focus = Pane::Details,
            MouseKind::Press => {}
            MouseKind::Drag => {
                if let Some(at) = pointed {
                    self.set_cursor(at, shown);
                }
            }
            MouseKind::WheelUp if mouse.is_zoom && self.page == DashboardPage::Timeline => {
                self.zoom((2, 3), pointed, shown);
            }
            MouseKind::WheelDown if mouse.is_zoom && self.page == DashboardPage::Timeline => {
                self.zoom((3, 2), pointed, shown);
            }
            MouseKind::WheelLeft if self.page != DashboardPage::Timeline => {
                self.scrolled_columns = self.scrolled_columns.saturating_sub(1);
            }
            MouseKind::WheelRight if self.page != DashboardPage::Timeline => {
                self.scrolled_columns = (self.scrolled_columns + 1).min(COLUMNS.len() - 2);
            }
            MouseKind::WheelLeft => self.pan(-1, shown, was_panning),
            MouseKind::WheelRight => self.pan(1, shown, was_panning),
            MouseKind::WheelUp if over_output => self.output_scroll = self.output_scroll.saturating_add(3),
            MouseKind::WheelDown if over_output => self.output_scroll = self.output_scroll.saturating_sub(3),
            MouseKind::WheelUp if over_details => self.details_top = self.details_top.saturating_sub(1),
            MouseKind::WheelDown if over_details => {
                let last = geometry.details_lines.saturating_sub(geometry.details.height.into());
                self.details_top = (self.details_top + 1).min(last);
            }
            MouseKind::WheelUp if self.page.has_list() => self.move_in_list(Motion::Up, geometry),
            MouseKind::WheelDown if self.page.has_list() => self.move_in_list(Motion::Down, geometry),
            MouseKind::WheelUp => self.first_row = self.first_row.saturating_sub(3),
            MouseKind::WheelDown => {
                self.first_row = (self.first_row + 3).min(count.saturating_sub(geometry.rows.height.into()));
            }
        }
        let lines = session.trace().output().lines().len();
        self.output_scroll = self.output_scroll.min(lines.saturating_sub(geometry.output.height.into()));
    }
}
