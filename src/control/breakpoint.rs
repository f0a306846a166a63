//! Where a loop is to stop by itself, in plain words: `poll count-1`, `wait > 10s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::trace::{Nanos, TaskId};

/// Breakpoints of one run.
pub const BREAKPOINTS_MAX: usize = 32;

/// Something at which the loop stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakpoint {
    /// `poll NAME`: before a poll of such a task.
    Polled(Who),
    /// `wake NAME`: once such a task is woken, before anything else is polled.
    Woken(Who),
    /// `end NAME`: once such a task ended, before anything else is polled.
    Ended(Who),
    /// `poll > 10ms`: after a poll that took longer, before anything else is polled.
    PollOver(Who, Nanos),
    /// `wait > 1s`: once a task waits longer, without having been woken.
    WaitOver(Who, Nanos),
    /// `finding`: a moment after something is found that was not found before.
    Finding(Who),
}

/// How breakpoints are written, for those who wrote something else.
pub const GRAMMAR: &str =
    "poll NAME, wake NAME, end NAME, poll > 10ms, wait > 1s, or finding; NAME may end in * for any that begin so";

/// What a name must be: all of them, one, or those that begin like this. Kept in place, so that it is copied like a number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Who {
    bytes: [u8; Self::BYTES_MAX],
    length: u8,
    is_beginning: bool,
}

impl Who {
    /// Bytes of the longest name.
    pub const BYTES_MAX: usize = 46;

    /// Everybody.
    pub const ANY: Self = Self { bytes: [0; Self::BYTES_MAX], length: 0, is_beginning: true };

    fn read(text: &str) -> Result<Self, String> {
        let (name, is_beginning) = match text.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (text, text.is_empty()),
        };
        let mut who = Self { is_beginning, ..Self::ANY };
        let room = who.bytes.get_mut(..name.len());
        let room = room.ok_or_else(|| format!("`{name}` is too long: give its beginning, and * after it"))?;
        room.copy_from_slice(name.as_bytes());
        who.length = name.len() as u8;
        Ok(who)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }

    /// Whether `name` is meant.
    pub fn is(&self, name: &str) -> bool {
        if self.is_beginning { name.starts_with(self.text()) } else { name == self.text() }
    }

    fn is_any(&self) -> bool {
        self.is_beginning && self.length == 0
    }
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text(), if self.is_beginning { "*" } else { "" })
    }
}

impl fmt::Display for Breakpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, who, limit_ns) = match self {
            Self::Polled(who) => ("poll", who, None),
            Self::Woken(who) => ("wake", who, None),
            Self::Ended(who) => ("end", who, None),
            Self::PollOver(who, limit_ns) => ("poll", who, Some(limit_ns)),
            Self::WaitOver(who, limit_ns) => ("wait", who, Some(limit_ns)),
            Self::Finding(who) => ("finding", who, None),
        };
        f.write_str(verb)?;
        // Everybody is said only where something has to be.
        if !who.is_any() || (limit_ns.is_none() && verb != "finding") {
            write!(f, " {who}")?;
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
        let refuse = |why: &str| format!("`{text}` is no breakpoint: {why}; write {GRAMMAR}");
        let word_end = text.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(text.len());
        let (verb, rest) = text.split_at(word_end);
        let (name, limit) = match rest.split_once('>') {
            Some((name, limit)) => (name.trim(), Some(limit.trim())),
            None => (rest.trim(), None),
        };
        if name.contains(char::is_whitespace) {
            return Err(refuse("a name is one word"));
        }
        let who = Who::read(name).map_err(|why| refuse(&why))?;
        let limit_ns =
            limit.map(|limit| duration(limit).ok_or_else(|| refuse("after > comes a duration"))).transpose()?;
        match (verb, limit_ns) {
            ("poll", Some(limit_ns)) => Ok(Self::PollOver(who, limit_ns)),
            ("wait", Some(limit_ns)) => Ok(Self::WaitOver(who, limit_ns)),
            ("wait", None) => Err(refuse("say how long")),
            ("finding", None) => Ok(Self::Finding(who)),
            ("poll" | "wake" | "end", None) if name.is_empty() => Err(refuse("say which task, or * for any")),
            ("poll", None) => Ok(Self::Polled(who)),
            ("wake", None) => Ok(Self::Woken(who)),
            ("end", None) => Ok(Self::Ended(who)),
            ("wake" | "end" | "finding", Some(_)) => Err(refuse("only polls and waits have a length")),
            _ => Err(refuse("it begins with none of the words")),
        }
    }
}

fn duration(text: &str) -> Option<Nanos> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let duration = seconds.or_else(|| humantime::parse_duration(text).ok())?;
    Nanos::try_from(duration.as_nanos()).ok()
}

/// The loop stopped by itself: where, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    pub breakpoint: Breakpoint,
    pub task: Option<TaskId>,
    pub at: Nanos,
    /// How long the poll or the wait was, where that is what it is about.
    pub length_ns: Nanos,
    /// What was found, where that is what it is about.
    pub finding: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breakpoints_read_as_they_are_written() {
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
            assert_eq!(text.parse::<Breakpoint>().map(|read| read.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("wait>0.5".parse(), Ok(Breakpoint::WaitOver(Who::ANY, 500_000_000)));
        assert_eq!("  poll   a  ".parse::<Breakpoint>().map(|read| read.to_string()), Ok("poll a".to_owned()));
        for (text, why) in [
            ("", "none of the words"),
            ("stop main", "none of the words"),
            ("poll", "say which task"),
            ("wait main", "say how long"),
            ("wait > soon", "a duration"),
            ("wake a > 1s", "only polls and waits"),
            ("poll a b", "one word"),
            ("poll aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "too long"),
        ] {
            let refused = text.parse::<Breakpoint>().expect_err(text);
            assert!(refused.contains(why) && refused.contains("wake NAME"), "{refused}");
        }
    }

    #[test]
    fn a_star_is_the_rest_of_a_name() {
        let is = |who: &str, name: &str| Who::read(who).expect(who).is(name);
        assert!(is("board-*", "board-12") && !is("board-*", "boar") && is("a", "a") && !is("a", "ab") && is("*", ""));
    }
}
