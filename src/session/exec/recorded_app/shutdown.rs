//! The end of a session: draining the remaining data of an app that has ended.

use super::super::app_console::AppConsole;
use super::super::app_end::DRAIN_TIMEOUT;
use super::super::pipe::RecordingPipe;
use super::super::process::{self, AppProcess};
use super::RecordedApp;
use crate::control::RunOutcome;

impl RecordedApp {
    /// Detects the end of the app, and ends the session once all remaining data is read. Returns whether it ended.
    pub(super) fn check_app_end(&mut self) -> bool {
        let Some(status) = self.app.as_mut().and_then(AppProcess::exit_status) else { return false };
        if !self.app_end.has_ended() {
            let empty_count = self.pipe.as_ref().map_or(0, RecordingPipe::empty_count);
            self.app_end.record(process::outcome_of(status), empty_count);
            self.freeze.clear();
        }
        let Some(pipe) = &self.pipe else { return false };
        let is_drained = self.app_end.is_pipe_drained(pipe.empty_count())
            && self.output.is_finished()
            && self.console.as_ref().is_none_or(AppConsole::is_drained);
        let can_finish = is_drained || self.app_end.has_timed_out(self.last_chunk_at);
        if can_finish && !pipe.has_more() && self.chunk.is_none() {
            self.finish();
            return true;
        }
        false
    }

    /// Applies the remaining data and ends the session.
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
        self.correlator.close();
        self.advance_time(u64::MAX);
        self.catch_up();
        let (trace, time_queue) = (&mut self.trace, &mut self.time_queue);
        self.recording
            .finish_awaits(self.correlator.span_names(), &mut |event| time_queue.apply_in_order(event, trace));
        let outcome = self.app_end.take_outcome();
        self.outcome = Some(match (outcome, finished) {
            (RunOutcome::Completed(_), Err(error)) => RunOutcome::Failed(error.to_string()),
            (outcome, _) => outcome,
        });
        if self.trace.tasks().iter().any(|task| task.outcome.is_none()) {
            self.recording.mark_unfinished();
        }
        self.trace.set_recording_stats(self.recording.stats().clone());
        self.other_processes = self.pipe.as_ref().map_or(0, RecordingPipe::other_processes);
        (self.app, self.pipe, self.port, self.console) = (None, None, None, None);
    }
}
