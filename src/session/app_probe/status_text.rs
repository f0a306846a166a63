//! Texts about a program with the probe.

use std::time::Duration;

use loopscope_probe::protocol::Facts;

use super::stream::{ProbeStream, StreamEnd};
use crate::control::RunPhase;
use crate::feed::app_probe::AppProbeDecoder;
use crate::sanitize::{sanitize, truncate};

/// Longest version of what runs a program, in bytes.
const VERSION_BYTES_MAX: usize = 64;

/// Outcome of a program that has not described itself.
pub const NO_ANSWER: &str = "no answer from the app's probe";

/// Returns what a program does not record, each with the reason and what to do.
pub fn missing_facts(facts: Facts) -> Vec<(&'static str, &'static str)> {
    let mut missing = Vec::new();
    if !facts.polls {
        missing.push((
            "polls, wakes and ends of tasks are not recorded: the app was built without `--cfg tokio_unstable`, or has \
             another `tracing` subscriber",
            "build it with RUSTFLAGS=\"--cfg tokio_unstable\" and tokio's feature `tracing`, and call \
             loopscope_probe::init() first in main",
        ));
    }
    if facts.polls && !facts.wakes {
        missing.push((
            "wakes are not recorded: no subscriber of the probe observes tokio's spans",
            "call loopscope_probe::init() first in main, or add loopscope_probe::layer() to the app's own subscriber",
        ));
    }
    if facts.polls && !facts.resources {
        missing.push((
            "awaits and resources are not recorded: tokio's feature `tracing` is missing, or no subscriber of the probe \
             observes it",
            "enable tokio's feature `tracing`, and call loopscope_probe::init() first in main",
        ));
    }
    if !facts.hooks {
        missing.push((
            "no hooks on the runtime: parks are not recorded, and how some tasks ended is inferred",
            "call loopscope_probe::runtime(&mut builder) before the runtime is built",
        ));
    }
    missing
}

/// Outcome of a file without a description of the program.
pub const NO_DESCRIPTION: &str = "the flight recording ends before the description of the app";

/// Returns the note before recording has begun.
pub(super) fn waiting_note(decoder: &AppProbeDecoder) -> String {
    match decoder.hello() {
        Some(_) => "connected, waiting for the first events".to_owned(),
        None => "connected, but no answer yet; the app may be stopped".to_owned(),
    }
}

/// Returns the note of a connection that has ended.
pub(super) fn end_note(end: &StreamEnd) -> String {
    match end {
        StreamEnd::Complete => "the app has ended".to_owned(),
        StreamEnd::Detached => String::new(),
        StreamEnd::Closed => "the app closed the connection; it may have been killed".to_owned(),
        StreamEnd::Refused => "the app closed the connection before it recorded anything".to_owned(),
        StreamEnd::Failed(reason) => reason.clone(),
    }
}

/// Returns the note of a file that was read.
pub(super) fn file_note(end: &StreamEnd, decoder: &AppProbeDecoder) -> String {
    match end {
        StreamEnd::Failed(reason) => file_problem(reason, decoder),
        _ if decoder.is_truncated() => "complete, except for its last message, which is truncated".to_owned(),
        _ => "complete".to_owned(),
    }
}

/// Returns why the rest of a file cannot be read.
pub(super) fn file_problem(reason: &str, decoder: &AppProbeDecoder) -> String {
    match decoder.position() {
        position if decoder.hello().is_some() => format!("{reason} at byte {position}; what precedes it is shown"),
        _ => reason.to_owned(),
    }
}

/// Returns notes about the reliability of the data, and about the last command.
pub(in crate::session) fn stream_notes(stream: &ProbeStream) -> Vec<String> {
    let decoder = stream.decoder();
    let mut notes: Vec<String> =
        stream.gate.problem().map(|problem| format!("last command: {problem}")).into_iter().collect();
    let version = decoder.hello().map(|hello| sanitize(&hello.runtime_version)).filter(|version| !version.is_empty());
    notes.extend(version.map(|version| truncate(&version, VERSION_BYTES_MAX)));
    notes.extend(pause_note(stream));
    notes.extend(decoder.facts().into_iter().flat_map(missing_facts).map(|(cause, _)| cause.to_owned()));
    notes.extend(Some(decoder.caveats()).filter(|text| !text.is_empty()));
    notes
}

/// Returns what a pause does not stop, or what pauses have cut out.
fn pause_note(stream: &ProbeStream) -> Option<String> {
    let paused_ns = stream.decoder().paused_ns();
    let stops_timers = stream.decoder().stops_timers();
    match stream.gate.phase() {
        _ if stream.end().is_some() => None,
        RunPhase::Pausing => Some("pausing: a poll that began before has not ended yet".to_owned()),
        RunPhase::Paused if stops_timers => {
            Some("sockets and threads go on; the time of the loops stands still".to_owned())
        }
        RunPhase::Paused => Some("sockets, timers and closures of the blocking pool go on".to_owned()),
        _ if paused_ns == 0 => None,
        _ => {
            let paused = humantime::format_duration(Duration::from_millis(paused_ns.div_ceil(1_000_000)));
            let deadlines = if stops_timers { "" } else { "; deadlines may have passed meanwhile" };
            Some(format!("{paused} of pauses are cut out{deadlines}"))
        }
    }
}
