//! Timeline: one row per task, all lanes on one axis.
//!
//! Only visible rows and columns are looked up, so a frame costs the same for ten tasks and for 100,000.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::axis;
use super::canvas::{put_mark, put_rule, put_text};
use super::connection_status;
use super::glyph;
use super::layout::TimelineLayout;
use super::legend;
use super::page;
use super::scene::SessionScene;
use super::text;
use super::theme::Role;
use crate::app::columns::{self, COLUMNS};
use crate::app::{Pane, Viewport, ViewportMode};
use crate::trace::{Axis, Task, TaskId, column_edge};

/// Minimum width of labels that include counts.
const COUNTS_FROM_COLUMNS: u16 = 28;
/// Width of a count, including the space before it.
const COUNT_COLUMNS: usize = 7;

/// Draws the whole timeline.
pub fn render(buffer: &mut Buffer, scene: SessionScene<'_>, areas: &TimelineLayout) {
    let state = &scene.model.dashboard;
    let end = scene.axis_end(state.viewport.axis);
    let lanes = areas.lanes(areas.rows);
    let range = state.viewport.range(end, lanes.width);
    render_head(buffer, scene, areas, range);
    let labels = areas.labels(areas.rows);
    let trace = scene.session.trace();
    let is_future = |column: &u16| column_edge(range.0, range.1, *column, lanes.width) > end;
    let past_columns = (0..lanes.width).find(is_future).unwrap_or(lanes.width);
    let count = state.rows.count(trace);
    if count == 0 {
        let no_match = [state.rows.empty_reason()];
        let why = if trace.tasks().is_empty() { connection_status::no_tasks_reason(scene.status) } else { &no_match };
        let lines = why.iter().flat_map(|line| text::wrap(line, usize::from(areas.rows.width.saturating_sub(2))));
        for (row, line) in (0..areas.rows.height).zip(lines) {
            put_text(
                buffer,
                areas.rows,
                (1, row),
                &line,
                scene.theme.style(if row == 0 { Role::Text } else { Role::Dim }),
            );
        }
    }
    for row in 0..areas.rows.height {
        let Some(id) = state.rows.get(state.first_row + usize::from(row), trace) else { break };
        let Some(task) = trace.task(id) else { continue };
        render_label(buffer, scene, labels, row, task);
        render_lane(buffer, scene, (lanes, past_columns), row, id, range);
    }
    let drawn = u16::try_from(count.saturating_sub(state.first_row)).unwrap_or(u16::MAX).min(lanes.height);
    let lanes = Rect { height: drawn, ..lanes };
    render_gaps(buffer, scene, lanes, range);
    render_cursor(buffer, scene, lanes, range);
    let legend = legend::LegendKind::of(trace);
    if count + 3 <= usize::from(areas.rows.height) && !trace.tasks().is_empty() {
        legend::render(buffer, scene.theme, legend, areas.rows, count);
    }
    render_minimap(buffer, scene, areas, end, range);
}

/// Draws the rule with title and marks, and the axis below it.
fn render_head(buffer: &mut Buffer, scene: SessionScene<'_>, areas: &TimelineLayout, (from, to): (u64, u64)) {
    let (theme, state, trace) = (scene.theme, &scene.model.dashboard, scene.session.trace());
    let follows = match state.viewport.mode {
        ViewportMode::Fit if trace.recorded_from() > 0 => "whole recording",
        ViewportMode::Fit => "whole run",
        ViewportMode::Live => "live",
        ViewportMode::Free => "part of the run",
    };
    let title = page::task_rows_title(scene);
    let axis_name = match state.viewport.axis {
        Axis::Time => "loop time",
        Axis::Steps => "polls",
    };
    let focused = state.focus == Pane::Timeline;
    put_rule(buffer, theme, areas.rule, &title, &format!("{axis_name}, {follows}"), focused);
    let marks = areas.lanes(if areas.rule.height > 0 { areas.rule } else { areas.axis });
    let axis_row = areas.lanes(areas.axis);
    axis::render(buffer, theme, axis_row, state.viewport.axis, (from, to));
    if state.viewport.axis == Axis::Time {
        for at in trace.pauses().rev().take_while(|at| *at >= from) {
            if let Some(column) = axis::column_of(at, from, to, axis_row.width) {
                put_mark(buffer, axis_row, (column, 0), glyph::PAUSE, theme.style(Role::Warning));
            }
        }
    }
    if let Some(column) = state.cursor.and_then(|at| axis::column_of(at, from, to, marks.width)) {
        put_mark(buffer, marks, (column, 0), glyph::CURSOR, theme.style(Role::Warning));
    }
    let labels = areas.labels(areas.axis);
    put_text(buffer, labels, (3, 0), "task", theme.style(Role::Dim));
    if labels.width >= COUNTS_FROM_COLUMNS {
        let titles = count_columns(scene).map(|index| format!("{:>COUNT_COLUMNS$}", COLUMNS[index].title)).concat();
        put_text(buffer, labels, (labels.width - 15, 0), &titles, theme.style(Role::Dim));
    }
}

