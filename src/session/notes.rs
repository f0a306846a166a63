//! Notes about the reliability of the data, shown with the link.

use crate::trace::{RecordingStats, Trace};

/// Returns notes about lines of a recording that could not be read, and about missing ends.
pub fn recording_notes(recorded: &RecordingStats) -> Vec<String> {
    let mut notes = Vec::new();
    let lines = |count: u64| if count == 1 { "1 line".to_owned() } else { format!("{count} lines") };
    if recorded.skipped_lines > 0 {
        let first = recorded.malformed.first();
        let first = first.map_or_else(String::new, |broken| format!(" (line {}: {})", broken.line, broken.reason));
        notes.push(format!("{} skipped{first}", lines(recorded.skipped_lines)));
    }
    if recorded.unknown_lines > 0 {
        notes.push(format!("{} of unknown kind", lines(recorded.unknown_lines)));
    }
    if recorded.lost_lines > 0 {
        notes.push(format!("{} dropped (recorded faster than they could be read)", lines(recorded.lost_lines)));
    }
    if recorded.is_truncated {
        notes.push("last line truncated".to_owned());
    }
    if recorded.is_unfinished {
        notes.push("last events may be missing: the app ended before its recording was written".to_owned());
    }
    notes
}

/// Returns a note if the app polls on several threads, so that some wake sources are unknown.
pub fn thread_note(trace: &Trace) -> Option<String> {
    trace.multi_threaded_since().map(|_| "multi-threaded: wake sources are unknown while several tasks run".to_owned())
}
