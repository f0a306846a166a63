//! Sanitizing and truncation of text from outside before it is kept, shown or printed.
//!
//! Names, messages and output come from the program under study. An escape sequence in one of them must not reach the
//! user's terminal.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Printed instead of an unsafe character.
const REPLACEMENT: char = '\u{fffd}';

/// Returns `text` on one line: tabs and newlines become spaces, and each other control, bidirectional or invisible
/// character becomes U+FFFD.
pub fn sanitize(text: &str) -> String {
    text.chars().map(|character| if is_unsafe_char(character) { replacement(character) } else { character }).collect()
}

/// Like [`sanitize`], but borrows text that needs no change.
pub fn sanitize_cow(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_unsafe_char) { Cow::Owned(sanitize(text)) } else { Cow::Borrowed(text) }
}

fn replacement(character: char) -> char {
    if matches!(character, '\t' | '\n') { ' ' } else { REPLACEMENT }
}

/// Returns what a terminal shows of a line: the text after the last carriage return, without escape sequences, and as
/// [`sanitize`] returns it.
pub fn visible_line(line: &str) -> String {
    let text = strip_escapes(line.trim_end_matches(['\n', '\r']));
    sanitize(text.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default())
}

/// Removes the escape sequences of terminals from `text`: colours, cursor movements, titles and links. Incomplete
/// sequences and other control characters remain, for [`sanitize`].
pub fn strip_escapes(text: &str) -> Cow<'_, str> {
    const ESCAPE: char = '\u{1b}';
    /// Introduces a control sequence in one character.
    const CSI: char = '\u{9b}';
    if !text.contains([ESCAPE, CSI]) {
        return Cow::Borrowed(text);
    }
    let mut stripped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find([ESCAPE, CSI]) {
        stripped.push_str(&rest[..at]);
        let sequence = &rest[at..];
        let length = escape_length(sequence);
        if length == 0 {
            // Not a sequence: keep the character itself.
            let width = sequence.chars().next().map_or(1, char::len_utf8);
            stripped.push_str(&sequence[..width]);
            rest = &sequence[width..];
        } else {
            rest = &sequence[length..];
        }
    }
    stripped.push_str(rest);
    Cow::Owned(stripped)
}

/// Returns the length of the escape sequence at the start of `text` in bytes; 0 if it is incomplete or malformed.
fn escape_length(text: &str) -> usize {
    /// Returns the number of leading bytes in a range.
    fn count(bytes: &[u8], range: std::ops::RangeInclusive<u8>) -> usize {
        bytes.iter().take_while(|byte| range.contains(byte)).count()
    }
    let is_single = text.starts_with('\u{9b}');
    let body = if is_single { &text['\u{9b}'.len_utf8()..] } else { &text[1..] };
    let bytes = body.as_bytes();
    let ends_at = |start: usize, last: std::ops::RangeInclusive<u8>| {
        bytes.get(start).filter(|byte| last.contains(byte)).map(|_| start + 1)
    };
    let body_length = match bytes.first() {
        _ if is_single => {
            let parameters = count(bytes, 0x30..=0x3f);
            ends_at(parameters + count(&bytes[parameters..], 0x20..=0x2f), 0x40..=0x7e)
        }
        Some(b'[') => {
            let parameters = 1 + count(&bytes[1..], 0x30..=0x3f);
            ends_at(parameters + count(&bytes[parameters..], 0x20..=0x2f), 0x40..=0x7e)
        }
        // A string, such as a title or a link, ends with BEL or ESC \.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let bell = body.find('\u{7}').map(|at| at + 1);
            let terminator = body.find("\u{1b}\\").map(|at| at + 2);
            bell.into_iter().chain(terminator).min()
        }
        // Intermediate bytes and a final one, such as the choice of a character set.
        Some(_) => ends_at(count(bytes, 0x20..=0x2f), 0x30..=0x7e),
        None => None,
    };
    body_length.map_or(0, |length| text.len() - body.len() + length)
}

/// Returns whether `character` could move the cursor, start an escape sequence, reverse text or be invisible.
pub fn is_unsafe_char(character: char) -> bool {
    // Bidirectional embeddings, overrides and isolates reverse what follows; the others break lines or are invisible.
    character.is_control()
        || matches!(character, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Truncates `text` to `bytes_max` bytes at a character boundary, with `…` for the rest.
pub fn truncate(text: &str, bytes_max: usize) -> String {
    const MARK: char = '…';
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max.saturating_sub(MARK.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MARK}", &text[..end])
}

/// Shortens `text` to `columns` terminal columns; `…` replaces its middle. Names differ mostly at their end, so two thirds
/// of what remains are from there.
pub fn shorten_middle(text: &str, columns: usize) -> String {
    const MARK: char = '…';
    if text.width() <= columns {
        return text.to_owned();
    }
    let Some(free) = columns.checked_sub(1) else { return String::new() };
    // Returns how many of the characters fit into `columns`.
    let fitting = |characters: &mut dyn Iterator<Item = char>, columns: usize| {
        let mut used = 0;
        let fits = |character: &char| {
            used += character.width().unwrap_or(0);
            used <= columns
        };
        characters.take_while(fits).map(char::len_utf8).sum::<usize>()
    };
    let start = fitting(&mut text.chars(), free.div_ceil(3));
    let end = text.len() - fitting(&mut text.chars().rev(), free - free.div_ceil(3));
    format!("{}{MARK}{}", &text[..start], &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_escape_sequences() {
        assert_eq!(sanitize("a\x1b[31mb\tc\u{9b}d\u{202e}"), "a\u{fffd}[31mb c\u{fffd}d\u{fffd}");
        assert!(matches!(sanitize_cow("Grüße ×24"), Cow::Borrowed("Grüße ×24")));
    }

    #[test]
    fn strips_complete_escape_sequences() {
        for (text, expected) in [
            ("\x1b[2m12:00\x1b[0m \x1b[38;5;10mINFO\x1b[m ok", "12:00 INFO ok"),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x07 \x1b]0;title\x07.", "link ."),
            ("\x1b(Bplain\x1b7\x1b8 \u{9b}1m!", "plain !"),
            ("cut \x1b[31", "cut \x1b[31"),
            ("\x1b]no end", "\x1b]no end"),
            ("\x1b[3\u{e4}m\x1b", "\x1b[3\u{e4}m\x1b"),
        ] {
            assert_eq!(strip_escapes(text), expected, "{text:?}");
        }
    }

    #[test]
    fn shortens_in_the_middle() {
        assert_eq!(shorten_middle("connection-00042", 16), "connection-00042");
        assert_eq!(shorten_middle("connection-00042", 10), "con…-00042");
        assert_eq!(
            ["", "…", "a…", "a…c"].map(str::to_owned),
            [0, 1, 2, 3].map(|columns| shorten_middle("abbc", columns))
        );
        assert_eq!(shorten_middle("將軍將軍", 6), "將…軍");
    }

    #[test]
    fn truncates_between_characters() {
        assert_eq!((truncate("abc", 3).as_str(), truncate("abcd", 3).as_str()), ("abc", "…"));
        assert_eq!(truncate("ääääää", 8), "ää…");
    }
}
