//! The template of a settings file, with every setting.

use super::findings::threshold_line;
use crate::insight::Thresholds;

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
