//! The end of an app: draining its remaining data and ending the session.

use std::time::{Duration, Instant};

use super::ExecSession;
use super::app_console::AppConsole;
use super::pipe::RecordingPipe;
use super::process::{self, AppProcess};
use crate::control::RunOutcome;

/// Time without new data, after the app's end, before the session ends even if the pipes are still open.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

impl ExecSession {
    /// Detects the end of the app, and ends the session once all remaining data is read. Returns whether it ended.
    pub(super) fn check_app_end(&mut self) -> bool {
        let Some(status) = self.app.as_mut().and_then(AppProcess::exit_status) else { return false };
        if self.app_end.is_none() {
            self.app_end = Some((Instant::now(), self.pipe.as_ref().map_or(0, RecordingPipe::empty_count)));
            (self.is_frozen, self.freeze_requested_at) = (false, None);
            let app_outcome = if self.is_quitting { RunOutcome::Cancelled } else { process::outcome_of(status) };
            self.app_outcome.get_or_insert(app_outcome);
        }
        let Some((app_end, empty_count)) = self.app_end else { return false };
        let Some(pipe) = &self.pipe else { return false };
        let has_timed_out = self.last_chunk_at.max(app_end).elapsed() > DRAIN_TIMEOUT;
        let is_drained = pipe.empty_count() > empty_count
            && self.output.is_finished()
            && self.console.as_ref().is_none_or(AppConsole::is_drained);
        if (is_drained || has_timed_out) && !pipe.has_more() && self.chunk.is_none() {
            self.finish();
            return true;
        }
        false
    }

    fn finish(&mut self) {
        self.apply_console_updates(DRAIN_TIMEOUT);
        self.queue_output();
        if let Some(lines) = self.pipe.as_ref().and_then(RecordingPipe::take_last_dropped) {
            self.record_dropped_lines(lines);
        }
        let (trace, time_queue) = (&mut self.trace, &mut self.time_queue);
        // An app without a recording gives an error here too; it matters only to a successful outcome.
        let finished = self.recording.finish(&mut |event| time_queue.apply_in_order(event, trace));
        self.time_queue.apply_all(&mut self.trace);
        self.catch_up(u64::MAX);
        let outcome = self.app_outcome.take().unwrap_or(RunOutcome::Cancelled);
        self.outcome = Some(match (outcome, finished) {
            (RunOutcome::Completed(_), Err(error)) => RunOutcome::Failed(error.to_string()),
            (outcome, _) => outcome,
        });
        if self.trace.tasks().iter().any(|task| task.outcome.is_none()) {
            self.recording.mark_unfinished();
        }
        self.trace.set_recording_stats(self.recording.stats().clone());
        (self.app, self.pipe, self.port, self.console) = (None, None, None, None);
    }
}
