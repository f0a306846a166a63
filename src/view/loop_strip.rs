//! Loop strip below the lanes, on the same axis: busy or parked, and the length of the ready queue.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::canvas::{put_mark, put_rule, put_text};
use super::glyph;
use super::header;
use super::layout::{TimelineLayout, below_rule};
use super::scene::SessionScene;
use super::theme::Role;
use crate::app::time;
use crate::control::RunPhase;
use crate::trace::{Axis, column_edge};

/// Draws the strip: a rule and two rows.
pub fn render(buffer: &mut Buffer, scene: SessionScene<'_>, area: Rect, areas: &TimelineLayout) {
    if area.height == 0 {
        return;
    }
    let (theme, trace, state) = (scene.theme, scene.session.trace(), &scene.model.dashboard);
    // A narrow header has no space for the utilisation, so it is shown here.
    let is_narrow = buffer.area.width < super::layout::SIDE_FROM_COLUMNS && state.cursor.is_none();
    let is_measured = trace.loop_lane().is_sampled();
    let has_several_threads = trace.multi_threaded_since().is_some() || trace.workers().len() > 1;
    let (loop_name, busy) = match (trace.is_external(), has_several_threads) {
        (false, _) => ("loop", "busy"),
        (true, false) => ("app loop", "polling"),
        (true, true) => ("app threads", "polling"),
    };
    let title = if is_narrow { format!("{loop_name}: {}", header::utilisation(scene)) } else { loop_name.to_owned() };
    put_rule(buffer, theme, area, &title, &next_timer_text(scene), false);
    let rows = below_rule(area);
    let (labels, lanes) = (areas.labels(rows), areas.lanes(rows));
    put_text(buffer, labels, (3, 0), busy, theme.style(Role::Dim));
    put_text(buffer, labels, (3, 1), "ready queue", theme.style(Role::Dim));
    if state.viewport.axis == Axis::Steps {
        let text = "the axis counts polls: parked time has no width";
        put_text(buffer, lanes, (0, 0), text, theme.style(Role::Dim));
        return;
    }
    let end = scene.axis_end(Axis::Time);
    let (from, to) = state.viewport.range(end, lanes.width);
    let edge = |column: u16| column_edge(from, to, column, lanes.width);
    // Before the first update only sums are known, not which tasks were ready when.
    let reported_from = trace.loop_lane().stats_from().unwrap_or(0);
    let ready = |column: u16| match edge(column + 1).max(edge(column) + 1) {
        to if to <= reported_from => 0,
        to => trace.max_ready(edge(column).max(reported_from), to),
    };
    let readies: Vec<u32> = (0..lanes.width).map(ready).collect();
    let most = readies.iter().copied().max().unwrap_or(0).max(1);
    let cells = trace.loop_window(from, to, lanes.width, end);
    for ((column, ready), here) in (0..lanes.width).zip(readies).zip(&cells) {
        let to = edge(column + 1).max(edge(column) + 1);
        // The ready queue is known up to the end of the trace, which may be behind the clock.
        if edge(column) > if is_measured { end } else { end.min(trace.now()) } {
            break;
        }
        if is_measured && trace.loop_lane().stats_until().is_none_or(|until| edge(column) > until) {
            put_mark(buffer, lanes, (column, 0), glyph::NOT_REPORTED, theme.style(Role::Dim));
            put_mark(buffer, lanes, (column, 1), glyph::NOT_REPORTED, theme.style(Role::Dim));
            continue;
        }
        let (glyph, role) = if is_measured && (here.busy_ns > 0 || here.polls > 0) {
            let reported_until = trace.loop_lane().stats_until().unwrap_or(0).saturating_add(1);
            let whole = to.min(reported_until).saturating_sub(edge(column));
            (glyph::bar(&glyph::SHARES, here.busy_ns, whole), Role::Share)
        } else if here.is_mostly_running {
            (glyph::RUNNING, Role::Running)
        } else if here.polls > 0 {
            (glyph::POLL, Role::Poll)
        } else {
            ('·', Role::Dim)
        };
        put_mark(buffer, lanes, (column, 0), glyph, theme.style(role));
        let height = (ready.saturating_mul(8)).div_ceil(most).clamp(1, 8);
        let (bar, role) =
            if ready == 0 { ('·', Role::Dim) } else { (glyph::BARS[height as usize - 1], Role::Scheduled) };
        let (bar, role) = if to <= reported_from { (glyph::NOT_REPORTED, Role::Dim) } else { (bar, role) };
        put_mark(buffer, lanes, (column, 1), bar, theme.style(role));
    }
    let label = if is_measured { format!("ready (sampled), max {most}") } else { format!("ready queue, max {most}") };
    if labels.width > 22 && scene.session.trace().counts().polls > 0 {
        put_text(buffer, labels, (3, 1), &label, theme.style(Role::Dim));
    }
}

/// Text about the next timer.
fn next_timer_text(scene: SessionScene<'_>) -> String {
    let now = scene.status.now.max(scene.session.trace().now());
    match (scene.status.phase, scene.status.next_timer) {
        (RunPhase::Ended, _) => String::new(),
        _ if !scene.session.trace().workers().is_empty() => String::new(),
        _ if scene.session.trace().is_external() => "park times not reported".to_owned(),
        (_, Some(due)) => {
            let left = due.saturating_sub(now);
            format!("next timer at {}, in {}", time::duration(due), time::duration(left))
        }
        (_, None) => "no timer pending".to_owned(),
    }
}
