//! Errors of scripts, with the source line, the failing task and the chain of awaiting coroutines.
//!
//! A [`ScriptFault`] collects this information while it propagates. A [`ScriptError`] is the final message for users.

use std::fmt::Write;
use std::sync::Arc;

use super::script_source::ScriptSource;

/// Maximum number of traceback frames in one message. A recursion could have thousands.
const FRAMES_SHOWN_MAX: usize = 12;

/// Maximum number of characters of the source line that a message shows.
const EXCERPT_CHARS_MAX: usize = 160;

/// An error that propagates through a script's coroutines and tasks.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ScriptFault {
    /// What went wrong, in one line.
    pub message: String,
    /// What the script's author can do about it.
    pub hint: Option<Box<str>>,
    /// The line of the script, counted from 1.
    pub line: Option<u32>,
    /// The word in that line that caused the error. The message underlines it.
    pub token: Option<Box<str>>,
    /// The failing coroutine first, then the coroutines and tasks that awaited it.
    pub traceback: Vec<TracebackFrame>,
    /// Number of frames at the end of the traceback that belong to the task that the error is passing through.
    pub task_frames: usize,
    /// Determines whether `pcall` catches the error.
    pub kind: FaultKind,
    /// The message that the script gave to a cancel.
    pub cancel_message: Option<Arc<str>>,
}

/// One coroutine or task in a traceback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracebackFrame {
    /// The name of the coroutine function or of the task.
    pub name: String,
    /// The line at which it was executing, counted from 1.
    pub line: Option<u32>,
}

/// The kind of a [`ScriptFault`]. `pcall` catches only [`FaultKind::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// An ordinary error.
    Error,
    /// A resource limit was reached. A script that continued would reach it again.
    Limit,
    /// The run is being stopped.
    Stopped,
    /// The script called `panic`: the task panics with this message.
    Panic,
    /// The task is being cancelled. `catch_cancelled` catches it.
    Cancelled,
}

impl ScriptFault {
    /// Creates an ordinary error with no line, token or hint.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            line: None,
            token: None,
            traceback: Vec::new(),
            task_frames: 0,
            kind: FaultKind::Error,
            cancel_message: None,
        }
    }

    /// Sets the hint that the message shows after `help:`.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Box<str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the line of the script, counted from 1.
    #[must_use]
    pub fn line(mut self, line: Option<u32>) -> Self {
        self.line = line;
        self
    }

    /// Sets the word that the message underlines.
    #[must_use]
    pub fn token(mut self, token: impl Into<Box<str>>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets the kind, which determines whether `pcall` catches the error.
    #[must_use]
    pub fn kind(mut self, kind: FaultKind) -> Self {
        self.kind = kind;
        self
    }

    /// Returns `FILE:LINE: message`, which `pcall` returns.
    pub fn position_and_message(&self, source: &ScriptSource) -> String {
        let position = self.line.map_or_else(String::new, |line| format!("{}:{line}: ", source.file));
        format!("{position}{}", self.message)
    }

    /// Formats the error for users. The column is that of the token, if the line contains it exactly once.
    pub fn to_error(&self, source: &ScriptSource) -> ScriptError {
        let column = self.line.zip(self.token.as_deref()).and_then(|(line, token)| source.column_of(line, token));
        self.to_error_at(source, column)
    }

    /// Formats the error for users, with a given column, counted from 1.
    pub fn to_error_at(&self, source: &ScriptSource, column: Option<u32>) -> ScriptError {
        let file = source.file.to_string();
        let mut text = file.clone();
        for number in [self.line, column].into_iter().flatten() {
            let _ = write!(text, ":{number}");
        }
        let _ = write!(text, ": {}", self.message);
        if let Some((line, source_line)) = self.line.and_then(|line| Some((line, source.line(line)?))) {
            let width = self.token.as_deref().map_or(1, |token| token.chars().count());
            write_excerpt(&mut text, line, source_line, column, width);
        }
        if !self.traceback.is_empty() {
            let _ = write!(text, "\n  {}", self.format_traceback(source));
        }
        if let Some(hint) = &self.hint {
            let _ = write!(text, "\n  help: {hint}");
        }
        ScriptError { file, line: self.line, column, message: self.message.clone(), text }
    }

    fn format_traceback(&self, source: &ScriptSource) -> String {
        let frames: Vec<String> =
            self.traceback.iter().take(FRAMES_SHOWN_MAX).map(|frame| frame.format(source)).collect();
        let omitted = self.traceback.len().saturating_sub(FRAMES_SHOWN_MAX);
        let more = if omitted > 0 { format!(", and {omitted} more") } else { String::new() };
        format!("in {}{more}", frames.join(", awaited by "))
    }
}

impl TracebackFrame {
    fn format(&self, source: &ScriptSource) -> String {
        match self.line {
            Some(line) => format!("{} ({}:{line})", self.name, source.file),
            None => self.name.clone(),
        }
    }
}

fn write_excerpt(text: &mut String, line: u32, source_line: &str, column: Option<u32>, width: usize) {
    let source_line: String =
        source_line.replace('\t', " ").chars().filter(|c| !c.is_control()).take(EXCERPT_CHARS_MAX).collect();
    let number = line.to_string();
    let _ = write!(text, "\n  {number} | {}", source_line.trim_end());
    if let Some(column) = column.map(|column| column as usize).filter(|column| *column <= EXCERPT_CHARS_MAX) {
        let (margin, indent) = (" ".repeat(number.len()), " ".repeat(column - 1));
        let _ = write!(text, "\n  {margin} | {indent}{}", "^".repeat(width.min(EXCERPT_CHARS_MAX)));
    }
}

/// A script error for users: `FILE:LINE:COLUMN: message`, the source line, the traceback and a hint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ScriptError {
    /// The script's file as locations name it.
    pub file: String,
    /// The line, counted from 1.
    pub line: Option<u32>,
    /// The column in characters, counted from 1.
    pub column: Option<u32>,
    /// What went wrong, in one line.
    pub message: String,
    /// The complete message, in several lines.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_underlines_token_and_names_awaiters() {
        let source = ScriptSource::new("count.lua", "local x\nawait(slep(1))\n");
        let mut fault = ScriptFault::new("`slep` is nil").line(Some(2)).token("slep").hint("write sleep");
        fault.traceback = vec![
            TracebackFrame { name: "count-2".to_owned(), line: Some(2) },
            TracebackFrame { name: "main".to_owned(), line: Some(1) },
        ];
        assert_eq!(
            fault.to_error(&source).to_string(),
            "count.lua:2:7: `slep` is nil\n  2 | await(slep(1))\n    |       ^^^^\n  in count-2 (count.lua:2), awaited by \
             main (count.lua:1)\n  help: write sleep"
        );
    }
}
