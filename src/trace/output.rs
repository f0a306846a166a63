//! Lines that the traced program printed, with their times and tasks.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::id::TaskId;
use super::time::Nanos;

/// Maximum number of retained output lines. Past it, the oldest are dropped.
pub const OUTPUT_LINES_MAX: usize = 100_000;

/// Maximum size of retained output text, in bytes: 64 MiB.
const OUTPUT_BYTES_MAX: usize = 64 << 20;

/// Prefix of lines that an external app printed to standard error.
pub const ERROR_MARK: &str = "! ";

/// One line of output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLine {
    /// Time at which it was printed.
    pub at: Nanos,
    /// Task that printed it, if known.
    pub task: Option<TaskId>,
    /// Text without control characters and of bounded length; feeds sanitize it.
    pub text: Box<str>,
}

/// Returns the name of the thread and what follows `panicked at`, if a line of standard error, without its mark, begins
/// the message of Rust's panic hook.
pub fn panic_place(line: &str) -> Option<(&str, &str)> {
    let (thread, rest) = line.strip_prefix("thread '")?.split_once('\'')?;
    // The thread's id may follow its name.
    let (_, place) = rest.split_once(" panicked at ")?;
    Some((thread, place))
}

/// The newest output lines of the program, within fixed limits.
#[derive(Clone, Debug, Default)]
pub struct OutputLog {
    lines: VecDeque<OutputLine>,
    dropped: u64,
    bytes: usize,
    /// Lines without an end, on standard output and on standard error.
    pending: [Option<OutputLine>; 2],
}

impl OutputLog {
    pub(super) fn push(&mut self, line: OutputLine) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.lines.len() > OUTPUT_LINES_MAX || self.bytes > OUTPUT_BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.text.len();
            self.dropped += 1;
        }
    }

    /// Sets the line without an end; an empty text removes it.
    pub(super) fn set_pending(&mut self, is_error: bool, line: OutputLine) {
        self.pending[usize::from(is_error)] = Some(line).filter(|line| !line.text.is_empty());
    }

    /// Returns the lines that have no end yet, such as prompts, after all others.
    pub fn pending(&self) -> impl DoubleEndedIterator<Item = &OutputLine> {
        self.pending.iter().flatten()
    }

    /// Returns the number of lines printed so far, including dropped ones.
    pub(super) fn total_lines(&self) -> u64 {
        self.dropped + self.lines.len() as u64
    }

    /// Returns the retained lines after the first `count` printed lines.
    pub(super) fn since(&self, count: u64) -> impl Iterator<Item = &OutputLine> {
        self.lines.iter().skip(count.saturating_sub(self.dropped) as usize)
    }

    /// Returns the retained lines, oldest first.
    pub fn lines(&self) -> &VecDeque<OutputLine> {
        &self.lines
    }

    /// Returns the number of lines that were dropped to stay within the limits.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
