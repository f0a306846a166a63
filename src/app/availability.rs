//! Which actions are available in the current session, and why the others are not. Used by help, palette and footer,
//! and by the answers to keys.

use super::action::Action;
use super::model::Model;
use super::page::DashboardPage;
use crate::session::interface::Session;

use crate::control::{ClockKind, ConnectionState, ControlLevel, FeedChoice, RunPhase, SessionStatus, SourceKind};
use crate::trace::Fidelity;

/// Returns why `action` is unavailable in a session with this status; `None` if it is available.
pub fn unavailable_reason(action: Action, status: &SessionStatus) -> Option<&'static str> {
    let has_ended = status.phase == RunPhase::Ended;
    match (action, status.control_level) {
        (Action::TogglePause, _) if has_ended => Some(match status.control_level {
            ControlLevel::Loop => "the run has ended; r runs it again",
            ControlLevel::Process | ControlLevel::ReadOnly => "the session has ended; there is nothing to pause",
        }),
        (action, ControlLevel::Loop) if action.is_loop_command() && has_ended => {
            Some("the run has ended; r runs it again")
        }
        (action, ControlLevel::Process) if action.is_loop_command() => {
            Some("loopscope does not control this loop; space freezes the view, z stops the whole process")
        }
        (action, ControlLevel::ReadOnly) if action.is_loop_command() && is_uncontrolled_app(status) => {
            Some("no control: the app does not call allow_control(); space freezes the view")
        }
        (action, ControlLevel::ReadOnly) if action.is_loop_command() => {
            Some("loopscope does not control this loop; space freezes the view")
        }
        (Action::ToggleProcessFreeze, _) if has_ended && status.source == SourceKind::Exec => {
            Some("the process has ended")
        }
        (Action::ToggleProcessFreeze, ControlLevel::Process) => None,
        (Action::ToggleProcessFreeze, ControlLevel::Loop) => Some("loopscope controls this loop; space pauses it"),
        (Action::ToggleProcessFreeze, ControlLevel::ReadOnly) => {
            Some("loopscope stops only processes that it started; see `loopscope exec`")
        }
        (Action::Reconnect, _) => match status.connection.as_ref().map(|link| link.state) {
            _ if status.source != SourceKind::Attach => {
                Some("this is not an attached app: there is no connection to retry")
            }
            Some(ConnectionState::Live | ConnectionState::AwaitingData) => Some("already connected"),
            None | Some(ConnectionState::Connecting | ConnectionState::Retrying { .. } | ConnectionState::Lost) => None,
        },
        _ => None,
    }
}

/// Whether the session shows a running app with the probe that does not permit control.
fn is_uncontrolled_app(status: &SessionStatus) -> bool {
    let is_live = status.connection.as_ref().is_some_and(|connection| connection.state == ConnectionState::Live);
    is_live && (status.source, status.feed) == (SourceKind::Attach, FeedChoice::Probe)
}

/// Whether `action` has an effect in `session`, on the page that is shown, at some time of the run. Help and palette list
/// only such actions.
pub fn has_effect(action: Action, session: Option<&dyn Session>, model: &Model) -> bool {
    let Some(session) = session else { return true };
    let (status, is_timeline) = (session.status(), model.dashboard.page == DashboardPage::Timeline);
    match action {
        Action::Accept => !is_timeline,
        action if action.is_timeline_only() && !is_timeline => false,
        Action::ShowTab(_) | Action::NextTab | Action::PreviousTab | Action::CloseTab => model.tabs.is_bar_visible(),
        Action::SwitchAxis => session.trace().fidelity() == Fidelity::Exact,
        Action::ToggleProcessFreeze => status.control_level == ControlLevel::Process,
        Action::Reconnect => status.source == SourceKind::Attach,
        Action::RunAgain | Action::Edit | Action::AddBreakpoint(_) | Action::ClearBreakpoints => {
            status.control_level == ControlLevel::Loop
        }
        Action::Slower | Action::Faster | Action::SpeedMax | Action::SetSpeed(_) => {
            status.control_level == ControlLevel::Loop && status.clock == ClockKind::Virtual
        }
        action if action.is_loop_command() => status.control_level == ControlLevel::Loop,
        _ => true,
    }
}

/// Whether the footer shows `action` for `session`: it has an effect now.
pub fn is_in_footer(action: Action, session: Option<&dyn Session>, model: &Model) -> bool {
    let status = session.map(Session::status);
    let has_ended = status.as_ref().is_none_or(|status| status.phase == RunPhase::Ended);
    let is_available = status.as_ref().map(|status| unavailable_reason(action, status).is_none());
    match action {
        action if !has_effect(action, session, model) => false,
        Action::RunAgain | Action::ShowOutcome => has_ended,
        action if action.is_loop_command() || action == Action::TogglePause => is_available == Some(true),
        _ => is_available != Some(false),
    }
}
