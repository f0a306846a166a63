//! Worker strip above the lanes of the tasks, on the same axis: one row for each worker, with the task that it polls and
//! its utilisation.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::canvas::{put_mark, put_rule, put_text};
use super::glyph;
use super::layout::{TimelineLayout, below_rule};
use super::scene::SessionScene;
use super::text;
use super::theme::Role;
use super::timeline;
use crate::app::task_names::task_name;
use crate::insight::units::human_number;
use crate::trace::{Axis, LaneCell, Nanos, Trace, Worker, WorkerActivity, column_edge};

/// Explains the marks, and the share beside the names.
const LEGEND: &str = "▁▄█ share polling  · parked  ╴ between polls  % polling in view";

/// The same where queues are known, from the longest to the shortest.
const LEGENDS_WITH_QUEUES: [&str; 3] = [
    "▁▄█ share polling  · parked  ╴ between polls  % polling in view  queue: sampled every 10 ms",
    "▁▄█ share polling  · parked  ╴ between polls  queue: sampled",
    "queue: sampled",
];

/// Width of the utilisation, including the space before it.
const SHARE_COLUMNS: u16 = 5;
/// Minimum width of labels that include the utilisation.
const SHARE_FROM_COLUMNS: u16 = 20;

/// Returns the rows below the rule that show a worker. If not all workers fit, the last row says how many more there are.
pub fn worker_rows(area: Rect, trace: &Trace) -> Rect {
    let rows = below_rule(area);
    let fits = trace.workers().len() <= rows.height.into();
    Rect { height: if fits { rows.height } else { rows.height.saturating_sub(1) }, ..rows }
}

/// Draws the strip: a rule, and a row for each worker as far as they fit.
pub fn render(buffer: &mut Buffer, scene: SessionScene<'_>, area: Rect, areas: &TimelineLayout) {
    let rows = below_rule(area);
    if rows.height == 0 {
        return;
    }
    let (theme, state) = (scene.theme, &scene.model.dashboard);
    let context = scene.column_context();
    let workers = context.trace.workers();
    let (title, legend) = rule_texts(context.trace, context.now, area.width);
    put_rule(buffer, theme, area, &title, legend, false);
    let shown = worker_rows(area, context.trace).height;
    let (labels, lanes) = (areas.labels(rows), Rect { height: shown, ..areas.lanes(rows) });
    // Without time on the axis, the utilisation is that up to now.
    let end = scene.axis_end(Axis::Time);
    let is_time = state.viewport.axis == Axis::Time;
    let range = if is_time { state.viewport.range(end, lanes.width) } else { (0, end.max(1)) };
    for row in 0..shown {
        let Some(worker) = state.worker_in_row(context.trace, context.now, shown, row) else { continue };
        render_label(buffer, scene, (labels, row), worker, (range.0, range.1.min(end)));
        if is_time {
            render_lane(buffer, scene, (lanes, row), worker, range, end);
        }
    }
    if usize::from(shown) < workers.len() {
        let more = format!("+{} more", human_number((workers.len() - usize::from(shown)) as u64));
        put_text(buffer, labels, (3, shown), &more, theme.style(Role::Dim));
    }
    if is_time {
        timeline::render_gaps(buffer, scene, lanes, range);
        timeline::render_cursor(buffer, scene, lanes, range);
    } else {
        let text = "the axis counts polls: worker time has no width";
        put_text(buffer, lanes, (0, 0), text, theme.style(Role::Dim));
    }
}

/// Returns title and legend of the rule. The title has the depth of the global queue at `now` unless it is 0 or unknown.
fn rule_texts(trace: &Trace, now: Nanos, width: u16) -> (String, &'static str) {
    let mut title = format!("workers {}", human_number(trace.workers().len() as u64));
    let global = trace.queue_depth_at(None, now);
    if let Some(depth) = global.filter(|depth| *depth > 0) {
        title.push_str(&format!(", global queue {}", human_number(depth.into())));
    }
    let has_queues = global.is_some() || trace.workers().iter().any(|worker| queue_depth(trace, worker, now).is_some());
    let fits = |legend: &&&str| text::width(&title) + text::width(legend) + 8 <= width.into();
    let legend = if has_queues { LEGENDS_WITH_QUEUES.iter().find(fits).copied().unwrap_or_default() } else { LEGEND };
    (title, legend)
}

/// Returns the depth of the local queue of a worker at `now`, as it was sampled last.
fn queue_depth(trace: &Trace, worker: &Worker, now: Nanos) -> Option<u32> {
    trace.queue_depth_at(Some(worker.id), now)
}

