//! What the program under study printed, line by line, with its time and task.

use std::collections::VecDeque;

use super::event::Nanos;
use super::id::TaskId;

/// Lines that are kept; the oldest go first.
pub const OUTPUT_LINES_MAX: usize = 100_000;

/// One printed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub at: Nanos,
    pub task: Option<TaskId>,
    /// Without control characters and of bounded length: it is cleaned where it enters.
    pub text: Box<str>,
}

#[derive(Clone, Debug, Default)]
pub struct Output {
    lines: VecDeque<Line>,
    dropped: u64,
}

impl Output {
    pub(super) fn push(&mut self, line: Line) {
        if self.lines.len() == OUTPUT_LINES_MAX {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back(line);
    }

    pub fn lines(&self) -> &VecDeque<Line> {
        &self.lines
    }

    /// Lines that were printed and are no longer kept.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
