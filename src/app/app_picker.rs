//! The app picker: the list of running apps to attach to, which changes while it is shown.

use super::action::{Action, Effect};
use super::geometry::ScreenGeometry;
use super::input::{MouseInput, MouseKind};
use super::motion::{Motion, apply_motion};
use crate::session::interface::RunningApp;

/// State of the app picker.
#[derive(Clone, Debug, Default)]
pub struct AppPicker {
    apps: Vec<RunningApp>,
    /// Process id of the chosen app.
    chosen: Option<u32>,
    /// The first visible row.
    top: usize,
}

impl AppPicker {
    /// Returns the apps, by process id.
    pub fn apps(&self) -> &[RunningApp] {
        &self.apps
    }

    /// Returns the row of the chosen app; 0 if there is none.
    pub fn chosen_row(&self) -> usize {
        self.apps.iter().position(|app| Some(app.pid) == self.chosen).unwrap_or(0)
    }

    /// Returns the first visible row if `height` rows are visible.
    pub fn top(&self, height: u16) -> usize {
        let chosen = self.chosen_row();
        // The list may have changed, or the terminal may have shrunk.
        let last = self.apps.len().saturating_sub(height.into());
        self.top.min(last).clamp((chosen + 1).saturating_sub(usize::from(height).max(1)), chosen)
    }

    /// Replaces the list. The chosen app stays chosen; if it has ended, the one in its row is chosen. Returns a notice
    /// that says so.
    pub fn set_apps(&mut self, apps: Vec<RunningApp>) -> Option<String> {
        let row = self.chosen_row();
        let before = std::mem::replace(&mut self.apps, apps);
        if self.chosen.is_some_and(|pid| self.apps.iter().any(|app| app.pid == pid)) {
            return None;
        }
        let ended = self.chosen.and_then(|pid| before.into_iter().find(|app| app.pid == pid));
        self.chosen = self.apps.get(row.min(self.apps.len().saturating_sub(1))).map(|app| app.pid);
        ended.map(|app| format!("{} (pid {}) has ended", app.name, app.pid))
    }

    /// Applies an action.
    pub fn update(&mut self, action: Action, geometry: &ScreenGeometry) -> Vec<Effect> {
        match action {
            Action::Accept => return self.chosen.map(|pid| Effect::Attach(format!("pid:{pid}"))).into_iter().collect(),
            Action::Move(motion) => self.move_chosen(motion, geometry),
            Action::Mouse(mouse) => self.mouse(mouse, geometry),
            _ => {}
        }
        Vec::new()
    }

    fn move_chosen(&mut self, motion: Motion, geometry: &ScreenGeometry) {
        self.top = self.top(geometry.list.height);
        let row = apply_motion(self.chosen_row(), motion, usize::from(geometry.list.height).max(1), self.apps.len());
        self.chosen = self.apps.get(row).map(|app| app.pid);
        self.top = self.top(geometry.list.height);
    }

    fn mouse(&mut self, mouse: MouseInput, geometry: &ScreenGeometry) {
        match mouse.kind {
            MouseKind::Press if geometry.list.contains(mouse.column, mouse.row) => {
                let row = self.top(geometry.list.height) + usize::from(mouse.row - geometry.list.y);
                self.chosen = self.apps.get(row).map(|app| app.pid).or(self.chosen);
            }
            MouseKind::WheelUp => self.move_chosen(Motion::Up, geometry),
            MouseKind::WheelDown => self.move_chosen(Motion::Down, geometry),
            _ => {}
        }
    }
}
