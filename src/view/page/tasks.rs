//! Tasks page: a table with all columns of all tasks, in any order. Only visible cells are formatted.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::list::{self, PageLayout};
use crate::app::RowOrder;
use crate::app::columns::{self, COLUMNS, ColumnContext};
use crate::insight::units::human_number;
use crate::trace::Task;
use crate::view::canvas::{put_mark, put_text};
use crate::view::scene::SessionScene;
use crate::view::text;
use crate::view::theme::Role;
use crate::view::{connection_status, glyph};

/// Width before the first column: the marks of the selection and of the state.
const LEAD_COLUMNS: u16 = 3;

/// Returns the part of `rect` that contains the columns.
fn column_area(rect: Rect) -> Rect {
    let lead = LEAD_COLUMNS.min(rect.width);
    Rect { x: rect.x + lead, width: rect.width - lead, ..rect }
}

/// Returns the column titles, each of which sorts the rows when clicked.
pub fn sort_titles(areas: &PageLayout) -> Rect {
    column_area(areas.titles)
}

/// Title of the page: number of tasks of the program, filter and sort order.
pub fn title(scene: SessionScene<'_>) -> String {
    let (state, trace) = (&scene.model.dashboard, scene.session.trace());
    let (shown, all) = (state.rows.program_count(trace), trace.task_counts().spawned);
    let (shown, all) = (human_number(shown as u64), human_number(all));
    let evicted = match trace.evicted().count {
        0 => String::new(),
        count => format!(" ({} evicted)", human_number(count)),
    };
    let tasks = match (state.rows.filter(), state.rows.hides_ended()) {
        ("", false) => format!("tasks {all}{evicted}"),
        ("", true) => format!("tasks {shown} of {all}{evicted}"),
        (filter, _) => format!("tasks {shown} of {all} matching `{filter}`{evicted}"),
    };
    let ended = if state.rows.hides_ended() { ", ended hidden" } else { "" };
    format!("{tasks}{ended}{}", sort_order(scene))
}

/// Sort order for the title: ` by busy ↓`, with `…` while sorting; empty for the order of spawning.
fn sort_order(scene: SessionScene<'_>) -> String {
    let order = scene.model.dashboard.rows.order();
    match COLUMNS.get(order.column) {
        Some(column) if order != RowOrder::default() => {
            let arrow = if order.is_descending { '↓' } else { '↑' };
            let later = if scene.model.dashboard.rows.is_request_pending() { "…" } else { "" };
            format!(" by {} {arrow}{later}", column.title)
        }
        _ => String::new(),
    }
}

/// Draws column titles and rows.
pub fn render(buffer: &mut Buffer, scene: SessionScene<'_>, areas: &PageLayout) {
    let (theme, state, trace) = (scene.theme, &scene.model.dashboard, scene.session.trace());
    let shown = columns::visible_columns(state.scrolled_columns, column_area(areas.rows).width);
    for (index, at, width) in &shown {
        let is_order = state.rows.order().column == *index && *index > 0;
        let role = if is_order { Role::Key } else { Role::Dim };
        cell(buffer, column_area(areas.titles), 0, *index, (*at, *width), COLUMNS[*index].title, theme.style(role));
    }
    if state.rows.count(trace) == 0 {
        let why = if trace.tasks().is_empty() {
            connection_status::no_tasks_reason(scene.status).join(" ")
        } else {
            state.rows.empty_reason().to_owned()
        };
        list::put_empty_state(buffer, theme, areas.rows, &why);
    }
    let context = scene.column_context();
    for row in 0..areas.rows.height {
        let Some(id) = state.rows.get(state.first_row + usize::from(row), trace) else { break };
        // A task that was evicted since the rows were sorted leaves its row empty.
        let Some(task) = trace.task(id) else { continue };
        self::row(buffer, scene, areas.rows, row, task, context, &shown);
    }
}

fn row(
    buffer: &mut Buffer,
    scene: SessionScene<'_>,
    area: Rect,
    row: u16,
    task: &Task,
    context: ColumnContext<'_>,
    shown: &[(usize, u16, u16)],
) {
    let is_selected = scene.model.dashboard.selected == Some(task.id);
    let style = scene.theme.style(Role::of_row(task, is_selected));
    if is_selected {
        put_text(buffer, area, (0, row), &" ".repeat(area.width.into()), style);
        put_mark(buffer, area, (0, row), glyph::SELECTED, style);
    }
    let state = scene.model.dashboard.state(task.id, context.trace);
    if let Some(state) = state {
        put_mark(buffer, area, (1, row), glyph::of_state_in(context.trace, state), scene.theme.style(Role::of(state)));
    }
    for (index, at, width) in shown {
        // A task that is not spawned yet has only a name.
        if state.is_some() || *index == columns::NAME_COLUMN {
            let text = COLUMNS[*index].text(context, task);
            cell(buffer, column_area(area), row, *index, (*at, *width), &text, style);
        }
    }
}

/// Draws a cell of the column at `index`; numbers are right-aligned.
fn cell(
    buffer: &mut Buffer,
    area: Rect,
    row: u16,
    index: usize,
    (at, width): (u16, u16),
    content: &str,
    style: ratatui::style::Style,
) {
    // Names and paths differ most at their ends.
    let content = text::truncate_middle(content, width.into());
    let free = usize::from(width).saturating_sub(text::width(&content));
    let indent = if COLUMNS[index].is_number { u16::try_from(free).unwrap_or(0) } else { 0 };
    put_text(buffer, area, (at + indent, row), &content, style);
}
