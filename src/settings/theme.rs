//! The setting `theme`: the colours of the screen.

use std::str::FromStr;

/// The colours that the screen may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThemeChoice {
    /// The 16 colours of the terminal's palette.
    Ansi,
    /// Fixed 24-bit colours.
    Rgb,
    /// No colours: bold, reverse video and glyphs only.
    Mono,
}

impl ThemeChoice {
    /// All themes, in the order in which messages list them.
    pub const ALL: [Self; 3] = [Self::Ansi, Self::Rgb, Self::Mono];

    /// Returns the name used in settings files and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ansi => "ansi",
            Self::Rgb => "rgb",
            Self::Mono => "mono",
        }
    }
}

impl FromStr for ThemeChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|theme| theme.name() == text);
        found.ok_or_else(|| format!("unknown theme `{text}`: use ansi, rgb or mono"))
    }
}
