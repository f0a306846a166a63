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

/// Shortens `text` to `columns` terminal columns; `…` replaces its middle.
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
    let start = fitting(&mut text.chars(), free.div_ceil(2));
    let end = text.len() - fitting(&mut text.chars().rev(), free / 2);
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
    fn shortens_in_the_middle() {
        assert_eq!(shorten_middle("connection-00042", 16), "connection-00042");
        assert_eq!(shorten_middle("connection-00042", 10), "conne…0042");
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
