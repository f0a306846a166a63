//! How the process is stopped for a while, and goes on.

use std::time::Duration;

use super::ExecSession;
use crate::trace::{Event, PauseCause};

/// How long a stop waits for the console: it tells ten times a second.
const FREEZE_PATIENCE: Duration = Duration::from_millis(250);

impl ExecSession {
    /// Stops the process once its console has told what its tasks wait for, or after a moment without that.
    pub(super) fn freeze(&mut self, has_told: bool) {
        let is_due = self.freezing.is_some_and(|asked| has_told || asked.elapsed() >= FREEZE_PATIENCE);
        if !is_due {
            return;
        }
        self.freezing = None;
        let Some(app) = self.app.as_mut().filter(|_| !self.is_frozen) else { return };
        if app.freeze(true) {
            self.is_frozen = true;
            // It stands only after it was told to: what happens in between is at the edge of the stop.
            let now = self.clock.now();
            let at = self.recording.stamps().loop_time(now);
            self.recording.stamps().stop(now);
            let cause = if self.is_suspended { PauseCause::Suspended } else { PauseCause::Person };
            self.timed.push(at, Event::Pause { at, cause });
        }
    }

    pub(super) fn thaw(&mut self) {
        self.freezing = None;
        let Some(app) = self.app.as_mut().filter(|_| self.is_frozen) else { return };
        // It goes on only after it was told to.
        self.recording.stamps().go_on(self.clock.now());
        self.is_frozen = !app.freeze(false);
    }
}
