//! A person at the screen: what they do, and what comes of it.

use loopscope::app::{
    Action, Code, Context, Effect, Geometry, Input, Key, Launcher, Model, Place, Session, axis_end, take, update,
};
use loopscope::view::{self, Scene, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::stage::{Played, Stage};

/// A screen of 100 columns of lanes and 10 rows, the labels 20 columns wide.
const GEOMETRY: Geometry = {
    const fn place(x: u16, y: u16, width: u16, height: u16) -> Place {
        Place { x, y, width, height }
    }
    Geometry {
        rows: place(0, 4, 120, 10),
        list_rows: 0,
        titles: place(0, 0, 0, 0),
        lanes: place(20, 4, 100, 10),
        minimap: place(20, 14, 100, 1),
        output: place(0, 20, 120, 2),
        details: place(0, 0, 0, 0),
        tabs: place(0, 0, 0, 0),
        tab_columns: 0,
        first_tab: 0,
        list: place(0, 2, 20, 10),
        form: place(30, 2, 40, 10),
        script: place(30, 12, 40, 5),
        overlay: place(1, 1, 50, 10),
        overlay_lines: 30,
        details_lines: 0,
    }
};

/// A person at the dashboard, or at the picker.
pub struct Person {
    pub model: Model,
    pub stage: Stage,
    pub session: Option<Played>,
}

impl Person {
    pub fn watching(session: Played) -> Self {
        let mut model = Model::default();
        model.watch(None);
        model.refresh(Some(&session), &[]);
        Self { model, stage: Stage::default(), session: Some(session) }
    }

    pub fn choosing() -> Self {
        let stage = Stage::default();
        let mut model = Model::default();
        model.refresh(None, stage.catalog());
        Self { model, stage, session: None }
    }

    pub fn does(&mut self, action: Action) -> Vec<Effect> {
        let session = self.session.as_ref().map(|session| session as &dyn Session);
        let context = Context { session, catalog: self.stage.catalog(), geometry: &GEOMETRY };
        let effects = update(&mut self.model, action, context);
        self.model.refresh(session, self.stage.catalog());
        effects
    }

    pub fn types(&mut self, text: &str) -> Vec<Effect> {
        let mut all = Vec::new();
        for char in text.chars() {
            let code = if char == '\n' { Code::Enter } else { Code::Char(char) };
            let session = self.session.as_ref().map(|session| session as &dyn Session);
            let context = Context { session, catalog: self.stage.catalog(), geometry: &GEOMETRY };
            all.extend(take(&mut self.model, &Input::Key(Key::new(code)), context));
        }
        all
    }

    pub fn range(&self) -> (u64, u64) {
        let session = self.session.as_ref().expect("a session is watched");
        let viewport = self.model.dashboard.viewport;
        viewport.range(axis_end(session, viewport.axis), GEOMETRY.lanes.width)
    }

    /// Does it on a screen of this size, with everything where it is drawn there.
    pub fn does_at(&mut self, action: Action, (width, height): (u16, u16)) -> Vec<Effect> {
        self.refresh();
        let session = self.session.as_ref().map(|session| session as &dyn Session);
        let catalog = self.stage.catalog();
        let theme = Theme::default();
        let scene = Scene { model: &self.model, session, catalog, theme: &theme };
        let geometry = view::geometry(scene, Rect::new(0, 0, width, height));
        let effects = update(&mut self.model, action, Context { session, catalog, geometry: &geometry });
        self.refresh();
        effects
    }

    /// Takes note of what the session was told since.
    pub fn refresh(&mut self) {
        let session = self.session.as_ref().map(|session| session as &dyn Session);
        self.model.refresh(session, self.stage.catalog());
    }

    /// What was answered to the last key.
    pub fn notice(&self) -> &str {
        self.model.notice.as_deref().unwrap_or_default()
    }

    /// What they see on a screen of `width` by `height`.
    pub fn screen(&self, theme: &Theme, (width, height): (u16, u16)) -> Buffer {
        let session = self.session.as_ref().map(|session| session as &dyn Session);
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        let scene = Scene { model: &self.model, session, catalog: self.stage.catalog(), theme };
        view::render(&mut buffer, scene, area);
        buffer
    }
}
