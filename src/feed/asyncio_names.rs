//! The names by which a Python program with asyncio states what it awaits and which resources it has. Shared by all feeds
//! from such programs.

use crate::sanitize::sanitize_cow;
use crate::trace::{AwaitKind, ResourceKind, StackFrame};

/// The name of the runtime in the description of a program.
pub const RUNTIME: &str = "asyncio";

/// How the message of a task begins that ended with an exception.
const EXCEPTION: &str = "exception: ";

/// First line of a traceback.
const TRACEBACK: &str = "Traceback (most recent call last):";

/// First line of the traceback of an exception group, and what the lines of the group itself begin with.
const GROUP_TRACEBACK: (&str, &str) = ("  + Exception Group Traceback (most recent call last):", "  | ");

/// Longest traceback that is kept, in bytes. Of a longer one the end is kept, which is where the exception was raised.
const TRACEBACK_BYTES_MAX: usize = 8 << 10;

/// Longest name of an exception with its message, in bytes.
const EXCEPTION_BYTES_MAX: usize = 512;

/// Folders of Python packages that were installed, and what the path of the standard library contains.
const LIBRARY_FOLDERS: [&str; 3] = ["/site-packages/", "/dist-packages/", "/lib/python3"];

/// Maps the stated kind of a resource.
pub fn resource_kind(kind: &str) -> ResourceKind {
    let kinds = [ResourceKind::Lock, ResourceKind::Semaphore, ResourceKind::Channel, ResourceKind::Signal];
    kinds.into_iter().find(|known| known.name() == kind).unwrap_or(ResourceKind::Other)
}

/// Returns what awaiting a resource of this kind counts as, where the await itself states nothing.
pub fn await_kind(kind: ResourceKind) -> AwaitKind {
    match kind {
        ResourceKind::Lock | ResourceKind::Semaphore | ResourceKind::Signal => AwaitKind::Sync,
        ResourceKind::Channel => AwaitKind::Channel,
        _ => AwaitKind::Other,
    }
}

/// Returns the innermost function of the program's own code; of no function is, the innermost one.
pub fn own_frame(stack: &[StackFrame]) -> Option<&StackFrame> {
    let is_own = |frame: &&StackFrame| frame.location.as_ref().is_some_and(|location| !is_library_file(&location.file));
    stack.iter().rev().find(is_own).or(stack.last())
}

/// Whether a file belongs to Python or to an installed package. Modules that are compiled into Python are in angle
/// brackets.
fn is_library_file(file: &str) -> bool {
    file.starts_with('<') || LIBRARY_FOLDERS.iter().any(|folder| file.contains(folder))
}

/// Returns the message of a task that ended with an exception, from the text that Python prints of it: the exception first,
/// then the whole text if `with_traceback` is set.
pub fn task_error(text: &str, with_traceback: bool) -> String {
    let rest = if text.trim_end() == exception_of(text) || !with_traceback { "" } else { text };
    let mut start = rest.len().saturating_sub(TRACEBACK_BYTES_MAX);
    while !rest.is_char_boundary(start) {
        start += 1;
    }
    let lines = rest[start..].lines().map(|line| format!("\n{}", sanitize_cow(line)));
    format!("{EXCEPTION}{}{}", exception_text(text), lines.collect::<String>())
}

/// Returns the exception with its message, without control characters, from the text that Python prints of it.
pub fn exception_text(text: &str) -> String {
    crate::sanitize::truncate(&sanitize_cow(exception_of(text)), EXCEPTION_BYTES_MAX)
}

/// Returns the line that names the exception. Of exceptions that were raised while others were handled, the last one counts.
fn exception_of(text: &str) -> &str {
    let (group, of_group) = GROUP_TRACEBACK;
    let names = |line: &&str| line.chars().next().is_some_and(|first| !first.is_whitespace());
    let found = if text.starts_with(group) {
        text.lines().filter_map(|line| line.strip_prefix(of_group)).find(names)
    } else {
        let from = text.rfind(&format!("\n{TRACEBACK}")).map_or(0, |at| at + 1);
        let is_traceback = text[from..].starts_with(TRACEBACK);
        text[from..].lines().skip(usize::from(is_traceback)).find(names)
    };
    found.unwrap_or("unknown exception").trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Location;

    #[test]
    fn exception_is_found_in_what_python_prints() {
        let plain =
            "Traceback (most recent call last):\n  File \"a.py\", line 3, in main\n    x()\nValueError: no\nmore\n";
        let chained =
            format!("{plain}\nDuring handling of the above exception, another exception occurred:\n\n{plain}");
        let chained = chained.replacen("ValueError", "KeyError", 1);
        let group = "  + Exception Group Traceback (most recent call last):\n  |   File \"a.py\", line 1, in f\n  | \
                     ExceptionGroup: two (2 sub-exceptions)\n  +-+---------------- 1 ----------------\n    | ValueError: x\n";
        let cases = [
            (plain, "ValueError: no"),
            (&chained, "ValueError: no"),
            (group, "ExceptionGroup: two (2 sub-exceptions)"),
            ("OSError: \u{1b}[2J", "OSError: \u{fffd}[2J"),
            ("", "unknown exception"),
        ];
        for (text, expected) in cases {
            assert_eq!(exception_text(text), expected, "{text:?}");
        }
        assert_eq!(task_error("OSError: x\n", true), "exception: OSError: x");
        assert_eq!(task_error(plain, true).lines().nth(1), Some(TRACEBACK));
        assert_eq!(task_error(plain, false), "exception: ValueError: no");
        assert!(task_error(&"é\n".repeat(20_000), true).len() < 2 * TRACEBACK_BYTES_MAX);
    }

    #[test]
    fn innermost_function_of_the_program_is_found() {
        let frame = |function: &str, file: &str| StackFrame {
            function: function.into(),
            location: Some(Location { file: file.into(), line: 1 }),
        };
        let stack = [
            frame("main", "/home/me/app.py"),
            frame("get", "/home/me/.venv/lib/python3.11/site-packages/requests/api.py"),
            frame("recv", "/usr/lib/python3.11/socket.py"),
            frame("find", "<frozen importlib._bootstrap>"),
        ];
        assert_eq!(own_frame(&stack).map(|frame| &*frame.function), Some("main"));
        assert_eq!(own_frame(&stack[1..]).map(|frame| &*frame.function), Some("find"));
        assert_eq!(own_frame(&[]), None);
    }
}
