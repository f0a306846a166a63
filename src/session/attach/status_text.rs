//! Texts about the connection to an attached app.

use std::time::Duration;

use crate::feed::console::ConsoleDecoder;
use crate::session::notes::missing_tasks_note;

/// Time without an update after which the note mentions it.
pub const SILENCE_THRESHOLD: Duration = Duration::from_secs(10);

/// Time without an answer after which the note mentions it.
pub const ANSWER_THRESHOLD: Duration = Duration::from_secs(6);

/// Note while a connection is open and the console has not answered.
pub const NO_ANSWER_YET: &str =
    "connected, but no answer yet; the app may be busy or stopped, or the port may not be a console's";

/// Note after the console has answered and before its first update.
pub const WAITING: &str = "connected, waiting for the first update";

/// Returns the note while the first update arrives, of which `bytes` bytes have been received.
pub fn receiving_note(bytes: u64) -> String {
    format!("receiving the first update: {} MB so far", bytes.div_ceil(1_000_000))
}

/// Returns the note for a live connection.
pub fn live_note(decoder: &ConsoleDecoder, is_silent: bool) -> String {
    let mut sentences = Vec::new();
    if is_silent {
        sentences.push(silence_note());
    }
    if decoder.task_count() == 0 {
        let early = || no_tasks_note(decoder.is_instrumented()).to_owned();
        sentences.push(missing_tasks_note(decoder).unwrap_or_else(early));
    }
    sentences.extend(Some(decoder.caveats()).filter(|text| !text.is_empty()));
    sentences.join("; ")
}

/// Returns the note for a connection without updates.
pub fn silence_note() -> String {
    format!(
        "no update for {} s: the app is stopped, another client paused its console, or its publish interval is \
         long (TOKIO_CONSOLE_PUBLISH_INTERVAL)",
        SILENCE_THRESHOLD.as_secs()
    )
}

/// Returns why there are no tasks.
fn no_tasks_note(is_instrumented: bool) -> &'static str {
    if is_instrumented {
        "connected, no tasks at the moment"
    } else {
        "connected, no tasks reported: none was spawned since its console started, the app was built without \
         tokio's feature `tracing` or without `--cfg tokio_unstable`, or a filter hides tokio's spans"
    }
}

/// Returns the note for a lost connection: the cause, and caveats about the data received before.
pub fn lost_note(reason: String, attempts: u32, decoder: &ConsoleDecoder) -> String {
    let reason = match attempts {
        0 | 1 => reason,
        more => format!("{reason} ({more} attempts)"),
    };
    let sentences = [reason, decoder.caveats()].into_iter().filter(|text| !text.is_empty());
    sentences.collect::<Vec<_>>().join("; ")
}

/// Returns the reason of a connection that ended soon after its first update, like `times` connections in a row.
pub fn short_connection_note(reason: &str, times: u32) -> String {
    match times {
        0 | 1 => reason.to_owned(),
        times => format!("{reason}; {times} connections in a row ended right after they were made"),
    }
}

/// Note of a session whose program was replaced by another process.
pub const REPLACED: &str = "another process answers at this address now";
