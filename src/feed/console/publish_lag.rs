//! Detects a console that cannot keep up and therefore reports new entities late, without saying so.
//!
//! console-subscriber drains at most 128 events from its buffer per update, because its loop exhausts tokio's
//! cooperative budget.

use std::time::Duration;

use console_api::async_ops::AsyncOpUpdate;
use console_api::resources::ResourceUpdate;
use console_api::tasks::TaskUpdate;

use super::wire_clock::WireTimestamp;

/// Events that tokio's cooperative budget lets console-subscriber's aggregator drain at once.
pub const BUDGET_EVENTS: u64 = 128;

/// Updates of a connection that carry the whole state: the first one, and the one that repeats it.
const FULL_UPDATES: u64 = 2;

/// Smallest lag that counts, in nanoseconds; a shorter one is ordinary latency.
const LAG_MIN_NS: i64 = 100_000_000;

/// Follows how late new entities are reported, from update to update.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishLag {
    updates: u64,
    /// Timestamps of this update and of the one before.
    now: Option<WireTimestamp>,
    before: Option<WireTimestamp>,
    /// Creation time of the newest entity that is new in this update.
    newest: Option<WireTimestamp>,
    /// Entities that are new in this update; each was one event.
    events: u64,
    /// Events that were new in the update before.
    events_before: u64,
    /// Time before which every event has been reported.
    complete_until: Option<WireTimestamp>,
    lag: Option<Duration>,
}

impl PublishLag {
    /// Prepares for updates over a new connection, which begin with the whole state.
    pub fn reconnect(&mut self) {
        self.updates = 0;
    }

    /// Begins an update with this timestamp.
    pub fn begin_update(&mut self, now: Option<WireTimestamp>) {
        self.updates = self.updates.saturating_add(1);
        self.before = self.now;
        self.now = now.or(self.now);
        self.events_before = self.events;
        (self.newest, self.events) = (None, 0);
    }

    /// Counts the new entities of an update, or of a part of it.
    pub fn observe(&mut self, tasks: &TaskUpdate, resources: &ResourceUpdate, operations: &AsyncOpUpdate) {
        let new = tasks.new_tasks.len() + resources.new_resources.len() + operations.new_async_ops.len();
        self.events = self.events.saturating_add((new + resources.new_poll_ops.len()) as u64);
        if self.updates <= FULL_UPDATES {
            return;
        }
        let tasks = tasks.new_tasks.iter().filter_map(|new| tasks.stats_update.get(&new.id.as_ref()?.id)?.created_at);
        let resources = resources
            .new_resources
            .iter()
            .filter_map(|new| resources.stats_update.get(&new.id.as_ref()?.id)?.created_at);
        let operations = operations
            .new_async_ops
            .iter()
            .filter_map(|new| operations.stats_update.get(&new.id.as_ref()?.id)?.created_at);
        let created =
            tasks.chain(resources).chain(operations).filter_map(|created| WireTimestamp::from_proto(Some(created)));
        self.newest = self.newest.max(created.max());
    }

    /// Completes an update. If it was full and even its newest entity was created long before the previous update, the
    /// console is lagging.
    pub fn finish_update(&mut self) {
        if self.updates <= FULL_UPDATES {
            return;
        }
        // The buffer keeps the order of events, so whatever happened before the newest entity was made is reported. Two
        // updates without events mean that it was empty; one may only have found the budget exhausted.
        let is_empty = self.events == 0 && self.events_before == 0;
        let latest = [self.complete_until, self.newest, self.before.filter(|_| is_empty)];
        self.complete_until = latest.into_iter().flatten().max();
        let stamps = self.newest.zip(self.before).zip(self.now).filter(|_| self.is_full());
        self.lag = stamps.and_then(|((newest, before), now)| {
            let is_old = newest.nanos().saturating_add(LAG_MIN_NS) < before.nanos();
            let lag_ns = u64::try_from(now.nanos().saturating_sub(newest.nanos())).ok();
            lag_ns.filter(|_| is_old).map(Duration::from_nanos)
        });
    }

    /// Whether this update carries about as many events as one can, so that more may be pending.
    pub fn is_full(&self) -> bool {
        self.events >= BUDGET_EVENTS * 9 / 10
    }

    /// Returns the time before which every event has been reported.
    pub fn complete_until(&self) -> Option<WireTimestamp> {
        self.complete_until
    }

    /// Returns the age of the newest entity just reported; `None` if the console keeps up.
    pub fn lag(&self) -> Option<Duration> {
        self.lag
    }
}
