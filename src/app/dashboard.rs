//! The dashboard of a session: selected task, visible rows, visible range of the axis, and the time that is viewed.

mod mouse;
mod pages;
mod selection;
mod workers;

use super::action::Action;
use super::columns::COLUMNS;
use super::geometry::ScreenGeometry;
use super::motion::{Motion, apply_motion};
use super::page::{DashboardPage, ListPosition};
use super::session_log::SessionLog;
use super::task_rows::TaskRows;
use super::viewport::{Viewport, ViewportMode};
use crate::control::BreakpointHit;
use crate::insight::{Findings, ResourceUsage};
use crate::session::interface::Session;
use crate::trace::{Axis, Nanos, TaskId, TaskState, Trace};

/// Maximum depth of the undo history of the viewport; older entries are dropped.
const UNDO_MAX: usize = 100;

/// The pane that has the focus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    #[default]
    /// The lanes, or the page that replaces them.
    Timeline,
    /// The output of the workload.
    Output,
    /// The details of the selected task.
    Details,
}

/// A frozen view of a session that keeps running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrozenView {
    /// Loop time at which the view is frozen, in nanoseconds.
    pub at: Nanos,
    step: u64,
}

/// State of the dashboard.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// The selected task. Stored by id, because rows move.
    pub selected: Option<TaskId>,
    /// The first visible row.
    pub first_row: usize,
    /// Number of visible rows when a task was last scrolled to.
    list_height: usize,
    /// The selected task, its row and the number of evicted tasks at the last refresh.
    selected_row: Option<(TaskId, usize, u64)>,
    /// Whether the selected task was selected only because it was the first one.
    is_default_selection: bool,
    /// The filtered and sorted rows of tasks.
    pub rows: TaskRows,
    /// The visible range of the axis.
    pub viewport: Viewport,
    /// The time cursor on the axis. If set, everything is shown as it was then.
    pub cursor: Option<u64>,
    /// If set, everything is shown as it was at this moment, while events continue to be recorded.
    pub frozen: Option<FrozenView>,
    /// The page that is shown.
    pub page: DashboardPage,
    /// Chosen row and scroll position in each page's list, by page.
    pub lists: [ListPosition; DashboardPage::ALL.len()],
    /// Number of columns of the task table that are scrolled away.
    pub scrolled_columns: usize,
    /// The session log.
    pub log: SessionLog,
    /// Owners and waiters of resources.
    pub resource_usage: ResourceUsage,
    /// Findings of a run that has not ended, with the loop time of the search.
    pub interim_findings: Option<(Nanos, Findings)>,
    /// The focused pane.
    pub focus: Pane,
    /// Whether the details are shown; `None` shows them if there is space.
    pub details: Option<bool>,
    /// Lines of output below the last visible one.
    pub output_scroll: usize,
    /// Lines of the details above the first visible one.
    pub details_top: usize,
    /// The last breakpoint hit that was shown.
    shown_hit: Option<BreakpointHit>,
    undo_stack: Vec<Viewport>,
    /// Whether the last action was a pan: further pans are undone together with it.
    is_panning: bool,
}

impl Default for Dashboard {
    fn default() -> Self {
        Self {
            selected: None,
            first_row: 0,
            list_height: 0,
            selected_row: None,
            is_default_selection: false,
            rows: TaskRows::default(),
            viewport: Viewport::fit_all(Axis::Time),
            cursor: None,
            frozen: None,
            page: DashboardPage::default(),
            lists: DashboardPage::ALL.map(DashboardPage::first_position),
            scrolled_columns: 0,
            log: SessionLog::default(),
            resource_usage: ResourceUsage::default(),
            interim_findings: None,
            focus: Pane::default(),
            details: None,
            output_scroll: 0,
            details_top: 0,
            shown_hit: None,
            undo_stack: Vec::new(),
            is_panning: false,
        }
    }
}

