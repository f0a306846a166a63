//! The settings file: its location and its parser.

use std::fmt;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::error::SettingsError;
use super::findings::ThresholdsSeed;
use super::number_or_text::NumberOrText;
use super::setting::{Setting, ValueKind};
use super::values::PartialSettings;

/// Size limit of a settings file in bytes, a few hundred times the size of the template.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Key of the table of thresholds.
pub(super) const FINDINGS_KEY: &str = "findings";

/// Returns the default path: `loopscope/settings.toml` in `$XDG_CONFIG_HOME`, or in `~/.config`.
///
/// Returns `None` if the user has no home directory.
pub fn default_path() -> Option<PathBuf> {
    let folders = etcetera::choose_base_strategy().ok()?;
    Some(folders.config_dir().join("loopscope").join("settings.toml"))
}

/// Reads and parses the settings file at `path`.
pub(super) fn read(path: &Path) -> Result<PartialSettings, SettingsError> {
    let unreadable = |source| SettingsError::Unreadable { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(SettingsError::TooLarge { path: path.to_owned(), bytes, max_bytes: FILE_BYTES_MAX });
    }
    parse(&std::fs::read_to_string(path).map_err(unreadable)?, path)
}

/// Parses the text of a settings file. Errors refer to the file as `path`.
///
/// # Errors
/// Returns the position and cause of the first invalid setting.
pub fn parse(text: &str, path: &Path) -> Result<PartialSettings, SettingsError> {
    toml::from_str(text).map_err(|error| SettingsError::from_toml(path, text, &error))
}

impl<'de> Deserialize<'de> for PartialSettings {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(SettingsVisitor)
    }
}

/// Visitor for the map from keys to values.
struct SettingsVisitor;

impl<'de> Visitor<'de> for SettingsVisitor {
    type Value = PartialSettings;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a table of settings")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<PartialSettings, M::Error> {
        let mut settings = PartialSettings::default();
        while let Some(key) = map.next_key_seed(SettingsKeySeed)? {
            match key {
                SettingsKey::Setting(setting) => {
                    map.next_value_seed(SettingValueSeed { setting, settings: &mut settings })?;
                }
                SettingsKey::Findings => settings.findings = Some(map.next_value_seed(ThresholdsSeed)?),
            }
        }
        Ok(settings)
    }
}

/// A key of the file.
enum SettingsKey {
    Setting(&'static Setting),
    Findings,
}

/// Deserializes a key. An unknown name is an error at the key's position.
struct SettingsKeySeed;

impl<'de> DeserializeSeed<'de> for SettingsKeySeed {
    type Value = SettingsKey;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<SettingsKey, D::Error> {
        let key = String::deserialize(from)?;
        if key == FINDINGS_KEY {
            return Ok(SettingsKey::Findings);
        }
        let found = Setting::ALL.iter().find(|setting| setting.name == key).map(SettingsKey::Setting);
        found.ok_or_else(|| {
            let names: Vec<_> = Setting::ALL.iter().map(|setting| setting.name).chain([FINDINGS_KEY]).collect();
            D::Error::custom(format!("unknown setting `{key}`, expected one of {}", names.join(", ")))
        })
    }
}

/// Deserializes the value of a setting into its field of `settings`.
struct SettingValueSeed<'a> {
    setting: &'static Setting,
    settings: &'a mut PartialSettings,
}

impl<'de> DeserializeSeed<'de> for SettingValueSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        let text = match self.setting.kind {
            ValueKind::Boolean => bool::deserialize(from)?.to_string(),
            ValueKind::Text => String::deserialize(from)?,
            ValueKind::NumberOrText => NumberOrText::deserialize(from)?.into_text(),
        };
        self.setting.parse(&text, self.settings).map_err(D::Error::custom)
    }
}
