//! The page of tasks: every column of every task, in any order. Only what is on the screen is put into words.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::page::Places;
use super::pen::{mark, put};
use super::scene::Watching;
use super::text;
use super::theme::Role;
use super::{glyph, link, page};
use crate::app::columns::{self, COLUMNS, Look};
use crate::insight::units::human_number;
use crate::trace::{Axis, Task};

/// Columns before the first one: the mark of the selected row and that of its state.
const LEAD_COLUMNS: u16 = 3;

/// The part of `rect` that the columns are in.
pub fn inside(rect: Rect) -> Rect {
    let lead = LEAD_COLUMNS.min(rect.width);
    Rect { x: rect.x + lead, width: rect.width - lead, ..rect }
}

/// How many tasks, and in which order.
pub fn title(scene: Watching<'_>) -> String {
    let (state, trace) = (&scene.model.dashboard, scene.session.trace());
    let (shown, all) = (state.rows.count(trace), trace.tasks().len());
    let (shown, all) = (human_number(shown as u64), human_number(all as u64));
    let forgotten = match trace.forgotten().tasks {
        0 => String::new(),
        forgotten => format!(", {} of them forgotten", human_number(forgotten)),
    };
    let tasks = match state.rows.filter() {
        "" => format!("tasks {all}{forgotten}"),
        filter => format!("tasks {shown} of {all} with `{filter}`{forgotten}"),
    };
    format!("{tasks}{}", order(scene))
}

/// ` by busy ↓`, or that it is still to come; nothing while tasks are in order of spawning.
pub fn order(scene: Watching<'_>) -> String {
    let order = scene.model.dashboard.rows.order();
    match COLUMNS.get(order.column) {
        Some(column) if order != crate::app::Order::default() => {
            let arrow = if order.is_descending { '↓' } else { '↑' };
            let later = if scene.model.dashboard.rows.is_awaited() { "…" } else { "" };
            format!(" by {} {arrow}{later}", column.title)
        }
        _ => String::new(),
    }
}

/// What the columns look at: as it is to be shown.
pub fn look(scene: Watching<'_>) -> Look<'_> {
    let state = &scene.model.dashboard;
    let now = state.looking_at().unwrap_or_else(|| scene.axis_end(Axis::Time));
    Look { trace: scene.session.trace(), now, is_past: state.looking_at().is_some() }
}

/// Draws titles and rows.
pub fn render(buffer: &mut Buffer, scene: Watching<'_>, places: &Places) {
    let (theme, state, trace) = (scene.theme, &scene.model.dashboard, scene.session.trace());
    let shown = columns::shown(state.columns_left, inside(places.rows).width);
    for (index, at, width) in &shown {
        let is_order = state.rows.order().column == *index && *index > 0;
        let role = if is_order { Role::Key } else { Role::Dim };
        cell(buffer, inside(places.titles), 0, *index, (*at, *width), COLUMNS[*index].title, theme.style(role));
    }
    if state.rows.count(trace) == 0 {
        let no_match = "no task has this in its name; esc shows all";
        let why = if trace.tasks().is_empty() { link::why_empty(scene.status).join(" ") } else { no_match.to_owned() };
        page::empty(buffer, theme, places.rows, &why);
    }
    let look = look(scene);
    for row in 0..places.rows.height {
        let Some(id) = state.rows.get(state.top + usize::from(row), trace) else { break };
        // One that was forgotten since the rows were put in order leaves its row empty.
        let Some(task) = trace.task(id) else { continue };
        self::row(buffer, scene, places.rows, row, task, look, &shown);
    }
}

fn row(
    buffer: &mut Buffer,
    scene: Watching<'_>,
    area: Rect,
    row: u16,
    task: &Task,
    look: Look<'_>,
    shown: &[(usize, u16, u16)],
) {
    let is_selected = scene.model.dashboard.selected == Some(task.id);
    let style = scene.theme.style(if is_selected { Role::Selected } else { Role::Text });
    if is_selected {
        put(buffer, area, (0, row), &" ".repeat(area.width.into()), style);
        mark(buffer, area, (0, row), glyph::SELECTED, style);
    }
    let state = scene.model.dashboard.state(task.id, look.trace);
    if let Some(state) = state {
        mark(buffer, area, (1, row), glyph::state_of(look.trace, state), scene.theme.style(Role::of(state)));
    }
    for (index, at, width) in shown {
        // Of what was not there yet only the name is known.
        if state.is_some() || *index == columns::NAME {
            let text = COLUMNS[*index].text(look, task);
            cell(buffer, inside(area), row, *index, (*at, *width), &text, style);
        }
    }
}

/// One cell of the column at `index`; numbers stand at its right.
fn cell(
    buffer: &mut Buffer,
    area: Rect,
    row: u16,
    index: usize,
    (at, width): (u16, u16),
    content: &str,
    style: ratatui::style::Style,
) {
    let content = text::cut(content, width.into());
    let free = usize::from(width).saturating_sub(text::width(&content));
    let indent = if COLUMNS[index].is_number { u16::try_from(free).unwrap_or(0) } else { 0 };
    put(buffer, area, (at + indent, row), &content, style);
}