/// Returns the current end of the axis.
pub fn axis_end(session: &dyn Session, axis: Axis) -> u64 {
    axis_end_at_clock(session.trace(), session.status().now, axis)
}

/// Returns the end of the axis when the session's clock shows `now`.
fn axis_end_at_clock(trace: &Trace, now: Nanos, axis: Axis) -> u64 {
    match axis {
        Axis::Time => trace.now().max(now),
        Axis::Steps => trace.steps().into(),
    }
}

impl Dashboard {
    /// Creates a dashboard with the user's choice about showing details.
    pub fn with_details(details: Option<bool>) -> Self {
        Self { details, ..Self::default() }
    }

    /// Returns the end of the visible axis: now, or the freeze.
    pub fn axis_end(&self, session: &dyn Session, axis: Axis) -> u64 {
        self.axis_end_at(session.trace(), session.status().now, axis)
    }

    /// Returns the end of the visible axis, given a clock reading, so that a frame uses one reading throughout.
    pub fn axis_end_at(&self, trace: &Trace, now: Nanos, axis: Axis) -> u64 {
        match (self.frozen, axis) {
            (None, _) => axis_end_at_clock(trace, now, axis),
            (Some(frozen), Axis::Time) => frozen.at,
            (Some(frozen), Axis::Steps) => frozen.step,
        }
    }

    /// Freezes or unfreezes the view.
    pub fn toggle_freeze(&mut self, trace: &Trace) {
        self.frozen = match self.frozen {
            Some(_) => None,
            // Aggregated polls are known up to the last update; anything later would change afterwards.
            None => {
                let at = trace.loop_lane().stats_until().unwrap_or(trace.now());
                Some(FrozenView { at, step: trace.steps().into() })
            }
        };
        self.cursor = self.cursor.filter(|_| self.frozen.is_some());
        self.rows.freeze(self.frozen.map(|_| trace.tasks().len()));
    }

    /// Returns the state of a task at the time that is viewed: the time cursor, the freeze, or now. `None` if it was
    /// not yet spawned.
    pub fn state(&self, id: TaskId, trace: &Trace) -> Option<TaskState> {
        let frozen = self.frozen.map(|frozen| match self.viewport.axis {
            Axis::Time => frozen.at,
            Axis::Steps => frozen.step.saturating_sub(1),
        });
        match (self.cursor.or(frozen), self.viewport.axis) {
            (None, _) => trace.state(id),
            (Some(at), Axis::Time) => trace.state_at(id, at),
            (Some(step), Axis::Steps) => trace.state_at_step(id, step),
        }
    }

    /// Returns the loop time of the time cursor or of the freeze, if either is set.
    pub fn viewed_time(&self) -> Option<Nanos> {
        let on_time = |at: &u64| self.viewport.axis == Axis::Time || Some(*at) != self.cursor;
        self.cursor.or(self.frozen.map(|frozen| frozen.at)).filter(on_time)
    }

