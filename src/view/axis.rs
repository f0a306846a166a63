//! The axis above the lanes: ticks at round numbers, with labels that never overlap.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::canvas;
use super::text;
use super::theme::{Role, Theme};
use crate::app::time;
use crate::trace::Axis;

/// One second, in nanoseconds.
const S: u64 = 1_000_000_000;
/// One day, in nanoseconds.
const DAY: u64 = 24 * 3_600 * S;
/// Round tick distances from one second to half a day.
const TIME_DISTANCES: [u64; 16] = [
    S,
    2 * S,
    5 * S,
    10 * S,
    15 * S,
    30 * S,
    60 * S,
    120 * S,
    300 * S,
    600 * S,
    900 * S,
    1_800 * S,
    3_600 * S,
    7_200 * S,
    21_600 * S,
    43_200 * S,
];

/// Minimum columns from one tick to the next: the longest label and a space.
const TICK_COLUMNS_MIN: u64 = 13;

/// Returns the smallest round tick distance that is at least `wanted`.
fn round_distance(axis: Axis, wanted: u64) -> u64 {
    let mut decade = 1_u64;
    loop {
        for step in [decade, decade.saturating_mul(2), decade.saturating_mul(5)] {
            if axis == Axis::Time && step >= S {
                let distance = TIME_DISTANCES.into_iter().find(|step| *step >= wanted);
                return distance
                    .unwrap_or_else(|| round_distance(Axis::Steps, wanted.div_ceil(DAY)).saturating_mul(DAY));
            }
            if step >= wanted {
                return step;
            }
        }
        decade = decade.saturating_mul(10);
    }
}

/// Returns the ticks between `from` and `to` on an axis of `columns`, each with its column and label.
pub fn ticks(axis: Axis, from: u64, to: u64, columns: u16) -> Vec<(u16, String)> {
    if columns == 0 || to <= from {
        return Vec::new();
    }
    let width = to - from;
    let wanted = u128::from(width) * u128::from(TICK_COLUMNS_MIN) / u128::from(columns);
    let step = round_distance(axis, u64::try_from(wanted).unwrap_or(u64::MAX / 4).max(1));
    let first = from.div_ceil(step).saturating_mul(step);
    (0..u64::from(columns))
        .map_while(|index| first.checked_add(index.checked_mul(step)?).filter(|at| *at < to))
        .map(|at| {
            let label = match axis {
                Axis::Time => time::tick(at, step),
                Axis::Steps => at.to_string(),
            };
            (column_of(at, from, to, columns).unwrap_or(0), label)
        })
        .collect()
}

/// Returns the column that shows `at`; `None` outside of `from..to`.
pub fn column_of(at: u64, from: u64, to: u64, columns: u16) -> Option<u16> {
    if at < from || at >= to {
        return None;
    }
    let scaled = u128::from(at - from) * u128::from(columns) / u128::from(to - from);
    u16::try_from(scaled).ok()
}

/// Draws the labels of the ticks in one row.
pub fn render(buffer: &mut Buffer, theme: &Theme, area: Rect, axis: Axis, (from, to): (u64, u64)) {
    let mut free = 0;
    for (column, label) in ticks(axis, from, to, area.width) {
        let label = format!("│{label}");
        let width = u16::try_from(text::width(&label)).unwrap_or(u16::MAX);
        if column >= free && column.saturating_add(width) <= area.width {
            canvas::put_text(buffer, area, (column, 0), &label, theme.style(Role::Dim));
            free = column + width + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let labels = |axis, from, to| ticks(axis, from, to, 60).into_iter().map(|(_, label)| label).collect::<Vec<_>>();
        assert_eq!(labels(Axis::Time, 0, 3_075_000_001), ["0", "1 s", "2 s", "3 s"]);
        assert_eq!(labels(Axis::Time, 0, 40_000), ["0", "10 µs", "20 µs", "30 µs"]);
        assert_eq!(labels(Axis::Time, 0, 3_655 * S), ["0", "15m 00s", "30m 00s", "45m 00s", "1h 00m 00s"]);
        let year = labels(Axis::Time, 0, 365 * DAY);
        assert_eq!(year, ["0", "100d", "200d", "300d"], "days have decimal distances");
        let after_a_day = labels(Axis::Time, DAY, DAY + 60 * S);
        assert_eq!(after_a_day, ["1d 00h 00m 00s", "1d 00h 00m 15s", "1d 00h 00m 30s", "1d 00h 00m 45s"]);
        assert_eq!(labels(Axis::Steps, 0, 43), ["0", "10", "20", "30", "40"]);
        assert_eq!(ticks(Axis::Time, 0, 2 * S, 60)[1].0, 15, "500 ms is a quarter of 2 s");
    }

    #[test]
    fn ticks_fit_any_range() {
        for (from, to) in [(0, 1), (u64::MAX - 10, u64::MAX), (0, u64::MAX), (5, 5), (7, 3)] {
            for columns in [0, 1, 200] {
                for axis in [Axis::Time, Axis::Steps] {
                    assert!(ticks(axis, from, to, columns).len() <= usize::from(columns) / 6 + 1);
                }
            }
        }
    }
}
