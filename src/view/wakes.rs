//! The page of wakes: who woke the selected task, one by one and in sum.

use ratatui::buffer::Buffer;
use rustc_hash::FxHashMap;

use super::glyph;
use super::page::{self, Places};
use super::pen::{self, put};
use super::scene::Watching;
use super::theme::Role;
use crate::app::columns::{cause, name_of};
use crate::app::time;
use crate::trace::{Cause, Task};

/// Wakes that are summed up by waker, from the newest back.
const SUMMED_MAX: usize = 1_024;
/// Columns of each cell: when, after the wake before, by whom.
const WIDTHS: [u16; 3] = [14, 14, 40];

fn task<'a>(scene: Watching<'a>) -> Option<&'a Task> {
    scene.model.dashboard.selected.and_then(|id| scene.session.trace().task(id))
}

pub fn title(scene: Watching<'_>) -> String {
    match task(scene) {
        None => "wakes: no task is selected".to_owned(),
        Some(task) => {
            let guess = if scene.session.trace().many_threads().is_some() { ", by whom is a guess" } else { "" };
            format!("wakes of {} #{}: {}{guess}", task.name(), task.id, task.counts.wakes)
        }
    }
}

pub fn render(buffer: &mut Buffer, scene: Watching<'_>, places: &Places) {
    let (theme, state, trace) = (scene.theme, &scene.model.dashboard, scene.session.trace());
    let titles: Vec<_> = WIDTHS.into_iter().zip(["woken at", "after", "by"]).collect();
    page::titles(buffer, theme, places.titles, &titles);
    let Some(task) = task(scene) else { return };
    let count = state.wakes_shown(trace);
    if count == 0 {
        page::empty(buffer, theme, places.rows, &why_none(task));
        return;
    }
    let top = state.list().top(count, places.rows.height.into());
    let mut wakes = task.wakes();
    let mut before = top.checked_sub(1).and_then(|index| wakes.nth(index)).map(|(at, _)| at);
    for (row, (index, (at, by))) in (0..places.rows.height).zip((top..count).zip(wakes)) {
        let after = before.map_or_else(String::new, |before| time::duration(at.saturating_sub(before)));
        before = Some(at);
        let role = if matches!(by, Cause::Task(_)) { Role::Text } else { Role::Dim };
        let cells = [time::instant(at), after, by_whom(scene, by)];
        let cells: Vec<_> = WIDTHS.into_iter().zip(&cells).map(|(width, cell)| (width, role, cell.as_str())).collect();
        page::row(buffer, theme, places.rows, row, state.list().chosen(count) == Some(index), &cells);
    }
    sums(buffer, scene, places, task, count);
}

fn by_whom(scene: Watching<'_>, by: Cause) -> String {
    match by {
        Cause::Task(id) => format!("{} #{id}", name_of(scene.session.trace(), id)),
        by => cause(scene.session.trace(), by),
    }
}

/// Why no single wake is listed, as far as that is known.
fn why_none(task: &Task) -> String {
    let last = task.last_wake.map_or_else(String::new, |(at, _)| format!(", the last at {}", time::duration(at)));
    match task.counts.wakes {
        0 => "it was never woken".to_owned(),
        wakes => format!(
            "It was woken {wakes} times, {} of them by itself{last}. Of single wakes, and who was behind them, nothing is \
             known here: a console's wire tells only counts. `loopscope exec` sees each of them.",
            task.counts.self_wakes
        ),
    }
}

/// Who woke it how often, most often first, in bars.
fn sums(buffer: &mut Buffer, scene: Watching<'_>, places: &Places, task: &Task, count: usize) {
    let foot = places.foot;
    if foot.height == 0 {
        return;
    }
    let theme = scene.theme;
    let summed = count.min(SUMMED_MAX);
    let mut by: FxHashMap<Cause, usize> = FxHashMap::default();
    for (_, cause) in task.wakes().rev().skip(task.wakes().len() - count).take(summed) {
        *by.entry(cause).or_default() += 1;
    }
    let mut by: Vec<(String, usize)> = by.into_iter().map(|(cause, count)| (by_whom(scene, cause), count)).collect();
    by.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    pen::rule(buffer, theme, foot, &format!("by whom, of the last {summed}"), "", false);
    let rows = super::layout::below_rule(foot);
    let shown = usize::from(rows.height);
    let most = by.first().map_or(1, |(_, count)| *count).max(1);
    let room = usize::from(rows.width).saturating_sub(42);
    for (row, (name, count)) in (0..rows.height).zip(by.iter().take(shown)) {
        let is_last = usize::from(row) + 1 == shown && by.len() > shown;
        if is_last {
            let rest: usize = by.iter().skip(shown - 1).map(|(_, count)| count).sum();
            put(buffer, rows, (2, row), &format!("{rest:>7}  {} others", by.len() - shown + 1), theme.style(Role::Dim));
            break;
        }
        put(buffer, rows, (2, row), &format!("{count:>7}  {name}"), theme.style(Role::Text));
        let bar = glyph::RUNNING.to_string().repeat((count * room).div_ceil(most));
        put(buffer, rows, (42, row), &bar, theme.style(Role::Scheduled));
    }
}
