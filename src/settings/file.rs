//! The settings file: where it is, how it is read, and the template that shows every setting.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use serde::{Deserialize, Deserializer};

use super::{Error, Size, Wishes, parse};
use crate::control::Speed;

/// Bytes of the largest file that is read: the template is about a thousandth of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A settings file with every setting at its default, commented out: a copy changes nothing until a line is
/// uncommented. Lines of prose begin with `# `, settings with `#` alone.
pub const TEMPLATE: &str = "\
# loopscope settings. Save as loopscope/settings.toml in your configuration folder (~/.config on Linux), or
# anywhere that LOOPSCOPE_SETTINGS names, and uncomment what you want to change. A flag or a LOOPSCOPE_… variable
# beats this file; this file beats NO_COLOR.

# Colours: \"ansi\" (the terminal's own sixteen), \"rgb\" (fixed 24-bit colours) or \"mono\" (none).
# Variable: LOOPSCOPE_THEME. Flag: --theme.
#theme = \"ansi\"

# Draw with ASCII characters only, for terminals and fonts without box drawing.
# Variable: LOOPSCOPE_ASCII. Flag: --ascii.
#ascii = false

# Use the mouse. Set to false to keep the terminal's own text selection.
# Variable: LOOPSCOPE_MOUSE.
#mouse = true

# How fast a virtual clock starts on screen: virtual seconds per real second from 0.1 to 1000000, or \"max\".
# Runs without a screen start at \"max\" whatever is set here. Variable: LOOPSCOPE_SPEED. Flag: run --speed.
#speed = 1

# How much a trace may keep in memory before it forgets its oldest: bytes, or text with KiB, MiB or GiB.
# Variable: LOOPSCOPE_MEMORY.
#memory = \"1 GiB\"

# From where on something is worth a finding. Times are seconds, or text such as \"10ms\".
#[findings]
# A poll that keeps the loop longer than this, other than by computing, blocks it.
#blocked_loop = \"100ms\"
# A poll that computes longer than this never yields.
#never_yields = \"10s\"
# A poll that computes in at least so many pieces, and gives no turn between them, never yields.
#never_yields_pieces = 10
# A task that is ready this long while one poll that never yields goes on starves.
#starvation = \"100ms\"
# A task that gives its turn away so many times in a row, having done nothing, spins.
#busy_yield_turns = 100
# A poll longer than this did something; a shorter one only looked.
#busy_yield_poll = \"100us\"
# So many tasks of one place, of which next to none ever ends, are a leak.
#leak_tasks = 20
# A place of which at least this share of tasks ends does not leak.
#leak_ended_percent = 10
# So many tasks woken at once for what few of them can have are a herd.
#thundering_herd_tasks = 5
# Where more than this share of the woken goes on, the wakes were not in vain.
#thundering_herd_percent = 50
# A convoy is at least so many tasks in one lock's queue.
#convoy_tasks = 3
# A lock that is handed on so many times while its queue never drains has a convoy.
#convoy_turns = 10
# A sender that waits for room more than this share of its time is under back-pressure.
#back_pressure_percent = 50
# Fewer sends that had to wait are no back-pressure.
#back_pressure_sends = 5
# An interval whose ticks end up later than this share of its period drifts.
#interval_drift_percent = 100
# Fewer ticks tell nothing of an interval.
#interval_drift_ticks = 5
# An actor whose own work overlaps for longer than this is in several places at once.
#overlapping_work = \"0s\"
# A wait for a signal that had been given to nobody, when it lasted longer than this, is a lost wake.
#lost_wake = \"0s\"
";

/// `loopscope/settings.toml` in the folder where the system keeps configuration (`$XDG_CONFIG_HOME`, else
/// `~/.config`); `None` for a person without a home.
pub fn default_path() -> Option<PathBuf> {
    let folders = etcetera::choose_base_strategy().ok()?;
    Some(folders.config_dir().join("loopscope").join("settings.toml"))
}

pub(super) fn read(path: &Path) -> Result<Wishes, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(Error::TooLarge { path: path.to_owned(), bytes, max_bytes: FILE_BYTES_MAX });
    }
    parse(&std::fs::read_to_string(path).map_err(unreadable)?, path)
}

/// A number or a text, as a person happens to write it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number or a text")]
pub(super) enum Said {
    Whole(u64),
    Number(f64),
    Text(String),
}

impl Said {
    pub(super) fn text(self) -> String {
        match self {
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

pub(super) fn speed<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Speed>, D::Error> {
    Said::deserialize(from)?.text().parse().map(Some).map_err(serde::de::Error::custom)
}

pub(super) fn size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Size>, D::Error> {
    Said::deserialize(from)?.text().parse().map(Some).map_err(serde::de::Error::custom)
}
