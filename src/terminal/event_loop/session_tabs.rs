//! The open sessions, one tab each: one is shown, and the events of all are processed.

use std::time::{Duration, Instant};

use crate::app::{Model, TABS_MAX, Tab, TabBar, TabState, TabStatus};
use crate::control::{
    ConnectionState, ConnectionStatus, ControlLevel, RunPhase, SessionCommand, SessionStatus, SourceKind,
};
use crate::session::interface::{LaunchRequest, Session};
use crate::trace::TaskId;

/// Minimum share of the event budget for each session.
const SESSION_BUDGET_MIN: Duration = Duration::from_micros(300);

/// Maximum wait for started processes to stop before the program suspends itself: twice the limit of each process.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);

/// An open session with its UI state.
struct WatchedSession {
    session: Box<dyn Session>,
    /// Saved UI state; that of the session that is shown is in the model.
    ui_state: TabState,
    /// The selected task that was last reported to the session.
    selected: Option<TaskId>,
    /// The status that the last frame showed, if this session is shown.
    shown: Option<StatusSnapshot>,
    is_new: bool,
}

/// The parts of a status that change without an event.
#[derive(PartialEq)]
struct StatusSnapshot(u64, RunPhase, Option<u64>, String, bool, Option<ConnectionStatus>);

impl StatusSnapshot {
    fn new(status: &SessionStatus) -> Self {
        let link = status.connection.clone().map(|mut link| {
            if let ConnectionState::Retrying { wait_ms, .. } = &mut link.state {
                // The screen shows whole seconds.
                *wait_ms = wait_ms.div_ceil(1_000);
            }
            link
        });
        let speed = status.speed.to_string();
        Self(status.now, status.phase, status.next_timer, speed, status.outcome.is_some(), link)
    }
}

/// Result of processing events.
#[derive(Clone, Copy, Debug, Default)]
pub struct PumpResult {
    /// The screen is out of date.
    pub needs_redraw: bool,
    /// A session changed, whether it is shown or not.
    pub has_changed: bool,
    /// More events are pending than the budget allowed.
    pub has_backlog: bool,
}

/// All open sessions.
#[derive(Default)]
pub struct SessionTabs {
    all: Vec<WatchedSession>,
    shown: usize,
    /// The tab bar as it was drawn last.
    drawn_bar: TabBar,
}

impl SessionTabs {
    /// Returns the session that is shown.
    pub fn shown(&self) -> Option<&dyn Session> {
        self.all.get(self.shown).map(|watched| watched.session.as_ref())
    }

    /// Consumes all sessions and returns the one that is shown.
    pub fn into_shown_session(mut self) -> Option<Box<dyn Session>> {
        (self.shown < self.all.len()).then(|| self.all.swap_remove(self.shown).session)
    }

    /// Replaces the session that is shown.
    pub fn replace(&mut self, model: &mut Model, session: Box<dyn Session>, launched: Option<LaunchRequest>) {
        let watched =
            WatchedSession { session, ui_state: TabState::default(), selected: None, shown: None, is_new: false };
        match self.all.get_mut(self.shown) {
            Some(slot) => *slot = watched,
            None => self.all.push(watched),
        }
        model.show_session(launched);
    }

    /// Adds a last tab. The first tab that is added is shown.
    pub fn open(&mut self, model: &mut Model, session: Box<dyn Session>) {
        if self.all.is_empty() {
            return self.replace(model, session, None);
        }
        self.insert(self.all.len(), session, false);
    }

    /// Adds a last tab and shows it.
    pub fn open_and_show(&mut self, model: &mut Model, session: Box<dyn Session>) {
        self.open(model, session);
        self.show(model, self.all.len() - 1);
    }

    fn insert(&mut self, index: usize, session: Box<dyn Session>, is_new: bool) {
        let watched = WatchedSession { session, ui_state: TabState::default(), selected: None, shown: None, is_new };
        self.all.insert(index, watched);
        self.shown += usize::from(index <= self.shown);
    }

    /// Shows another tab.
    pub fn show(&mut self, model: &mut Model, index: usize) {
        if index == self.shown || index >= self.all.len() {
            return;
        }
        // Whether details are shown is a property of the screen, not of the session.
        let details = model.dashboard.details;
        let mut ui_state = std::mem::take(&mut self.all[index].ui_state);
        ui_state.dashboard.details = details;
        self.all[self.shown].ui_state = model.swap_tab_state(ui_state);
        (self.all[index].shown, self.all[index].is_new) = (None, false);
        self.shown = index;
    }

    /// Ends the session that is shown and shows a neighbour; returns false if there is none.
    pub fn close(&mut self, model: &mut Model) -> bool {
        self.command(SessionCommand::Quit);
        if self.all.len() < 2 {
            self.all.clear();
            self.shown = 0;
            return false;
        }
        let closed = self.shown;
        self.show(model, if closed + 1 < self.all.len() { closed + 1 } else { closed - 1 });
        self.remove(closed);
        true
    }

    fn remove(&mut self, index: usize) {
        self.all.remove(index);
        self.shown -= usize::from(index < self.shown);
    }

