//! Texts about the link to a started app.

use super::super::pipe::RecordingPipe;
use super::RecordedApp;
use crate::control::RunOutcome;
use crate::session::notes;

impl RecordedApp {
    /// Returns the note for the current state: what limits the data shown.
    pub(super) fn note(&self) -> String {
        let mut notes = Vec::new();
        if self.freeze.is_frozen() {
            notes.push("process stopped (SIGSTOP); loop time is paused".to_owned());
        }
        if let Some(reason) = &self.parse_error {
            // After the end, the outcome shows the error.
            let lines: Vec<_> = reason.lines().map(str::trim).collect();
            notes.extend(self.outcome.is_none().then(|| lines.join(" ")));
        } else if self.trace.tasks().is_empty() {
            notes.extend(self.no_tasks_note());
        }
        notes.extend(notes::recording_notes(self.recording.stats()));
        let others = self.pipe.as_ref().map_or(self.other_processes, RecordingPipe::other_processes);
        notes.extend(Some(others).filter(|others| *others > 0).map(other_processes_note));
        notes.extend(notes::thread_note(&self.trace));
        notes.extend(Some(self.output.panics()).filter(|panics| *panics > 0).map(panics_note));
        notes.extend(Some(self.correlator.caveats()).filter(|text| !text.is_empty()));
        notes.join("; ")
    }

    /// Returns why there are no tasks.
    fn no_tasks_note(&self) -> Option<String> {
        if matches!(self.outcome, Some(RunOutcome::Failed(_)))
            && self.recording.stats().lines == 0
            && !self.app_end.has_ended()
        {
            return None;
        }
        if let Some(note) = notes::missing_tasks_note(self.correlator.span_names()) {
            return Some(note);
        }
        let is_recording =
            self.recording.stats().lines > 0 || self.pipe.as_ref().is_some_and(RecordingPipe::has_been_opened);
        if let Some(python) = self.label.python.filter(|_| !is_recording) {
            return Some(python.no_tasks_note(self.has_ended()));
        }
        let reason = match (is_recording, self.correlator.updated_until().is_some(), self.has_ended()) {
            (false, false, true) => {
                "no recording: the app ended too early, does not call console_subscriber::init(), or ignores the \
                 variables TOKIO_CONSOLE_…"
            }
            (false, false, false) => "no recording yet: does the app call console_subscriber::init()?",
            (false, true, _) => "console connected, but no recording: the app ignores the variables TOKIO_CONSOLE_…",
            (true, ..) if self.correlator.span_names().is_instrumented() => "recording, no tasks yet",
            (true, ..) => {
                "recording, but no tasks reported: none was spawned, or the app was built without tokio's feature \
                 `tracing` or without RUSTFLAGS=\"--cfg tokio_unstable\""
            }
        };
        Some(reason.to_owned())
    }
}

/// Returns the note about processes that inherited the app's environment and record too.
fn other_processes_note(others: u64) -> String {
    let processes = if others == 1 { "another process".to_owned() } else { format!("{others} other processes") };
    format!(
        "{processes} of the app also called console_subscriber::init(): only the first process is shown; give a child \
         a TOKIO_CONSOLE_BIND of its own and attach to it"
    )
}

/// Returns the note about panics found in the output.
///
/// Neither the recording nor the console reports panics: the future is dropped like one that completed.
fn panics_note(panics: u64) -> String {
    if panics == 1 {
        "the app's output shows a panic (n: findings); the outcome of its task is unknown".to_owned()
    } else {
        format!("the app's output shows {panics} panics (n: findings); the outcomes of their tasks are unknown")
    }
}
