//! The end of an app, and what it left to be told.

use std::time::{Duration, Instant};

use super::ExecSession;
use super::app::{self, App};
use super::pipe::Pipe;
use super::wire::Wire;
use crate::control::Outcome;

/// How long after its end an app's output and recording may go on, from what it leaves behind.
const REST_PATIENCE: Duration = Duration::from_secs(1);

impl ExecSession {
    /// Notes that the app is over, and ends the session once all is told that it left. Tells whether it did.
    pub(super) fn follow_app(&mut self) -> bool {
        let Some(status) = self.app.as_mut().and_then(App::ended) else { return false };
        if self.ended.is_none() {
            self.ended = Some((Instant::now(), self.pipe.as_ref().map_or(0, Pipe::empty)));
            (self.is_frozen, self.freezing) = (false, None);
            let came_out = if self.is_quitting { Outcome::Cancelled } else { app::outcome(status) };
            self.came_out.get_or_insert(came_out);
        }
        let Some((ended, empty)) = self.ended else { return false };
        let Some(pipe) = &self.pipe else { return false };
        let is_quiet = self.last_came.max(ended).elapsed() > REST_PATIENCE;
        let is_told = pipe.empty() > empty && self.output.is_over() && self.wire.as_ref().is_none_or(Wire::is_silent);
        if (is_told || is_quiet) && !pipe.has_more() && self.chunk.is_none() {
            self.finish();
            return true;
        }
        false
    }

    fn finish(&mut self) {
        self.take_updates(REST_PATIENCE);
        self.take_output();
        if let Some(lines) = self.pipe.as_ref().and_then(Pipe::missed_last) {
            self.miss(lines);
        }
        let (trace, timed) = (&mut self.trace, &mut self.timed);
        // One that records nothing has no first line either.
        let finished = self.recording.finish(&mut |event| timed.before(event, trace));
        self.timed.all(&mut self.trace);
        self.catch_up(u64::MAX);
        let outcome = self.came_out.take().unwrap_or(Outcome::Cancelled);
        self.outcome = Some(match (outcome, finished) {
            (Outcome::Completed(_), Err(error)) => Outcome::Failed(error.to_string()),
            (outcome, _) => outcome,
        });
        if self.trace.tasks().iter().any(|task| task.ending.is_none()) {
            self.recording.note_unfinished();
        }
        self.trace.set_recorded(self.recording.recorded().clone());
        (self.app, self.pipe, self.port, self.wire) = (None, None, None, None);
    }
}
