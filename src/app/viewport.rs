//! The visible range of the axis, and how panning and zooming change it.
//!
//! Columns lie on a grid: each has an integer width and begins at a multiple of it, wherever the range is. Following
//! the run therefore moves by whole columns, which mean the same in the next frame. The trace can reuse their cached
//! values, and the picture does not shimmer.

use crate::trace::Axis;

/// Minimum width of the visible range, on the axis of time and on the axis of polls.
const NARROWEST_NS: u64 = 10;
const NARROWEST_STEPS: u64 = 4;

/// Minimum width of a column on the grid. Below it an integer width would be too coarse, and the range is shown as it
/// is.
const GRID_COLUMN_MIN: u64 = 16;

/// How the visible range changes when the trace grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewportMode {
    /// Shows the whole run, as far as it was recorded, and grows with it.
    Fit,
    /// Keeps its width, with its right end at the current time.
    Live,
    /// Stays at the range that the user chose.
    Free,
}

/// The visible range of the axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewport {
    /// Loop time or polls.
    pub axis: Axis,
    /// How the range follows the trace.
    pub mode: ViewportMode,
    from: u64,
    to: u64,
}

impl Viewport {
    /// Creates a viewport of the whole axis.
    pub fn fit_all(axis: Axis) -> Self {
        Self { axis, mode: ViewportMode::Fit, from: 0, to: 0 }
    }

    /// Begins a fit at `start` instead of 0: before that, nothing was recorded.
    pub fn begin_fit_at(&mut self, start: u64) {
        if self.mode == ViewportMode::Fit && self.axis == Axis::Time {
            self.from = start;
        }
    }

    /// Returns the range (end exclusive) to show in `columns` when the axis has reached `end`.
    pub fn range(&self, end: u64, columns: u16) -> (u64, u64) {
        let columns = u64::from(columns);
        let width = match self.mode {
            ViewportMode::Fit => {
                let width = self.fit_end(end.saturating_sub(self.from));
                // The first column may begin up to one column earlier.
                let spare = if self.from == 0 { 0 } else { width.checked_div(columns).unwrap_or(0) };
                width.saturating_add(spare)
            }
            ViewportMode::Live | ViewportMode::Free => self.to - self.from,
        };
        let Some(column) = grid_column_width(width, columns) else {
            return match self.mode {
                ViewportMode::Fit => (self.from, self.from.saturating_add(width)),
                ViewportMode::Live => {
                    let end = end.saturating_add(1);
                    (end.saturating_sub(width), end.max(width))
                }
                ViewportMode::Free => (self.from, self.to),
            };
        };
        let (column, from) = match self.mode {
            ViewportMode::Fit => {
                let column = quantize_column_width(column);
                (column, self.from / column * column)
            }
            ViewportMode::Live => {
                (column, (end / column).saturating_add(1).saturating_sub(columns).saturating_mul(column))
            }
            ViewportMode::Free => (column, self.from / column * column),
        };
        (from, from.saturating_add(column.saturating_mul(columns)))
    }

    /// Returns a limit slightly past `end`, so that the last events and their tick stay visible.
    fn fit_end(&self, end: u64) -> u64 {
        match self.axis {
            Axis::Time => end.saturating_add(end / 40 + 1).max(1_000),
            Axis::Steps => end.max(NARROWEST_STEPS),
        }
    }

    /// Shows the range `from` to `to` and stays there.
    pub fn show(&mut self, from: u64, to: u64) {
        let to = to.max(from.saturating_add(self.min_width()));
        (self.mode, self.from, self.to) = (ViewportMode::Free, from, to);
    }

    /// Follows the end with the current width.
    pub fn follow(&mut self, end: u64, columns: u16) {
        let (from, to) = self.range(end, columns);
        // Following with the width of the whole run would look like a fit; a fifth of it moves visibly.
        let width = if self.mode == ViewportMode::Fit { (to - from) / 5 } else { to - from };
        (self.mode, self.from, self.to) = (ViewportMode::Live, 0, width.max(self.min_width()));
    }

