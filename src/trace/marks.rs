//! Bounded lists of marks on the time axis: pauses and gaps.

use std::collections::VecDeque;

/// Maximum number of pauses, and of gaps, that a trace retains. Past it, the oldest are removed.
pub(super) const MARKS_MAX: usize = 10_000;

/// Appends `mark`. Removes the oldest mark if there are already [`MARKS_MAX`].
pub(super) fn push_mark<T>(marks: &mut VecDeque<T>, mark: T) {
    if marks.len() == MARKS_MAX {
        marks.pop_front();
    }
    marks.push_back(mark);
}
