//! How long a task's polls take, in bars: each row is about twice as long a poll as the one above.

use ratatui::text::Line;

use super::glyph;
use super::pen::span;
use super::theme::{Role, Theme};
use crate::app::time;
use crate::trace::{Histogram, Task};

/// Polls that are looked at, from the newest back.
const POLLS_MAX: usize = 1_024;
/// Rows; what is shorter or longer falls into the first or the last.
const ROWS_MAX: usize = 8;

/// The bars, in lines of `width` columns: those of somebody who counted every poll, where there are such, and else those
/// of the polls that were seen.
pub fn lines(theme: &Theme, task: &Task, width: usize) -> Vec<Line<'static>> {
    match task.histograms() {
        Some(told) => {
            let mut lines = counted(theme, "polls by length", &told.polls, Role::Share, width);
            lines.extend(counted(theme, "waits for its turn", &told.scheduled, Role::ScheduledShare, width));
            lines
        }
        None => seen(theme, task, width),
    }
}

/// A histogram that the program's console keeps, in our buckets.
fn counted(theme: &Theme, what: &str, told: &Histogram, role: Role, width: usize) -> Vec<Line<'static>> {
    let label = |text: String| Line::from(span(theme, Role::Dim, text));
    // Counts of somebody else's may be any numbers.
    let all = told.buckets.iter().fold(0_u64, |all, (_, count)| all.saturating_add(*count));
    let mut lines = vec![Line::default(), label(format!(" {all} {what}"))];
    // Two of them share the pane, so lengths that never came take no room.
    let mut buckets = grouped(told.buckets.iter().copied());
    buckets.retain(|(_, count)| *count > 0);
    bars(theme, &mut lines, &buckets, all, role, width);
    if told.outliers > 0 {
        let longest = told.longest_outlier_ns.map_or_else(String::new, |ns| format!(", up to {}", time::duration(ns)));
        let text = format!(" {} longer than that{longest}", told.outliers);
        lines.push(Line::from(span(theme, Role::Warning, text)));
    }
    lines
}

fn bars(theme: &Theme, lines: &mut Vec<Line<'static>>, buckets: &[(u64, u64)], all: u64, role: Role, width: usize) {
    for (limit, count) in buckets {
        let most = u64::try_from(width.saturating_sub(22)).unwrap_or(0);
        let bar = (u128::from(*count) * u128::from(most)).div_ceil(u128::from(all.max(1))).min(u128::from(most));
        let bar = usize::try_from(bar).unwrap_or(0);
        lines.push(Line::from_iter([
            span(theme, Role::Dim, format!(" < {:<9} ", time::duration(*limit))),
            span(theme, role, glyph::RUNNING.to_string().repeat(bar)),
            span(theme, Role::Text, format!(" {count}")),
        ]));
    }
}

/// The bars of the polls that were seen one by one.
fn seen(theme: &Theme, task: &Task, width: usize) -> Vec<Line<'static>> {
    let times: Vec<u64> = task.lane.polls_ns().take(POLLS_MAX).collect();
    let label = |text: String| Line::from(span(theme, Role::Dim, text));
    let mut lines = vec![Line::default()];
    let longest = times.iter().copied().max();
    lines.push(match (times.len(), longest) {
        (0, _) | (_, None) => label(" no poll has ended yet".to_owned()),
        (1, Some(0)) => label(" its poll took no loop time".to_owned()),
        (count, Some(0)) => label(format!(" its last {count} polls took no loop time")),
        (1, Some(longest)) => label(format!(" its poll took {}", time::duration(longest))),
        (count, Some(longest)) => label(format!(" last {count} polls, longest {}", time::duration(longest))),
    });
    if longest.is_none_or(|longest| longest == 0) || times.len() < 2 {
        return lines;
    }
    let buckets = grouped(times.iter().map(|ns| (*ns, 1)));
    bars(theme, &mut lines, &buckets, times.len() as u64, Role::Running, width);
    lines
}

/// The `index`-th limit: 1 ns, 2 ns, 5 ns, 10 ns and so on.
fn limit(index: usize) -> u64 {
    let decade = u32::try_from(index / 3).ok().and_then(|power| 10_u64.checked_pow(power));
    decade.and_then(|decade| decade.checked_mul([1, 2, 5][index % 3])).unwrap_or(u64::MAX)
}

/// Counts by length: each bucket's upper limit, and how many are below it and not below the one before.
fn grouped(times: impl Iterator<Item = (u64, u64)> + Clone) -> Vec<(u64, u64)> {
    let index = |ns: u64| {
        let Some(decade) = ns.checked_ilog10() else { return 0 };
        let above = match ns / 10_u64.pow(decade) {
            0..2 => 1,
            2..5 => 2,
            _ => 3,
        };
        decade as usize * 3 + above
    };
    let times = times.filter(|(_, count)| *count > 0);
    let lengths = || times.clone().map(|(ns, _)| ns);
    let (Some(least), Some(most)) = (lengths().min(), lengths().max()) else { return Vec::new() };
    let last = index(most);
    let first = index(least).max((last + 1).saturating_sub(ROWS_MAX));
    let mut counts = vec![0_u64; last + 1 - first];
    for (ns, count) in times {
        let bucket = &mut counts[index(ns).saturating_sub(first)];
        *bucket = bucket.saturating_add(count);
    }
    counts.into_iter().enumerate().map(|(at, count)| (limit(first + at), count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_one_bucket_below_its_limit() {
        let once = |times: &[u64]| grouped(times.iter().map(|ns| (*ns, 1)));
        assert_eq!(once(&[1_000, 1_999, 2_000, 11_000]), [(2_000, 2), (5_000, 1), (10_000, 0), (20_000, 1)]);
        assert_eq!(grouped([(1_000, 7), (1_500, 2), (9, 0)].into_iter()), [(2_000, 9)], "empty ones do not count");
        let wide = once(&[0, 1, 1 << 40, u64::MAX]);
        assert_eq!(wide.len(), ROWS_MAX);
        assert_eq!(wide.iter().map(|(_, count)| count).sum::<u64>(), 4);
    }

    #[test]
    fn a_bucket_is_below_its_limit_and_not_below_the_one_before() {
        for ns in (0..64)
            .flat_map(|bits| [(1_u64 << bits) - 1, 1 << bits, 5_u64.saturating_pow(bits), 10_u64.saturating_pow(bits)])
        {
            let index = (0..).find(|index| limit(*index) > ns || limit(*index) == u64::MAX).unwrap_or(0);
            assert_eq!(grouped([(ns, 1)].into_iter()), [(limit(index), 1)], "{ns}");
        }
    }

    #[test]
    fn whatever_counts_a_program_tells_the_bars_fit() {
        let most = u64::try_from(i64::MAX).expect("it is positive");
        let told = Histogram { buckets: vec![(10, most), (1_000, most), (1 << 40, 2)], ..Histogram::default() };
        let lines = counted(&Theme::default(), "polls", &told, Role::Share, 40);
        assert!(lines.iter().all(|line| line.width() <= 60), "{lines:?}");
    }
}
