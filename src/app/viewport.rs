//! Which stretch of the axis is on the screen, and how panning and zooming change it.
//!
//! Columns lie on a grid: each is a whole number wide and begins at a multiple of its width, wherever the stretch is. So
//! what follows the run moves by whole columns: those of the frame before mean the same in the next, which is what makes
//! following cheap (the trace knows them already) and keeps the picture from shimmering.

use crate::trace::Axis;

/// The narrowest stretch: ten nanoseconds, or four polls.
const NARROWEST_NS: u64 = 10;
const NARROWEST_STEPS: u64 = 4;

/// The narrowest column that lies on the grid. Of narrower ones a whole number would be too coarse a width: there a stretch
/// is shown as it is.
const GRID_COLUMN_MIN: u64 = 16;

/// What the stretch does when the trace grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Shows the whole run, and grows with it.
    Fit,
    /// Keeps its width and its right end at now.
    Live,
    /// Stays where the person put it.
    Free,
}

/// A stretch of the axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewport {
    pub axis: Axis,
    pub mode: Mode,
    from: u64,
    to: u64,
}

impl Viewport {
    /// The whole of `axis`.
    pub fn whole(axis: Axis) -> Self {
        Self { axis, mode: Mode::Fit, from: 0, to: 0 }
    }

    /// The stretch to show in `columns`, from and up to but not including, when the axis has come to `end`.
    pub fn range(&self, end: u64, columns: u16) -> (u64, u64) {
        let columns = u64::from(columns);
        let width = match self.mode {
            Mode::Fit => self.whole_to(end),
            Mode::Live | Mode::Free => self.to - self.from,
        };
        let Some(column) = grid_column(width, columns) else {
            return match self.mode {
                Mode::Fit => (0, width),
                Mode::Live => {
                    let end = end.saturating_add(1);
                    (end.saturating_sub(width), end.max(width))
                }
                Mode::Free => (self.from, self.to),
            };
        };
        let (column, from) = match self.mode {
            Mode::Fit => (seldom_another(column), 0),
            Mode::Live => (column, (end / column).saturating_add(1).saturating_sub(columns).saturating_mul(column)),
            Mode::Free => (column, self.from / column * column),
        };
        (from, from.saturating_add(column.saturating_mul(columns)))
    }

    /// A little past the end, so that what happens at the very end, and its tick, can be seen.
    fn whole_to(&self, end: u64) -> u64 {
        match self.axis {
            Axis::Time => end.saturating_add(end / 40 + 1).max(1_000),
            Axis::Steps => end.max(NARROWEST_STEPS),
        }
    }

    /// Shows `from` to `to` and stays there.
    pub fn show(&mut self, from: u64, to: u64) {
        let to = to.max(from.saturating_add(self.narrowest()));
        (self.mode, self.from, self.to) = (Mode::Free, from, to);
    }

    /// Keeps the width that is shown, and follows the end.
    pub fn follow(&mut self, end: u64, columns: u16) {
        let (from, to) = self.range(end, columns);
        // The whole run followed live would be a fit by another name: a fifth of it moves visibly.
        let width = if self.mode == Mode::Fit { (to - from) / 5 } else { to - from };
        (self.mode, self.from, self.to) = (Mode::Live, 0, width.max(self.narrowest()));
    }

    /// Moves by `tenths` of the width, in whole columns; negative is earlier.
    pub fn pan(&mut self, tenths: i64, end: u64, columns: u16) {
        let (from, to) = self.range(end, columns);
        let width = to - from;
        let (parts, part) = match grid_column(width, columns.into()) {
            Some(column) => (u64::from(columns), column),
            None => (width, 1),
        };
        let by = (parts / 10).max(1).saturating_mul(tenths.unsigned_abs()).saturating_mul(part);
        let from = if tenths < 0 { from.saturating_sub(by) } else { from.saturating_add(by) };
        let from = from.min(self.whole_to(end).saturating_sub(width / 2));
        self.show(from, from.saturating_add(width));
    }

