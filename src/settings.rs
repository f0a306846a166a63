//! HOW A PERSON LIKES IT: a settings file, the environment and flags, made into one struct.
//!
//! What is nearer to the person wins: defaults, then `NO_COLOR`, then the file, then `LOOPSCOPE_…`, then flags.
//! (`NO_COLOR` is a wish about every program; a theme in our own file is a wish about this one.)

mod error;
mod file;
mod findings;
mod size;

pub use error::Error;
pub use file::{TEMPLATE, default_path};
pub use findings::write_findings;
pub use size::{Size, SizeError};

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::control::Speed;
use crate::insight::Thresholds;
use crate::trace::BUDGET_BYTES_DEFAULT;

/// Everything that a person can set, with nothing left open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    pub theme: ThemeChoice,
    /// Draw with ASCII characters only.
    pub ascii: bool,
    /// Take the mouse from the terminal.
    pub mouse: bool,
    /// How fast a virtual clock starts on screen. At [`Speed::Times`] 1 a second of sleep is a second that a person
    /// sees pass. Without a screen nobody watches, and a run starts at [`Speed::Max`].
    pub speed: Speed,
    /// Bytes that a trace may keep before it forgets its oldest.
    pub memory_bytes: usize,
    /// From where on something is worth a finding.
    pub thresholds: Thresholds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            theme: ThemeChoice::Ansi,
            ascii: false,
            mouse: true,
            speed: Speed::Times(1.0),
            memory_bytes: BUDGET_BYTES_DEFAULT,
            thresholds: Thresholds::default(),
        }
    }
}

/// Which colours the screen may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThemeChoice {
    /// The sixteen that the terminal's own palette gives.
    Ansi,
    /// Fixed 24-bit colours.
    Rgb,
    /// None: bold, reverse and glyphs only.
    Mono,
}

impl ThemeChoice {
    pub const ALL: [Self; 3] = [Self::Ansi, Self::Rgb, Self::Mono];

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
        found.ok_or_else(|| format!("`{text}` is not a theme: give ansi, rgb or mono"))
    }
}

/// What one place says of the settings; what it leaves open is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wishes {
    pub theme: Option<ThemeChoice>,
    pub ascii: Option<bool>,
    pub mouse: Option<bool>,
    #[serde(deserialize_with = "file::speed")]
    pub speed: Option<Speed>,
    #[serde(deserialize_with = "file::size")]
    pub memory: Option<Size>,
    /// The table `[findings]`: what it leaves open is as by default.
    #[serde(deserialize_with = "findings::read")]
    pub findings: Option<Thresholds>,
}

impl Settings {
    /// The settings in force: the file (at `LOOPSCOPE_SETTINGS`, or else where the system keeps such files), the
    /// environment, and `flags`.
    ///
    /// # Errors
    /// A file that cannot be read or understood, named with line and column; a variable with a wrong value. That the
    /// usual file does not exist is no error; that the one named by `LOOPSCOPE_SETTINGS` does not is one.
    pub fn load(variable: impl Fn(&str) -> Option<String>, flags: &Wishes) -> Result<Self, Error> {
        let named = variable("LOOPSCOPE_SETTINGS").map(PathBuf::from);
        let path = named.clone().or_else(default_path);
        let file = match path {
            Some(path) if named.is_some() || path.exists() => file::read(&path)?,
            _ => Wishes::default(),
        };
        let no_color = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
        let no_color = Wishes { theme: no_color.then_some(ThemeChoice::Mono), ..Wishes::default() };
        let environment = environment(variable)?;
        let mut settings = Self::default();
        for wishes in [&no_color, &file, &environment, flags] {
            settings.grant(wishes);
        }
        Ok(settings)
    }

    fn grant(&mut self, wishes: &Wishes) {
        self.theme = wishes.theme.unwrap_or(self.theme);
        self.ascii = wishes.ascii.unwrap_or(self.ascii);
        self.mouse = wishes.mouse.unwrap_or(self.mouse);
        self.speed = wishes.speed.unwrap_or(self.speed);
        self.memory_bytes = wishes.memory.map_or(self.memory_bytes, |size| size.bytes);
        self.thresholds = wishes.findings.unwrap_or(self.thresholds);
    }
}

/// Wishes in the text of a settings file, called `path` in errors.
///
/// # Errors
/// What is wrong in it, and where.
pub fn parse(text: &str, path: &Path) -> Result<Wishes, Error> {
    toml::from_str(text).map_err(|error| Error::in_file(path, text, &error))
}

fn environment(variable: impl Fn(&str) -> Option<String>) -> Result<Wishes, Error> {
    fn read<T: FromStr<Err: ToString>>(name: &'static str, value: Option<String>) -> Result<Option<T>, Error> {
        let value = value.filter(|value| !value.is_empty());
        let parsed = value.map(|value| value.parse().map_err(|error: T::Err| Error::variable(name, &error)));
        parsed.transpose()
    }
    Ok(Wishes {
        theme: read("LOOPSCOPE_THEME", variable("LOOPSCOPE_THEME"))?,
        ascii: read("LOOPSCOPE_ASCII", variable("LOOPSCOPE_ASCII"))?,
        mouse: read("LOOPSCOPE_MOUSE", variable("LOOPSCOPE_MOUSE"))?,
        speed: read("LOOPSCOPE_SPEED", variable("LOOPSCOPE_SPEED"))?,
        memory: read("LOOPSCOPE_MEMORY", variable("LOOPSCOPE_MEMORY"))?,
        findings: None,
    })
}
