//! What a person reads about an app that was started.

use super::ExecSession;
use super::pipe::Pipe;
use crate::control::Outcome;
use crate::session::notes;

impl ExecSession {
    /// What a person should know of what they see.
    pub(super) fn note(&self) -> String {
        let mut notes = Vec::new();
        if self.is_frozen {
            notes.push("its process is stopped (SIGSTOP), and loop time with it".to_owned());
        }
        if let Some(why) = &self.unreadable {
            // Once it is over, that is how it came out.
            let lines: Vec<_> = why.lines().map(str::trim).collect();
            notes.extend(self.outcome.is_none().then(|| lines.join(" ")));
        } else if self.trace.tasks().is_empty() {
            notes.extend(self.why_nothing());
        }
        notes.extend(notes::of_recording(self.recording.recorded()));
        notes.extend(notes::of_threads(&self.trace));
        notes.extend(Some(self.output.panics()).filter(|panics| *panics > 0).map(of_panics));
        notes.extend(Some(self.joined.caveats()).filter(|text| !text.is_empty()));
        notes.join("; ")
    }

    /// Why there are no tasks.
    fn why_nothing(&self) -> Option<String> {
        if matches!(self.outcome, Some(Outcome::Failed(_)))
            && self.recording.recorded().lines == 0
            && self.ended.is_none()
        {
            return None;
        }
        let records = self.recording.recorded().lines > 0 || self.pipe.as_ref().is_some_and(Pipe::was_opened);
        let why = match (records, self.joined.told_until().is_some(), self.is_over()) {
            (false, false, true) => {
                "it never began to record: it ended before it could, does not call console_subscriber::init(), or sets its \
                 console up in its own code without the environment"
            }
            (false, false, false) => "it has not begun to record: does it call console_subscriber::init()?",
            (false, true, _) => {
                "its console answers, and it does not record: it sets its console up without the environment"
            }
            (true, ..) if self.joined.names().knows_of_tasks() => "it records, and has spawned no task yet",
            (true, ..) => {
                "it records, and no task was ever told of: none was spawned, or it is built without tokio's feature \
                 `tracing` or without RUSTFLAGS=\"--cfg tokio_unstable\""
            }
        };
        Some(why.to_owned())
    }
}

/// Neither its recording nor its console tells of a panic: the future is dropped as one that is ready.
fn of_panics(panics: u64) -> String {
    let how_often = if panics == 1 { "a panic".to_owned() } else { format!("{panics} panics") };
    format!("its output tells of {how_often}: nothing tells which task it was, and one that panicked shows as done")
}