    /// Moves by `tenths` of the width, in whole columns; negative is earlier.
    pub fn pan(&mut self, tenths: i64, end: u64, columns: u16) {
        let (from, to) = self.range(end, columns);
        let width = to - from;
        let (parts, part) = match grid_column_width(width, columns.into()) {
            Some(column) => (u64::from(columns), column),
            None => (width, 1),
        };
        let by = (parts / 10).max(1).saturating_mul(tenths.unsigned_abs()).saturating_mul(part);
        let from = if tenths < 0 { from.saturating_sub(by) } else { from.saturating_add(by) };
        let from = from.min(self.fit_end(end).saturating_sub(width / 2));
        self.show(from, from.saturating_add(width));
    }

    /// Scales the width by `numerator / denominator`; `anchor` stays in its column.
    pub fn zoom(&mut self, (numerator, denominator): (u64, u64), anchor: u64, end: u64, columns: u16) {
        let (from, to) = self.range(end, columns);
        let width = to - from;
        let scale = |length: u64, by: u64, of: u64| {
            u64::try_from(u128::from(length) * u128::from(by) / u128::from(of)).unwrap_or(u64::MAX / 4)
        };
        let widest = self.fit_end(end).saturating_mul(2).max(width);
        let wanted = scale(width, numerator, denominator).clamp(self.min_width(), widest);
        let before = anchor.clamp(from, to) - from;
        let from = match grid_column_width(wanted, columns.into()) {
            Some(column) => (anchor / column).saturating_sub(scale(before, columns.into(), width)) * column,
            None => anchor.saturating_sub(scale(before, wanted, width)),
        };
        self.show(from, from.saturating_add(wanted));
    }

    fn min_width(&self) -> u64 {
        match self.axis {
            Axis::Time => NARROWEST_NS,
            Axis::Steps => NARROWEST_STEPS,
        }
    }
}

/// Returns the grid width of a column when `columns` of them span at least `width`; `None` if it would be too narrow.
fn grid_column_width(width: u64, columns: u64) -> Option<u64> {
    let column = width.checked_div(columns)?;
    (column >= GRID_COLUMN_MIN).then(|| width.div_ceil(columns))
}

