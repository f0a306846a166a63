//! TEXT FROM OUTSIDE made safe to print, for every room that shows or prints: names, messages and output belong to the program under study, and an escape
//! sequence in one of them must not reach somebody's terminal.

use std::borrow::Cow;

/// What stands in for a character that is not printed.
const STAND_IN: char = '\u{fffd}';

/// `text` on one line, with a stand-in for each control character and each that reorders or hides text.
pub fn plain(text: &str) -> String {
    text.chars().map(|character| if is_unsafe(character) { stand_in(character) } else { character }).collect()
}

/// [`plain`] that copies only where something has to change.
pub fn plain_cow(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_unsafe) { Cow::Owned(plain(text)) } else { Cow::Borrowed(text) }
}

fn stand_in(character: char) -> char {
    if matches!(character, '\t' | '\n') { ' ' } else { STAND_IN }
}

/// Whether `character` could move a cursor, begin a sequence, turn a line around, or hide.
pub fn is_unsafe(character: char) -> bool {
    // Embeddings, overrides and isolates turn the direction of what follows; the others break lines or are invisible.
    character.is_control()
        || matches!(character, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_sequence_is_made_visible() {
        assert_eq!(plain("a\x1b[31mb\tc\u{9b}d\u{202e}"), "a\u{fffd}[31mb c\u{fffd}d\u{fffd}");
        assert!(matches!(plain_cow("Grüße ×24"), Cow::Borrowed("Grüße ×24")));
    }
}
