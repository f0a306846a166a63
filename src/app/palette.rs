//! The command palette: every action by its name, and the few commands that take a word after them.

use super::action::Action;
use super::columns::{self, COLUMNS};
use super::keymap::{self, Binding, Scope};
use super::pages::Page;
use super::rows::matches;
use crate::trace::Nanos;

/// A command with a word after it: what to type, what it does.
pub struct Verb {
    pub name: &'static str,
    /// What comes after the name, for the help.
    pub word: &'static str,
    pub does: &'static str,
    read: fn(&str) -> Result<Action, String>,
}

/// All of them.
pub const VERBS: &[Verb] = &[
    Verb {
        name: "speed",
        word: "60 | max",
        does: "set the virtual clock's speed",
        read: |text| text.parse().map(Action::SetSpeed),
    },
    Verb {
        name: "goto",
        word: "10s",
        does: "set the time cursor, to look back",
        read: |text| time(text).map(Action::GoTo),
    },
    Verb {
        name: "until",
        word: "1h 5m",
        does: "run until loop time reaches this, then pause",
        read: |text| time(text).map(Action::RunUntil),
    },
    Verb {
        name: "page",
        word: "wakes",
        does: "show timeline, tasks, resources, wakes, findings or log",
        read: |text| {
            let page = Page::from_name(text).map(Action::ShowPage);
            page.ok_or_else(|| format!("`{text}` is no page: {}", Page::ALL.map(Page::name).join(", ")))
        },
    },
    Verb {
        name: "sort",
        word: "busy",
        does: "put the tasks in order by a column of the table",
        read: |text| {
            let titles = || COLUMNS.iter().map(|column| column.title).collect::<Vec<_>>().join(", ");
            columns::named(text).map(Action::SortBy).ok_or_else(|| format!("`{text}` is no column: {}", titles()))
        },
    },
    Verb {
        name: "tab",
        word: "2",
        does: "show the tab of this number",
        read: |text| match text.parse() {
            Ok(tab) if tab > 0 => Ok(Action::ShowTab(tab)),
            _ => Err(format!("`{text}` is not the number of a tab: give a whole number from 1")),
        },
    },
    Verb {
        name: "save",
        word: "seen.loop",
        does: "save what was seen so far to a file of this name",
        read: |_| Ok(Action::Save),
    },
    Verb {
        name: "break",
        word: "poll NAME | none",
        does: "stop there by itself: poll, wake or end NAME, poll > 10ms, wait > 1s, finding",
        read: |text| if text == "none" { Ok(Action::ForgetBreaks) } else { text.parse().map(Action::Break) },
    },
    Verb {
        name: "step",
        word: "100",
        does: "let this many polls happen, then pause",
        read: |text| match text.parse() {
            Ok(polls) if polls > 0 => Ok(Action::StepPolls(polls)),
            _ => Err(format!("`{text}` is not a number of polls: give a whole number from 1")),
        },
    },
];

/// The bindings that the palette offers on `scope`'s screen for `text`, in the table's order.
pub fn offers(scope: Scope, text: &str) -> Vec<&'static Binding> {
    let text = text.trim().to_lowercase();
    let useful = |line: &&Binding| {
        !matches!(line.action, Action::Move(_) | Action::Palette | Action::Accept | Action::ShowTab(_))
    };
    keymap::lines(scope).filter(useful).filter(|line| matches(line.name, &text)).collect()
}

/// What is typed, as a command and the word after it; empty for none.
fn parts(text: &str) -> (&str, &str) {
    let (name, word) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
    (name, word.trim())
}

/// The name of the file that `text` says to save to, where it says so.
pub fn file_to_save(text: &str) -> Option<&str> {
    let (name, file) = parts(text);
    (name == "save" && !file.is_empty()).then_some(file)
}

/// Reads a command with a word: `None` if `text` does not begin with one of the [`VERBS`].
pub fn read(text: &str) -> Option<Result<Action, String>> {
    let (name, word) = parts(text);
    let verb = VERBS.iter().find(|verb| verb.name == name)?;
    Some(match word {
        // `step` alone is a search for the actions that step.
        "" => return None,
        word => (verb.read)(word),
    })
}

fn time(text: &str) -> Result<Nanos, String> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok());
    let duration = seconds.map_or_else(|| humantime::parse_duration(text), Ok);
    duration
        .ok()
        .and_then(|duration| Nanos::try_from(duration.as_nanos()).ok())
        .ok_or_else(|| format!("`{text}` is not a time: give seconds, or text such as 10ms, 55s or 1h 5m"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Speed;

    #[test]
    fn verbs_read_their_word_or_say_what_is_allowed() {
        assert_eq!(read("speed 60"), Some(Ok(Action::SetSpeed(Speed::Times(60.0)))));
        assert_eq!(read("speed max"), Some(Ok(Action::SetSpeed(Speed::Max))));
        assert_eq!(read(" goto  1.5 "), Some(Ok(Action::GoTo(1_500_000_000))));
        assert_eq!(read("until 1h 5m"), Some(Ok(Action::RunUntil(3_900_000_000_000))));
        assert!(matches!(read("break poll count-*"), Some(Ok(Action::Break(_)))));
        assert_eq!(read("break none"), Some(Ok(Action::ForgetBreaks)));
        assert!(read("break count-1").is_some_and(|read| read.is_err_and(|error| error.contains("poll NAME"))));
        assert!(read("step 0").is_some_and(|read| read.is_err()));
        assert!(read("goto x").is_some_and(|read| read.is_err_and(|error| error.contains("`x` is not a time"))));
        assert_eq!(
            (read("save a b.loop"), file_to_save("save  a b.loop ")),
            (Some(Ok(Action::Save)), Some("a b.loop"))
        );
        assert_eq!((read("save"), file_to_save("save"), file_to_save("sort busy")), (None, None, None));
        assert_eq!(read("step"), None);
        assert_eq!(read("quit"), None);
    }

    #[test]
    fn every_action_is_found_by_its_name() {
        assert!(offers(Scope::Dashboard, "FOLLOW").iter().any(|line| line.action == Action::Follow));
        assert!(offers(Scope::Dashboard, "no such thing").is_empty());
    }
}
