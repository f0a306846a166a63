//! Notes about the reliability of the data, shown with the link.

use crate::feed::console::ConsoleDecoder;
use crate::feed::console_health::{TASKS_EXPECTED_NS, missing_tasks_reasons};
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

/// Returns the note about an app that has reported no task, once it should have; `None` before.
pub fn missing_tasks_note(decoder: &ConsoleDecoder) -> Option<String> {
    (decoder.task_count() == 0 && decoder.observed_ns() >= TASKS_EXPECTED_NS).then(|| {
        let reasons = missing_tasks_reasons(decoder.is_instrumented());
        format!(
            "console connected for {} s or more, but no task reported: {reasons} (docs/internals.md, section tracing; \
             `loopscope doctor` checks a running app)",
            TASKS_EXPECTED_NS / 1_000_000_000
        )
    })
}
