//! How long a task's polls take, in bars: each row is twice as long a poll as the one above.

use ratatui::text::Line;

use super::glyph;
use super::pen::span;
use super::theme::{Role, Theme};
use crate::app::time;
use crate::trace::Task;

/// Polls that are looked at, from the newest back.
const POLLS_MAX: usize = 4_096;
/// Rows; what is shorter or longer falls into the first or the last.
const ROWS_MAX: usize = 8;

/// The bars, in lines of `width` columns.
pub fn lines(theme: &Theme, task: &Task, width: usize) -> Vec<Line<'static>> {
    let ended = task.lane.cycles().rev().take(POLLS_MAX).filter_map(|cycle| Some(cycle.end()? - cycle.start));
    let times: Vec<u64> = ended.collect();
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
    for (limit, count) in buckets(&times) {
        let most = width.saturating_sub(22);
        let bar = (count * most).div_ceil(times.len());
        lines.push(Line::from_iter([
            span(theme, Role::Dim, format!(" < {:<9} ", time::duration(limit))),
            span(theme, Role::Running, glyph::RUNNING.to_string().repeat(bar)),
            span(theme, Role::Text, format!(" {count}")),
        ]));
    }
    lines
}

/// Counts by powers of two: each bucket's upper limit, and how many are below it and not below the one before.
fn buckets(times: &[u64]) -> Vec<(u64, usize)> {
    let power = |ns: u64| 64 - ns.leading_zeros() as usize;
    let (Some(least), Some(most)) = (times.iter().min(), times.iter().max()) else { return Vec::new() };
    let first = power(*least).max((power(*most) + 1).saturating_sub(ROWS_MAX));
    let mut counts = vec![0; power(*most) + 1 - first];
    for ns in times {
        counts[power(*ns).saturating_sub(first)] += 1;
    }
    counts
        .into_iter()
        .enumerate()
        .map(|(index, count)| (1_u64.checked_shl((first + index) as u32).unwrap_or(u64::MAX), count))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_one_bucket_below_its_limit() {
        assert_eq!(buckets(&[1_000, 1_023, 1_024, 5_000]), [(1_024, 2), (2_048, 1), (4_096, 0), (8_192, 1)]);
        let wide = buckets(&[0, 1, 1 << 40, u64::MAX]);
        assert_eq!(wide.len(), ROWS_MAX);
        assert_eq!(wide.iter().map(|(_, count)| count).sum::<usize>(), 4);
    }
}
