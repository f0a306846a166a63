//! The settings file: its location, its parser and a template with every setting.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use serde::{Deserialize, Deserializer};

use super::findings::threshold_line;
use super::{MemorySize, PartialSettings, SettingsError, parse};
use crate::control::Speed;
use crate::insight::Thresholds;

/// Size limit of a settings file in bytes, a few hundred times the size of the template.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The template up to the thresholds.
const TEMPLATE_START: &str = "\
# loopscope settings. Save this file as loopscope/settings.toml in your configuration directory (~/.config on Linux),
# or anywhere else and set LOOPSCOPE_SETTINGS to its path. Uncomment the settings to change. Flags and LOOPSCOPE_…
# variables override this file; this file overrides NO_COLOR.

# Colours: \"ansi\" (the 16 colours of the terminal), \"rgb\" (fixed 24-bit colours) or \"mono\" (none).
# Variable: LOOPSCOPE_THEME. Flag: --theme.
#theme = \"ansi\"

# Draw with ASCII characters only, for terminals and fonts without box drawing.
# Variable: LOOPSCOPE_ASCII. Flag: --ascii.
#ascii = false

# Capture the mouse. Set to false to keep the terminal's own text selection.
# Variable: LOOPSCOPE_MOUSE.
#mouse = true

# Initial speed of a virtual clock on screen: virtual seconds per real second, 0.1 to 1000000, or \"max\".
# Headless runs ignore this setting and start at \"max\". Variable: LOOPSCOPE_SPEED. Flag: run --speed.
#speed = 1

# Memory budget of a trace: bytes, or text with KiB, MiB or GiB. Beyond it, the oldest data is evicted.
# Variable: LOOPSCOPE_MEMORY.
#memory = \"1 GiB\"

# Thresholds of the findings. Times are seconds, or text such as \"10ms\".
#[findings]
";

/// Returns a settings file with every setting at its default, commented out.
///
/// A copy changes nothing until a line is uncommented. Lines of prose begin with `# `, settings with `#` alone.
pub fn template() -> String {
    let thresholds = Thresholds::default();
    Thresholds::ALL.iter().fold(TEMPLATE_START.to_owned(), |text, threshold| {
        format!("{text}# {}\n#{}\n", threshold.help, threshold_line(threshold, &thresholds))
    })
}

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