    /// Makes the width `numerator / denominator` of what it is, and leaves `anchor` in its column.
    pub fn zoom(&mut self, (numerator, denominator): (u64, u64), anchor: u64, end: u64, columns: u16) {
        let (from, to) = self.range(end, columns);
        let width = to - from;
        let scale = |length: u64, by: u64, of: u64| {
            u64::try_from(u128::from(length) * u128::from(by) / u128::from(of)).unwrap_or(u64::MAX / 4)
        };
        let widest = self.whole_to(end).saturating_mul(2).max(width);
        let wanted = scale(width, numerator, denominator).clamp(self.narrowest(), widest);
        let before = anchor.clamp(from, to) - from;
        let from = match grid_column(wanted, columns.into()) {
            Some(column) => (anchor / column).saturating_sub(scale(before, columns.into(), width)) * column,
            None => anchor.saturating_sub(scale(before, wanted, width)),
        };
        self.show(from, from.saturating_add(wanted));
    }

    fn narrowest(&self) -> u64 {
        match self.axis {
            Axis::Time => NARROWEST_NS,
            Axis::Steps => NARROWEST_STEPS,
        }
    }
}

/// How wide a column is that lies on the grid, where so many make at least `width`; `None` where it is too narrow.
fn grid_column(width: u64, columns: u64) -> Option<u64> {
    let column = width.checked_div(columns)?;
    (column >= GRID_COLUMN_MIN).then(|| width.div_ceil(columns))
}

/// At least `column`, and the same for all that are about as wide: one in sixteen more, at most.
fn seldom_another(column: u64) -> u64 {
    let unit = 1 << column.ilog2().saturating_sub(GRID_COLUMN_MIN.ilog2());
    column.div_ceil(unit).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zoom_leaves_the_anchor_where_it_is() {
        let mut viewport = Viewport::whole(Axis::Time);
        viewport.show(1_000, 2_000);
        viewport.zoom((1, 2), 1_250, 10_000, 0);
        assert_eq!(viewport.range(10_000, 0), (1_125, 1_625));
        viewport.zoom((2, 1), 1_250, 10_000, 0);
        assert_eq!(viewport.range(10_000, 0), (1_000, 2_000));
    }

    #[test]
    fn on_the_grid_the_anchor_stays_in_its_column() {
        const END: u64 = 1_000_000_007;
        for columns in [40, 105, 158] {
            let mut viewport = Viewport::whole(Axis::Time);
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
    fn columns_lie_on_a_grid_of_their_width_and_a_fit_keeps_them_while_the_run_grows() {
        const COLUMNS: u16 = 105;
        let column = |(from, to): (u64, u64)| {
            let width = (to - from) / u64::from(COLUMNS);
            assert_eq!((from % width, (to - from) % u64::from(COLUMNS)), (0, 0));
            width
        };
        let (mut fit, mut free) = (Viewport::whole(Axis::Time), Viewport::whole(Axis::Time));
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
        assert!(widths.len() < 90, "{} widths while the run became 32 times as long", widths.len());
        fit.follow(1_000_000_000, COLUMNS);
        for end in (0..100).map(|frame| 1_000_000_000 + frame * 1_600_001) {
            let (from, to) = fit.range(end, COLUMNS);
            assert!(to > end && to - end <= column((from, to)), "the newest is in the last column");
        }
    }

    #[test]
    fn no_zoom_and_no_pan_leaves_the_axis() {
        for columns in [0, 1, 7, 105] {
            let mut viewport = Viewport::whole(Axis::Time);
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
    fn an_end_that_no_clock_has_is_no_panic() {
        for axis in [Axis::Time, Axis::Steps] {
            for (end, columns) in [u64::MAX, u64::MAX - 1, u64::MAX / 2].into_iter().zip([0, 1, 105]) {
                let mut viewport = Viewport::whole(axis);
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
    fn following_keeps_its_width_and_its_end_at_now() {
        let mut viewport = Viewport::whole(Axis::Time);
        viewport.show(0, 1_000);
        viewport.follow(5_000, 0);
        assert_eq!(viewport.range(5_000, 0), (4_001, 5_001));
        assert_eq!(viewport.range(9_000, 0), (8_001, 9_001));
        assert_eq!(viewport.range(10, 0), (0, 1_000));
    }
}
