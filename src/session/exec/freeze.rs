//! Stopping (SIGSTOP) and continuing the app's process.

use std::time::Duration;

use super::ExecSession;
use crate::trace::{Event, PauseReason};

/// Maximum delay of a stop while waiting for a console update.
const FREEZE_TIMEOUT: Duration = Duration::from_millis(250);

impl ExecSession {
    /// Stops the process after the next console update, or after a timeout.
    ///
    /// The update gives the names of what the tasks wait for. `has_told` is whether one has just arrived.
    pub(super) fn freeze(&mut self, has_update: bool) {
        let is_due =
            self.freeze_requested_at.is_some_and(|requested_at| has_update || requested_at.elapsed() >= FREEZE_TIMEOUT);
        if !is_due {
            return;
        }
        self.freeze_requested_at = None;
        let Some(app) = self.app.as_mut().filter(|_| !self.is_frozen) else { return };
        if app.freeze(true) {
            self.is_frozen = true;
            // The process stops a little after the signal; events in between fall on the edge of the pause.
            let now = self.clock.now();
            let at = self.recording.clock_mut().loop_time(now);
            self.recording.clock_mut().stop(now);
            let cause = if self.is_suspended { PauseReason::Suspended } else { PauseReason::User };
            self.time_queue.push(at, Event::Pause { at, reason: cause });
        }
    }

    /// Continues the process, or cancels a requested stop.
    pub(super) fn thaw(&mut self) {
        self.freeze_requested_at = None;
        let Some(app) = self.app.as_mut().filter(|_| self.is_frozen) else { return };
        // Restart time before the signal: the process continues only after it.
        self.recording.clock_mut().resume(self.clock.now());
        self.is_frozen = !app.freeze(false);
    }
}
