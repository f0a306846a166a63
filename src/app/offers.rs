//! Which actions mean something for what is watched now, and why the others do not: the footer and the answers to keys.

use super::Model;
use super::action::Action;
use super::pages::Page;
use super::session::Session;

use crate::control::{LinkState, Phase, SourceKind, Status, Steering};
use crate::trace::Fidelity;

/// Why `action` means nothing for a session that stands like this; `None` where it does mean something.
pub fn refusal(action: Action, status: &Status) -> Option<&'static str> {
    let is_over = status.phase == Phase::Ended;
    match (action, status.steering) {
        (Action::TogglePause, _) if is_over => Some(match status.steering {
            Steering::Loop => "the run has ended; r runs it again",
            Steering::Process | Steering::Nothing => "it is over: nothing here moves any more",
        }),
        (action, Steering::Loop) if action.drives_the_loop() && is_over => Some("the run has ended; r runs it again"),
        (action, Steering::Process) if action.drives_the_loop() => {
            Some("this loop is not ours to step, hold or slow; space freezes the picture, z the whole process")
        }
        (action, Steering::Nothing) if action.drives_the_loop() => {
            Some("this loop is not ours to step, hold or slow; space freezes the picture")
        }
        (Action::FreezeProcess, _) if is_over && status.source == SourceKind::Exec => Some("the process has ended"),
        (Action::FreezeProcess, Steering::Process) => None,
        (Action::FreezeProcess, Steering::Loop) => Some("the loop is ours: space pauses it"),
        (Action::FreezeProcess, Steering::Nothing) => {
            Some("loopscope did not start this process, so it does not stop it; `loopscope exec` starts one")
        }
        (Action::Retry, _) => match status.link.as_ref().map(|link| link.state) {
            _ if status.source != SourceKind::Attach => Some("there is nothing to reach: this is no attached program"),
            Some(LinkState::Live | LinkState::Waiting) => Some("it is connected"),
            None | Some(LinkState::Connecting | LinkState::Retrying { .. } | LinkState::Lost) => None,
        },
        _ => None,
    }
}

/// Whether the footer should speak of `action` now, where `session` is watched.
pub fn is_offered(action: Action, session: Option<&dyn Session>, model: &Model) -> bool {
    let status = session.map(Session::status);
    let is_over = status.as_ref().is_none_or(|status| status.phase == Phase::Ended);
    let is_ours = status.as_ref().is_none_or(|status| status.steering == Steering::Loop);
    let means_something = status.as_ref().map(|status| refusal(action, status).is_none());
    match action {
        Action::ShowTab(_) | Action::NextTab | Action::PreviousTab | Action::CloseTab => model.tabs.has_bar(),
        Action::Accept => session.is_none() || model.dashboard.page != Page::Timeline,
        action if session.is_some() && model.dashboard.page != Page::Timeline && action.is_for_the_timeline() => false,
        Action::RunAgain => is_over && is_ours,
        Action::Edit => is_ours,
        Action::ShowOutcome => is_over,
        Action::SwitchAxis => session.is_none_or(|session| session.trace().fidelity() == Fidelity::Exact),
        action if action.drives_the_loop() || action == Action::TogglePause => means_something == Some(true),
        _ => means_something != Some(false),
    }
}
