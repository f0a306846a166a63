//! Moving by rows and pages in a list, in text or in the timeline.

/// A direction or distance to move by in a list, in text or in the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// To the left: one column or character, or earlier on the timeline.
    Left,
    /// To the right: one column or character, or later on the timeline.
    Right,
    /// One page up.
    PageUp,
    /// One page down.
    PageDown,
    /// To the first row, or the start of the line.
    First,
    /// To the last row, or the end of the line.
    Last,
}

/// Returns the row that `motion` leads to from `at` in a list of `count` rows, `page` of which are visible.
pub fn apply_motion(at: usize, motion: Motion, page: usize, count: usize) -> usize {
    let to = match motion {
        Motion::Up => at.saturating_sub(1),
        Motion::Down => at + 1,
        Motion::PageUp => at.saturating_sub(page),
        Motion::PageDown => at + page,
        Motion::First => 0,
        Motion::Last => count,
        Motion::Left | Motion::Right => at,
    };
    to.min(count.saturating_sub(1))
}
