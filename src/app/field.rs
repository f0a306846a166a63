//! One line of text that a person edits.

use super::action::{Action, Step};

/// Characters that one line may have; more are not taken in.
const CHARS_MAX: usize = 1_000;

/// One line of text with a place in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    text: String,
    /// Characters before the place where typing goes.
    place: usize,
}

impl Field {
    /// A field that starts with `text`, the place at its end.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), place: text.chars().count() }
    }

    /// What it says.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Characters before the place where typing goes.
    pub fn place(&self) -> usize {
        self.place
    }

    /// Takes one editing action; false if it is none.
    pub fn edit(&mut self, action: Action) -> bool {
        let chars = self.text.chars().count();
        match action {
            Action::Type(char) if char.is_control() || chars >= CHARS_MAX => {}
            Action::Type(char) => {
                self.text.insert(self.byte_at(self.place), char);
                self.place += 1;
            }
            Action::EraseBack if self.place > 0 => {
                self.place -= 1;
                self.text.remove(self.byte_at(self.place));
            }
            Action::EraseForward if self.place < chars => drop(self.text.remove(self.byte_at(self.place))),
            Action::EraseBack | Action::EraseForward => {}
            Action::EraseLine => *self = Self::default(),
            Action::Move(Step::Left) => self.place = self.place.saturating_sub(1),
            Action::Move(Step::Right) => self.place = (self.place + 1).min(chars),
            Action::Move(Step::First) => self.place = 0,
            Action::Move(Step::Last) => self.place = chars,
            _ => return false,
        }
        true
    }

    fn byte_at(&self, place: usize) -> usize {
        self.text.char_indices().nth(place).map_or(self.text.len(), |(byte, _)| byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_goes_where_the_place_is_whatever_the_bytes() {
        let mut field = Field::new("aé");
        field.edit(Action::Move(Step::Left));
        field.edit(Action::Type('ß'));
        assert_eq!(field.text(), "aßé");
        field.edit(Action::EraseBack);
        field.edit(Action::EraseForward);
        assert_eq!((field.text(), field.place()), ("a", 1));
        field.edit(Action::Type('\u{1b}'));
        assert_eq!(field.text(), "a", "control characters are not text");
    }
}
