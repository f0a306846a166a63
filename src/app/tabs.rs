//! Tabs: one for each open session, of which one is shown.

use super::dashboard::Dashboard;
use crate::control::{ConnectionState, RunOutcome, RunPhase, SessionStatus};
use crate::insight::Findings;
use crate::session::interface::LaunchRequest;

/// Maximum number of tabs. A program that keeps restarting opens a new tab each time; beyond the limit the oldest
/// finished tab is closed.
pub const TABS_MAX: usize = 16;

/// UI state of a session that is not shown.
#[derive(Clone, Debug, Default)]
pub struct TabState {
    /// Its dashboard.
    pub dashboard: Dashboard,
    /// What started it, if loopscope did.
    pub launched: Option<LaunchRequest>,
    /// Findings of the whole run, once it has ended.
    pub findings: Option<Findings>,
}

/// Status of a session, as its tab shows it in one mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TabStatus {
    /// Events arrive, or may arrive.
    Live,
    /// Connecting or reconnecting.
    Connecting,
    /// Paused or about to pause.
    Paused,
    /// The connection is lost.
    Lost,
    /// The run failed.
    Failed,
    /// The run completed, was cancelled, or ended with an unknown outcome.
    Ended,
}

impl TabStatus {
    /// Derives the tab status from the session status.
    pub fn from_session(status: &SessionStatus) -> Self {
        match (&status.outcome, status.phase, status.connection.as_ref().map(|link| link.state)) {
            (Some(RunOutcome::Failed(_)), _, _) => Self::Failed,
            (Some(RunOutcome::Completed(_) | RunOutcome::Cancelled), _, _) => Self::Ended,
            (_, _, Some(ConnectionState::Lost)) => Self::Lost,
            (_, RunPhase::Ended, _) => Self::Ended,
            (_, RunPhase::Paused | RunPhase::Pausing, _) => Self::Paused,
            (
                _,
                _,
                Some(ConnectionState::Connecting | ConnectionState::AwaitingData | ConnectionState::Retrying { .. }),
            ) => Self::Connecting,
            _ => Self::Live,
        }
    }

    /// Whether no further events can arrive.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Lost | Self::Failed | Self::Ended)
    }
}

/// A tab as the tab bar shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tab {
    /// Name of the session.
    pub name: String,
    /// Status of the session.
    pub status: TabStatus,
    /// Whether it opened by itself and has not been shown yet.
    pub is_new: bool,
}

/// All tabs, and which of them is shown. A single tab has no visible bar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TabBar {
    /// All tabs, from left to right.
    pub all: Vec<Tab>,
    /// Index of the tab that is shown.
    pub shown: usize,
}

impl TabBar {
    /// Whether the bar is visible: there is more than one tab.
    pub fn is_bar_visible(&self) -> bool {
        self.all.len() > 1
    }

    /// Returns the index of the tab `steps` after the current one (negative: before it), wrapping around.
    pub fn neighbour(&self, steps: isize) -> usize {
        let count = isize::try_from(self.all.len()).unwrap_or(1).max(1);
        let at = isize::try_from(self.shown).unwrap_or(0);
        usize::try_from((at + steps).rem_euclid(count)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbour_wraps_around() {
        let tab = Tab { name: String::new(), status: TabStatus::Live, is_new: false };
        let tabs = TabBar { all: vec![tab; 3], shown: 2 };
        assert_eq!([tabs.neighbour(1), tabs.neighbour(-1), tabs.neighbour(-3)], [0, 1, 2]);
        assert_eq!(TabBar::default().neighbour(1), 0);
    }
}
