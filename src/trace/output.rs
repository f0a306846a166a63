//! What the program under study printed, line by line, with its time and task.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::event::Nanos;
use super::id::TaskId;

/// Lines that are kept; the oldest go first.
pub const OUTPUT_LINES_MAX: usize = 100_000;

/// Bytes of text that are kept: 64 MiB.
const OUTPUT_BYTES_MAX: usize = 64 << 20;

/// One printed line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    bytes: usize,
}

impl Output {
    pub(super) fn push(&mut self, line: Line) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.lines.len() > OUTPUT_LINES_MAX || self.bytes > OUTPUT_BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.text.len();
            self.dropped += 1;
        }
    }

    /// How many lines there ever were.
    pub(super) fn count(&self) -> u64 {
        self.dropped + self.lines.len() as u64
    }

    /// Those that are kept, from the `count`-th on.
    pub(super) fn since(&self, count: u64) -> impl Iterator<Item = &Line> {
        self.lines.iter().skip(count.saturating_sub(self.dropped) as usize)
    }

    pub fn lines(&self) -> &VecDeque<Line> {
        &self.lines
    }

    /// Lines that were printed and are no longer kept.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
