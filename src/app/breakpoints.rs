//! Changes of breakpoints.

use super::action::{Action, Effect};
use super::model::Model;
use crate::control::{BREAKPOINTS_MAX, ControlLevel, RunPhase, SessionCommand, SessionStatus};

/// Sets a breakpoint, or clears all of them, for this run and for the next start of it.
pub(super) fn change_breakpoints(model: &mut Model, action: Action, status: &SessionStatus) -> Vec<Effect> {
    if status.control_level == ControlLevel::Loop && model.launched.is_none() {
        return change_breakpoints_of_app(model, action);
    }
    let Some(launched) = model.launched.as_mut().filter(|_| status.control_level == ControlLevel::Loop) else {
        model.notice = Some("loopscope does not control this loop; breakpoints are not available".to_owned());
        return Vec::new();
    };
    let (command, notice) = match action {
        Action::AddBreakpoint(_) if launched.breakpoints.len() >= BREAKPOINTS_MAX => {
            model.notice = Some(format!("limit of {BREAKPOINTS_MAX} breakpoints reached; `:break none` removes them"));
            return Vec::new();
        }
        Action::AddBreakpoint(breakpoint) => {
            if !launched.breakpoints.contains(&breakpoint) {
                launched.breakpoints.push(breakpoint);
            }
            let all: Vec<String> = launched.breakpoints.iter().map(ToString::to_string).collect();
            (
                SessionCommand::AddBreakpoint(breakpoint),
                format!("breakpoints: {}; `:break none` removes them", all.join(", ")),
            )
        }
        _ => {
            launched.breakpoints.clear();
            (SessionCommand::ClearBreakpoints, "all breakpoints removed".to_owned())
        }
    };
    model.notice = Some(notice);
    if status.phase == RunPhase::Ended { Vec::new() } else { vec![Effect::Command(command)] }
}

/// Sets a breakpoint in an external app, or clears all of them. The session keeps them.
fn change_breakpoints_of_app(model: &mut Model, action: Action) -> Vec<Effect> {
    let (command, notice) = match action {
        Action::AddBreakpoint(breakpoint) => (
            SessionCommand::AddBreakpoint(breakpoint),
            format!("breakpoint: {breakpoint}; `:break none` removes all of them"),
        ),
        _ => (SessionCommand::ClearBreakpoints, "all breakpoints removed".to_owned()),
    };
    model.notice = Some(notice);
    vec![Effect::Command(command)]
}
