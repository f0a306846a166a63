//! What a person should know of the facts that they see, in a few words.

use crate::trace::{Recorded, Trace};

/// What could not be read of a recording.
pub fn of_recording(recorded: &Recorded) -> Vec<String> {
    let mut notes = Vec::new();
    let lines = |count: u64| if count == 1 { "1 line".to_owned() } else { format!("{count} lines") };
    if recorded.skipped > 0 {
        let first = recorded.broken.first();
        let first = first.map_or_else(String::new, |broken| format!(" (line {}: {})", broken.line, broken.why));
        notes.push(format!("{} skipped{first}", lines(recorded.skipped)));
    }
    if recorded.unknown > 0 {
        notes.push(format!("{} of a kind that is not known", lines(recorded.unknown)));
    }
    if recorded.lost > 0 {
        notes.push(format!("{} came too fast and are lost", lines(recorded.lost)));
    }
    if recorded.is_cut {
        notes.push("its last line is cut off".to_owned());
    }
    if recorded.is_unfinished {
        notes.push("its last moments may be missing: it ended before what it recorded was written".to_owned());
    }
    notes
}

/// Whether it is certain who woke whom.
pub fn of_threads(trace: &Trace) -> Option<String> {
    trace.many_threads().map(|_| "several threads: who woke whom is a guess".to_owned())
}
