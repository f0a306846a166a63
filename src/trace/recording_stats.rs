//! Statistics of reading a console-subscriber recording: how many lines were decoded, and which were not.

use serde::{Deserialize, Serialize};

/// Line counts of a recording, and the first malformed lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingStats {
    /// Complete lines, including the header line and skipped or lost lines.
    pub lines: u64,
    /// Lines that were decoded into events.
    pub events: u64,
    /// Lines of an unknown kind.
    pub unknown_lines: u64,
    /// Malformed lines, which are skipped.
    pub skipped_lines: u64,
    /// The first malformed lines.
    pub malformed: Vec<MalformedLine>,
    /// Lines that were dropped because they arrived faster than they could be read.
    pub lost_lines: u64,
    /// Lines whose timestamp was before that of an earlier line: those of different threads are out of order.
    pub clamped_lines: u64,
    /// Tasks that were woken without a recorded spawn.
    pub tasks_without_spawn: u64,
    /// Tasks that were omitted because there are too many.
    pub omitted_tasks: u64,
    /// The last line is truncated.
    pub is_truncated: bool,
    /// The app exited with tasks whose end is not recorded, because it does not wait for its last lines to be written.
    pub is_unfinished: bool,
}

/// A malformed line of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MalformedLine {
    /// Line number, from 1.
    pub line: u64,
    /// Description of the error, without control characters.
    pub reason: String,
}
