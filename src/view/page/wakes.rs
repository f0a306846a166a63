//! Wakes page: the wakes of the selected task, one by one and per waker.

use ratatui::buffer::Buffer;
use rustc_hash::FxHashMap;

use super::list::{self, PageLayout};
use crate::app::task_names::describe_waker_with_id;
use crate::app::time;
use crate::insight::OutsideWake;
use crate::trace::{Nanos, Task, WakeSource};
use crate::view::canvas::{self, put_text};
use crate::view::glyph;
use crate::view::scene::SessionScene;
use crate::view::theme::Role;

/// Maximum number of wakes counted per source, newest first.
const COUNTED_MAX: usize = 1_024;
/// Widths of the cells: time, time since the previous wake, source.
const WIDTHS: [u16; 3] = [14, 14, 40];

fn selected_task<'a>(scene: SessionScene<'a>) -> Option<&'a Task> {
    scene.model.dashboard.selected.and_then(|id| scene.session.trace().task(id))
}

/// Title of the page: the task and its number of wakes.
pub fn title(scene: SessionScene<'_>) -> String {
    match selected_task(scene) {
        None => "wakes: no task selected".to_owned(),
        Some(task) => {
            let is_multi_threaded = scene.session.trace().multi_threaded_since().is_some();
            let unknown = if is_multi_threaded { ", some sources are unknown" } else { "" };
            format!("wakes of {}: {}{unknown}", task.name_with_id(), task.counts.wakes)
        }
    }
}

/// Draws the page.
pub fn render(buffer: &mut Buffer, scene: SessionScene<'_>, areas: &PageLayout) {
    let (theme, state, trace) = (scene.theme, &scene.model.dashboard, scene.session.trace());
    let titles: Vec<_> = WIDTHS.into_iter().zip(["woken at", "interval", "woken by"]).collect();
    list::put_titles(buffer, theme, areas.titles, &titles);
    let Some(task) = selected_task(scene) else { return };
    let count = state.visible_wakes(trace);
    if count == 0 {
        list::put_empty_state(buffer, theme, areas.rows, &empty_reason(task));
        return;
    }
    let top = state.current_list().top(count, areas.rows.height.into());
    let mut wakes = task.wakes();
    let mut before = top.checked_sub(1).and_then(|index| wakes.nth(index)).map(|(at, _)| at);
    for (row, (index, (at, by))) in (0..areas.rows.height).zip((top..count).zip(wakes)) {
        let after = before.map_or_else(String::new, |before| time::duration(at.saturating_sub(before)));
        before = Some(at);
        let role = if matches!(by, WakeSource::Task(_)) { Role::Text } else { Role::Dim };
        let cells = [time::instant(at), after, describe_waker_with_id(scene.session.trace(), task.id, (at, by))];
        let cells: Vec<_> = WIDTHS.into_iter().zip(&cells).map(|(width, cell)| (width, role, cell.as_str())).collect();
        list::put_row(buffer, theme, areas.rows, row, state.current_list().chosen_row(count) == Some(index), &cells);
    }
    render_wakers(buffer, scene, areas, task, count);
}

/// Explains why no single wake is listed.
fn empty_reason(task: &Task) -> String {
    let last = task.last_wake.map_or_else(String::new, |(at, _)| format!(", the last at {}", time::duration(at)));
    match task.counts.wakes {
        0 => "never woken".to_owned(),
        wakes => format!(
            "woken {wakes} times, {} of them self-wakes{last}. The console protocol reports only counts; use \
             `loopscope exec` to see single wakes and their sources.",
            task.counts.self_wakes
        ),
    }
}

/// Draws the number of wakes per source as bars, most wakes first.
fn render_wakers(buffer: &mut Buffer, scene: SessionScene<'_>, areas: &PageLayout, task: &Task, count: usize) {
    let foot = areas.foot;
    if foot.height == 0 {
        return;
    }
    let theme = scene.theme;
    let counted = count.min(COUNTED_MAX);
    let trace = scene.session.trace();
    // The number of wakes per source, and one of them.
    let mut by: FxHashMap<(WakeSource, Option<OutsideWake>), (usize, Nanos)> = FxHashMap::default();
    for (at, source) in task.wakes().rev().skip(task.wakes().len() - count).take(counted) {
        let outside = (source == WakeSource::Driver).then(|| OutsideWake::of(trace, task.id, at));
        by.entry((source, outside)).or_insert((0, at)).0 += 1;
    }
    let named = |((source, _), (count, at))| (describe_waker_with_id(trace, task.id, (at, source)), count);
    let mut by: Vec<(String, usize)> = by.into_iter().map(named).collect();
    by.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    canvas::put_rule(buffer, theme, foot, &format!("sources of the last {counted} wakes"), "", false);
    let rows = crate::view::layout::below_rule(foot);
    let shown = usize::from(rows.height);
    let most = by.first().map_or(1, |(_, count)| *count).max(1);
    let bar_width = usize::from(rows.width).saturating_sub(42);
    for (row, (name, count)) in (0..rows.height).zip(by.iter().take(shown)) {
        let is_last = usize::from(row) + 1 == shown && by.len() > shown;
        if is_last {
            let rest: usize = by.iter().skip(shown - 1).map(|(_, count)| count).sum();
            put_text(
                buffer,
                rows,
                (2, row),
                &format!("{rest:>7}  {} others", by.len() - shown + 1),
                theme.style(Role::Dim),
            );
            break;
        }
        put_text(buffer, rows, (2, row), &format!("{count:>7}  {name}"), theme.style(Role::Text));
        let bar = glyph::RUNNING.to_string().repeat((count * bar_width).div_ceil(most));
        put_text(buffer, rows, (42, row), &bar, theme.style(Role::Scheduled));
    }
}
