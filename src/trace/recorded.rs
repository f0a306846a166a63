//! What is to be known of a recording: how much of it could be read, and why the rest could not.

use serde::{Deserialize, Serialize};

/// Counts of lines, and what was wrong with the first that were broken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Lines that came to their end, the first one and those that are skipped or lost included.
    pub lines: u64,
    /// Lines that told of something.
    pub events: u64,
    /// Lines of a kind that is not known.
    pub unknown: u64,
    /// Lines that are broken, and left out.
    pub skipped: u64,
    /// The first of those.
    pub broken: Vec<BrokenLine>,
    /// Lines that were never read, for they came faster than they could be.
    pub lost: u64,
    /// Lines whose time was before that of the line before, and is taken for the same.
    pub clamped: u64,
    /// Tasks that were woken and of whose spawn nothing was told.
    pub unspawned: u64,
    /// Tasks that are not shown, for there are too many.
    pub untold_tasks: u64,
    /// The last line is cut off.
    pub is_cut: bool,
    /// The app ended with tasks whose end was not recorded: it does not wait until its last lines are written.
    pub is_unfinished: bool,
}

/// A line that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenLine {
    /// From 1.
    pub line: u64,
    /// Without control characters.
    pub why: String,
}
