//! The values of all settings, from all sources together and from one of them.

use super::size::MemorySize;
use super::theme::ThemeChoice;
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

impl Settings {
    /// Replaces the values that `partial` specifies.
    pub(super) fn merge(&mut self, partial: &PartialSettings) {
        self.theme = partial.theme.unwrap_or(self.theme);
        self.ascii = partial.ascii.unwrap_or(self.ascii);
        self.mouse = partial.mouse.unwrap_or(self.mouse);
        self.speed = partial.speed.unwrap_or(self.speed);
        self.memory_bytes = partial.memory.map_or(self.memory_bytes, |size| size.bytes);
        self.thresholds = partial.findings.unwrap_or(self.thresholds);
    }
}

/// Settings from one source. Settings that the source does not specify are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PartialSettings {
    /// Colours of the screen.
    pub theme: Option<ThemeChoice>,
    /// Draw with ASCII characters only.
    pub ascii: Option<bool>,
    /// Capture the mouse.
    pub mouse: Option<bool>,
    /// Initial speed of a virtual clock on screen.
    pub speed: Option<Speed>,
    /// Memory budget of a trace.
    pub memory: Option<MemorySize>,
    /// The table `[findings]`. Thresholds that it does not specify have their defaults.
    pub findings: Option<Thresholds>,
}
