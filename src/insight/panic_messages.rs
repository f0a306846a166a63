//! Panics of an external app, as its panic hook prints them to standard error.

use crate::trace::{ERROR_MARK, Location, Nanos, Trace, panic_place};

/// A panic message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PanicMessage {
    /// When its first line arrived, a little after the panic.
    pub at: Nanos,
    /// Name of the thread; `<unnamed>` if it has none.
    pub thread: String,
    /// Where it panicked, if the line has that form.
    pub location: Option<Location>,
    /// The message, without further lines.
    pub message: String,
}

/// Finds the panic messages in the output of an app. Since Rust 1.73 the message is on a line of its own.
pub(super) fn find_panics(trace: &Trace) -> Vec<PanicMessage> {
    let lines = trace.output().lines();
    let mut errors = lines.iter().filter_map(|line| Some((line.at, line.text.strip_prefix(ERROR_MARK)?))).peekable();
    let mut found = Vec::new();
    while let Some((at, text)) = errors.next() {
        let Some((thread, place)) = panic_place(text) else { continue };
        let (place, message) = match place.strip_suffix(':') {
            Some(place) => (place, errors.peek().map_or("", |(_, message)| *message).to_owned()),
            None => match place.strip_prefix('\'').and_then(|rest| rest.rsplit_once("', ")) {
                Some((message, place)) => (place, message.to_owned()),
                None => (place, String::new()),
            },
        };
        found.push(PanicMessage { at, thread: thread.to_owned(), location: parse_location(place), message });
    }
    found
}

/// Parses `src/main.rs:12:5`.
fn parse_location(text: &str) -> Option<Location> {
    let (place, _column) = text.rsplit_once(':')?;
    let (file, line) = place.rsplit_once(':')?;
    Some(Location { file: file.into(), line: line.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Event;

    #[test]
    fn finds_both_forms_of_panic_messages() {
        let mut trace = Trace::default();
        for (at, text) in [
            (1, "thread 'x' panicked at a.rs:1:1:"),
            (2, "! thread 'tokio-rt-worker' (15393) panicked at src/main.rs:37:13:"),
            (3, "! on purpose"),
            (4, "! thread 'main' panicked at 'it's old', src/old.rs:2:3"),
            (5, "! thread 'main' is fine"),
        ] {
            trace.apply(Event::Output { task: None, at, text: text.into() });
        }
        let found = find_panics(&trace);
        let shown: Vec<_> = found
            .iter()
            .map(|panic| (panic.at, &*panic.thread, panic.location.as_ref().map(ToString::to_string), &*panic.message))
            .collect();
        let location = |text: &str| Some(text.to_owned());
        assert_eq!(
            shown,
            [
                (2, "tokio-rt-worker", location("src/main.rs:37"), "on purpose"),
                (4, "main", location("src/old.rs:2"), "it's old")
            ]
        );
    }
}
