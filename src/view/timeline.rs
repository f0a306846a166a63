//! The timeline: every task one row, its lane on the axis that all share.
//!
//! Only the rows and columns on the screen are asked for, so a frame costs the same for ten tasks and for 100,000.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::axis;
use super::glyph;
use super::lane;
use super::layout::Timeline;
use super::legend;
use super::link;
use super::pen::{mark, put, rule};
use super::scene::Watching;
use super::table;
use super::text;
use super::theme::Role;
use crate::app::columns::{self, COLUMNS};
use crate::app::{Mode, Pane, Viewport};
use crate::trace::{AwaitKind, Axis, Cell, Fidelity, Task, TaskId, Trace, column_edge};

/// Labels narrower than this have no counts.
const COUNTS_FROM_COLUMNS: u16 = 28;
/// A count's columns, with the space before it.
const COUNT_COLUMNS: usize = 7;

/// Draws the whole timeline.
pub fn render(buffer: &mut Buffer, scene: Watching<'_>, places: &Timeline) {
    let state = &scene.model.dashboard;
    let end = scene.axis_end(state.viewport.axis);
    let lanes = places.lanes(places.rows);
    let range = state.viewport.range(end, lanes.width);
    head(buffer, scene, places, range);
    let labels = places.labels(places.rows);
    let trace = scene.session.trace();
    let count = state.rows.count(trace);
    if count == 0 {
        let no_match = ["no task has this in its name; esc shows all"];
        let why = if trace.tasks().is_empty() { link::why_empty(scene.status) } else { &no_match };
        let lines = why.iter().flat_map(|line| text::wrap(line, usize::from(places.rows.width.saturating_sub(2))));
        for (row, line) in (0..places.rows.height).zip(lines) {
            put(buffer, places.rows, (1, row), &line, scene.theme.style(if row == 0 { Role::Text } else { Role::Dim }));
        }
    }
    for row in 0..places.rows.height {
        let Some(id) = state.rows.get(state.top + usize::from(row), trace) else { break };
        let Some(task) = trace.task(id) else { continue };
        label(buffer, scene, labels, row, task);
        draw_lane(buffer, scene, lanes, row, id, range);
    }
    let drawn = u16::try_from(count.saturating_sub(state.top)).unwrap_or(u16::MAX).min(lanes.height);
    let lanes = Rect { height: drawn, ..lanes };
    gaps(buffer, scene, lanes, range);
    if let Some(column) = state.cursor.and_then(|at| axis::column_of(at, range.0, range.1, lanes.width)) {
        for row in lanes.y..lanes.bottom() {
            buffer[(lanes.x + column, row)].set_style(scene.theme.style(Role::Cursor));
        }
    }
    let told = match (trace.is_foreign(), trace.fidelity()) {
        (_, Fidelity::Sampled) => legend::Told::Sampled,
        (true, Fidelity::Exact) => legend::Told::Foreign,
        (false, Fidelity::Exact) => legend::Told::Own,
    };
    if count + 3 <= usize::from(places.rows.height) && !trace.tasks().is_empty() {
        legend::render(buffer, scene.theme, told, places.rows, count);
    }
    minimap(buffer, scene, places, end, range);
}

/// The rule with the pane's title and marks, and the axis below it.
fn head(buffer: &mut Buffer, scene: Watching<'_>, places: &Timeline, (from, to): (u64, u64)) {
    let (theme, state, trace) = (scene.theme, &scene.model.dashboard, scene.session.trace());
    let follows = match state.viewport.mode {
        Mode::Fit => "whole run",
        Mode::Live => "following live",
        Mode::Free => "part of the run",
    };
    let title = table::title(scene);
    let axis_name = match state.viewport.axis {
        Axis::Time => "loop time",
        Axis::Steps => "polls of the loop",
    };
    let focused = state.focus == Pane::Timeline;
    rule(buffer, theme, places.rule, &title, &format!("{axis_name}, {follows}"), focused);
    let marks = places.lanes(if places.rule.height > 0 { places.rule } else { places.axis });
    let axis_row = places.lanes(places.axis);
    axis::render(buffer, theme, axis_row, state.viewport.axis, (from, to));
    if state.viewport.axis == Axis::Time {
        for at in trace.pauses().rev().take_while(|at| *at >= from) {
            if let Some(column) = axis::column_of(at, from, to, axis_row.width) {
                mark(buffer, axis_row, (column, 0), glyph::PAUSE, theme.style(Role::Warning));
            }
        }
    }
    if let Some(column) = state.cursor.and_then(|at| axis::column_of(at, from, to, marks.width)) {
        mark(buffer, marks, (column, 0), glyph::CURSOR, theme.style(Role::Warning));
    }
    let labels = places.labels(places.axis);
    put(buffer, labels, (3, 0), "task", theme.style(Role::Dim));
    if labels.width >= COUNTS_FROM_COLUMNS {
        let titles = counts(scene).map(|index| format!("{:>COUNT_COLUMNS$}", COLUMNS[index].title)).concat();
        put(buffer, labels, (labels.width - 15, 0), &titles, theme.style(Role::Dim));
    }
}

/// Which columns stand beside the names: polls and wakes, or what the rows are in order by.
fn counts(scene: Watching<'_>) -> [usize; 2] {
    let (polls, wakes) = (columns::named("polls").unwrap_or(0), columns::named("wakes").unwrap_or(0));
    let order = scene.model.dashboard.rows.order().column;
    let is_worth_it = COLUMNS.get(order).is_some_and(|column| column.is_number) && ![0, polls].contains(&order);
    [polls, if is_worth_it { order } else { wakes }]
}

