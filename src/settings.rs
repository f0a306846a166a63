//! User settings, merged from a settings file, environment variables and command-line flags.
//!
//! From lowest to highest precedence: defaults, `NO_COLOR`, the settings file, `LOOPSCOPE_…` variables, flags.
//! `NO_COLOR` applies to every program, so a theme in loopscope's own file overrides it.

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
        let no_color = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
        let no_color = PartialSettings { theme: no_color.then_some(ThemeChoice::Mono), ..PartialSettings::default() };
        let environment = settings_from_environment(variable)?;
        let mut settings = Self::default();
        for partial in [&no_color, &file, &environment, flags] {
            settings.merge(partial);
        }
        Ok(settings)
    }
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
