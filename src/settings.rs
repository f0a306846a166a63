//! User settings, merged from a settings file, environment variables and command-line flags.
//!
//! From lowest to highest precedence: defaults, the variables of all programs, the settings file, `LOOPSCOPE_…`
//! variables, flags. `NO_COLOR`, `TERM` and the locale apply to every program, so loopscope's own file overrides them.

mod error;
mod file;
mod findings;
mod number_or_text;
mod setting;
mod size;
mod template;
mod theme;
mod values;

pub use error::SettingsError;
pub use file::{default_path, parse};
pub use setting::Setting;
pub use size::MemorySize;
pub use template::{template, write_settings};
pub use theme::ThemeChoice;
pub use values::{PartialSettings, Settings};

use std::path::PathBuf;

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
        let common = settings_of_terminal(&variable);
        let environment = settings_from_environment(variable)?;
        let mut settings = Self::default();
        for partial in [&common, &file, &environment, flags] {
            settings.merge(partial);
        }
        Ok(settings)
    }
}

/// Derives settings from the variables that describe the terminal to every program.
fn settings_of_terminal(variable: impl Fn(&str) -> Option<String>) -> PartialSettings {
    let value = |name: &str| variable(name).filter(|value| !value.is_empty());
    // The first of them that is set is the locale of characters. Without any, the terminal is unknown.
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(value);
    let is_utf8 = locale.is_none_or(|locale| is_utf8_locale(&locale));
    // The Linux console has a font of 256 or 512 characters.
    let has_font = value("TERM").is_none_or(|term| term != "linux");
    PartialSettings {
        theme: value("NO_COLOR").map(|_| ThemeChoice::Mono),
        ascii: (!is_utf8 || !has_font).then_some(true),
        ..PartialSettings::default()
    }
}

/// Whether a locale such as `de_DE.UTF-8@euro` has the character set UTF-8. A name without one, such as `C` or `de_DE`,
/// stands for an older set.
fn is_utf8_locale(locale: &str) -> bool {
    let name = locale.split('@').next().unwrap_or_default();
    let set = name.rsplit('.').next().unwrap_or_default();
    ["UTF-8", "UTF8"].iter().any(|utf8| set.eq_ignore_ascii_case(utf8))
}

/// Reads settings from `LOOPSCOPE_…` variables. Empty variables are ignored.
fn settings_from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<PartialSettings, SettingsError> {
    let mut settings = PartialSettings::default();
    for setting in Setting::ALL {
        if let Some(text) = variable(setting.variable).filter(|text| !text.is_empty()) {
            let parsed = setting.parse(&text, &mut settings);
            parsed.map_err(|error| SettingsError::variable(setting.variable, &error))?;
        }
    }
    Ok(settings)
}