/// Rounds `column` up, by at most one sixteenth, so that the width seldom changes while the run grows.
fn quantize_column_width(column: u64) -> u64 {
    let unit = 1 << column.ilog2().saturating_sub(GRID_COLUMN_MIN.ilog2());
    column.div_ceil(unit).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zoom_keeps_the_anchor() {
        let mut viewport = Viewport::fit_all(Axis::Time);
        viewport.show(1_000, 2_000);
        viewport.zoom((1, 2), 1_250, 10_000, 0);
        assert_eq!(viewport.range(10_000, 0), (1_125, 1_625));
        viewport.zoom((2, 1), 1_250, 10_000, 0);
        assert_eq!(viewport.range(10_000, 0), (1_000, 2_000));
    }

    #[test]
    fn zoom_on_the_grid_keeps_the_anchor_column() {
        const END: u64 = 1_000_000_007;
        for columns in [40, 105, 158] {
            let mut viewport = Viewport::fit_all(Axis::Time);
            for (round, by) in
                [(1, 2), (2, 3), (1, 2), (3, 2), (2, 1), (2, 3), (3, 2)].into_iter().cycle().take(60).enumerate()
            {
                let (from, to) = viewport.range(END, columns);
                let column = u64::from(columns) * (round as u64 % 7 + 1) / 9;
                let width = (to - from) / u64::from(columns);
                let anchor = from + width * column + width / 3;
                viewport.zoom(by, anchor, END, columns);
                let (from, to) = viewport.range(END, columns);
                let width = (to - from) / u64::from(columns);
                let is_first = from == 0 && (anchor - from) / width < column;
                assert!((anchor - from) / width == column || is_first, "{by:?} at {columns} columns, round {round}");
            }
        }
    }

    #[test]
    fn fit_begins_where_recording_began() {
        const HOUR: u64 = 3_600_000_000_000;
        for columns in [10, 40, 105, 158] {
            for recorded in [0, 1, 999, 123_456_789, 60_000_000_000, 3 * HOUR] {
                let mut fit = Viewport::fit_all(Axis::Time);
                fit.begin_fit_at(HOUR + 7);
                let (from, to) = fit.range(HOUR + 7 + recorded, columns);
                let column = (to - from) / u64::from(columns);
                assert!(from <= HOUR + 7 && HOUR + 7 - from <= column, "{recorded} ns at {columns}: from {from}");
                let end = HOUR + 7 + recorded;
                assert!(
                    to > end && to - end <= recorded / 4 + 2 * column + 1_000,
                    "{recorded} ns at {columns}: to {to}"
                );
            }
        }
        let mut steps = Viewport::fit_all(Axis::Steps);
        steps.begin_fit_at(HOUR);
        assert_eq!(steps.range(1_000, 40).0, 0, "the axis of polls has no such start");
    }

    #[test]
    fn columns_lie_on_a_grid_that_seldom_changes() {
        const COLUMNS: u16 = 105;
        let column = |(from, to): (u64, u64)| {
            let width = (to - from) / u64::from(COLUMNS);
            assert_eq!((from % width, (to - from) % u64::from(COLUMNS)), (0, 0));
            width
        };
        let (mut fit, mut free) = (Viewport::fit_all(Axis::Time), Viewport::fit_all(Axis::Time));
        free.show(123_456_789, 987_654_321);
        let (from, to) = free.range(0, COLUMNS);
        assert!(from <= 123_456_789 && to + column((from, to)) > 987_654_321);
        let mut widths = vec![];
        for end in (0..2_000).map(|frame| 1_000_000_000 + frame * 16_000_000) {
            let (from, to) = fit.range(end, COLUMNS);
            assert!(from == 0 && to > end && to - end < end / 10 + 1_000, "{end} in {to}");
            widths.push(column((from, to)));
        }
        widths.dedup();
        assert!(widths.len() < 90, "{} widths while the run became 32 times longer", widths.len());
        fit.follow(1_000_000_000, COLUMNS);
        for end in (0..100).map(|frame| 1_000_000_000 + frame * 1_600_001) {
            let (from, to) = fit.range(end, COLUMNS);
            assert!(to > end && to - end <= column((from, to)), "the end is in the last column");
        }
    }

    #[test]
    fn zoom_and_pan_stay_on_the_axis() {
        for columns in [0, 1, 7, 105] {
            let mut viewport = Viewport::fit_all(Axis::Time);
            for _ in 0..200 {
                viewport.zoom((1, 2), 500, 1_000_000, columns);
            }
            let (from, to) = viewport.range(1_000_000, columns);
            assert_eq!(to - from, NARROWEST_NS);
            for _ in 0..200 {
                viewport.zoom((2, 1), 500, 1_000_000, columns);
                viewport.pan(50, 1_000_000, columns);
            }
            let (from, to) = viewport.range(1_000_000, columns);
            assert!(from < 2_000_000 && to < 10_000_000, "{from} {to}");
            viewport.pan(-1_000, 1_000_000, columns);
            assert_eq!(viewport.range(1_000_000, columns).0, 0);
        }
    }

    #[test]
    fn extreme_ends_do_not_panic() {
        for axis in [Axis::Time, Axis::Steps] {
            for (end, columns) in [u64::MAX, u64::MAX - 1, u64::MAX / 2].into_iter().zip([0, 1, 105]) {
                let mut viewport = Viewport::fit_all(axis);
                let is_stretch = |viewport: &Viewport| {
                    let (from, to) = viewport.range(end, columns);
                    assert!(from < to && to >= end, "{from} to {to} of {end}");
                };
                is_stretch(&viewport);
                viewport.follow(end, columns);
                is_stretch(&viewport);
                viewport.zoom((3, 2), end, end, columns);
                viewport.zoom((1, 2), end / 2, end, columns);
                viewport.pan(30, end, columns);
                viewport.follow(end, columns);
                is_stretch(&viewport);
            }
        }
    }

    #[test]
    fn follow_keeps_the_width_and_the_end() {
        let mut viewport = Viewport::fit_all(Axis::Time);
        viewport.show(0, 1_000);
        viewport.follow(5_000, 0);
        assert_eq!(viewport.range(5_000, 0), (4_001, 5_001));
        assert_eq!(viewport.range(9_000, 0), (8_001, 9_001));
        assert_eq!(viewport.range(10, 0), (0, 1_000));
    }
}
