//! Histograms of a task's poll times and scheduling delays, as bars. Bucket limits grow by 2 to 2.5 per row.

use ratatui::text::Line;

use super::canvas::span;
use super::glyph;
use super::theme::{Role, Theme};
use crate::app::time;
use crate::trace::{DurationHistogram, Task};

/// Maximum number of polls counted, newest first.
const POLLS_MAX: usize = 1_024;
/// Maximum number of rows; shorter times fall into the first.
const ROWS_MAX: usize = 8;

/// Returns the bars in lines of `width` columns. Uses the histograms of the program's console if it sent any, otherwise
/// the polls in the trace.
pub fn lines(theme: &Theme, task: &Task, width: usize) -> Vec<Line<'static>> {
    match task.histograms() {
        Some(histograms) => {
            let mut lines = console_histogram(theme, "polls by duration", &histograms.polls, Role::Share, width);
            let delays = &histograms.scheduled;
            let delays = console_histogram(theme, "scheduling delays", delays, Role::ScheduledShare, width);
            lines.extend(delays);
            lines
        }
        None => trace_histogram(theme, task, width),
    }
}

/// Returns the bars of a histogram from the program's console, regrouped into buckets of 1, 2 and 5.
fn console_histogram(
    theme: &Theme,
    title: &str,
    histogram: &DurationHistogram,
    role: Role,
    width: usize,
) -> Vec<Line<'static>> {
    let label = |text: String| Line::from(span(theme, Role::Dim, text));
    // Counts from external apps are untrusted.
    let all = histogram.buckets.iter().fold(0_u64, |all, (_, count)| all.saturating_add(*count));
    let mut lines = vec![Line::default(), label(format!(" {all} {title}"))];
    // Two histograms share the pane, so empty buckets are left out.
    let mut buckets = group_into_buckets(histogram.buckets.iter().copied());
    buckets.retain(|(_, count)| *count > 0);
    push_bars(theme, &mut lines, &buckets, all, role, width);
    if histogram.outliers > 0 {
        let longest =
            histogram.longest_outlier_ns.map_or_else(String::new, |ns| format!(", up to {}", time::duration(ns)));
        let text = format!(" {} outliers{longest}", histogram.outliers);
        lines.push(Line::from(span(theme, Role::Warning, text)));
    }
    lines
}

fn push_bars(
    theme: &Theme,
    lines: &mut Vec<Line<'static>>,
    buckets: &[(u64, u64)],
    all: u64,
    role: Role,
    width: usize,
) {
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

/// Returns the bars of the polls in the trace.
fn trace_histogram(theme: &Theme, task: &Task, width: usize) -> Vec<Line<'static>> {
    let times: Vec<u64> = task.lane.poll_lengths_ns().take(POLLS_MAX).collect();
    let label = |text: String| Line::from(span(theme, Role::Dim, text));
    let mut lines = vec![Line::default()];
    let longest = times.iter().copied().max();
    lines.push(match (times.len(), longest) {
        (0, _) | (_, None) => label(" no completed poll yet".to_owned()),
        (1, Some(0)) => label(" 1 poll, took no loop time".to_owned()),
        (count, Some(0)) => label(format!(" last {count} polls, took no loop time")),
        (1, Some(longest)) => label(format!(" 1 poll, {}", time::duration(longest))),
        (count, Some(longest)) => label(format!(" last {count} polls, longest {}", time::duration(longest))),
    });
    if longest.is_none_or(|longest| longest == 0) || times.len() < 2 {
        return lines;
    }
    let buckets = group_into_buckets(times.iter().map(|ns| (*ns, 1)));
    push_bars(theme, &mut lines, &buckets, times.len() as u64, Role::Running, width);
    lines
}

/// Upper limit of bucket `index`, exclusive: 1 ns, 2 ns, 5 ns, 10 ns and so on.
fn bucket_limit(index: usize) -> u64 {
    let decade = u32::try_from(index / 3).ok().and_then(|power| 10_u64.checked_pow(power));
    decade.and_then(|decade| decade.checked_mul([1, 2, 5][index % 3])).unwrap_or(u64::MAX)
}

/// Groups times with counts into buckets: the upper limit of each, and its count.
fn group_into_buckets(times: impl Iterator<Item = (u64, u64)> + Clone) -> Vec<(u64, u64)> {
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
    counts.into_iter().enumerate().map(|(at, count)| (bucket_limit(first + at), count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_times_into_buckets() {
        let once = |times: &[u64]| group_into_buckets(times.iter().map(|ns| (*ns, 1)));
        assert_eq!(once(&[1_000, 1_999, 2_000, 11_000]), [(2_000, 2), (5_000, 1), (10_000, 0), (20_000, 1)]);
        assert_eq!(group_into_buckets([(1_000, 7), (1_500, 2), (9, 0)].into_iter()), [(2_000, 9)], "empty bucket");
        let wide = once(&[0, 1, 1 << 40, u64::MAX]);
        assert_eq!(wide.len(), ROWS_MAX);
        assert_eq!(wide.iter().map(|(_, count)| count).sum::<u64>(), 4);
    }

    #[test]
    fn bucket_limits_are_exclusive() {
        for ns in (0..64)
            .flat_map(|bits| [(1_u64 << bits) - 1, 1 << bits, 5_u64.saturating_pow(bits), 10_u64.saturating_pow(bits)])
        {
            let index = (0..).find(|index| bucket_limit(*index) > ns || bucket_limit(*index) == u64::MAX);
            let limit = bucket_limit(index.unwrap_or(0));
            assert_eq!(group_into_buckets([(ns, 1)].into_iter()), [(limit, 1)], "{ns}");
        }
    }

    #[test]
    fn bars_fit_with_any_counts() {
        let most = u64::try_from(i64::MAX).expect("it is positive");
        let buckets = vec![(10, most), (1_000, most), (1 << 40, 2)];
        let histogram = DurationHistogram { buckets, ..DurationHistogram::default() };
        let lines = console_histogram(&Theme::default(), "polls", &histogram, Role::Share, 40);
        assert!(lines.iter().all(|line| line.width() <= 60), "{lines:?}");
    }
}
