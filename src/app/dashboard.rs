//! Watching a run: which task is selected, which rows and which stretch of the axis are shown, and as of when.

mod mouse;
mod page;
mod selection;

use super::action::{Action, Step};
use super::columns::COLUMNS;
use super::geometry::Geometry;
use super::log::Log;
use super::pages::{List, Page};
use super::picker::moved;
use super::rows::Rows;
use super::session::Session;
use super::sharing::Sharing;
use super::viewport::{Mode, Viewport};
use crate::insight::Findings;
use crate::trace::{Axis, Nanos, State, TaskId, Trace};

/// Views that can be gone back to; older ones are forgotten.
const UNDO_MAX: usize = 100;

/// Which pane the up, down and page keys go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    #[default]
    Timeline,
    Output,
    Details,
}

/// A picture that was stopped, while what it is of goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// How far what was told had come.
    pub at: Nanos,
    step: u64,
}

/// What the person is doing on the dashboard.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// By id, never by row: rows move.
    pub selected: Option<TaskId>,
    /// The first row that is shown.
    pub top: usize,
    /// Rows on the screen when a task was brought there last.
    height: usize,
    /// The row of what was selected at the last look, and how many tasks were forgotten by then.
    selected_row: Option<(TaskId, usize, u64)>,
    pub rows: Rows,
    pub viewport: Viewport,
    /// The place on the axis that the person looks back to; everything is shown as it was then.
    pub cursor: Option<u64>,
    /// Everything is shown as it was at this moment; what happens since is kept and not shown.
    pub frozen: Option<Frozen>,
    pub page: Page,
    /// Where the person is in each page's list, by page.
    pub lists: [List; Page::ALL.len()],
    /// Columns of the table of tasks that are scrolled away.
    pub columns_left: usize,
    pub log: Log,
    pub sharing: Sharing,
    /// What was found in a run that goes on, and when it was looked for.
    pub found: Option<(Nanos, Findings)>,
    pub focus: Pane,
    /// Whether the details are shown; `None` for where there is room.
    pub details: Option<bool>,
    /// Lines of output that are newer than the last one shown.
    pub output_back: usize,
    /// Lines of the details above the first one shown.
    pub details_top: usize,
    /// Where the loop stopped by itself last, which was shown.
    pub(super) hit: Option<crate::control::Hit>,
    undo: Vec<Viewport>,
    /// The last action was a pan: the next one is the same journey, and undone with it.
    panning: bool,
}

impl Default for Dashboard {
    fn default() -> Self {
        Self {
            selected: None,
            top: 0,
            height: 0,
            selected_row: None,
            rows: Rows::default(),
            viewport: Viewport::whole(Axis::Time),
            cursor: None,
            frozen: None,
            page: Page::default(),
            lists: Page::ALL.map(List::of),
            columns_left: 0,
            log: Log::default(),
            sharing: Sharing::default(),
            found: None,
            focus: Pane::default(),
            details: None,
            output_back: 0,
            details_top: 0,
            hit: None,
            undo: Vec::new(),
            panning: false,
        }
    }
}

/// How far the axis has come by now.
pub fn axis_end(session: &dyn Session, axis: Axis) -> u64 {
    reached(session.trace(), session.status().now, axis)
}

/// How far the axis has come when the session's clock shows `now`.
fn reached(trace: &Trace, now: Nanos, axis: Axis) -> u64 {
    match axis {
        Axis::Time => trace.now().max(now),
        Axis::Steps => trace.steps().into(),
    }
}

impl Dashboard {
    /// A fresh one that shows the details as the person last wanted them.
    pub fn with_details(details: Option<bool>) -> Self {
        Self { details, ..Self::default() }
    }

    /// How far the axis has come in the picture: by now, or by when it was frozen.
    pub fn axis_end(&self, session: &dyn Session, axis: Axis) -> u64 {
        self.axis_end_at(session.trace(), session.status().now, axis)
    }

