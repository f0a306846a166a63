//! Layout of the dashboard's panes at every terminal size.

use ratatui::layout::Rect;

use crate::app::{CellRect, Dashboard, DashboardPage};

/// Minimum width at which the timeline has the details beside it by default.
pub const SIDE_FROM_COLUMNS: u16 = 101;
/// Minimum width at which the other pages have the details beside them by default.
const SIDE_OF_PAGES_FROM_COLUMNS: u16 = 160;
/// Minimum width of a screen with panes.
const TINY_COLUMNS: u16 = 24;
/// Minimum height of a screen with panes.
const TINY_ROWS: u16 = 6;

/// Areas of the dashboard's panes. A pane without space is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct DashboardLayout {
    /// Tab bar: one row if there are several sessions.
    pub tabs: Rect,
    /// Header: two rows, or one on a low screen.
    pub header: Rect,
    /// Connection state, breakpoint hit and outcome.
    pub banner: Rect,
    /// What each worker does, above the lanes of the tasks and on the same axis.
    pub workers: Rect,
    /// Labels and lanes of the tasks, with axis and minimap.
    pub timeline: TimelineLayout,
    /// The loop's utilisation and ready queue, below the lanes.
    pub loop_strip: Rect,
    /// Page that replaces the timeline and the loop strip.
    pub page: Rect,
    /// Details of the selected task.
    pub details: Rect,
    /// Printed lines.
    pub output: Rect,
    /// Key hints or prompt.
    pub footer: Rect,
}

/// Areas of the timeline.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimelineLayout {
    /// The rule with the title.
    pub rule: Rect,
    /// The axis with its ticks.
    pub axis: Rect,
    /// Labels and lanes of the tasks.
    pub rows: Rect,
    /// The whole run in one line.
    pub minimap: Rect,
    /// Width of the labels at the left; the lanes begin after them.
    pub label_columns: u16,
}

impl TimelineLayout {
    /// Returns the part of `rect`, one of the timeline's areas, that is on the axis.
    pub fn lanes(&self, rect: Rect) -> Rect {
        let left = self.label_columns.min(rect.width);
        Rect { x: rect.x + left, width: rect.width - left, ..rect }
    }

    /// Returns the part of `rect` left of the axis.
    pub fn labels(&self, rect: Rect) -> Rect {
        Rect { width: self.label_columns.min(rect.width), ..rect }
    }
}

/// Whether the screen is too small for panes.
pub fn is_tiny(area: Rect) -> bool {
    area.width < TINY_COLUMNS || area.height < TINY_ROWS
}

/// Takes `height` rows off the top of `area`.
pub fn take_top(area: &mut Rect, height: u16) -> Rect {
    let taken = Rect { height: height.min(area.height), ..*area };
    area.y += taken.height;
    area.height -= taken.height;
    taken
}

/// Takes `height` rows off the bottom of `area`.
pub fn take_bottom(area: &mut Rect, height: u16) -> Rect {
    let height = height.min(area.height);
    area.height -= height;
    Rect { y: area.y + area.height, height, ..*area }
}

/// Converts a rectangle to the type that input handling uses.
pub fn to_screen_rect(rect: Rect) -> CellRect {
    CellRect { x: rect.x, y: rect.y, width: rect.width, height: rect.height }
}

/// Returns the area of a pane below its rule.
pub fn below_rule(mut rect: Rect) -> Rect {
    take_top(&mut rect, 1);
    rect
}

/// Amount of content in the panes that share the height.
#[derive(Clone, Copy, Debug)]
pub struct DashboardContent {
    /// Number of tasks.
    pub tasks: usize,
    /// Number of workers that are known.
    pub workers: usize,
    /// Number of printed lines.
    pub output_lines: usize,
    /// Rows that the banner needs.
    pub banner_rows: u16,
    /// Whether the tab bar is shown.
    pub has_tabs: bool,
}

/// Computes the layout of the dashboard.
pub fn dashboard_layout(area: Rect, state: &Dashboard, content: DashboardContent) -> DashboardLayout {
    if is_tiny(area) {
        return DashboardLayout::default();
    }
    let mut rest = area;
    let footer = take_bottom(&mut rest, 1);
    let tabs = take_top(&mut rest, content.has_tabs.into());
    let header = take_top(&mut rest, if area.height >= 16 { 2 } else { 1 });
    let banner = take_top(&mut rest, content.banner_rows);
    let is_wide = state.page == DashboardPage::Timeline || area.width >= SIDE_OF_PAGES_FROM_COLUMNS;
    let has_side = area.width >= SIDE_FROM_COLUMNS && state.details.unwrap_or(is_wide);
    let details_below = area.width < SIDE_FROM_COLUMNS && state.details == Some(true);
    let (mut details, mut output) = (Rect::default(), Rect::default());
    if details_below {
        let height = (rest.height / 2).min(14);
        details = take_bottom(&mut rest, height);
    } else if rest.height >= 14 {
        /// Rows of the timeline and the loop strip that are not tasks.
        const AROUND_TASKS: usize = 6;
        let full = (rest.height / 4).clamp(4, 12);
        // Tasks that do not fit get the rows that the output does not need.
        let workers = worker_strip_rows(content.workers, rest.height - full);
        let spare = usize::from(rest.height - full).saturating_sub(AROUND_TASKS + usize::from(workers));
        let missing = u16::try_from(content.tasks.saturating_sub(spare)).unwrap_or(u16::MAX);
        let unused = full.saturating_sub(u16::try_from(content.output_lines + 1).unwrap_or(u16::MAX).max(2));
        output = take_bottom(&mut rest, full - unused.min(missing));
    }
    if has_side {
        let width = (area.width * 3 / 10).clamp(36, 52);
        rest.width -= width + 1;
        details = Rect { x: rest.x + rest.width + 1, width, ..rest };
    }
    if state.page != DashboardPage::Timeline {
        return DashboardLayout {
            tabs,
            header,
            banner,
            page: rest,
            details,
            output,
            footer,
            ..DashboardLayout::default()
        };
    }
    let loop_strip = if rest.height >= 10 { take_bottom(&mut rest, 3) } else { Rect::default() };
    let worker_rows = worker_strip_rows(content.workers, rest.height);
    let workers = take_top(&mut rest, worker_rows);
    let has_rule = rest.height >= 8;
    let has_minimap = rest.height >= 7;
    let mut timeline = TimelineLayout { label_columns: label_columns(rest.width), ..TimelineLayout::default() };
    timeline.rule = take_top(&mut rest, has_rule.into());
    timeline.axis = take_top(&mut rest, 1);
    timeline.minimap = take_bottom(&mut rest, has_minimap.into());
    timeline.rows = rest;
    DashboardLayout {
        tabs,
        header,
        banner,
        workers,
        timeline,
        loop_strip,
        page: Rect::default(),
        details,
        output,
        footer,
    }
}

/// Rows of the worker strip in a timeline of `height` rows: a rule, and at most a quarter of the timeline. It is left out
/// where that leaves too little for the tasks.
fn worker_strip_rows(workers: usize, height: u16) -> u16 {
    /// Minimum height of a timeline with a worker strip.
    const HEIGHT_MIN: u16 = 12;
    match u16::try_from(workers).unwrap_or(u16::MAX).min(height / 4) {
        0 => 0,
        _ if height < HEIGHT_MIN => 0,
        rows => rows + 1,
    }
}

/// Width of the labels in a timeline of `width` columns.
fn label_columns(width: u16) -> u16 {
    match width {
        0..=59 => (width / 3).min(16),
        60..=89 => 30,
        _ => (width / 3).min(42),
    }
}
