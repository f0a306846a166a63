//! The loop's own strip below the lanes: awake or parked, and how many tasks were ready, on the same axis.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::glyph;
use super::header;
use super::layout::{Timeline, below_rule};
use super::pen::{mark, put, rule};
use super::scene::Watching;
use super::theme::Role;
use crate::app::time;
use crate::control::Phase;
use crate::trace::{Axis, column_edge};

/// Draws the strip: a rule and two rows.
pub fn render(buffer: &mut Buffer, scene: Watching<'_>, area: Rect, places: &Timeline) {
    if area.height == 0 {
        return;
    }
    let (theme, trace, state) = (scene.theme, scene.session.trace(), &scene.model.dashboard);
    // Where the header has no room for it, the loop's own rule says it.
    let is_narrow = buffer.area.width < super::layout::SIDE_FROM_COLUMNS && state.cursor.is_none();
    let is_measured = trace.loop_lane().is_measured();
    let (whose, busy) = match (trace.is_foreign(), trace.many_threads()) {
        (false, _) => ("the loop", "busy"),
        (true, None) => ("the program's loop", "a task was polled"),
        (true, Some(_)) => ("the program's threads", "tasks were polled"),
    };
    let title = if is_narrow { format!("{whose}: {}", header::utilisation(scene)) } else { whose.to_owned() };
    rule(buffer, theme, area, &title, &next_timer(scene), false);
    let rows = below_rule(area);
    let (labels, lanes) = (places.labels(rows), places.lanes(rows));
    put(buffer, labels, (3, 0), busy, theme.style(Role::Dim));
    put(buffer, labels, (3, 1), "ready queue", theme.style(Role::Dim));
    if state.viewport.axis == Axis::Steps {
        let text = "the axis counts polls, so the loop's waiting has no width here";
        put(buffer, lanes, (0, 0), text, theme.style(Role::Dim));
        return;
    }
    let end = scene.axis_end(Axis::Time);
    let (from, to) = state.viewport.range(end, lanes.width);
    let edge = |column: u16| column_edge(from, to, column, lanes.width);
    // Of the time before the first update the sums are known, and not who was ready when.
    let told_from = trace.loop_lane().told_from().unwrap_or(0);
    let ready = |column: u16| match edge(column + 1).max(edge(column) + 1) {
        to if to <= told_from => 0,
        to => trace.ready_max(edge(column).max(told_from), to),
    };
    let readies: Vec<u32> = (0..lanes.width).map(ready).collect();
    let most = readies.iter().copied().max().unwrap_or(0).max(1);
    let cells = trace.loop_window(from, to, lanes.width, end);
    for ((column, ready), here) in (0..lanes.width).zip(readies).zip(&cells) {
        let to = edge(column + 1).max(edge(column) + 1);
        // Who is ready is known as far as the lanes are, which the clock may be ahead of.
        if edge(column) > if is_measured { end } else { end.min(trace.now()) } {
            break;
        }
        if is_measured && trace.loop_lane().told_until().is_none_or(|until| edge(column) > until) {
            mark(buffer, lanes, (column, 0), glyph::UNTOLD, theme.style(Role::Dim));
            mark(buffer, lanes, (column, 1), glyph::UNTOLD, theme.style(Role::Dim));
            continue;
        }
        let (glyph, role) = if is_measured && (here.busy_ns > 0 || here.polls > 0) {
            let told = trace.loop_lane().told_until().unwrap_or(0).saturating_add(1);
            let whole = to.min(told).saturating_sub(edge(column));
            (glyph::height(&glyph::SHARES, here.busy_ns, whole), Role::Share)
        } else if here.mostly_running {
            (glyph::RUNNING, Role::Running)
        } else if here.polls > 0 {
            (glyph::POLL, Role::Poll)
        } else {
            ('·', Role::Dim)
        };
        mark(buffer, lanes, (column, 0), glyph, theme.style(role));
        let height = (ready.saturating_mul(8)).div_ceil(most).clamp(1, 8);
        let (bar, role) =
            if ready == 0 { ('·', Role::Dim) } else { (glyph::BARS[height as usize - 1], Role::Scheduled) };
        let (bar, role) = if to <= told_from { (glyph::UNTOLD, Role::Dim) } else { (bar, role) };
        mark(buffer, lanes, (column, 1), bar, theme.style(role));
    }
    let label = if is_measured { format!("ready when told, most {most}") } else { format!("ready queue, most {most}") };
    if labels.width > 22 && scene.session.trace().counts().polls > 0 {
        put(buffer, labels, (3, 1), &label, theme.style(Role::Dim));
    }
}

/// When something will happen by itself.
fn next_timer(scene: Watching<'_>) -> String {
    let now = scene.status.now.max(scene.session.trace().now());
    match (scene.status.phase, scene.status.next_timer) {
        (Phase::Ended, _) => String::new(),
        _ if scene.session.trace().is_foreign() => "when it parks, and for what, nobody tells".to_owned(),
        (_, Some(due)) => {
            let left = due.saturating_sub(now);
            format!("next timer at {}, in {}", time::duration(due), time::duration(left))
        }
        (_, None) => "no timer is set".to_owned(),
    }
}
