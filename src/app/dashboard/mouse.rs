//! What the mouse does on the dashboard.

use super::{Dashboard, Pane};
use crate::app::action::{Action, Step};
use crate::app::columns::{self, COLUMNS};
use crate::app::geometry::Geometry;
use crate::app::input::{Mouse, MouseKind};
use crate::app::pages::Page;
use crate::app::session::Session;
use crate::app::viewport::Viewport;
use crate::trace::column_edge;

impl Dashboard {
    pub(super) fn mouse(&mut self, mouse: Mouse, session: &dyn Session, geometry: &Geometry, was_panning: bool) {
        let end = self.axis_end(session, self.viewport.axis);
        let lanes = geometry.lanes;
        let shown = (end, lanes.width);
        let (from, to) = self.viewport.range(end, lanes.width);
        let over_lanes = lanes.has(mouse.column, mouse.row);
        let pointed = over_lanes.then(|| column_edge(from, to, mouse.column - lanes.x, lanes.width));
        let over_output = geometry.output.has(mouse.column, mouse.row);
        let over_details = geometry.details.has(mouse.column, mouse.row);
        let count = self.rows.count(session.trace());
        match mouse.kind {
            MouseKind::Press | MouseKind::Drag if geometry.minimap.has(mouse.column, mouse.row) => {
                let (start, whole) = Viewport::whole(self.viewport.axis).range(end, geometry.minimap.width);
                let middle = column_edge(start, whole, mouse.column - geometry.minimap.x, geometry.minimap.width);
                self.remember();
                let width = to - from;
                let from = middle.saturating_sub(width / 2);
                self.viewport.show(from, from.saturating_add(width));
            }
            MouseKind::Press if geometry.titles.has(mouse.column, mouse.row) => {
                let at = mouse.column - geometry.titles.x;
                let shown = columns::shown(self.columns_left, geometry.titles.width);
                if let Some((column, ..)) = shown.into_iter().rev().find(|(_, from, _)| *from <= at) {
                    self.sort(Action::SortBy(column), session, geometry);
                }
            }
            MouseKind::Press if geometry.rows.has(mouse.column, mouse.row) && self.page.has_list() => {
                self.focus = Pane::Timeline;
                self.choose(usize::from(mouse.row - geometry.rows.y), geometry);
            }
            MouseKind::Press if geometry.rows.has(mouse.column, mouse.row) => {
                self.focus = Pane::Timeline;
                let row = self.top + usize::from(mouse.row - geometry.rows.y);
                if let Some(id) = self.rows.get(row, session.trace()) {
                    self.select(id, session, geometry);
                }
                if let Some(at) = pointed {
                    self.set_cursor(at, shown);
                }
            }
            MouseKind::Press if over_output => self.focus = Pane::Output,
            MouseKind::Press if over_details => self.focus = Pane::Details,
            MouseKind::Press => {}
            MouseKind::Drag => {
                if let Some(at) = pointed {
                    self.set_cursor(at, shown);
                }
            }
            MouseKind::WheelUp if mouse.zooming && self.page == Page::Timeline => self.zoom((2, 3), pointed, shown),
            MouseKind::WheelDown if mouse.zooming && self.page == Page::Timeline => self.zoom((3, 2), pointed, shown),
            MouseKind::WheelLeft if self.page != Page::Timeline => {
                self.columns_left = self.columns_left.saturating_sub(1);
            }
            MouseKind::WheelRight if self.page != Page::Timeline => {
                self.columns_left = (self.columns_left + 1).min(COLUMNS.len() - 2);
            }
            MouseKind::WheelLeft => self.pan(-1, shown, was_panning),
            MouseKind::WheelRight => self.pan(1, shown, was_panning),
            MouseKind::WheelUp if over_output => self.output_back = self.output_back.saturating_add(3),
            MouseKind::WheelDown if over_output => self.output_back = self.output_back.saturating_sub(3),
            MouseKind::WheelUp if over_details => self.details_top = self.details_top.saturating_sub(1),
            MouseKind::WheelDown if over_details => {
                let last = geometry.details_lines.saturating_sub(geometry.details.height.into());
                self.details_top = (self.details_top + 1).min(last);
            }
            MouseKind::WheelUp if self.page.has_list() => self.step_in_list(Step::Up, session, geometry),
            MouseKind::WheelDown if self.page.has_list() => self.step_in_list(Step::Down, session, geometry),
            MouseKind::WheelUp => self.top = self.top.saturating_sub(3),
            MouseKind::WheelDown => {
                self.top = (self.top + 3).min(count.saturating_sub(geometry.rows.height.into()));
            }
        }
        let lines = session.trace().output().lines().len();
        self.output_back = self.output_back.min(lines.saturating_sub(geometry.output.height.into()));
    }
}