/// Draws what a worker does at the viewed time, and its utilisation in the visible `range`.
fn render_label(
    buffer: &mut Buffer,
    scene: SessionScene<'_>,
    (area, row): (Rect, u16),
    worker: &Worker,
    range: (Nanos, Nanos),
) {
    let (theme, context) = (scene.theme, scene.column_context());
    let activity = worker.activity_at(context.now);
    let (mark, role, what) = match activity {
        Some(WorkerActivity::Polling(task)) => (glyph::RUNNING, Role::Running, task_name(context.trace, task)),
        Some(WorkerActivity::Parked) => ('·', Role::Dim, "parked".to_owned()),
        Some(WorkerActivity::Runtime) => (glyph::IDLE, Role::Dim, "between polls".to_owned()),
        None => (' ', Role::Dim, "unknown".to_owned()),
    };
    let is_polling = matches!(activity, Some(WorkerActivity::Polling(_)));
    let is_selected = is_polling
        && matches!(activity, Some(WorkerActivity::Polling(task)) if scene.model.dashboard.selected == Some(task));
    let has_share = area.width >= SHARE_FROM_COLUMNS;
    let queue = queue_depth(context.trace, worker, context.now).filter(|depth| *depth > 0);
    let queue = queue.map_or_else(String::new, |depth| format!(" queue {}", human_number(depth.into())));
    let queue_columns = if has_share { u16::try_from(text::width(&queue)).unwrap_or(0) } else { 0 };
    let share_columns = if has_share { SHARE_COLUMNS } else { 0 };
    let number = worker.id.index().to_string();
    let left = usize::from(area.width.saturating_sub(3 + share_columns));
    put_text(buffer, area, (3, row), &text::truncate(&number, left), theme.style(Role::Text));
    let at = 4 + u16::try_from(number.len().max(2)).unwrap_or(u16::MAX - 4);
    let width = usize::from(area.width.saturating_sub(at + queue_columns + share_columns));
    let role_of_text = if is_polling { Role::Text } else { Role::Dim };
    put_text(buffer, area, (at, row), &text::truncate_middle(&what, width), theme.style(role_of_text));
    put_mark(buffer, area, (1, row), mark, theme.style(role));
    if is_selected {
        put_mark(buffer, area, (0, row), glyph::SELECTED, theme.style(Role::Text));
    }
    if has_share {
        let share = busy_percent(worker, range).map_or_else(|| "?".to_owned(), |percent| format!("{percent}%"));
        put_text(buffer, area, (area.width - SHARE_COLUMNS, row), &format!("{share:>4}"), theme.style(Role::Text));
        let at = area.width.saturating_sub(SHARE_COLUMNS + queue_columns);
        put_text(buffer, area, (at, row), &queue, theme.style(Role::Scheduled));
    }
}

/// Percent of the time from `from` to `to` that a worker was in polls, as far as it is known. `None` if nothing is.
fn busy_percent(worker: &Worker, (from, to): (Nanos, Nanos)) -> Option<u64> {
    let from = from.max(worker.known_since()).max(worker.evicted_until());
    let (busy_ns, length_ns) = (worker.busy_ns_between(from, to), to.checked_sub(from).filter(|ns| *ns > 0)?);
    u64::try_from(u128::from(busy_ns) * 100 / u128::from(length_ns)).ok().map(|percent| percent.min(100))
}

/// Draws the lane of a worker.
fn render_lane(
    buffer: &mut Buffer,
    scene: SessionScene<'_>,
    (lanes, row): (Rect, u16),
    worker: &Worker,
    (from, to): (Nanos, Nanos),
    end: Nanos,
) {
    let cells = scene.session.trace().worker_window(worker.id, from, to, lanes.width, end);
    for (column, cell) in (0..lanes.width).zip(&cells) {
        if column_edge(from, to, column, lanes.width) > end {
            break;
        }
        if let Some((mark, role)) = mark_of(cell) {
            put_mark(buffer, lanes, (column, row), mark, scene.theme.style(role));
        }
    }
}

/// Returns the mark of a column of a worker's lane; `None` where the worker is not known yet.
fn mark_of(cell: &LaneCell) -> Option<(char, Role)> {
    Some(match cell {
        cell if cell.is_evicted => (glyph::GAP, Role::Dim),
        cell if cell.busy_ns > 0 => {
            let whole_ns = cell.busy_ns.saturating_add(cell.waiting_ns).saturating_add(cell.scheduled_ns);
            let role = if cell.is_mostly_running { Role::Running } else { Role::Share };
            (glyph::bar(&glyph::BARS, cell.busy_ns, whole_ns), role)
        }
        cell if cell.waiting_ns == 0 && cell.scheduled_ns == 0 => return None,
        cell if cell.waiting_ns >= cell.scheduled_ns => ('·', Role::Dim),
        _ => (glyph::IDLE, Role::Dim),
    })
}