    /// Applies an action that only changes the view; returns false if `action` is not one.
    pub fn update(&mut self, action: Action, session: &dyn Session, geometry: &ScreenGeometry) -> bool {
        let (end, columns) = (self.axis_end(session, self.viewport.axis), geometry.lanes.width);
        let was_panning = std::mem::take(&mut self.is_panning);
        match action {
            Action::ShowPage(page) => self.show_page(page),
            Action::NextPage => self.show_page(self.page.nth_after(1)),
            Action::PreviousPage => self.show_page(self.page.nth_after(DashboardPage::ALL.len() - 1)),
            Action::ToggleEnded => self.toggle_ended(session, geometry),
            Action::SortBy(_) | Action::SortByNextColumn | Action::ReverseSort => self.sort(action, session, geometry),
            Action::Move(Motion::Left) if self.page != DashboardPage::Timeline => {
                self.scrolled_columns = self.scrolled_columns.saturating_sub(1);
            }
            Action::Move(Motion::Right) if self.page != DashboardPage::Timeline => {
                self.scrolled_columns = (self.scrolled_columns + 1).min(COLUMNS.len() - 2);
            }
            Action::Move(Motion::Left) => self.pan(-2, (end, columns), was_panning),
            Action::Move(Motion::Right) => self.pan(2, (end, columns), was_panning),
            Action::Move(motion) => self.move_in_pane(motion, session, geometry),
            Action::ZoomIn => self.zoom((1, 2), None, (end, columns)),
            Action::ZoomOut => self.zoom((2, 1), None, (end, columns)),
            Action::FitAll => {
                self.push_undo();
                self.viewport = Viewport::fit_all(self.viewport.axis);
            }
            Action::FitTask => self.fit_task(session.trace(), end),
            Action::Follow => {
                self.push_undo();
                self.cursor = None;
                self.output_scroll = 0;
                self.viewport.follow(end, columns);
            }
            Action::UndoView => {
                if let Some(viewport) = self.undo_stack.pop() {
                    if viewport.axis != self.viewport.axis {
                        self.cursor = None;
                    }
                    self.viewport = viewport;
                }
            }
            Action::SwitchAxis => {
                self.push_undo();
                self.cursor = None;
                self.viewport = Viewport::fit_all(match self.viewport.axis {
                    Axis::Time => Axis::Steps,
                    Axis::Steps => Axis::Time,
                });
            }
            Action::CursorBack => self.move_cursor(-1, (end, columns)),
            Action::CursorForward => self.move_cursor(1, (end, columns)),
            Action::GoTo(at) => self.set_time_cursor(at, (self.axis_end(session, Axis::Time), columns)),
            Action::ToggleDetails => {
                self.details = Some(geometry.details.height == 0);
                if self.details == Some(false) && self.focus == Pane::Details {
                    self.focus = Pane::Timeline;
                }
            }
            Action::NextPane => self.focus = self.next_pane(geometry, [Pane::Timeline, Pane::Details, Pane::Output]),
            Action::PreviousPane => {
                self.focus = self.next_pane(geometry, [Pane::Timeline, Pane::Output, Pane::Details]);
            }
            Action::Mouse(mouse) => self.mouse(mouse, session, geometry, was_panning),
            _ => return false,
        }
        true
    }

    /// Steps back: leaves the page, then clears the time cursor, the filter and the freeze. Returns false if there was
    /// nothing to do.
    pub fn back(&mut self, session: &dyn Session, geometry: &ScreenGeometry) -> bool {
        if self.page != DashboardPage::Timeline {
            self.show_page(DashboardPage::Timeline);
            return true;
        }
        if self.cursor.take().is_some() {
            return true;
        }
        if !self.rows.filter().is_empty() {
            self.search("", session, geometry);
            return true;
        }
        let was_frozen = self.frozen.is_some();
        if was_frozen {
            self.toggle_freeze(session.trace());
        }
        was_frozen
    }

    fn push_undo(&mut self) {
        if self.undo_stack.last() != Some(&self.viewport) {
            if self.undo_stack.len() == UNDO_MAX {
                self.undo_stack.remove(0);
            }
            self.undo_stack.push(self.viewport);
        }
    }

    fn pan(&mut self, tenths: i64, (end, columns): (u64, u16), was_panning: bool) {
        if !was_panning {
            self.push_undo();
        }
        self.is_panning = true;
        self.viewport.pan(tenths, end, columns);
    }

    fn zoom(&mut self, by: (u64, u64), anchor: Option<u64>, (end, columns): (u64, u16)) {
        self.push_undo();
        let (from, to) = self.viewport.range(end, columns);
        let shown = |at: &u64| (from..to).contains(at);
        let middle = from + (to - from) / 2;
        let anchor = anchor.or(self.cursor.filter(shown)).unwrap_or(match self.viewport.mode {
            ViewportMode::Live => to,
            ViewportMode::Fit | ViewportMode::Free => middle,
        });
        let was_live = self.viewport.mode == ViewportMode::Live;
        self.viewport.zoom(by, anchor, end, columns);
        if was_live {
            self.viewport.follow(end, columns);
        }
    }

