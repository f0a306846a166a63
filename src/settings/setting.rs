//! The table of the settings outside `[findings]`: names, help texts, parsers and notations.

use super::size::MemorySize;
use super::theme::ThemeChoice;
use super::values::{PartialSettings, Settings};
use crate::control::Speed;

/// A setting with a line of its own in the settings file.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Key in the settings file.
    pub name: &'static str,
    /// Environment variable that overrides the file.
    pub variable: &'static str,
    /// Flag that overrides the variable, after the subcommand if only that one has it: `run --speed`.
    pub flag: Option<&'static str>,
    /// What the setting controls, in sentences.
    pub help: &'static str,
    pub(super) kind: ValueKind,
    parse: fn(&str, &mut PartialSettings) -> Result<(), String>,
    format: fn(&Settings) -> String,
}

/// The types of values that a setting accepts in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    /// `true` or `false`.
    Boolean,
    /// A string.
    Text,
    /// A number or a string.
    NumberOrText,
}

impl Setting {
    /// All settings outside `[findings]`, in the order of the template. A new setting needs one entry here, and its
    /// field in [`Settings`] and [`PartialSettings`].
    pub const ALL: &'static [Self] = &[
        Self {
            name: "theme",
            variable: "LOOPSCOPE_THEME",
            flag: Some("--theme"),
            help: "Colours: \"ansi\" (the 16 colours of the terminal), \"rgb\" (fixed 24-bit colours) or \"mono\" (none).",
            kind: ValueKind::Text,
            parse: |text, settings| text.parse().map(|theme: ThemeChoice| settings.theme = Some(theme)),
            format: |settings| quoted(settings.theme.name()),
        },
        Self {
            name: "ascii",
            variable: "LOOPSCOPE_ASCII",
            flag: Some("--ascii"),
            help: "Draw with ASCII characters only, for terminals and fonts without box drawing. The default is true with TERM=linux or a locale without UTF-8.",
            kind: ValueKind::Boolean,
            parse: |text, settings| parse_boolean(text).map(|ascii| settings.ascii = Some(ascii)),
            format: |settings| settings.ascii.to_string(),
        },
        Self {
            name: "mouse",
            variable: "LOOPSCOPE_MOUSE",
            flag: None,
            help: "Capture the mouse. Set to false to keep the terminal's own text selection.",
            kind: ValueKind::Boolean,
            parse: |text, settings| parse_boolean(text).map(|mouse| settings.mouse = Some(mouse)),
            format: |settings| settings.mouse.to_string(),
        },
        Self {
            name: "speed",
            variable: "LOOPSCOPE_SPEED",
            flag: Some("run --speed"),
            help: "Initial speed of a virtual clock on screen: virtual seconds per real second, 0.1 to 1000000, or \
                   \"max\". Headless runs ignore this setting and start at \"max\".",
            kind: ValueKind::NumberOrText,
            parse: |text, settings| text.parse().map(|speed: Speed| settings.speed = Some(speed)),
            format: |settings| match settings.speed {
                Speed::Factor(factor) => factor.to_string(),
                Speed::Max => quoted("max"),
            },
        },
        Self {
            name: "memory",
            variable: "LOOPSCOPE_MEMORY",
            flag: None,
            help: "Memory budget of a trace: bytes, or text with KiB, MiB or GiB. Beyond it, the oldest data is evicted.",
            kind: ValueKind::NumberOrText,
            parse: |text, settings| {
                let size = text.parse::<MemorySize>().map_err(|error| error.to_string())?;
                settings.memory = Some(size);
                Ok(())
            },
            format: |settings| quoted(&MemorySize { bytes: settings.memory_bytes }.to_string()),
        },
    ];

    /// Parses `text` and sets the value in `settings`.
    ///
    /// # Errors
    /// Returns why the text is not a valid value.
    pub fn parse(&self, text: &str, settings: &mut PartialSettings) -> Result<(), String> {
        (self.parse)(text, settings)
    }

    /// Returns the value in `settings` in the notation of the settings file. It parses to the same value.
    pub fn format(&self, settings: &Settings) -> String {
        (self.format)(settings)
    }
}

/// Returns `text`, which has no special characters, as a TOML string.
fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn parse_boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("`{text}` is not true or false"))
}
