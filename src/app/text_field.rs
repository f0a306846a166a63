//! A single-line text field.

use super::action::Action;
use super::motion::Motion;

/// Maximum number of characters; further input is ignored.
const CHARS_MAX: usize = 1_000;

/// One line of text with a cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextField {
    text: String,
    /// Position of the cursor, in characters from the start.
    cursor: usize,
}

impl TextField {
    /// Creates a field that holds `text`, with the cursor at its end.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), cursor: text.chars().count() }
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the position of the cursor, in characters from the start.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Applies an editing action; returns false if `action` is not one.
    pub fn edit(&mut self, action: Action) -> bool {
        let chars = self.text.chars().count();
        match action {
            Action::InsertChar(char) if char.is_control() || chars >= CHARS_MAX => {}
            Action::InsertChar(char) => {
                self.text.insert(self.byte_at(self.cursor), char);
                self.cursor += 1;
            }
            Action::DeleteBackward if self.cursor > 0 => {
                self.cursor -= 1;
                self.text.remove(self.byte_at(self.cursor));
            }
            Action::DeleteForward if self.cursor < chars => drop(self.text.remove(self.byte_at(self.cursor))),
            Action::DeleteBackward | Action::DeleteForward => {}
            Action::ClearLine => *self = Self::default(),
            Action::Move(Motion::Left) => self.cursor = self.cursor.saturating_sub(1),
            Action::Move(Motion::Right) => self.cursor = (self.cursor + 1).min(chars),
            Action::Move(Motion::First) => self.cursor = 0,
            Action::Move(Motion::Last) => self.cursor = chars,
            _ => return false,
        }
        true
    }

    fn byte_at(&self, cursor: usize) -> usize {
        self.text.char_indices().nth(cursor).map_or(self.text.len(), |(byte, _)| byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_at_the_cursor_by_characters() {
        let mut field = TextField::new("aé");
        field.edit(Action::Move(Motion::Left));
        field.edit(Action::InsertChar('ß'));
        assert_eq!(field.text(), "aßé");
        field.edit(Action::DeleteBackward);
        field.edit(Action::DeleteForward);
        assert_eq!((field.text(), field.cursor()), ("a", 1));
        field.edit(Action::InsertChar('\u{1b}'));
        assert_eq!(field.text(), "a", "control characters are ignored");
    }
}