    /// The same where the clock was read before: all that one frame says is as of one moment.
    pub fn axis_end_at(&self, trace: &Trace, now: Nanos, axis: Axis) -> u64 {
        match (self.frozen, axis) {
            (None, _) => reached(trace, now, axis),
            (Some(frozen), Axis::Time) => frozen.at,
            (Some(frozen), Axis::Steps) => frozen.step,
        }
    }

    /// Stops the picture, or lets it go on.
    pub fn toggle_freeze(&mut self, trace: &Trace) {
        self.frozen = match self.frozen {
            Some(_) => None,
            // What is told in sums is known up to the last of them, and what follows would fill in later.
            None => {
                let at = trace.loop_lane().told_until().unwrap_or(trace.now());
                Some(Frozen { at, step: trace.steps().into() })
            }
        };
        self.cursor = self.cursor.filter(|_| self.frozen.is_some());
        self.rows.freeze(self.frozen.map(|_| trace.tasks().len()));
    }

    /// The state of a task as it is to be shown: at the time cursor, at the freeze, or now. `None` for before it was
    /// spawned.
    pub fn state(&self, id: TaskId, trace: &Trace) -> Option<State> {
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

    /// The loop time that the person looks back to, or at which they froze the picture.
    pub fn looking_at(&self) -> Option<Nanos> {
        let on_time = |at: &u64| self.viewport.axis == Axis::Time || Some(*at) != self.cursor;
        self.cursor.or(self.frozen.map(|frozen| frozen.at)).filter(on_time)
    }

    /// Takes an action that only changes what is shown; false if it is not one of these.
    pub fn update(&mut self, action: Action, session: &dyn Session, geometry: &Geometry) -> bool {
        let (end, columns) = (self.axis_end(session, self.viewport.axis), geometry.lanes.width);
        let was_panning = std::mem::take(&mut self.panning);
        match action {
            Action::ShowPage(page) => self.show_page(page),
            Action::NextPage => self.show_page(self.page.beside(1)),
            Action::PreviousPage => self.show_page(self.page.beside(Page::ALL.len() - 1)),
            Action::SortBy(_) | Action::SortByNext | Action::SortOtherWay => self.sort(action, session, geometry),
            Action::Move(Step::Left) if self.page != Page::Timeline => {
                self.columns_left = self.columns_left.saturating_sub(1);
            }
            Action::Move(Step::Right) if self.page != Page::Timeline => {
                self.columns_left = (self.columns_left + 1).min(COLUMNS.len() - 2);
            }
            Action::Move(Step::Left) => self.pan(-2, (end, columns), was_panning),
            Action::Move(Step::Right) => self.pan(2, (end, columns), was_panning),
            Action::Move(step) => self.step(step, session, geometry),
            Action::ZoomIn => self.zoom((1, 2), None, (end, columns)),
            Action::ZoomOut => self.zoom((2, 1), None, (end, columns)),
            Action::FitAll => {
                self.remember();
                self.viewport = Viewport::whole(self.viewport.axis);
            }
            Action::FitTask => self.fit_task(session.trace(), end),
            Action::Follow => {
                self.remember();
                self.cursor = None;
                self.output_back = 0;
                self.viewport.follow(end, columns);
            }
            Action::UndoView => {
                if let Some(viewport) = self.undo.pop() {
                    if viewport.axis != self.viewport.axis {
                        self.cursor = None;
                    }
                    self.viewport = viewport;
                }
            }
            Action::SwitchAxis => {
                self.remember();
                self.cursor = None;
                self.viewport = Viewport::whole(match self.viewport.axis {
                    Axis::Time => Axis::Steps,
                    Axis::Steps => Axis::Time,
                });
            }
            Action::CursorBack => self.move_cursor(-1, (end, columns)),
            Action::CursorForward => self.move_cursor(1, (end, columns)),
            Action::GoTo(at) => self.look_back_to(at, (self.axis_end(session, Axis::Time), columns)),
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

    /// Takes one step back, if there is something to step back from.
    pub fn back(&mut self, session: &dyn Session, geometry: &Geometry) -> bool {
        if self.page != Page::Timeline {
            self.show_page(Page::Timeline);
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

    fn remember(&mut self) {
        if self.undo.last() != Some(&self.viewport) {
            if self.undo.len() == UNDO_MAX {
                self.undo.remove(0);
            }
            self.undo.push(self.viewport);
        }
    }

    fn pan(&mut self, tenths: i64, (end, columns): (u64, u16), was_panning: bool) {
        if !was_panning {
            self.remember();
        }
        self.panning = true;
        self.viewport.pan(tenths, end, columns);
    }

    fn zoom(&mut self, by: (u64, u64), anchor: Option<u64>, (end, columns): (u64, u16)) {
        self.remember();
        let (from, to) = self.viewport.range(end, columns);
        let shown = |at: &u64| (from..to).contains(at);
        let middle = from + (to - from) / 2;
        let anchor = anchor.or(self.cursor.filter(shown)).unwrap_or(match self.viewport.mode {
            Mode::Live => to,
            Mode::Fit | Mode::Free => middle,
        });
        let was_live = self.viewport.mode == Mode::Live;
        self.viewport.zoom(by, anchor, end, columns);
        if was_live {
            self.viewport.follow(end, columns);
        }
    }

    fn fit_task(&mut self, trace: &Trace, end: u64) {
        let Some(task) = self.selected.and_then(|id| trace.task(id)) else { return };
        let (from, to) = match self.viewport.axis {
            Axis::Time => (task.lane.spawned(), task.lane.ended().unwrap_or(end)),
            Axis::Steps => {
                let last = task.lane.last().map_or(task.spawn_step, |cycle| cycle.step);
                (task.spawn_step.into(), u64::from(last) + 1)
            }
        };
        self.remember();
        let margin = (to - from.min(to)) / 40;
        self.viewport.show(from.saturating_sub(margin), to.saturating_add(margin + 1));
    }

    /// Sets the cursor to a time, on the axis of time.
    fn look_back_to(&mut self, at: Nanos, shown: (Nanos, u16)) {
        if self.viewport.axis == Axis::Steps {
            self.remember();
            self.viewport = Viewport::whole(Axis::Time);
        }
        self.set_cursor(at, shown);
    }

    fn set_cursor(&mut self, at: u64, (end, columns): (u64, u16)) {
        let at = at.min(end);
        self.cursor = Some(at);
        let (from, to) = self.viewport.range(end, columns);
        if !(from..to).contains(&at) {
            self.remember();
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

    fn next_pane(&self, geometry: &Geometry, order: [Pane; 3]) -> Pane {
        let is_shown = |pane: &Pane| match pane {
            Pane::Timeline => true,
            Pane::Output => geometry.output.height > 0,
            Pane::Details => geometry.details.height > 0,
        };
        let at = order.iter().position(|pane| *pane == self.focus).unwrap_or(0);
        let mut after = (1..=order.len()).map(|step| order[(at + step) % order.len()]);
        after.find(is_shown).unwrap_or_default()
    }

    fn step(&mut self, step: Step, session: &dyn Session, geometry: &Geometry) {
        let trace = session.trace();
        match self.focus {
            Pane::Timeline if self.page.has_list() => self.step_in_list(step, session, geometry),
            Pane::Timeline => {
                let row = self.selected.and_then(|id| self.rows.row_of(id, trace)).unwrap_or(0);
                let row = moved(row, step, geometry.rows.height.into(), self.rows.count(trace));
                if let Some(id) = self.rows.get(row, trace) {
                    self.select(id, session, geometry);
                }
            }
            Pane::Output => {
                let page = usize::from(geometry.output.height).max(1);
                let last = trace.output().lines().len().saturating_sub(page);
                // Counted from the newest line back, so what is read stays put only when it is scrolled to.
                let from_top = moved(last - self.output_back.min(last), step, page, last + 1);
                self.output_back = last - from_top;
            }
            Pane::Details => {
                let page = usize::from(geometry.details.height).max(1);
                let places = (geometry.details_lines + 1).saturating_sub(page).max(1);
                self.details_top = moved(self.details_top, step, page, places);
            }
        }
    }
}
