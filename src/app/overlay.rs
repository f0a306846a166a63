//! What lies on top of a screen and takes the keys first: the help, a message, a line to type in.

use super::action::{Action, Step};
use super::field::Field;
use super::geometry::Geometry;
use super::keymap::Scope;
use super::palette;
use super::picker::moved;

/// Lines that a message keeps; a longer one says at its end how many were left out.
const LINES_MAX: usize = 2_000;

/// Characters of a file's name that is offered, before its ending.
const FILE_CHARS_MAX: usize = 60;

/// One of the things on top.
#[derive(Clone, Debug)]
pub enum Overlay {
    Help(Reading),
    Message(Message),
    Prompt(Prompt),
}

/// How far down a text is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Lines above the first one shown.
    pub top: usize,
}

impl Reading {
    /// Takes an action; false if it closes the text.
    pub fn update(&mut self, action: Action, geometry: &Geometry) -> bool {
        match action {
            Action::Back | Action::Accept | Action::Help => return false,
            Action::Move(step) => {
                let page = usize::from(geometry.overlay.height).max(1);
                let places = (geometry.overlay_lines + 1).saturating_sub(page).max(1);
                self.top = moved(self.top, step, page, places);
            }
            Action::Mouse(mouse) => match mouse.kind {
                super::input::MouseKind::WheelUp => return self.update(Action::Move(Step::Up), geometry),
                super::input::MouseKind::WheelDown => return self.update(Action::Move(Step::Down), geometry),
                _ => {}
            },
            _ => {}
        }
        true
    }
}

/// Something to be read: an error with all its lines, a result.
#[derive(Clone, Debug)]
pub struct Message {
    pub title: String,
    pub lines: Vec<String>,
    pub reading: Reading,
}

impl Message {
    /// `text` line by line.
    pub fn new(title: &str, text: &str) -> Self {
        let mut lines: Vec<String> = text.lines().take(LINES_MAX).map(str::to_owned).collect();
        let more = text.lines().count() - lines.len();
        if more > 0 {
            lines.push(format!("… and {more} lines more"));
        }
        Self { title: title.to_owned(), lines, reading: Reading::default() }
    }
}

/// What a typed line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Search,
    Command,
    /// The address of a program to attach to.
    Attach,
    /// The name of a file to save to.
    Save,
}

/// A line to type in.
#[derive(Clone, Debug)]
pub struct Prompt {
    pub purpose: Purpose,
    pub field: Field,
    /// Which of the offered commands.
    pub chosen: usize,
    /// Why the last attempt did nothing.
    pub error: Option<String>,
}

impl Prompt {
    /// A line that starts with `text`.
    pub fn new(purpose: Purpose, text: &str) -> Self {
        Self { purpose, field: Field::new(text), chosen: 0, error: None }
    }

    /// The name of a file for what is called `name`, which may be a command or an address.
    pub fn to_save(name: &str) -> Self {
        let word = name.split_whitespace().next().and_then(|word| word.rsplit(['/', '\\']).next()).unwrap_or_default();
        let stem = word.trim_end_matches(".jsonl").trim_matches('.');
        let plain = |char: char| if char.is_alphanumeric() || "._-".contains(char) { char } else { '-' };
        let stem: String = stem.chars().take(FILE_CHARS_MAX).map(plain).collect();
        let file = format!("{}.loop", if stem.is_empty() { "seen" } else { stem.as_str() });
        Self::new(Purpose::Save, &file)
    }

    /// The action that the typed command, or the chosen offer, means on the screen of `scope`.
    pub fn choice(&self, scope: Scope) -> Result<Action, String> {
        let text = self.field.text();
        if let Some(read) = palette::read(text) {
            return read;
        }
        let offers = palette::offers(scope, text);
        match offers.get(self.chosen) {
            Some(offer) => Ok(offer.action),
            None => Err(format!("no command has `{}` in its name", text.trim())),
        }
    }
}
