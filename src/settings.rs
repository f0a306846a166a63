//! User settings, merged from a settings file, environment variables and command-line flags.
//!
//! From lowest to highest precedence: defaults, `NO_COLOR`, the settings file, `LOOPSCOPE_…` variables, flags.
//! `NO_COLOR` applies to every program, so a theme in loopscope's own file overrides it.

mod error;
mod file;
mod findings;
mod size;
mod template;

pub use error::SettingsError;
pub use file::default_path;
pub use findings::write_thresholds;
pub use size::{MemorySize, MemorySizeError};
pub use template::template;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::control::Speed;
use crate::insight::Thresholds;
use crate::trace::BUDGET_BYTES_DEFAULT;

/// All settings, each with a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Colours of the screen.
    pub theme: ThemeChoice,
    /// Draw with ASCII characters only.
    pub ascii: bool,
    /// Capture the mouse.
    pub mouse: bool,
    /// Initial speed of a virtual clock on screen. At [`Speed::Factor`] 1, a second of loop time takes a second of real
    /// time. Headless runs ignore this setting and start at [`Speed::Max`].
    pub speed: Speed,
    /// Memory budget of a trace in bytes. Beyond it, the trace evicts its oldest data.
    pub memory_bytes: usize,
    /// Thresholds of the lints.
    pub thresholds: Thresholds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            theme: ThemeChoice::Ansi,
            ascii: false,
            mouse: true,
            speed: Speed::Factor(1.0),
            memory_bytes: BUDGET_BYTES_DEFAULT,
            thresholds: Thresholds::default(),
        }
    }
}

/// The colours that the screen may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
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

/// Settings from one source. Settings that the source does not specify are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PartialSettings {
    /// Colours of the screen.
    pub theme: Option<ThemeChoice>,
    /// Draw with ASCII characters only.
    pub ascii: Option<bool>,
    /// Capture the mouse.
    pub mouse: Option<bool>,
    /// Initial speed of a virtual clock on screen.
    #[serde(deserialize_with = "file::deserialize_speed")]
    pub speed: Option<Speed>,
    /// Memory budget of a trace.
    #[serde(deserialize_with = "file::deserialize_size")]
    pub memory: Option<MemorySize>,
    /// The table `[findings]`. Thresholds that it does not specify have their defaults.
    #[serde(deserialize_with = "findings::deserialize_thresholds")]
    pub findings: Option<Thresholds>,
}

impl Settings {
    /// Loads the effective settings from the settings file, the environment and `flags`.
    ///
    /// `LOOPSCOPE_SETTINGS` names the file, [`default_path`] otherwise. `variable` looks up an environment variable.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or parsed, or if a variable has an invalid value. A missing file is
    /// an error only if `LOOPSCOPE_SETTINGS` names it.
    pub fn load(variable: impl Fn(&str) -> Option<String>, flags: &PartialSettings) -> Result<Self, SettingsError> {
        let named = variable("LOOPSCOPE_SETTINGS").map(PathBuf::from);
        let path = named.clone().or_else(default_path);
        let file = match path {
            Some(path) if named.is_some() || path.exists() => file::read(&path)?,
            _ => PartialSettings::default(),
        };
        let no_color = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
        let no_color = PartialSettings { theme: no_color.then_some(ThemeChoice::Mono), ..PartialSettings::default() };
        let environment = settings_from_environment(variable)?;
        let mut settings = Self::default();
        for partial in [&no_color, &file, &environment, flags] {
            settings.merge(partial);
        }
        Ok(settings)
    }

    fn merge(&mut self, partial: &PartialSettings) {
        self.theme = partial.theme.unwrap_or(self.theme);
        self.ascii = partial.ascii.unwrap_or(self.ascii);
        self.mouse = partial.mouse.unwrap_or(self.mouse);
        self.speed = partial.speed.unwrap_or(self.speed);
        self.memory_bytes = partial.memory.map_or(self.memory_bytes, |size| size.bytes);
        self.thresholds = partial.findings.unwrap_or(self.thresholds);
    }
}

/// Parses the text of a settings file. Errors refer to the file as `path`.
///
/// # Errors
/// Returns the position and cause of the first invalid setting.
pub fn parse(text: &str, path: &Path) -> Result<PartialSettings, SettingsError> {
    toml::from_str(text).map_err(|error| SettingsError::from_toml(path, text, &error))
}

/// Reads settings from `LOOPSCOPE_…` variables. Empty variables are ignored.
fn settings_from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<PartialSettings, SettingsError> {
    fn read<T: FromStr<Err: ToString>>(name: &'static str, value: Option<String>) -> Result<Option<T>, SettingsError> {
        let value = value.filter(|value| !value.is_empty());
        let parsed = value.map(|value| value.parse().map_err(|error: T::Err| SettingsError::variable(name, &error)));
        parsed.transpose()
    }
    Ok(PartialSettings {
        theme: read("LOOPSCOPE_THEME", variable("LOOPSCOPE_THEME"))?,
        ascii: read("LOOPSCOPE_ASCII", variable("LOOPSCOPE_ASCII"))?,
        mouse: read("LOOPSCOPE_MOUSE", variable("LOOPSCOPE_MOUSE"))?,
        speed: read("LOOPSCOPE_SPEED", variable("LOOPSCOPE_SPEED"))?,
        memory: read("LOOPSCOPE_MEMORY", variable("LOOPSCOPE_MEMORY"))?,
        findings: None,
    })
}
