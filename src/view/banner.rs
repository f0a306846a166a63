//! How it stands and how it came out, in the one place where that cannot be missed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::glyph;
use super::layout::top;
use super::link;
use super::pen::{self, span};
use super::scene::Watching;
use super::text;
use super::theme::Role;
use crate::app::{Session, stop, time};
use crate::control::{Outcome, Status};

/// Rows that there is something to say in, on a screen of `height` rows.
pub fn rows(session: &dyn Session, status: &Status, height: u16) -> u16 {
    let outcome = match &status.outcome {
        // That it was watched until it was lost goes without saying.
        Some(Outcome::Detached) if link::line(status).is_some() => 0,
        None => 0,
        Some(Outcome::Failed(error)) => {
            u16::try_from(error.lines().count()).unwrap_or(u16::MAX).clamp(1, (height / 5).max(1))
        }
        Some(_) => 1,
    };
    outcome + u16::from(link::line(status).is_some()) + u16::from(session.hit().is_some())
}

/// Draws how it stands with a program that is not ours, why the loop stopped by itself, and the outcome below.
pub fn render(buffer: &mut Buffer, scene: Watching<'_>, mut area: Rect) {
    if let Some((role, text)) = link::line(scene.status) {
        let row = top(&mut area, 1);
        pen::put(buffer, row, (1, 0), &text, scene.theme.style(role));
    }
    if let Some(hit) = scene.session.hit() {
        let row = top(&mut area, 1);
        let text = format!(" {} stopped: {}", glyph::PAUSE, stop::told(&hit, scene.session.trace()));
        pen::put(buffer, row, (0, 0), &text::cut(&text, usize::from(row.width)), scene.theme.style(Role::Warning));
    }
    outcome(buffer, scene, area);
}

/// Draws the outcome in as many rows as there are; says where the rest is when they are not enough.
fn outcome(buffer: &mut Buffer, scene: Watching<'_>, area: Rect) {
    let Some(outcome) = &scene.status.outcome else { return };
    let (theme, width) = (scene.theme, usize::from(area.width));
    let took = time::duration(scene.status.now.max(scene.session.trace().now()));
    match outcome {
        Outcome::Completed(value) => {
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
            let result = text::cut(&result, width.saturating_sub(text::width(&head) + more.len()));
            let spans = [
                span(theme, Role::Done, head),
                span(theme, Role::Text, result),
                span(theme, Role::Key, if width > 40 { more } else { "" }),
                span(theme, Role::Warning, found.as_str()),
            ];
            pen::line(buffer, area, 0, &Line::from_iter(spans));
        }
        Outcome::Cancelled => {
            let text = format!(" {} cancelled after {took}, before main returned", glyph::CANCELLED);
            pen::put(buffer, area, (0, 0), &text, theme.style(Role::Cancelled));
        }
        Outcome::Detached => {
            let text = format!(" watched for {took}");
            pen::put(buffer, area, (0, 0), &text, theme.style(Role::Text));
        }
        Outcome::Failed(error) => {
            let lines: Vec<&str> = error.lines().collect();
            let shown = usize::from(area.height);
            for (row, line) in (0..area.height).zip(&lines) {
                let role = if row == 0 { Role::Error } else { Role::Text };
                let lead = if row == 0 { format!(" {} failed: ", glyph::FAILED) } else { "   ".to_owned() };
                let is_cut = text::width(&lead) + text::width(line) > width;
                let hidden = (usize::from(row) + 1 == shown && lines.len() > shown) || is_cut;
                let more = if hidden && width > 40 { " (v: all)" } else { "" };
                let line = text::cut(&format!("{lead}{line}"), width.saturating_sub(more.len()));
                pen::line(buffer, area, row, &Line::from_iter([span(theme, role, line), span(theme, Role::Key, more)]));
            }
        }
    }
}
