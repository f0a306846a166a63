//! Sanitizing and truncation of text from outside before it is kept, shown or printed.
//!
//! Names, messages and output come from the program under study. An escape sequence in one of them must not reach the
//! user's terminal.

use std::borrow::Cow;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_escape_sequences() {
        assert_eq!(sanitize("a\x1b[31mb\tc\u{9b}d\u{202e}"), "a\u{fffd}[31mb c\u{fffd}d\u{fffd}");
        assert!(matches!(sanitize_cow("Grüße ×24"), Cow::Borrowed("Grüße ×24")));
    }
    #[test]
    fn truncates_between_characters() {
        assert_eq!((truncate("abc", 3).as_str(), truncate("abcd", 3).as_str()), ("abc", "…"));
        assert_eq!(truncate("ääääää", 8), "ää…");
    }
}
