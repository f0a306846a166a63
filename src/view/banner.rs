//! Banner below the header: connection problems, the breakpoint that was hit, and the outcome of the run.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::canvas::{self, span};
use super::connection_status;
use super::glyph;
use super::layout::take_top;
use super::scene::SessionScene;
use super::text;
use super::theme::Role;
use crate::app::{breakpoint_hit, time};
use crate::control::{RunOutcome, SessionStatus};
use crate::session::interface::Session;

/// Returns the number of rows that the banner needs on a screen of `height` rows.
pub fn row_count(session: &dyn Session, status: &SessionStatus, height: u16) -> u16 {
    let outcome = match &status.outcome {
        // The line about the lost connection implies it.
        Some(RunOutcome::Detached) if connection_status::banner_line(status).is_some() => 0,
        None => 0,
        Some(RunOutcome::Failed(error)) => {
            u16::try_from(error.lines().count()).unwrap_or(u16::MAX).clamp(1, (height / 5).max(1))
        }
        Some(_) => 1,
    };
    outcome + u16::from(connection_status::banner_line(status).is_some()) + u16::from(session.hit().is_some())
}

/// Draws the connection state of an external app, the breakpoint that was hit, and the outcome.
pub fn render(buffer: &mut Buffer, scene: SessionScene<'_>, mut area: Rect) {
    if let Some((role, text)) = connection_status::banner_line(scene.status) {
        let row = take_top(&mut area, 1);
        canvas::put_text(buffer, row, (1, 0), &text, scene.theme.style(role));
    }
    if let Some(hit) = scene.session.hit() {
        let row = take_top(&mut area, 1);
        let text = format!(" {} paused: {}", glyph::PAUSE, breakpoint_hit::describe_hit(&hit, scene.session.trace()));
        canvas::put_text(
            buffer,
            row,
            (0, 0),
            &text::truncate(&text, usize::from(row.width)),
            scene.theme.style(Role::Warning),
        );
    }
    render_outcome(buffer, scene, area);
}

/// Draws the outcome in the rows available, with the key for the full text if it is truncated.
fn render_outcome(buffer: &mut Buffer, scene: SessionScene<'_>, area: Rect) {
    let Some(outcome) = &scene.status.outcome else { return };
    let (theme, width) = (scene.theme, usize::from(area.width));
    let took = time::duration(scene.status.now.max(scene.session.trace().now()));
    match outcome {
        RunOutcome::Completed(value) => {
            let head = format!(" {} completed after {took}", glyph::DONE);
            let result = match value {
                serde_json::Value::Null => String::new(),
                value => format!(", main returned {value}"),
            };
            let found = scene.model.findings.as_ref().map_or(0, |found| found.listed.len() as u64 + found.unlisted);
            let found = match found {
                0 => String::new(),
                1 => "  ! 1 finding (n)".to_owned(),
                found => format!("  ! {found} findings (n)"),
            };
            let width = width.saturating_sub(text::width(&found));
            let fits = text::width(&head) + text::width(&result) <= width;
            let more = if fits { "" } else { " (v: all)" };
            let result = text::truncate(&result, width.saturating_sub(text::width(&head) + more.len()));
            let spans = [
                span(theme, Role::Done, head),
                span(theme, Role::Text, result),
                span(theme, Role::Key, if width > 40 { more } else { "" }),
                span(theme, Role::Warning, found.as_str()),
            ];
            canvas::put_line(buffer, area, 0, &Line::from_iter(spans));
        }
        RunOutcome::Cancelled => {
            let text = format!(" {} cancelled after {took}, before main returned", glyph::CANCELLED);
            canvas::put_text(buffer, area, (0, 0), &text, theme.style(Role::Cancelled));
        }
        RunOutcome::Detached => {
            let text = format!(" detached after {took}");
            canvas::put_text(buffer, area, (0, 0), &text, theme.style(Role::Text));
        }
        RunOutcome::Failed(error) => {
            let lines: Vec<&str> = error.lines().collect();
            let shown = usize::from(area.height);
            for (row, line) in (0..area.height).zip(&lines) {
                let role = if row == 0 { Role::Error } else { Role::Text };
                let lead = if row == 0 { format!(" {} failed: ", glyph::FAILED) } else { "   ".to_owned() };
                let is_cut = text::width(&lead) + text::width(line) > width;
                let hidden = (usize::from(row) + 1 == shown && lines.len() > shown) || is_cut;
                let more = if hidden && width > 40 { " (v: all)" } else { "" };
                let line = text::truncate(&format!("{lead}{line}"), width.saturating_sub(more.len()));
                canvas::put_line(
                    buffer,
                    area,
                    row,
                    &Line::from_iter([span(theme, role, line), span(theme, Role::Key, more)]),
                );
            }
        }
    }
}
