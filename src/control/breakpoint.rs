//! Breakpoints and their textual syntax, such as `poll count-1` or `wait > 10s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::duration;
use crate::trace::{Nanos, TaskId};

/// The maximum number of breakpoints in one run.
pub const BREAKPOINTS_MAX: usize = 32;

/// A condition that pauses the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakpoint {
    /// `poll NAME`: before a matching task is polled.
    PollStart(TaskPattern),
    /// `wake NAME`: when a matching task is woken, before the next poll.
    Wake(TaskPattern),
    /// `end NAME`: when a matching task ends, before the next poll.
    End(TaskPattern),
    /// `poll > 10ms`: after a poll that took longer than this many nanoseconds, before the next poll.
    LongPoll(TaskPattern, Nanos),
    /// `wait > 1s`: when a matching task has waited this many nanoseconds without being woken.
    LongWait(TaskPattern, Nanos),
    /// `finding`: shortly after a lint reports a new finding whose name matches.
    Finding(TaskPattern),
}

/// The breakpoint syntax, for error messages.
pub const BREAKPOINT_GRAMMAR: &str = "poll NAME, wake NAME, end NAME, poll [NAME] > 10ms, wait [NAME] > 1s, or finding [LINT]; a name may end in `*` to match \
     a prefix";

/// A pattern for task names or lint names: any name, an exact name, or a prefix followed by `*`. Stored inline, so it
/// is `Copy`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TaskPattern {
    bytes: [u8; Self::BYTES_MAX],
    length: u8,
    is_prefix: bool,
}

impl TaskPattern {
    /// The length of the longest pattern, in bytes.
    pub const BYTES_MAX: usize = 46;

    /// Matches every name.
    pub const ANY: Self = Self { bytes: [0; Self::BYTES_MAX], length: 0, is_prefix: true };

    fn parse(text: &str) -> Result<Self, String> {
        let (name, is_prefix) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (text, text.is_empty()),
        };
        let mut pattern = Self { is_prefix, ..Self::ANY };
        let target = pattern.bytes.get_mut(..name.len());
        let target = target.ok_or_else(|| format!("name `{name}` is too long: use a prefix followed by `*`"))?;
        target.copy_from_slice(name.as_bytes());
        pattern.length = name.len() as u8;
        Ok(pattern)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }

    /// Returns whether `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        if self.is_prefix { name.starts_with(self.text()) } else { name == self.text() }
    }

    fn is_any(&self) -> bool {
        self.is_prefix && self.length == 0
    }
}

impl fmt::Debug for TaskPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TaskPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text(), if self.is_prefix { "*" } else { "" })
    }
}

impl fmt::Display for Breakpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, pattern, limit_ns) = match self {
            Self::PollStart(pattern) => ("poll", pattern, None),
            Self::Wake(pattern) => ("wake", pattern, None),
            Self::End(pattern) => ("end", pattern, None),
            Self::LongPoll(pattern, limit_ns) => ("poll", pattern, Some(limit_ns)),
            Self::LongWait(pattern, limit_ns) => ("wait", pattern, Some(limit_ns)),
            Self::Finding(pattern) => ("finding", pattern, None),
        };
        f.write_str(verb)?;
        // `*` is written out only where the syntax requires a name.
        if !pattern.is_any() || (limit_ns.is_none() && verb != "finding") {
            write!(f, " {pattern}")?;
        }
        match limit_ns {
            Some(limit_ns) => write!(f, " > {}", humantime::format_duration(Duration::from_nanos(*limit_ns))),
            None => Ok(()),
        }
    }
}

impl FromStr for Breakpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let error = |why: &str| format!("`{text}` is not a breakpoint: {why}; help: use {BREAKPOINT_GRAMMAR}");
        let word_end = text.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(text.len());
        let (verb, rest) = text.split_at(word_end);
        let (name, limit) = match rest.split_once('>') {
            Some((name, limit)) => (name.trim(), Some(limit.trim())),
            None => (rest.trim(), None),
        };
        if name.contains(char::is_whitespace) {
            return Err(error("a name is one word"));
        }
        let pattern = TaskPattern::parse(name).map_err(|why| error(&why))?;
        let limit_ns = limit.map(duration::parse_nanos).transpose().map_err(|why| error(&why))?;
        match (verb, limit_ns) {
            ("poll", Some(limit_ns)) => Ok(Self::LongPoll(pattern, limit_ns)),
            ("wait", Some(limit_ns)) => Ok(Self::LongWait(pattern, limit_ns)),
            ("wait", None) => Err(error("expected `>` and a duration")),
            ("finding", None) => Ok(Self::Finding(pattern)),
            ("poll" | "wake" | "end", None) if name.is_empty() => {
                Err(error("expected a task name, or `*` for any task"))
            }
            ("poll", None) => Ok(Self::PollStart(pattern)),
            ("wake", None) => Ok(Self::Wake(pattern)),
            ("end", None) => Ok(Self::End(pattern)),
            ("wake" | "end" | "finding", Some(_)) => Err(error("only `poll` and `wait` take a duration")),
            _ => Err(error("unknown keyword")),
        }
    }
}

/// A breakpoint that paused the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakpointHit {
    /// The breakpoint that was hit.
    pub breakpoint: Breakpoint,
    /// The task that hit it, if one did.
    pub task: Option<TaskId>,
    /// The loop time of the hit.
    pub at: Nanos,
    /// The duration of the poll or wait for [`Breakpoint::LongPoll`] and [`Breakpoint::LongWait`], otherwise 0.
    pub duration_ns: Nanos,
    /// The lint name for [`Breakpoint::Finding`], otherwise empty.
    pub finding: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_display_writes() {
        for text in [
            "poll count-1",
            "poll *",
            "wake board-*",
            "end main",
            "poll > 10ms",
            "poll main > 1s 500ms",
            "wait > 1m",
            "wait board-* > 55s",
            "finding",
            "finding blocked-loop",
        ] {
            assert_eq!(text.parse::<Breakpoint>().map(|parsed| parsed.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("wait>0.5".parse(), Ok(Breakpoint::LongWait(TaskPattern::ANY, 500_000_000)));
        assert_eq!("  poll   a  ".parse::<Breakpoint>().map(|parsed| parsed.to_string()), Ok("poll a".to_owned()));
        for (text, why) in [
            ("", "unknown keyword"),
            ("stop main", "unknown keyword"),
            ("poll", "expected a task name"),
            ("wait main", "expected `>` and a duration"),
            ("wait > soon", "`soon` is not a duration"),
            ("wake a > 1s", "only `poll` and `wait`"),
            ("poll a b", "one word"),
            ("poll aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "too long"),
        ] {
            let message = text.parse::<Breakpoint>().expect_err(text);
            assert!(message.contains(why) && message.contains("wake NAME"), "{message}");
        }
    }

    #[test]
    fn star_matches_any_suffix() {
        let matches = |pattern: &str, name: &str| TaskPattern::parse(pattern).expect(pattern).matches(name);
        assert!(matches("board-*", "board-12") && !matches("board-*", "boar"));
        assert!(matches("a", "a") && !matches("a", "ab") && matches("*", ""));
    }
}
