//! A console that cannot keep up tells late what is new, and says nothing of it: console-subscriber takes at most 128
//! events out of its buffer each time it publishes, for its loop runs into tokio's cooperative budget.

use std::time::Duration;

use console_api::async_ops::AsyncOpUpdate;
use console_api::resources::ResourceUpdate;
use console_api::tasks::TaskUpdate;

use super::console::Stamp;

/// What tokio's cooperative budget lets console-subscriber's aggregator take from its buffer at once.
pub const BUDGET_EVENTS: u64 = 128;

/// Updates of a connection that tell everything from before: the first one, and the one that repeats it.
const FULL_UPDATES: u64 = 2;

/// What is stamped is sent a moment later; so much later is no moment.
const MOMENT_NS: i64 = 100_000_000;

/// Follows how late new things are told, from update to update.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lateness {
    updates: u64,
    /// When this update was published, and the one before it.
    now: Option<Stamp>,
    before: Option<Stamp>,
    /// The youngest of what is new in this update.
    newest: Option<Stamp>,
    /// Things that are new in this update, each of which was one event.
    events: u64,
    late: Option<Duration>,
}

impl Lateness {
    /// Updates come over a new connection, and begin with everything from before.
    pub fn rejoin(&mut self) {
        self.updates = 0;
    }

    /// An update begins that was published at `now`.
    pub fn begin(&mut self, now: Option<Stamp>) {
        self.updates = self.updates.saturating_add(1);
        self.before = self.now;
        self.now = now.or(self.now);
        (self.newest, self.events) = (None, 0);
    }

    /// It, or a part of it, tells of these.
    pub fn note(&mut self, tasks: &TaskUpdate, resources: &ResourceUpdate, operations: &AsyncOpUpdate) {
        let new = tasks.new_tasks.len() + resources.new_resources.len() + operations.new_async_ops.len();
        self.events = self.events.saturating_add((new + resources.new_poll_ops.len()) as u64);
        if self.updates <= FULL_UPDATES {
            return;
        }
        let tasks = tasks.new_tasks.iter().filter_map(|told| tasks.stats_update.get(&told.id.as_ref()?.id)?.created_at);
        let resources = resources
            .new_resources
            .iter()
            .filter_map(|told| resources.stats_update.get(&told.id.as_ref()?.id)?.created_at);
        let operations = operations
            .new_async_ops
            .iter()
            .filter_map(|told| operations.stats_update.get(&told.id.as_ref()?.id)?.created_at);
        let created = tasks.chain(resources).chain(operations).filter_map(|created| Stamp::of(Some(created)));
        self.newest = self.newest.max(created.max());
    }

    /// All of it was told. What is new and was there long before the update before this one was told late, for want of
    /// room.
    pub fn finish(&mut self) {
        if self.updates <= FULL_UPDATES {
            return;
        }
        let told = self.newest.zip(self.before).zip(self.now).filter(|_| self.is_full());
        self.late = told.and_then(|((newest, before), now)| {
            let is_old = newest.nanos().saturating_add(MOMENT_NS) < before.nanos();
            let late_ns = u64::try_from(now.nanos().saturating_sub(newest.nanos())).ok();
            late_ns.filter(|_| is_old).map(Duration::from_nanos)
        });
    }

    /// This update tells of as much as one can: more may be left for the next.
    pub fn is_full(&self) -> bool {
        self.events >= BUDGET_EVENTS * 9 / 10
    }

    /// How long ago that was which is told as new now; `None` where the console keeps up.
    pub fn late(&self) -> Option<Duration> {
        self.late
    }
}
