//! A simulated user: performs actions on the model and observes the result.

use loopscope::internals::app::{
    Action, CellRect, Effect, InputEvent, KeyCode, KeyPress, Model, ScreenGeometry, UpdateContext, apply_action,
    axis_end, handle_input,
};
use loopscope::internals::view::{self, Scene, Theme};
use loopscope::session::{Launcher, Session};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::fake_session::{FakeLauncher, FakeSession};

/// A screen with 100 lane columns, 10 rows and labels of 20 columns.
const GEOMETRY: ScreenGeometry = {
    const fn rect(x: u16, y: u16, width: u16, height: u16) -> CellRect {
        CellRect { x, y, width, height }
    }
    ScreenGeometry {
        rows: rect(0, 4, 120, 10),
        page_row_count: 0,
        titles: rect(0, 0, 0, 0),
        lanes: rect(20, 4, 100, 10),
        workers: rect(0, 0, 0, 0),
        minimap: rect(20, 14, 100, 1),
        output: rect(0, 20, 120, 2),
        details: rect(0, 0, 0, 0),
        tabs: rect(0, 0, 0, 0),
        tab_width: 0,
        first_tab: 0,
        list: rect(0, 2, 20, 10),
        form: rect(30, 2, 40, 10),
        script: rect(30, 12, 40, 5),
        overlay: rect(1, 1, 50, 10),
        overlay_lines: 30,
        details_lines: 0,
    }
};

/// A user at the dashboard, or at the picker if there is no session.
pub struct TestUser {
    pub model: Model,
    pub launcher: FakeLauncher,
    pub session: Option<FakeSession>,
}

impl TestUser {
    /// A user who watches `session` on the dashboard.
    pub fn with_session(session: FakeSession) -> Self {
        let mut model = Model::default();
        model.show_session(None);
        model.refresh(Some(&session), &[]);
        Self { model, launcher: FakeLauncher::default(), session: Some(session) }
    }

    /// A user at the picker.
    pub fn at_picker() -> Self {
        let launcher = FakeLauncher::default();
        let mut model = Model::default();
        model.refresh(None, launcher.catalog());
        Self { model, launcher, session: None }
    }

    /// Performs an action.
    pub fn perform(&mut self, action: Action) -> Vec<Effect> {
        let session = self.session.as_ref().map(|session| session as &dyn Session);
        let context = UpdateContext { session, catalog: self.launcher.catalog(), geometry: &GEOMETRY };
        let effects = apply_action(&mut self.model, action, context);
        self.model.refresh(session, self.launcher.catalog());
        effects
    }

    /// Types `text`; a newline presses Enter.
    pub fn type_text(&mut self, text: &str) -> Vec<Effect> {
        let mut all = Vec::new();
        for char in text.chars() {
            let code = if char == '\n' { KeyCode::Enter } else { KeyCode::Char(char) };
            let session = self.session.as_ref().map(|session| session as &dyn Session);
            let context = UpdateContext { session, catalog: self.launcher.catalog(), geometry: &GEOMETRY };
            all.extend(handle_input(&mut self.model, &InputEvent::Key(KeyPress::new(code)), context));
        }
        all
    }

    /// Returns the range of the axis that the lanes show.
    pub fn visible_range(&self) -> (u64, u64) {
        let session = self.session.as_ref().expect("the user has a session");
        let viewport = self.model.dashboard.viewport;
        viewport.range(axis_end(session, viewport.axis), GEOMETRY.lanes.width)
    }

    /// Performs an action on a screen of this size, with the geometry that is drawn there.
    pub fn perform_at(&mut self, action: Action, (width, height): (u16, u16)) -> Vec<Effect> {
        self.refresh();
        let session = self.session.as_ref().map(|session| session as &dyn Session);
        let catalog = self.launcher.catalog();
        let theme = Theme::default();
        let scene = Scene { model: &self.model, session, catalog, theme: &theme };
        let geometry = view::geometry(scene, Rect::new(0, 0, width, height));
        let effects = apply_action(&mut self.model, action, UpdateContext { session, catalog, geometry: &geometry });
        self.refresh();
        effects
    }

    /// Updates the model from the session.
    pub fn refresh(&mut self) {
        let session = self.session.as_ref().map(|session| session as &dyn Session);
        self.model.refresh(session, self.launcher.catalog());
    }

    /// Returns the notice after the last action, or an empty text.
    pub fn notice(&self) -> &str {
        self.model.notice.as_deref().unwrap_or_default()
    }

    /// Renders the screen at `width` by `height`.
    pub fn render(&self, theme: &Theme, (width, height): (u16, u16)) -> Buffer {
        let session = self.session.as_ref().map(|session| session as &dyn Session);
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        let scene = Scene { model: &self.model, session, catalog: self.launcher.catalog(), theme };
        view::render(&mut buffer, scene, area);
        buffer
    }
}
