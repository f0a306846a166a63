//! The wakes of a task. The first wake after each poll is in the lane's cycles, all others are [`ExtraWakes`].
//! [`merge_wakes`] joins both sequences.

mod extra_wakes;
mod merge;

pub(super) use extra_wakes::{ExtraWakes, WakeRecord};
pub(super) use merge::merge_wakes;
