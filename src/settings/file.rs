//! The settings file: its location and its parser.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use serde::{Deserialize, Deserializer};

use super::{MemorySize, PartialSettings, SettingsError, parse};
use crate::control::Speed;

/// Size limit of a settings file in bytes, a few hundred times the size of the template.
const FILE_BYTES_MAX: u64 = 1 << 20;

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

/// A number or a string: settings accept both notations for speeds, sizes and times.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number or a text")]
pub(super) enum NumberOrText {
    Whole(u64),
    Number(f64),
    Text(String),
}

impl NumberOrText {
    /// Returns the value as text.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

/// Deserializes a speed from a number or text.
pub(super) fn deserialize_speed<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Speed>, D::Error> {
    NumberOrText::deserialize(from)?.into_text().parse().map(Some).map_err(serde::de::Error::custom)
}

/// Deserializes a memory size from a number or text.
pub(super) fn deserialize_size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<MemorySize>, D::Error> {
    NumberOrText::deserialize(from)?.into_text().parse().map(Some).map_err(serde::de::Error::custom)
}
