//! What the tests, benchmarks, fuzz targets and examples of this package use of its internal modules.
//!
//! Not part of the library's interface: it can change in any release. The list is explicit, so the compiler finds code of
//! the internal modules that nothing uses.

/// State of the screen.
pub mod app {
    pub use crate::app::columns::COLUMNS;
    pub use crate::app::keymap::{BINDINGS, KeyScope};
    pub use crate::app::palette::parse as parse_command;
    pub use crate::app::{
        Action, CellRect, DashboardPage, Effect, InputEvent, KeyCode, KeyPress, Model, Motion, MouseInput, MouseKind,
        Overlay, Pane, PickerFocus, RowOrder, Screen, ScreenGeometry, Tab, TabBar, TabStatus, UpdateContext, Viewport,
        ViewportMode, apply_action, axis_end, handle_input, has_effect,
    };
}

/// The command line.
pub mod cli {
    pub use crate::cli::{AssertResult, Assertion, command, run_to_end};
}

/// Feeds from external apps.
pub mod feed {
    pub use crate::feed::await_resolver::{AwaitResolver, AwaitTarget, Readiness, ReportedSpan};
    pub use crate::feed::console::{ConsoleDecoder, PollSource};
    pub use crate::feed::console_health::ConsoleHealth;
    pub use crate::feed::probe::{Probe, ProbeReader};
}

pub use crate::sanitize::is_unsafe_char;

/// Settings.
pub mod settings {
    pub use crate::settings::{
        MemorySize, PartialSettings, Setting, Settings, ThemeChoice, parse, template, write_settings,
    };
}

/// The event loop of the screen.
pub mod terminal {
    pub use crate::terminal::{EventLoop, ExitReason, sleep_duration};
}

/// Drawing.
pub mod view {
    pub use crate::view::svg::render as render_svg;
    pub use crate::view::{Palette, Scene, Theme, geometry, render};
}
