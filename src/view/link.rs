//! How it stands with a program that is not ours, in words: a chip for the header, a line for the banner, and the reason
//! where there is nothing to see.

use super::theme::Role;
use crate::control::{Link, LinkState, Outcome, Phase, Status, Steering};

/// The chip of the header, where there is a link.
pub fn chip(link: &Link) -> (Role, &'static str) {
    match link.state {
        LinkState::Connecting => (Role::PhasePaused, "CONNECTING"),
        LinkState::Waiting => (Role::PhasePaused, "WAITING"),
        LinkState::Live => (Role::PhaseRunning, "LIVE"),
        LinkState::Retrying { .. } => (Role::PhasePaused, "RETRYING"),
        LinkState::Lost => (Role::PhaseLost, "LOST"),
    }
}

/// The process that we started stands still because the person said so.
pub fn is_stopped(status: &Status) -> bool {
    status.steering == Steering::Process && status.phase == Phase::Paused
}

/// How it ended is known: then it was not lost, it went.
pub fn has_ended(status: &Status) -> bool {
    status.outcome.as_ref().is_some_and(|outcome| *outcome != Outcome::Detached)
}

/// What the banner says; `None` where all is as it should be.
pub fn line(status: &Status) -> Option<(Role, String)> {
    if is_stopped(status) {
        let text = "PROCESS STOPPED by you: the whole of it, not only its tasks; z lets it go on";
        return Some((Role::Warning, text.to_owned()));
    }
    let link = status.link.as_ref()?;
    if link.state == LinkState::Lost && has_ended(status) {
        return (!link.note.is_empty()).then(|| (Role::Warning, link.note.clone()));
    }
    // Who says why it was lost may say that it was.
    let note = link.note.strip_prefix("lost: ").unwrap_or(&link.note);
    let because = |lead: &str| match note {
        "" => lead.to_owned(),
        note => format!("{lead}: {note}"),
    };
    match link.state {
        LinkState::Live if link.note.is_empty() => None,
        LinkState::Live => Some((Role::Warning, link.note.clone())),
        LinkState::Connecting => Some((Role::Text, because("connecting…"))),
        LinkState::Waiting => Some((Role::Text, because("connected, waiting for the first update…"))),
        LinkState::Retrying { attempts, wait_ms } => {
            Some((Role::Warning, because(&format!("{} (attempt {attempts}; R retries now)", retrying(wait_ms)))))
        }
        LinkState::Lost => Some((Role::Error, because("LOST, and kept as it was"))),
    }
}

/// Whole seconds, rounded up, so that the line does not dance.
fn retrying(wait_ms: u64) -> String {
    match wait_ms.div_ceil(1_000) {
        0 => "retrying now".to_owned(),
        seconds => format!("retrying in {seconds} s"),
    }
}

/// Why there is no task to show, in sentences.
pub fn why_empty(status: &Status) -> &'static [&'static str] {
    let Some(link) = &status.link else {
        return match (status.steering, status.phase) {
            (Steering::Loop, Phase::Ended) => &["no task: the run was over before it spawned one"],
            (_, Phase::Ended) => &["no task is in what was told"],
            _ => &["no task yet"],
        };
    };
    match link.state {
        LinkState::Connecting => &["no task yet: the program has not answered"],
        LinkState::Waiting => &[
            "no task yet: it answered, and has sent nothing",
            "console-subscriber sends once every publish interval, one second unless the program says otherwise",
        ],
        LinkState::Live => &[
            "no task: it is connected and tells of none",
            "Either it has spawned none so far, or its tasks are older than its console_subscriber::init(), or it was",
            "built without --cfg tokio_unstable or tokio's feature `tracing`, or a filter of its own hides them.",
            "`loopscope doctor` with its address says which.",
        ],
        LinkState::Retrying { .. } => &[
            "no task: it cannot be reached",
            "Is it running, with console_subscriber::init(), and does it listen at this address?",
            "`loopscope doctor` with its address says more; R retries now.",
        ],
        LinkState::Lost => &["no task: it was lost before it told of any"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_told_in_whole_seconds() {
        assert_eq!([retrying(0), retrying(1), retrying(2_999)], ["retrying now", "retrying in 1 s", "retrying in 3 s"]);
    }
}
