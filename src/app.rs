//! WHAT THE PERSON IS DOING: screens, selection, and how an action becomes state and effects.
//!
//! Nothing here draws, sleeps, reads a terminal or starts a run: [`take`] turns an [`Input`] into changes of the
//! [`Model`] and a list of [`Effect`]s, which the frame loop carries out.

mod action;
pub mod columns;
mod dashboard;
mod field;
mod form;
mod geometry;
mod input;
pub mod keymap;
mod log;
mod offers;
mod overlay;
mod pages;
pub mod palette;
mod picker;
mod rows;
mod session;
mod sharing;
pub mod stop;
mod tabs;
pub mod time;
mod update;
mod viewport;

pub use action::{Action, Effect, Step};
pub use dashboard::{Dashboard, Pane, axis_end};
pub use field::Field;
pub use form::{Entry, Form};
pub use geometry::{Geometry, Place};
pub use input::{Code, Input, Key, Mouse, MouseKind};
pub use log::{Log, Note, Weight};
pub use offers::is_offered;
pub use overlay::{Message, Overlay, Prompt, Purpose, Reading};
pub use pages::{List, Page};
pub use picker::{Focus, Picker};
pub use rows::{Order, Rows};
pub use session::{Launch, Launcher, Session};
pub use sharing::{Sharing, Tasks};
pub use tabs::{Kept, Standing, TABS_MAX, Tab, Tabs};
pub use update::{Context, take, update};
pub use viewport::{Mode, Viewport};

use crate::control::Phase;
use crate::insight::{Findings, Search, Thresholds};
use crate::trace::Nanos;
use crate::workload::manifest::Manifest;
use keymap::Scope;

/// Awaits that are gone through for findings for each look, or what takes as long: some milliseconds.
const SEARCHED_PER_LOOK: usize = 100_000;

/// Which screen is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Screen {
    #[default]
    Picker,
    Dashboard,
}

/// Everything that the person has done to what they see.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub screen: Screen,
    pub picker: Picker,
    pub dashboard: Dashboard,
    /// What lies on top of the screen.
    pub overlay: Option<Overlay>,
    /// One line about what was just asked for, until the next key.
    pub notice: Option<String>,
    /// The last action was to leave a run that goes on: doing it again means it.
    pub is_leaving: bool,
    /// The last action was to edit a script that is built in: doing it again makes a copy of it.
    pub is_copying: bool,
    /// What `run again` runs.
    pub launched: Option<Launch>,
    /// What the findings of a run are measured by.
    pub thresholds: Thresholds,
    /// What was found in the run, once it has ended.
    pub findings: Option<Findings>,
    /// That is looked for just now: whether in a run that is over, and since when in loop time.
    pub search: Option<(bool, Nanos, Search)>,
    /// The sessions that there are, this one among them.
    pub tabs: Tabs,
}

impl Model {
    /// Where the person is, for the keys.
    pub fn scope(&self) -> Scope {
        match &self.overlay {
            Some(Overlay::Prompt(_)) => Scope::Prompt,
            Some(Overlay::Help(_) | Overlay::Message(_)) => Scope::Reading,
            None => self.screen_scope(),
        }
    }

    /// Where the person is, whatever lies on top.
    pub fn screen_scope(&self) -> Scope {
        match (self.screen, self.picker.focus) {
            (Screen::Dashboard, _) => Scope::Dashboard,
            (Screen::Picker, Focus::Form) => Scope::Form,
            (Screen::Picker, Focus::List | Focus::Script) => Scope::Picker,
        }
    }

    /// A session was started: watch it from its beginning. What was selected, filtered or zoomed belonged to the last.
    pub fn watch(&mut self, launched: Option<Launch>) {
        self.screen = Screen::Dashboard;
        self.dashboard = Dashboard::with_details(self.dashboard.details);
        self.launched = launched;
        (self.findings, self.search) = (None, None);
        self.overlay = None;
    }

    /// Another tab is shown: what was done to it comes back, and what was done to the one before is returned.
    #[must_use]
    pub fn exchange(&mut self, kept: Kept) -> Kept {
        (self.screen, self.overlay, self.is_leaving) = (Screen::Dashboard, None, false);
        self.search = None;
        Kept {
            dashboard: std::mem::replace(&mut self.dashboard, kept.dashboard),
            launched: std::mem::replace(&mut self.launched, kept.launched),
            findings: std::mem::replace(&mut self.findings, kept.findings),
        }
    }

    /// The session is gone: back to the picker, as it was left.
    pub fn leave(&mut self) {
        self.screen = Screen::Picker;
        self.overlay = None;
    }

    /// What was typed will not do, and why: to be typed again.
    pub fn ask_again(&mut self, purpose: Purpose, typed: &str, why: String) {
        self.overlay = Some(Overlay::Prompt(Prompt { error: Some(why), ..Prompt::new(purpose, typed) }));
    }

    /// Lays a message over the screen, every line of it.
    pub fn show_message(&mut self, title: &str, text: &str) {
        self.overlay = Some(Overlay::Message(Message::new(title, text)));
    }

    /// Findings are looked for just now.
    pub fn is_searching(&self) -> bool {
        self.search.is_some()
    }

    /// A look is not enough: there is more to do for what is shown, though nothing more should happen.
    pub fn is_behind(&self, session: Option<&dyn Session>) -> bool {
        self.search.is_some()
            || session
                .is_some_and(|session| self.screen == Screen::Dashboard && self.dashboard.is_behind(session.trace()))
    }

    /// Takes note of what is new, before a frame is drawn.
    pub fn refresh(&mut self, session: Option<&dyn Session>, catalog: &[Manifest]) {
        match (self.screen, session) {
            (Screen::Dashboard, Some(session)) => {
                self.dashboard.stopped(session.hit(), session.trace());
                self.dashboard.refresh(session);
                self.look_for_findings(session);
            }
            (Screen::Dashboard, None) => {}
            (Screen::Picker, _) => self.picker.refresh(catalog),
        }
    }

    /// Goes on with looking for findings, where the run is over or somebody asked. It takes a pass over the whole trace, so
    /// in a run that goes on this is done when somebody asks, and then stands until they ask again.
    pub(crate) fn look_for_findings(&mut self, session: &dyn Session) {
        let is_over = session.status().phase == Phase::Ended;
        let is_asked = self.dashboard.page == Page::Findings && self.dashboard.found.is_none();
        if self.findings.is_some() || !(is_over || is_asked) {
            self.search = None;
            return;
        }
        // What was gone through before the run's last moment is not all there is.
        let begun = self.search.take().filter(|(was_over, ..)| *was_over == is_over);
        let now = session.trace().now();
        let (_, at, mut search) = begun.unwrap_or_else(|| (is_over, now, Search::new(&self.thresholds)));
        match search.go_on(session.trace(), SEARCHED_PER_LOOK) {
            None => self.search = Some((is_over, at, search)),
            Some(found) if is_over => self.findings = Some(found),
            Some(found) => self.dashboard.found = Some((at, found)),
        }
    }
}
