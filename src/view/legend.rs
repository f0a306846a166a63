//! What the marks of the timeline mean.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::glyph;
use super::pen::{self, span};
use super::theme::{Role, Theme};
use crate::trace::AwaitKind;

/// What is told of what is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Everything: the loop is ours.
    Own,
    /// Every poll, and not what is waited for without an await.
    Foreign,
    /// Sums.
    Sampled,
}

/// What the marks mean, on the last free rows.
pub fn render(buffer: &mut Buffer, theme: &Theme, told: Told, area: Rect, used: usize) {
    let mut lines = lines(theme, told, area.width.saturating_sub(2).into());
    lines.truncate(usize::from(area.height).saturating_sub(used));
    for (back, line) in lines.into_iter().rev().enumerate() {
        let row = area.height.saturating_sub(1 + u16::try_from(back).unwrap_or(0));
        let inside = Rect { x: area.x + 1, width: area.width.saturating_sub(1), ..area };
        pen::line(buffer, inside, row, &line);
    }
}

/// The marks and their meaning, in lines of at most `width` columns.
pub fn lines(theme: &Theme, told: Told, width: usize) -> Vec<Line<'static>> {
    let mut marks = if told == Told::Sampled {
        vec![
            ("▁▄▇".to_owned(), Role::Share, "sampled: share of the time between two updates that it ran"),
            ("╷╻┃".to_owned(), Role::ScheduledShare, "share that it was ready"),
            one(glyph::POLL, Role::Poll, "a poll that was seen"),
            one(glyph::UNTOLD, Role::Dim, "not told yet"),
        ]
    } else {
        vec![
            one(glyph::RUNNING, Role::Running, "running"),
            one(glyph::POLL, Role::Poll, "short poll"),
            one(glyph::SCHEDULED, Role::Scheduled, "scheduled: woken, not polled yet"),
            one(glyph::HELD, Role::Held, "held by you"),
        ]
    };
    if told != Told::Own {
        marks.push(one(glyph::IDLE, Role::Waiting(AwaitKind::Other), "idle, nobody tells what for"));
    }
    let waits = AwaitKind::ALL.into_iter().map(|kind| {
        let name = match kind {
            AwaitKind::Timer => "timer",
            AwaitKind::Task => "task",
            AwaitKind::Sync => "lock",
            AwaitKind::Channel => "channel",
            AwaitKind::Io => "I/O",
            AwaitKind::Block => "blocks the loop while running",
            AwaitKind::Yield => "its turn",
            AwaitKind::Other => "unknown",
        };
        one(glyph::waiting(kind), Role::Waiting(kind), name)
    });
    let waits = waits.filter(|(_, role, _)| told == Told::Own || *role != Role::Waiting(AwaitKind::Other));
    let is_block = |role: &Role| *role == Role::Waiting(AwaitKind::Block);
    let (blocks, waits): (Vec<_>, Vec<_>) = waits.partition(|(_, role, _)| is_block(role));
    if told != Told::Sampled {
        marks.splice(1..1, blocks);
    }
    marks.push(one(' ', Role::Dim, "waiting for:"));
    marks.extend(waits);
    marks.push(one(' ', Role::Dim, "ended:"));
    marks.push(one(glyph::DONE, Role::Done, "done"));
    marks.push(one(glyph::CANCELLED, Role::Cancelled, "cancelled"));
    marks.push(one(glyph::FAILED, Role::Failed, "failed"));
    let mut lines = vec![Line::default()];
    for (mark, role, name) in marks {
        let spans = [span(theme, role, mark), span(theme, Role::Dim, format!(" {name}  "))];
        let added: usize = spans.iter().map(Span::width).sum();
        if lines.last().is_some_and(|line| line.width() + added > width + 2 && line.width() > 0) {
            lines.push(Line::default());
        }
        if let Some(line) = lines.last_mut() {
            line.spans.extend(spans);
        }
    }
    lines
}

fn one(mark: char, role: Role, name: &'static str) -> (String, Role, &'static str) {
    (mark.to_string(), role, name)
}