    /// Sends a command to the session that is shown.
    pub fn command(&mut self, command: SessionCommand) {
        if let Some(watched) = self.all.get_mut(self.shown) {
            watched.session.command(command);
        }
    }

    /// Runs `stop`, which stops the whole program, with all loops and processes suspended. Loops stop their loop time
    /// too. Started apps must not run meanwhile: nothing would read their recording, and they would block on it.
    pub fn with_sessions_suspended(&mut self, stop: impl FnOnce()) {
        self.all.iter_mut().for_each(|watched| watched.session.command(SessionCommand::Suspend(true)));
        self.wait_for_stopped_processes();
        stop();
        self.all.iter_mut().for_each(|watched| watched.session.command(SessionCommand::Suspend(false)));
    }

    /// Waits until all started processes have stopped, up to the limit.
    fn wait_for_stopped_processes(&mut self) {
        let deadline = Instant::now() + STOP_TIMEOUT;
        for watched in &mut self.all {
            let stops = |status: SessionStatus| {
                status.control_level == ControlLevel::Process && status.phase == RunPhase::Pausing
            };
            while stops(watched.session.status()) && Instant::now() < deadline {
                if !watched.session.pump(SESSION_BUDGET_MIN) {
                    watched.session.wait(SESSION_BUDGET_MIN);
                }
            }
        }
    }

    /// Reports the selected task to the session that is shown, if its feed provides more data for a selected task.
    pub fn select(&mut self, selected: Option<TaskId>) {
        let Some(watched) = self.all.get_mut(self.shown).filter(|watched| watched.selected != selected) else { return };
        watched.selected = selected;
        if let (Some(id), SourceKind::Attach | SourceKind::Exec) = (selected, watched.session.status().source) {
            watched.session.command(SessionCommand::SelectTask(id));
        }
    }

    /// Processes events for about `budget`: first of the session that is shown, then of all others.
    pub fn pump(&mut self, model: &mut Model, budget: Duration) -> PumpResult {
        let begun = Instant::now();
        let mut result = PumpResult::default();
        let count = self.all.len();
        for offset in 0..count {
            let index = (self.shown + offset) % count;
            let left = budget.saturating_sub(begun.elapsed());
            // Time that a session does not use is available to the ones after it.
            let share = match (offset, count - offset) {
                (_, 1) => left,
                (0, _) => left / 2,
                (_, others) => left / u32::try_from(others).unwrap_or(u32::MAX),
            };
            let (share, start) = (share.max(SESSION_BUDGET_MIN), Instant::now());
            let watched = &mut self.all[index];
            let changed = watched.session.pump(share);
            result.has_backlog |= changed && start.elapsed() >= share / 2;
            result.has_changed |= changed;
            if index == self.shown {
                let moved = watched.shown.as_ref() != Some(&StatusSnapshot::new(&watched.session.status()));
                result.needs_redraw |= changed || moved;
            } else {
                let status = watched.session.status();
                watched.ui_state.dashboard.log.observe(watched.session.trace(), &status);
            }
        }
        result.needs_redraw |= self.open_successors(model);
        if count > 1 {
            result.needs_redraw |= self.tab_bar() != self.drawn_bar;
        }
        result
    }

    /// Opens a tab beside each session that has a successor.
    fn open_successors(&mut self, model: &mut Model) -> bool {
        let mut found = false;
        let mut index = 0;
        while index < self.all.len() {
            let Some(next) = self.all[index].session.successor() else {
                index += 1;
                continue;
            };
            found = true;
            let was_shown = index == self.shown;
            self.insert(index + 1, next, true);
            // Only switch tabs if the user is looking at the old one.
            if was_shown {
                self.show(model, index + 1);
                model.notice = Some("new process at this address, shown in this tab".to_owned());
            }
            let closed = if self.all.len() > TABS_MAX { self.close_finished_tab() } else { None };
            index += usize::from(closed.is_none_or(|closed| closed > index));
        }
        found
    }

    /// Closes the first finished tab that is not shown, and returns its index.
    fn close_finished_tab(&mut self) -> Option<usize> {
        let is_finished = |watched: &WatchedSession| TabStatus::from_session(&watched.session.status()).is_finished();
        let finished = (0..self.all.len()).find(|index| *index != self.shown && is_finished(&self.all[*index]));
        finished.inspect(|index| self.remove(*index))
    }

    fn tab_bar(&self) -> TabBar {
        let tab = |watched: &WatchedSession| {
            let status = watched.session.status();
            Tab { status: TabStatus::from_session(&status), name: status.name, is_new: watched.is_new }
        };
        TabBar { all: self.all.iter().map(tab).collect(), shown: self.shown }
    }

    /// Remembers the status that the next frame shows.
    pub fn remember_shown(&mut self, model: &mut Model) {
        self.drawn_bar = self.tab_bar();
        model.tabs = self.drawn_bar.clone();
        if let Some(watched) = self.all.get_mut(self.shown) {
            watched.shown = Some(StatusSnapshot::new(&watched.session.status()));
        }
    }
}
