//! Where each pane goes, at every size of the terminal.

use ratatui::layout::Rect;

use crate::app::{Dashboard, Page, Place};

/// Narrower than this, the details are shown only when asked for.
pub const SIDE_FROM_COLUMNS: u16 = 101;
/// Narrower than this, pages have the width for themselves until the details are asked for.
const SIDE_OF_PAGES_FROM_COLUMNS: u16 = 160;
/// Smaller than this, the screen says what it can in a few words.
const TINY_COLUMNS: u16 = 24;
const TINY_ROWS: u16 = 6;

/// The dashboard's panes. One without room is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    /// One row where there are several sessions.
    pub tabs: Rect,
    pub header: Rect,
    /// How the run came out.
    pub banner: Rect,
    pub timeline: Timeline,
    pub loop_strip: Rect,
    /// What is shown in the place of the timeline and the loop's strip.
    pub page: Rect,
    pub details: Rect,
    pub output: Rect,
    pub footer: Rect,
}

/// The parts of the timeline.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeline {
    pub rule: Rect,
    pub axis: Rect,
    /// Labels and lanes.
    pub rows: Rect,
    pub minimap: Rect,
    /// Columns at the left for the labels; the lanes begin after them.
    pub label_columns: u16,
}

impl Timeline {
    /// The part of `rect`, one of the timeline's, that is on the axis.
    pub fn lanes(&self, rect: Rect) -> Rect {
        let left = self.label_columns.min(rect.width);
        Rect { x: rect.x + left, width: rect.width - left, ..rect }
    }

    /// The part of `rect` left of the axis.
    pub fn labels(&self, rect: Rect) -> Rect {
        Rect { width: self.label_columns.min(rect.width), ..rect }
    }
}

/// Too small for panes.
pub fn is_tiny(area: Rect) -> bool {
    area.width < TINY_COLUMNS || area.height < TINY_ROWS
}

/// Takes `height` rows off the top of `area`.
pub fn top(area: &mut Rect, height: u16) -> Rect {
    let taken = Rect { height: height.min(area.height), ..*area };
    area.y += taken.height;
    area.height -= taken.height;
    taken
}

/// Takes `height` rows off the bottom of `area`.
pub fn bottom(area: &mut Rect, height: u16) -> Rect {
    let height = height.min(area.height);
    area.height -= height;
    Rect { y: area.y + area.height, height, ..*area }
}

/// The same rectangle in the words of the app.
pub fn place(rect: Rect) -> Place {
    Place { x: rect.x, y: rect.y, width: rect.width, height: rect.height }
}

/// Everything below a pane's rule.
pub fn below_rule(mut rect: Rect) -> Rect {
    top(&mut rect, 1);
    rect
}

/// How much there is to show in the panes that share the height.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    pub tasks: usize,
    pub output_lines: usize,
    pub banner_rows: u16,
    pub has_tabs: bool,
}

/// Lays the dashboard out.
pub fn dashboard(area: Rect, state: &Dashboard, content: Content) -> Layout {
    if is_tiny(area) {
        return Layout::default();
    }
    let mut rest = area;
    let footer = bottom(&mut rest, 1);
    let tabs = top(&mut rest, content.has_tabs.into());
    let header = top(&mut rest, if area.height >= 16 { 2 } else { 1 });
    let banner = top(&mut rest, content.banner_rows);
    let is_wide = state.page == Page::Timeline || area.width >= SIDE_OF_PAGES_FROM_COLUMNS;
    let has_side = area.width >= SIDE_FROM_COLUMNS && state.details.unwrap_or(is_wide);
    let details_below = area.width < SIDE_FROM_COLUMNS && state.details == Some(true);
    let (mut details, mut output) = (Rect::default(), Rect::default());
    if details_below {
        let height = (rest.height / 2).min(14);
        details = bottom(&mut rest, height);
    } else if rest.height >= 14 {
        /// Rows of the timeline and the loop's strip that are not tasks.
        const AROUND_TASKS: usize = 6;
        let full = (rest.height / 4).clamp(4, 12);
        // What the output does not need the tasks get, as far as they need it.
        let spare = usize::from(rest.height - full).saturating_sub(AROUND_TASKS);
        let missing = u16::try_from(content.tasks.saturating_sub(spare)).unwrap_or(u16::MAX);
        let unused = full.saturating_sub(u16::try_from(content.output_lines + 1).unwrap_or(u16::MAX).max(2));
        output = bottom(&mut rest, full - unused.min(missing));
    }
    if has_side {
        let width = (area.width * 3 / 10).clamp(36, 52);
        rest.width -= width + 1;
        details = Rect { x: rest.x + rest.width + 1, width, ..rest };
    }
    if state.page != Page::Timeline {
        return Layout { tabs, header, banner, page: rest, details, output, footer, ..Layout::default() };
    }
    let loop_strip = if rest.height >= 10 { bottom(&mut rest, 3) } else { Rect::default() };
    let has_rule = rest.height >= 8;
    let has_minimap = rest.height >= 7;
    let mut timeline = Timeline { label_columns: label_columns(rest.width), ..Timeline::default() };
    timeline.rule = top(&mut rest, has_rule.into());
    timeline.axis = top(&mut rest, 1);
    timeline.minimap = bottom(&mut rest, has_minimap.into());
    timeline.rows = rest;
    Layout { tabs, header, banner, timeline, loop_strip, page: Rect::default(), details, output, footer }
}

/// Columns that the labels take of a timeline as wide as `width`.
fn label_columns(width: u16) -> u16 {
    match width {
        0..=59 => (width / 3).min(16),
        60..=89 => 30,
        _ => (width / 3).min(42),
    }
}
