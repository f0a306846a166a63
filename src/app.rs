//! The UI state and its transitions: screens, selection, and how an action becomes state and effects.
//!
//! Nothing here draws, sleeps, reads a terminal or starts a run. [`handle_input`] turns an [`InputEvent`] into changes
//! of the [`Model`] and a list of [`Effect`]s, which the event loop carries out.

mod action;
mod app_picker;
mod availability;
pub mod breakpoint_hit;
mod breakpoints;
pub mod columns;
mod dashboard;
pub mod data_notes;
mod geometry;
mod input;
pub mod keymap;
mod launch_form;
mod live_findings;
mod model;
mod motion;
mod overlay;
mod page;
pub mod palette;
mod picker;
mod session_log;
mod tabs;
pub mod task_names;
mod task_rows;
mod text_field;
mod text_match;
pub mod time;
mod update;
mod viewport;

pub use action::{Action, Effect};
pub use availability::{has_effect, is_in_footer};
pub use dashboard::{Dashboard, Pane, axis_end};
pub use geometry::{CellRect, ScreenGeometry};
pub use input::{InputEvent, KeyCode, KeyPress, MouseInput, MouseKind};
pub use launch_form::{FormField, LaunchForm};
pub use model::{Model, Screen};
pub use motion::Motion;
pub use overlay::{Overlay, Prompt, PromptKind};
pub use page::DashboardPage;
pub use picker::PickerFocus;
pub use session_log::LogLevel;
pub use tabs::{TABS_MAX, Tab, TabBar, TabState, TabStatus};
pub use task_rows::RowOrder;
pub use text_field::TextField;
pub use update::{UpdateContext, apply_action, handle_input};
pub use viewport::{Viewport, ViewportMode};
