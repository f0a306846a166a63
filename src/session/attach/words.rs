//! What a person reads about the link.

use std::time::Duration;

use crate::feed::console::ForeignDoor;

/// How long nothing may be told before that is worth a word.
pub const SILENCE: Duration = Duration::from_secs(10);

/// How long an answer may take before that is worth a word.
pub const SLOW: Duration = Duration::from_secs(6);

pub const NO_ANSWER_YET: &str = "it took the connection and gave no answer so far; is it very busy, stopped, or something else than a \
                                 console?";

pub const WAITING: &str = "it answered, and has told nothing yet";

/// What is to be known of a program that tells.
pub fn live(door: &ForeignDoor, is_silent: bool) -> String {
    let mut sentences = Vec::new();
    if is_silent {
        sentences.push(silent());
    }
    if door.tasks() == 0 {
        sentences.push(no_tasks(door.knows_of_tasks()).to_owned());
    }
    sentences.extend(Some(door.caveats()).filter(|text| !text.is_empty()));
    sentences.join("; ")
}

/// Why it may be that nothing is told.
pub fn silent() -> String {
    format!(
        "nothing was told for {} s: the program is stopped, its console is paused by somebody, or it publishes seldom \
         (TOKIO_CONSOLE_PUBLISH_INTERVAL)",
        SILENCE.as_secs()
    )
}

fn no_tasks(knows_of_tasks: bool) -> &'static str {
    if knows_of_tasks {
        "connected; it has no tasks just now"
    } else {
        "connected, and no task was ever told of: none was spawned since its console began, or it is built without \
         tokio's feature `tracing` or without `--cfg tokio_unstable`, or a filter hides tokio's spans"
    }
}

/// Why a program is lost, what is done about it, and what is to be known of what it had told.
pub fn lost(why: &str, attempts: u32, door: &ForeignDoor) -> String {
    let why = match attempts {
        0 | 1 => why.to_owned(),
        more => format!("{why} (tried {more} times)"),
    };
    let sentences = [why, door.caveats()].into_iter().filter(|text| !text.is_empty());
    sentences.collect::<Vec<_>>().join("; ")
}

pub const REPLACED: &str = "another process answers at its address now";