    fn fit_task(&mut self, trace: &Trace, end: u64) {
        let Some(task) = self.selected.and_then(|id| trace.task(id)) else { return };
        let (from, to) = match self.viewport.axis {
            Axis::Time => (task.lane.spawned_at(), task.lane.ended_at().unwrap_or(end)),
            Axis::Steps => {
                let last = task.lane.last().map_or(task.spawn_step, |cycle| cycle.step);
                (task.spawn_step.into(), u64::from(last) + 1)
            }
        };
        self.push_undo();
        let margin = (to - from.min(to)) / 40;
        self.viewport.show(from.saturating_sub(margin), to.saturating_add(margin + 1));
    }

    /// Sets the cursor to a loop time and switches to the axis of time.
    fn set_time_cursor(&mut self, at: Nanos, shown: (Nanos, u16)) {
        if self.viewport.axis == Axis::Steps {
            self.push_undo();
            self.viewport = Viewport::fit_all(Axis::Time);
        }
        self.set_cursor(at, shown);
    }

    fn set_cursor(&mut self, at: u64, (end, columns): (u64, u16)) {
        let at = at.min(end);
        self.cursor = Some(at);
        let (from, to) = self.viewport.range(end, columns);
        if !(from..to).contains(&at) {
            self.push_undo();
            let width = to - from;
            let from = at.saturating_sub(width / 2);
            self.viewport.show(from, from + width);
        }
    }

    fn move_cursor(&mut self, by: i64, (end, columns): (u64, u16)) {
        let (from, to) = self.viewport.range(end, columns);
        let column = ((to - from) / u64::from(columns.max(1))).max(1);
        let start = self.cursor.unwrap_or(end.clamp(from, to - 1));
        let at = if by < 0 { start.saturating_sub(column) } else { start.saturating_add(column) };
        self.set_cursor(at, (end, columns));
    }

    fn next_pane(&self, geometry: &ScreenGeometry, order: [Pane; 3]) -> Pane {
        let is_shown = |pane: &Pane| match pane {
            Pane::Timeline => true,
            Pane::Output => geometry.output.height > 0,
            Pane::Details => geometry.details.height > 0,
        };
        let at = order.iter().position(|pane| *pane == self.focus).unwrap_or(0);
        let mut after = (1..=order.len()).map(|step| order[(at + step) % order.len()]);
        after.find(is_shown).unwrap_or_default()
    }

    fn move_in_pane(&mut self, motion: Motion, session: &dyn Session, geometry: &ScreenGeometry) {
        let trace = session.trace();
        match self.focus {
            Pane::Timeline if self.page.has_list() => self.move_in_list(motion, geometry),
            Pane::Timeline => {
                let row = self.selected.and_then(|id| self.rows.row_of(id, trace)).unwrap_or(0);
                let row = apply_motion(row, motion, geometry.rows.height.into(), self.rows.count(trace));
                if let Some(id) = self.rows.get(row, trace) {
                    self.select(id, session, geometry);
                }
            }
            Pane::Output => {
                let page = usize::from(geometry.output.height).max(1);
                let last = trace.output().lines().len().saturating_sub(page);
                // Counted back from the newest line: at offset 0 the pane follows the output.
                let from_top = apply_motion(last - self.output_scroll.min(last), motion, page, last + 1);
                self.output_scroll = last - from_top;
            }
            Pane::Details => {
                let page = usize::from(geometry.details.height).max(1);
                let positions = (geometry.details_lines + 1).saturating_sub(page).max(1);
                self.details_top = apply_motion(self.details_top, motion, page, positions);
            }
        }
    }
}
