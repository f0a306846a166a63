//! What the program printed: when, which task, what. The newest is at the bottom.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::layout::below_rule;
use super::pen::{self, span};
use super::scene::Watching;
use super::text;
use super::theme::Role;
use crate::app::{Pane, time};

/// Columns of the time, and of the task's name.
const TIME_COLUMNS: usize = 11;
const NAME_COLUMNS: usize = 14;

/// Draws the pane; a time cursor ends the output where it stood.
pub fn render(buffer: &mut Buffer, scene: Watching<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let (theme, state, trace) = (scene.theme, &scene.model.dashboard, scene.session.trace());
    let lines = trace.output().lines();
    let printed = match state.looking_at() {
        Some(at) => lines.partition_point(|line| line.at <= at),
        None => lines.len(),
    };
    let back = state.output_back.min(printed);
    let right = match (trace.output().dropped(), back, printed) {
        (_, back, _) if back > 0 => format!("{back} newer lines below"),
        (dropped, _, _) if dropped > 0 => format!("the oldest {dropped} lines are gone"),
        (_, _, 1) => "1 line".to_owned(),
        (_, _, printed) => format!("{printed} lines"),
    };
    pen::rule(buffer, theme, area, "output", &right, state.focus == Pane::Output);
    let rows = below_rule(area);
    if printed == 0 {
        pen::put(buffer, rows, (1, 0), "nothing printed yet", theme.style(Role::Dim));
    }
    let last = printed - back;
    let first = last.saturating_sub(rows.height.into());
    for (row, line) in (0..rows.height).zip(lines.range(first..last)) {
        let name = line.task.and_then(|id| trace.task(id)).map(|task| task.name().into_owned()).unwrap_or_default();
        let is_selected = line.task.is_some() && line.task == state.selected;
        let role = if is_selected { Role::Strong } else { Role::Text };
        let spans = [
            span(theme, Role::Dim, format!("{:>TIME_COLUMNS$}  ", time::instant(line.at))),
            span(theme, Role::Key, text::fit(&name, NAME_COLUMNS)),
            span(theme, role, format!("  {}", text::clean(&line.text))),
        ];
        pen::line(buffer, rows, row, &Line::from_iter(spans));
    }
}
