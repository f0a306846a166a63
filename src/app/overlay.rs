//! Overlays on top of a screen, which receive all keys first: help, messages and prompts.

use super::action::Action;
use super::geometry::ScreenGeometry;
use super::motion::{Motion, apply_motion};
use super::text_field::TextField;

/// Maximum lines of a message; a longer one ends with the number of omitted lines.
const LINES_MAX: usize = 2_000;

/// Maximum characters of a suggested file name, without its extension.
const FILE_CHARS_MAX: usize = 60;

/// An overlay.
#[derive(Clone, Debug)]
pub enum Overlay {
    /// The key help.
    Help(ScrollPosition),
    /// A message to read.
    Message(MessageOverlay),
    /// A line to type in.
    Prompt(Prompt),
}

/// Scroll position in a long text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrollPosition {
    /// Lines above the first visible one.
    pub top: usize,
}

impl ScrollPosition {
    /// Applies an action; returns false if it closes the text.
    pub fn update(&mut self, action: Action, geometry: &ScreenGeometry) -> bool {
        match action {
            Action::Back | Action::Accept | Action::Help => return false,
            Action::Move(motion) => {
                let page = usize::from(geometry.overlay.height).max(1);
                let positions = (geometry.overlay_lines + 1).saturating_sub(page).max(1);
                self.top = apply_motion(self.top, motion, page, positions);
            }
            Action::Mouse(mouse) => match mouse.kind {
                super::input::MouseKind::WheelUp => return self.update(Action::Move(Motion::Up), geometry),
                super::input::MouseKind::WheelDown => return self.update(Action::Move(Motion::Down), geometry),
                _ => {}
            },
            _ => {}
        }
        true
    }
}

/// A message to read: a complete error text, or a result.
#[derive(Clone, Debug)]
pub struct MessageOverlay {
    /// Title of the overlay.
    pub title: String,
    /// Lines of the message.
    pub lines: Vec<String>,
    /// Scroll position.
    pub scroll: ScrollPosition,
    /// Accepting it follows the chosen row of the page below.
    pub follows_row: bool,
}

impl MessageOverlay {
    /// Creates a message from `text`, at most 2,000 lines of it.
    pub fn new(title: &str, text: &str) -> Self {
        let mut lines: Vec<String> = text.lines().take(LINES_MAX).map(str::to_owned).collect();
        let more = text.lines().count() - lines.len();
        if more > 0 {
            lines.push(format!("… {more} more lines"));
        }
        Self { title: title.to_owned(), lines, scroll: ScrollPosition::default(), follows_row: false }
    }
}

/// Purpose of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptKind {
    /// Filter tasks or workloads by name.
    Search,
    /// The command palette.
    Command,
    /// The address of a program to attach to.
    Attach,
    /// The name of a file to save the trace to.
    Save,
}

/// A prompt: one line to type in.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// What the text is used for.
    pub kind: PromptKind,
    /// The text that is being edited.
    pub field: TextField,
    /// Index of the selected palette entry.
    pub chosen: usize,
    /// Why the last input was rejected.
    pub error: Option<String>,
}

impl Prompt {
    /// Creates a prompt that holds `text`.
    pub fn new(kind: PromptKind, text: &str) -> Self {
        Self { kind, field: TextField::new(text), chosen: 0, error: None }
    }

    /// Creates the save prompt, with a file name derived from `name`, which may be a command or an address.
    pub fn for_save(name: &str) -> Self {
        let first_word = name
            .split_whitespace()
            .next()
            .and_then(|first_word| first_word.rsplit(['/', '\\']).next())
            .unwrap_or_default();
        let stem = first_word.trim_end_matches(".jsonl").trim_matches('.');
        let plain = |char: char| if char.is_alphanumeric() || "._-".contains(char) { char } else { '-' };
        let stem: String = stem.chars().take(FILE_CHARS_MAX).map(plain).collect();
        let file = format!("{}.loop", if stem.is_empty() { "trace" } else { stem.as_str() });
        Self::new(PromptKind::Save, &file)
    }
}
