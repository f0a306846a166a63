//! Which stretch of the axis is on the screen, and how panning and zooming change it.

use crate::trace::Axis;

/// The narrowest stretch: ten nanoseconds, or four polls.
const NARROWEST_NS: u64 = 10;
const NARROWEST_STEPS: u64 = 4;

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

    /// The stretch to show, from and up to but not including, when the axis has come to `end`.
    pub fn range(&self, end: u64) -> (u64, u64) {
        match self.mode {
            Mode::Fit => (0, self.whole_to(end)),
            Mode::Live => {
                let to = (end + 1).max(self.to - self.from);
                (to - (self.to - self.from), to)
            }
            Mode::Free => (self.from, self.to),
        }
    }

    /// A little past the end, so that what happens at the very end, and its tick, can be seen.
    fn whole_to(&self, end: u64) -> u64 {
        match self.axis {
            Axis::Time => (end + end / 40 + 1).max(1_000),
            Axis::Steps => end.max(NARROWEST_STEPS),
        }
    }

    /// Shows `from` to `to` and stays there.
    pub fn show(&mut self, from: u64, to: u64) {
        let to = to.max(from.saturating_add(self.narrowest()));
        (self.mode, self.from, self.to) = (Mode::Free, from, to);
    }

    /// Keeps the width that is shown, and follows the end.
    pub fn follow(&mut self, end: u64) {
        let (from, to) = self.range(end);
        // The whole run followed live would be a fit by another name: a fifth of it moves visibly.
        let width = if self.mode == Mode::Fit { (to - from) / 5 } else { to - from };
        (self.mode, self.from, self.to) = (Mode::Live, 0, width.max(self.narrowest()));
    }

    /// Moves by `tenths` of the width; negative is earlier.
    pub fn pan(&mut self, tenths: i64, end: u64) {
        let (from, to) = self.range(end);
        let width = to - from;
        let by = (width / 10).max(1).saturating_mul(tenths.unsigned_abs());
        let from = if tenths < 0 { from.saturating_sub(by) } else { from.saturating_add(by) };
        let from = from.min(self.whole_to(end).saturating_sub(width / 2));
        self.show(from, from.saturating_add(width));
    }

    /// Makes the width `numerator / denominator` of what it is, and leaves `anchor` where it is on the screen.
    pub fn zoom(&mut self, numerator: u64, denominator: u64, anchor: u64, end: u64) {
        let (from, to) = self.range(end);
        let width = to - from;
        let scale = |length: u64| {
            let scaled = u128::from(length) * u128::from(numerator) / u128::from(denominator);
            u64::try_from(scaled).unwrap_or(u64::MAX / 4)
        };
        let widest = self.whole_to(end).saturating_mul(2).max(width);
        let wanted = scale(width).clamp(self.narrowest(), widest);
        let anchor = anchor.clamp(from, to);
        let left = u128::from(anchor - from) * u128::from(wanted) / u128::from(width.max(1));
        let from = anchor.saturating_sub(u64::try_from(left).unwrap_or(0));
        self.show(from, from.saturating_add(wanted));
    }

    fn narrowest(&self) -> u64 {
        match self.axis {
            Axis::Time => NARROWEST_NS,
            Axis::Steps => NARROWEST_STEPS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zoom_leaves_the_anchor_where_it_is() {
        let mut viewport = Viewport::whole(Axis::Time);
        viewport.show(1_000, 2_000);
        viewport.zoom(1, 2, 1_250, 10_000);
        assert_eq!(viewport.range(10_000), (1_125, 1_625));
        viewport.zoom(2, 1, 1_250, 10_000);
        assert_eq!(viewport.range(10_000), (1_000, 2_000));
    }

    #[test]
    fn no_zoom_and_no_pan_leaves_the_axis() {
        let mut viewport = Viewport::whole(Axis::Time);
        for _ in 0..200 {
            viewport.zoom(1, 2, 500, 1_000_000);
        }
        let (from, to) = viewport.range(1_000_000);
        assert_eq!(to - from, NARROWEST_NS);
        for _ in 0..200 {
            viewport.zoom(2, 1, 500, 1_000_000);
            viewport.pan(50, 1_000_000);
        }
        let (from, to) = viewport.range(1_000_000);
        assert!(from < 2_000_000 && to < 10_000_000, "{from} {to}");
        viewport.pan(-1_000, 1_000_000);
        assert_eq!(viewport.range(1_000_000).0, 0);
    }

    #[test]
    fn following_keeps_its_width_and_its_end_at_now() {
        let mut viewport = Viewport::whole(Axis::Time);
        viewport.show(0, 1_000);
        viewport.follow(5_000);
        assert_eq!(viewport.range(5_000), (4_001, 5_001));
        assert_eq!(viewport.range(9_000), (8_001, 9_001));
        assert_eq!(viewport.range(10), (0, 1_000));
    }
}
