//! Several sessions, one of them shown: a tab each.

use super::dashboard::Dashboard;
use super::session::Launch;
use crate::control::{LinkState, Outcome, Phase, Status};
use crate::insight::Findings;

/// Tabs at most; a program that comes and goes all night opens one each time, and the oldest that are lost make room.
pub const TABS_MAX: usize = 16;

/// What the person did to a session that is not shown now.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    pub dashboard: Dashboard,
    pub launched: Option<Launch>,
    pub findings: Option<Findings>,
}

/// How a session stands, as its tab tells it in one mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Something is coming in, or may.
    Live,
    /// Not reached yet, or not any more, and tried again.
    Reaching,
    Paused,
    /// The program is gone.
    Lost,
    Failed,
    Ended,
}

impl Standing {
    pub fn of(status: &Status) -> Self {
        match (&status.outcome, status.phase, status.link.as_ref().map(|link| link.state)) {
            (Some(Outcome::Failed(_)), _, _) => Self::Failed,
            (Some(Outcome::Completed(_) | Outcome::Cancelled), _, _) => Self::Ended,
            (_, _, Some(LinkState::Lost)) => Self::Lost,
            (_, Phase::Ended, _) => Self::Ended,
            (_, Phase::Paused | Phase::Pausing, _) => Self::Paused,
            (_, _, Some(LinkState::Connecting | LinkState::Waiting | LinkState::Retrying { .. })) => Self::Reaching,
            _ => Self::Live,
        }
    }

    /// Nothing will come of it any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Lost | Self::Failed | Self::Ended)
    }
}

/// A tab as its bar shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tab {
    pub name: String,
    pub standing: Standing,
    /// It came by itself, and nobody has looked at it yet.
    pub is_new: bool,
}

/// The tabs, and which of them is shown. One alone has no bar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tabs {
    pub all: Vec<Tab>,
    pub shown: usize,
}

impl Tabs {
    /// There is more than one, so that there is something to switch between.
    pub fn has_bar(&self) -> bool {
        self.all.len() > 1
    }

    /// The tab `steps` after the one that is shown, or before it; past the last is the first.
    pub fn beside(&self, steps: isize) -> usize {
        let count = isize::try_from(self.all.len()).unwrap_or(1).max(1);
        let at = isize::try_from(self.shown).unwrap_or(0);
        usize::try_from((at + steps).rem_euclid(count)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_the_last_tab_is_the_first() {
        let tab = Tab { name: String::new(), standing: Standing::Live, is_new: false };
        let tabs = Tabs { all: vec![tab; 3], shown: 2 };
        assert_eq!([tabs.beside(1), tabs.beside(-1), tabs.beside(-3)], [0, 1, 2]);
        assert_eq!(Tabs::default().beside(1), 0);
    }
}
