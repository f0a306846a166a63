//! Legend of the timeline: its marks and their meaning.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::canvas::{self, span};
use super::glyph;
use super::theme::{Role, Theme};
use crate::trace::{AwaitKind, Fidelity, Trace};

/// Which set of marks a timeline uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegendKind {
    /// The own loop: every poll and every wait is known.
    OwnLoop,
    /// An external app with exact polls, where waits outside of an await have no known reason.
    External,
    /// An external app of which only sums and the latest polls are known.
    Sampled,
}

impl LegendKind {
    /// Returns the set of marks for a timeline of `trace`.
    pub fn of(trace: &Trace) -> Self {
        match (trace.is_external(), trace.fidelity()) {
            (_, Fidelity::Sampled) => Self::Sampled,
            (true, Fidelity::Exact) => Self::External,
            (false, Fidelity::Exact) => Self::OwnLoop,
        }
    }
}

/// Draws the legend on the last free rows; `used` is the number of rows that are taken.
pub fn render(buffer: &mut Buffer, theme: &Theme, legend: LegendKind, area: Rect, used: usize) {
    let mut lines = lines(theme, legend, area.width.saturating_sub(2).into());
    lines.truncate(usize::from(area.height).saturating_sub(used));
    for (from_bottom, line) in lines.into_iter().rev().enumerate() {
        let row = area.height.saturating_sub(1 + u16::try_from(from_bottom).unwrap_or(0));
        let inside = Rect { x: area.x + 1, width: area.width.saturating_sub(1), ..area };
        canvas::put_line(buffer, inside, row, &line);
    }
}

/// Returns the marks and their meaning in lines of at most `width` columns.
pub fn lines(theme: &Theme, legend: LegendKind, width: usize) -> Vec<Line<'static>> {
    let mut entries = if legend == LegendKind::Sampled {
        vec![
            ("▁▄▇".to_owned(), Role::Share, "sampled: share of time running, per update"),
            ("╷╻┃".to_owned(), Role::ScheduledShare, "share of time scheduled"),
            entry(glyph::POLL, Role::Poll, "sampled poll"),
            entry(glyph::NOT_REPORTED, Role::Dim, "not reported yet"),
        ]
    } else {
        vec![
            entry(glyph::RUNNING, Role::Running, "running"),
            entry(glyph::POLL, Role::Poll, "short poll"),
            entry(glyph::SCHEDULED, Role::Scheduled, "scheduled: woken, not polled yet"),
            entry(glyph::HELD, Role::Held, "held by you"),
        ]
    };
    if legend != LegendKind::OwnLoop {
        entries.push(entry(glyph::IDLE, Role::Waiting(AwaitKind::Other), "waiting, reason unknown"));
    }
    let waits = AwaitKind::ALL.into_iter().map(|kind| {
        let name = match kind {
            AwaitKind::Timer => "timer",
            AwaitKind::Task => "task",
            AwaitKind::Sync => "lock",
            AwaitKind::Channel => "channel",
            AwaitKind::Io => "I/O",
            AwaitKind::BlockingCall => "blocking the loop",
            AwaitKind::Yield => "yield",
            AwaitKind::Other => "unknown",
        };
        entry(glyph::of_wait(kind), Role::Waiting(kind), name)
    });
    let waits = waits.filter(|(_, role, _)| legend == LegendKind::OwnLoop || *role != Role::Waiting(AwaitKind::Other));
    let is_blocking = |role: &Role| *role == Role::Waiting(AwaitKind::BlockingCall);
    let (blocking, waits): (Vec<_>, Vec<_>) = waits.partition(|(_, role, _)| is_blocking(role));
    if legend != LegendKind::Sampled {
        entries.splice(1..1, blocking);
    }
    entries.push(entry(' ', Role::Dim, "waiting on:"));
    entries.extend(waits);
    entries.push(entry(' ', Role::Dim, "ended:"));
    entries.push(entry(glyph::DONE, Role::Done, "done"));
    entries.push(entry(glyph::CANCELLED, Role::Cancelled, "cancelled"));
    entries.push(entry(glyph::FAILED, Role::Failed, "failed"));
    let mut lines = vec![Line::default()];
    for (mark, role, name) in entries {
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

fn entry(mark: char, role: Role, name: &'static str) -> (String, Role, &'static str) {
    (mark.to_string(), role, name)
}
