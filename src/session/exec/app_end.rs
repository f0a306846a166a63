//! The end of an app: its outcome, and whether all of its data has been read.

use std::time::{Duration, Instant};

use crate::control::RunOutcome;

/// Time without new data, after the app's end, before the session ends even if the pipes are still open.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// What is known about the end of an app.
#[derive(Debug, Default)]
pub struct AppEnd {
    /// When the app ended, and the pipe's empty count at that time.
    ended: Option<(Instant, u64)>,
    /// The user, or a time limit, ended the session.
    is_quitting: bool,
    /// The outcome of the app, until the session takes it.
    outcome: Option<RunOutcome>,
}

impl AppEnd {
    /// Returns whether the app has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Records that the user, or a time limit, ended the session.
    pub fn quit(&mut self) {
        self.is_quitting = true;
    }

    /// Sets the outcome to a failure of the recording, which precedes the app's own outcome.
    pub fn fail(&mut self, error: String) {
        self.outcome = Some(RunOutcome::Failed(error));
    }

    /// Records that the app has ended with `outcome`, when its recording's pipe had been empty `empty_count` times.
    pub fn record(&mut self, outcome: RunOutcome, empty_count: u64) {
        self.ended = Some((Instant::now(), empty_count));
        self.outcome.get_or_insert(if self.is_quitting { RunOutcome::Cancelled } else { outcome });
    }

    /// Returns whether the pipe has been empty since the app's end, given its current empty count.
    pub fn is_pipe_drained(&self, empty_count: u64) -> bool {
        self.ended.is_some_and(|(_, count_at_end)| empty_count > count_at_end)
    }

    /// Returns whether no data has arrived for [`DRAIN_TIMEOUT`] since the app's end. The last arrived at
    /// `last_data_at`.
    pub fn has_timed_out(&self, last_data_at: Instant) -> bool {
        self.ended.is_some_and(|(ended_at, _)| last_data_at.max(ended_at).elapsed() > DRAIN_TIMEOUT)
    }

    /// Takes the outcome of the app.
    pub fn take_outcome(&mut self) -> RunOutcome {
        self.outcome.take().unwrap_or(RunOutcome::Cancelled)
    }
}
