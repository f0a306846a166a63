//! Output pane: printed lines with their time and task, the newest at the bottom.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::canvas::{self, span};
use super::layout::below_rule;
use super::scene::SessionScene;
use super::text;
use super::theme::Role;
use crate::app::{Pane, time};

/// Widths of the time and of the task's name, in columns.
const TIME_COLUMNS: usize = 11;
const NAME_COLUMNS: usize = 14;

/// Draws the pane. With a time cursor, it shows the lines printed up to that time.
pub fn render(buffer: &mut Buffer, scene: SessionScene<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let (theme, state, trace) = (scene.theme, &scene.model.dashboard, scene.session.trace());
    let lines = trace.output().lines();
    let printed = match state.viewed_time() {
        Some(at) => lines.partition_point(|line| line.at <= at),
        None => lines.len(),
    };
    let back = state.output_scroll.min(printed);
    // A prompt is at the end of the newest output.
    let pending: Vec<_> = trace.output().pending().filter(|_| state.viewed_time().is_none() && back == 0).collect();
    let right = match (trace.output().dropped(), back, printed) {
        (_, back, _) if back > 0 => format!("{back} newer lines below"),
        (dropped, _, _) if dropped > 0 => format!("{dropped} older lines dropped"),
        (_, _, 1) => "1 line".to_owned(),
        (_, _, printed) => format!("{printed} lines"),
    };
    canvas::put_rule(buffer, theme, area, "output", &right, state.focus == Pane::Output);
    let rows = below_rule(area);
    if printed == 0 && pending.is_empty() {
        canvas::put_text(buffer, rows, (1, 0), "no output yet", theme.style(Role::Dim));
    }
    let last = printed - back;
    let first = last.saturating_sub(usize::from(rows.height).saturating_sub(pending.len()));
    for (row, line) in (0..rows.height).zip(lines.range(first..last).chain(pending)) {
        let name = line.task.and_then(|id| trace.task(id)).map(|task| task.name().into_owned()).unwrap_or_default();
        let is_selected = line.task.is_some() && line.task == state.selected;
        let role = if is_selected { Role::Strong } else { Role::Text };
        let spans = [
            span(theme, Role::Dim, format!("{:>TIME_COLUMNS$}  ", time::instant(line.at))),
            span(theme, Role::Key, text::fit(&name, NAME_COLUMNS)),
            span(theme, role, format!("  {}", text::sanitize(&line.text))),
        ];
        canvas::put_line(buffer, rows, row, &Line::from_iter(spans));
    }
}
