//! Texts about the connection to an external app: the header's chip, the banner's line, and the reason why there are
//! no tasks.

use super::theme::Role;
use crate::control::{ConnectionState, ConnectionStatus, ControlLevel, RunOutcome, RunPhase, SessionStatus};

/// Chip of the header.
pub fn chip(connection: &ConnectionStatus) -> (Role, &'static str) {
    match connection.state {
        ConnectionState::Connecting => (Role::PhasePaused, "CONNECTING"),
        ConnectionState::AwaitingData => (Role::PhasePaused, "WAITING"),
        ConnectionState::Live => (Role::PhaseRunning, "LIVE"),
        ConnectionState::Retrying { .. } => (Role::PhasePaused, "RETRYING"),
        ConnectionState::Lost => (Role::PhaseLost, "LOST"),
    }
}

/// Whether the user has stopped the process that the session started.
pub fn is_process_stopped(status: &SessionStatus) -> bool {
    status.control_level == ControlLevel::Process && status.phase == RunPhase::Paused
}

/// Whether the program's outcome is known: then the connection was not lost, the program has ended.
pub fn is_outcome_known(status: &SessionStatus) -> bool {
    status.outcome.as_ref().is_some_and(|outcome| *outcome != RunOutcome::Detached)
}

/// Line of the banner; `None` if there is no problem.
pub fn banner_line(status: &SessionStatus) -> Option<(Role, String)> {
    if is_process_stopped(status) {
        let text = "PROCESS STOPPED by you: the whole process, not only its tasks (z: continue)";
        return Some((Role::Warning, text.to_owned()));
    }
    let connection = status.connection.as_ref()?;
    if connection.state == ConnectionState::Lost && is_outcome_known(status) {
        return (!connection.note.is_empty()).then(|| (Role::Warning, connection.note.clone()));
    }
    let because = |lead: &str| match connection.note.as_str() {
        "" => lead.to_owned(),
        note => format!("{lead}: {note}"),
    };
    match connection.state {
        ConnectionState::Live if connection.note.is_empty() => None,
        ConnectionState::Live => Some((Role::Warning, connection.note.clone())),
        ConnectionState::Connecting => Some((Role::Text, because("connecting…"))),
        ConnectionState::AwaitingData => Some((Role::Text, because("connected, waiting for the first update…"))),
        ConnectionState::Retrying { attempts, wait_ms } => {
            Some((Role::Warning, because(&format!("{} (attempt {attempts}; R: retry now)", retry_text(wait_ms)))))
        }
        ConnectionState::Lost => Some((Role::Error, because("connection lost (showing last known state)"))),
    }
}

/// Time until the next attempt, in whole seconds rounded up, so that the line stays stable.
fn retry_text(wait_ms: u64) -> String {
    match wait_ms.div_ceil(1_000) {
        0 => "retrying now".to_owned(),
        seconds => format!("retrying in {seconds} s"),
    }
}

/// Explains why there are no tasks.
pub fn no_tasks_reason(status: &SessionStatus) -> &'static [&'static str] {
    let Some(connection) = &status.connection else {
        return match (status.control_level, status.phase) {
            (ControlLevel::Loop, RunPhase::Ended) => &["no tasks: the run ended before it spawned one"],
            (_, RunPhase::Ended) => &["no tasks in this trace"],
            _ => &["no tasks yet"],
        };
    };
    match connection.state {
        ConnectionState::Connecting => &["no tasks yet: connecting"],
        ConnectionState::AwaitingData => &[
            "no tasks yet: connected, no update received.",
            "console-subscriber sends an update every publish interval (default: 1 s).",
        ],
        ConnectionState::Live => &[
            "no tasks: connected, but none reported.",
            "Reasons: none spawned yet; all spawned before console_subscriber::init(); built without --cfg tokio_unstable \
             or tokio's feature `tracing`; hidden by a tracing filter; disabled by tracing at their first use (start the \
             app again).",
            "Run `loopscope doctor ADDRESS` to find out.",
        ],
        ConnectionState::Retrying { .. } => &[
            "no tasks: cannot connect.",
            "Check that the app is running, calls console_subscriber::init() and listens at this address.",
            "Run `loopscope doctor ADDRESS` for details (R: retry now).",
        ],
        ConnectionState::Lost => &["no tasks: connection lost before any was reported"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_wait_is_in_whole_seconds() {
        assert_eq!(
            [retry_text(0), retry_text(1), retry_text(2_999)],
            ["retrying now", "retrying in 1 s", "retrying in 3 s"]
        );
    }
}