/// Columns beside the names: polls, and wakes or the column that the rows are sorted by.
fn count_columns(scene: SessionScene<'_>) -> [usize; 2] {
    let (polls, wakes) = (columns::find_by_title("polls").unwrap_or(0), columns::find_by_title("wakes").unwrap_or(0));
    let order = scene.model.dashboard.rows.order().column;
    let is_extra_number = COLUMNS.get(order).is_some_and(|column| column.is_number) && ![0, polls].contains(&order);
    [polls, if is_extra_number { order } else { wakes }]
}

fn render_label(buffer: &mut Buffer, scene: SessionScene<'_>, area: Rect, row: u16, task: &Task) {
    let state = scene.model.dashboard.state(task.id, scene.session.trace());
    let is_selected = scene.model.dashboard.selected == Some(task.id);
    let style = scene.theme.style(Role::of_row(task, is_selected));
    let has_counts = area.width >= COUNTS_FROM_COLUMNS;
    let counts_columns = if has_counts { COUNT_COLUMNS * 2 } else { 0 };
    let name_columns = usize::from(area.width).saturating_sub(4 + counts_columns);
    let mut line = format!(
        "{}  {}",
        if is_selected { glyph::SELECTED } else { ' ' },
        text::fit_middle(&task.name(), name_columns)
    );
    if has_counts {
        let context = scene.column_context();
        for index in count_columns(scene) {
            // A long time is truncated rather than breaking the alignment.
            let text = text::truncate(&COLUMNS[index].text(context, task), COUNT_COLUMNS - 1);
            let indent = COUNT_COLUMNS.saturating_sub(text::width(&text));
            line.push_str(&format!("{:indent$}{text}", ""));
        }
    }
    put_text(buffer, area, (0, row), &line, style);
    if let Some(state) = state {
        // The state keeps its colour in a selected row.
        put_mark(
            buffer,
            area,
            (1, row),
            glyph::of_state_in(scene.session.trace(), state),
            scene.theme.style(Role::of(state)),
        );
    }
}

/// Draws the first `columns` columns of a lane.
fn render_lane(
    buffer: &mut Buffer,
    scene: SessionScene<'_>,
    (area, columns): (Rect, u16),
    row: u16,
    id: TaskId,
    (from, to): (u64, u64),
) {
    let trace = scene.session.trace();
    let cells = trace.window(id, scene.model.dashboard.viewport.axis, from, to, area.width);
    for (column, cell) in (0..columns).zip(&cells) {
        if let Some((mark, role)) = glyph::of_cell(cell, trace.is_external()) {
            put_mark(buffer, area, (column, row), mark, scene.theme.style(role));
        }
    }
}

/// Highlights the column of the time cursor.
pub fn render_cursor(buffer: &mut Buffer, scene: SessionScene<'_>, lanes: Rect, (from, to): (u64, u64)) {
    let cursor = scene.model.dashboard.cursor;
    if let Some(column) = cursor.and_then(|at| axis::column_of(at, from, to, lanes.width)) {
        for row in lanes.y..lanes.bottom() {
            buffer[(lanes.x + column, row)].set_style(scene.theme.style(Role::Cursor));
        }
    }
}

/// Covers gaps in which events were dropped: no lane is reliable there. Evictions are drawn per lane instead.
pub fn render_gaps(buffer: &mut Buffer, scene: SessionScene<'_>, lanes: Rect, (from, to): (u64, u64)) {
    if scene.model.dashboard.viewport.axis != Axis::Time {
        return;
    }
    for gap in scene.session.trace().gaps().filter(|gap| !gap.is_evicted() && gap.to >= from && gap.from < to) {
        let first = axis::column_of(gap.from.max(from), from, to, lanes.width).unwrap_or(0);
        let last = axis::column_of(gap.to.min(to - 1), from, to, lanes.width).unwrap_or(first);
        for column in first..=last.max(first) {
            for row in 0..lanes.height {
                put_mark(buffer, lanes, (column, row), glyph::GAP, scene.theme.style(Role::Dim));
            }
        }
    }
}

/// Draws the whole run in one line, with the visible range highlighted.
fn render_minimap(
    buffer: &mut Buffer,
    scene: SessionScene<'_>,
    areas: &TimelineLayout,
    end: u64,
    (from, to): (u64, u64),
) {
    let area = areas.lanes(areas.minimap);
    if area.width == 0 || area.height == 0 {
        return;
    }
    let (_, whole) = Viewport::fit_all(scene.model.dashboard.viewport.axis).range(end, area.width);
    let (theme, last) = (scene.theme, area.width - 1);
    let column = |at: u64| axis::column_of(at, 0, whole, area.width).unwrap_or(last);
    let past = u128::from(to) * u128::from(area.width);
    let end = u16::try_from(past.div_ceil(u128::from(whole)).saturating_sub(1)).unwrap_or(last).min(last);
    let first = column(from);
    for at in 0..area.width {
        let inside = (first..=end).contains(&at);
        put_mark(
            buffer,
            area,
            (at, 0),
            if inside { '━' } else { '·' },
            theme.style(if inside { Role::Key } else { Role::Dim }),
        );
    }
    put_text(buffer, areas.labels(areas.minimap), (3, 0), "visible range", theme.style(Role::Dim));
}
