//! Counts data that is missing, skipped, dropped or corrected, and describes it for the user.

use std::time::Duration;

use console_api::RegisterMetadata;

use crate::feed::console::task_stats::is_spawn;
use crate::feed::console::wire_clock::WireClock;

/// Counters for the whole session.
#[derive(Debug, Default)]
pub struct Caveats {
    /// Tasks whose names were not reported.
    pub nameless_tasks: u64,
    /// Tasks not shown because of a limit, in the current update.
    pub hidden_in_update: u64,
    /// The most tasks not shown in one update.
    hidden: u64,
    /// Entries of updates that were skipped.
    pub skipped_entries: u64,
    /// Events that the app reports as dropped.
    pub dropped: u64,
    /// Whether the app registered tokio's span for tasks.
    pub is_instrumented: bool,
}

impl Caveats {
    /// Checks the spans that an app registers.
    pub fn observe_metadata(&mut self, new: &RegisterMetadata) {
        let spans = new.metadata.iter().filter_map(|new| new.metadata.as_ref());
        self.is_instrumented |= spans.into_iter().any(is_spawn);
    }

    /// Begins the next update.
    pub fn begin_update(&mut self) {
        self.hidden = self.hidden.max(std::mem::take(&mut self.hidden_in_update));
    }

    /// Describes all counters above 0. `hidden` adds to the own count, `lag` is the publish lag, and `advice` is what
    /// to do about that.
    pub fn describe(&self, hidden: u64, clock: &WireClock, lag: Option<Duration>, advice: Option<&str>) -> String {
        let hidden = self.hidden.max(self.hidden_in_update).saturating_add(hidden);
        let clauses = [
            (self.nameless_tasks, "tasks without a name: their first report was left out of an oversized message"),
            (self.dropped, "events dropped by the app: its buffer was full (TOKIO_CONSOLE_BUFFER_CAPACITY)"),
            (hidden, "tasks, resources or awaits not shown: limit reached"),
            (self.skipped_entries, "message entries skipped: too long or malformed"),
            (clock.steps(), "clock steps in the app; loop time continued"),
            (clock.clamped_count(), "timestamps out of range, clamped"),
        ];
        let counted = clauses.iter().filter(|(count, _)| *count > 0).map(|(count, clause)| format!("{count} {clause}"));
        let lag = lag.map(|lag| {
            let advice = advice.map(|advice| format!(" ({advice})")).unwrap_or_default();
            let seconds = lag.as_secs().max(1);
            format!("console cannot keep up: new events arrive {seconds} s late, and more are pending{advice}")
        });
        lag.into_iter().chain(counted).collect::<Vec<_>>().join("; ")
    }
}
