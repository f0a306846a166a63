//! Breakpoints, in the syntax of loopscope.

/// The most breakpoints of a connection.
const BREAKPOINTS_MAX: usize = 32;

/// The longest breakpoint in bytes.
const BREAKPOINT_BYTES_MAX: usize = 256;

/// A condition that pauses the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breakpoint {
    /// The text, as the user wrote it.
    pub(crate) text: String,
    pub(crate) condition: Condition,
    name: String,
    is_prefix: bool,
}

/// When a breakpoint is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// `poll NAME`: before a matching task is polled.
    PollStart,
    /// `wake NAME`: when a matching task is woken.
    Wake,
    /// `end NAME`: when a matching task ends.
    End,
    /// `poll NAME > DURATION`: after a poll that took longer than this many nanoseconds.
    LongPoll(u64),
}

impl Breakpoint {
    /// Returns whether the name of a task matches.
    pub(crate) fn matches(&self, name: &str) -> bool {
        if self.is_prefix { name.starts_with(&self.name) } else { name == self.name }
    }

    /// Parses a breakpoint. Returns `None` for conditions that loopscope checks itself, `wait` and `finding`.
    fn parse(text: &str) -> Result<Option<Self>, String> {
        let error = |why: &str| format!("`{}` is not a breakpoint: {why}", crate::sites::cut(text));
        if text.len() > BREAKPOINT_BYTES_MAX {
            return Err(error("it is too long"));
        }
        let (before, limit) = match text.split_once('>') {
            Some((before, limit)) => (before, Some(limit.trim())),
            None => (text, None),
        };
        let mut words = before.split_whitespace();
        let (verb, name) = (words.next().unwrap_or_default(), words.next());
        if words.next().is_some() {
            return Err(error("a name is one word"));
        }
        let condition = match (verb, name, limit) {
            ("wait" | "finding", ..) => return Ok(None),
            ("poll", _, Some(limit)) => Condition::LongPoll(
                parse_nanoseconds(limit).ok_or_else(|| error("expected a duration such as `10ms`"))?,
            ),
            ("poll" | "wake" | "end", None, _) => return Err(error("expected a task name, or `*` for any task")),
            ("poll", _, None) => Condition::PollStart,
            ("wake", _, None) => Condition::Wake,
            ("end", _, None) => Condition::End,
            ("wake" | "end", _, Some(_)) => return Err(error("only `poll` takes a duration")),
            _ => return Err(error("unknown keyword")),
        };
        let name = name.unwrap_or("*");
        let is_prefix = name.ends_with('*');
        let name = name.strip_suffix('*').unwrap_or(name).to_owned();
        Ok(Some(Self { text: text.trim().to_owned(), condition, name, is_prefix }))
    }

    /// Parses all breakpoints of a connection.
    pub(crate) fn parse_all(texts: &[String]) -> Result<Vec<Self>, String> {
        if texts.len() > BREAKPOINTS_MAX {
            return Err(format!("{} breakpoints are more than {BREAKPOINTS_MAX}", texts.len()));
        }
        let breakpoints: Result<Vec<Option<Self>>, String> = texts.iter().map(|text| Self::parse(text)).collect();
        Ok(breakpoints?.into_iter().flatten().collect())
    }
}

/// Parses durations such as `10ms`, `1s 500ms`, `0.5s` or `0.5`, which are seconds.
fn parse_nanoseconds(text: &str) -> Option<u64> {
    let mut total = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (amount, after) = rest.split_at(digits);
        let amount: f64 = amount.parse().ok()?;
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        total += amount
            * match unit {
                "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "" | "s" | "sec" => 1e9,
                "m" | "min" => 60e9,
                "h" => 3600e9,
                _ => return None,
            };
        rest = after.trim_start();
    }
    // The conversion saturates.
    Some(total as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<Breakpoint>, String> {
        Breakpoint::parse(text)
    }

    #[test]
    fn parses_the_syntax_of_loopscope() {
        let condition = |text: &str| parse(text).expect("valid").expect("checked here").condition;
        assert_eq!(condition("poll main"), Condition::PollStart);
        assert_eq!(condition("wake board-*"), Condition::Wake);
        assert_eq!(condition("end *"), Condition::End);
        assert_eq!(condition("poll > 10ms"), Condition::LongPoll(10_000_000));
        assert_eq!(condition("poll main>1s 500ms"), Condition::LongPoll(1_500_000_000));
        assert_eq!(condition("poll > 0.5"), Condition::LongPoll(500_000_000));
        assert_eq!((parse("wait > 1s"), parse("finding deadlock")), (Ok(None), Ok(None)));
        for text in ["", "poll", "stop main", "poll a b", "poll > soon", "wake a > 1s", "poll > ", &"poll a".repeat(99)]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(Breakpoint::parse_all(&vec!["poll a".to_owned(); BREAKPOINTS_MAX + 1]).is_err());
    }

    #[test]
    fn star_matches_any_suffix() {
        let matches = |text: &str, name: &str| parse(text).expect("valid").expect("checked here").matches(name);
        assert!(matches("poll board-*", "board-12") && !matches("poll board-*", "boar"));
        assert!(matches("poll a", "a") && !matches("poll a", "ab") && matches("poll *", ""));
    }
}