fn label(buffer: &mut Buffer, scene: Watching<'_>, area: Rect, row: u16, task: &Task) {
    let state = scene.model.dashboard.state(task.id, scene.session.trace());
    let is_selected = scene.model.dashboard.selected == Some(task.id);
    let style = scene.theme.style(if is_selected { Role::Selected } else { Role::Text });
    let has_counts = area.width >= COUNTS_FROM_COLUMNS;
    let counts_columns = if has_counts { COUNT_COLUMNS * 2 } else { 0 };
    let name_columns = usize::from(area.width).saturating_sub(4 + counts_columns);
    let mut line =
        format!("{}  {}", if is_selected { glyph::SELECTED } else { ' ' }, text::fit(&task.name(), name_columns));
    if has_counts {
        let look = table::look(scene);
        for index in counts(scene) {
            // A long time loses its last digits rather than the column its edge.
            let text = text::cut(&COLUMNS[index].text(look, task), COUNT_COLUMNS - 1);
            let indent = COUNT_COLUMNS.saturating_sub(text::width(&text));
            line.push_str(&format!("{:indent$}{text}", ""));
        }
    }
    put(buffer, area, (0, row), &line, style);
    if let Some(state) = state {
        // Reversed with the row when it is selected, but in its own colour.
        mark(buffer, area, (1, row), glyph::state_of(scene.session.trace(), state), scene.theme.style(Role::of(state)));
    }
}

fn draw_lane(buffer: &mut Buffer, scene: Watching<'_>, area: Rect, row: u16, id: TaskId, (from, to): (u64, u64)) {
    let axis = scene.model.dashboard.viewport.axis;
    let trace = scene.session.trace();
    let end = scene.axis_end(axis);
    let edge = |column: u16| column_edge(from, to, column, area.width);
    let cells = trace.window(id, axis, from, to, area.width);
    for (column, cell) in (0..area.width).zip(&cells) {
        if edge(column) > end {
            break;
        }
        if cell.state.is_none() && is_forgotten(trace, id, axis, edge(column)) {
            mark(buffer, area, (column, row), glyph::GAP, scene.theme.style(Role::Dim));
            continue;
        }
        // A poll may be many columns of the steps axis wide: only the last of them is the end.
        let next_ends = axis == Axis::Steps && cells.get(usize::from(column) + 1).is_some_and(|next| next.ended);
        let cell = Cell { ended: cell.ended && !next_ends, ..*cell };
        let blocks = cell.mostly_running
            && axis == Axis::Time
            && trace.blocking_call(id, edge(column), edge(column + 1).max(edge(column) + 1)).is_some();
        if let Some((mut glyph, role)) = lane::mark(&cell, axis, blocks) {
            if trace.is_foreign() && role == Role::Waiting(AwaitKind::Other) {
                glyph = glyph::IDLE;
            }
            mark(buffer, area, (column, row), glyph, scene.theme.style(role));
        }
    }
}

/// The trace had no room for what this lane was doing there.
fn is_forgotten(trace: &Trace, id: TaskId, axis: Axis, at: u64) -> bool {
    let Some(task) = trace.task(id) else { return false };
    match axis {
        Axis::Time => task.lane.spawned() <= at && task.lane.is_forgotten_at(at),
        Axis::Steps => {
            let step = u32::try_from(at).unwrap_or(u32::MAX);
            task.spawn_step <= step && task.lane.is_forgotten_at_step(step)
        }
    }
}

/// Where facts were lost, nothing that is drawn of any lane can be trusted: it is covered. What the trace forgot is
/// known lane by lane.
fn gaps(buffer: &mut Buffer, scene: Watching<'_>, lanes: Rect, (from, to): (u64, u64)) {
    if scene.model.dashboard.viewport.axis != Axis::Time {
        return;
    }
    for gap in scene.session.trace().gaps().filter(|gap| !gap.is_forgotten() && gap.to >= from && gap.from < to) {
        let first = axis::column_of(gap.from.max(from), from, to, lanes.width).unwrap_or(0);
        let last = axis::column_of(gap.to.min(to - 1), from, to, lanes.width).unwrap_or(first);
        for column in first..=last.max(first) {
            for row in 0..lanes.height {
                mark(buffer, lanes, (column, row), glyph::GAP, scene.theme.style(Role::Dim));
            }
        }
    }
}

/// The whole run in one line, and which part of it is on the screen.
fn minimap(buffer: &mut Buffer, scene: Watching<'_>, places: &Timeline, end: u64, (from, to): (u64, u64)) {
    let area = places.lanes(places.minimap);
    if area.width == 0 || area.height == 0 {
        return;
    }
    let (_, whole) = Viewport::whole(scene.model.dashboard.viewport.axis).range(end, area.width);
    let (theme, last) = (scene.theme, area.width - 1);
    let column = |at: u64| axis::column_of(at, 0, whole, area.width).unwrap_or(last);
    let past = u128::from(to) * u128::from(area.width);
    let end = u16::try_from(past.div_ceil(u128::from(whole)).saturating_sub(1)).unwrap_or(last).min(last);
    let first = column(from);
    for at in 0..area.width {
        let inside = (first..=end).contains(&at);
        mark(
            buffer,
            area,
            (at, 0),
            if inside { '━' } else { '·' },
            theme.style(if inside { Role::Key } else { Role::Dim }),
        );
    }
    put(buffer, places.labels(places.minimap), (3, 0), "shown part", theme.style(Role::Dim));
}
