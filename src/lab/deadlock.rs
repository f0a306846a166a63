//! Deadlock detection on a virtual clock.
//!
//! Only the passing of time could wake a loop that parks without a timer, so it would park forever.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use crate::trace::{AwaitId, AwaitSite, SiteId, TaskId};

/// The maximum number of waiting tasks named in the message.
const NAMED_TASKS_MAX: usize = 5;

thread_local! {
    /// The open awaits of this thread's loop.
    static OPEN_AWAITS: RefCell<FxHashMap<AwaitId, (TaskId, SiteId)>> = RefCell::default();
}

/// Tracks open awaits and holds the deadlock message once there is one. Used on the loop thread only.
#[derive(Debug, Default)]
pub struct DeadlockDetector {
    message: OnceLock<String>,
}

impl DeadlockDetector {
    /// Records the start of an await.
    #[inline]
    pub fn await_started(&self, id: AwaitId, task: TaskId, site: SiteId) {
        let _ = OPEN_AWAITS.try_with(|open| open.borrow_mut().insert(id, (task, site)));
    }

    /// Records the end of an await.
    #[inline]
    pub fn await_ended(&self, id: AwaitId) {
        let _ = OPEN_AWAITS.try_with(|open| open.borrow_mut().remove(&id));
    }

    /// Composes the deadlock message. `name` returns the name of a task, `site` the await site.
    pub fn set_message(&self, name: impl Fn(TaskId) -> String, site: impl Fn(SiteId) -> Option<AwaitSite>) {
        let waits = OPEN_AWAITS.with_borrow(|open| {
            let mut open: Vec<_> = open.iter().collect();
            open.sort_unstable();
            // Awaits nest: a task is blocked on its most recent one.
            open.into_iter().map(|(_, wait)| *wait).collect::<BTreeMap<_, _>>()
        });
        let _ = self.message.set(deadlock_message(&waits, name, site));
    }

    /// Returns the deadlock message, once a deadlock was detected.
    pub fn message(&self) -> Option<&str> {
        self.message.get().map(String::as_str)
    }
}

fn deadlock_message(
    waits: &BTreeMap<TaskId, SiteId>,
    name: impl Fn(TaskId) -> String,
    site: impl Fn(SiteId) -> Option<AwaitSite>,
) -> String {
    let mut text = "deadlock: no scheduled task and no pending timer".to_owned();
    for (index, (task, on)) in waits.iter().take(NAMED_TASKS_MAX).enumerate() {
        let separator = if index == 0 { ';' } else { ',' };
        let Some(site) = site(*on) else { continue };
        let _ = write!(text, "{separator} {} waits for {}", name(*task), site.source);
        if let Some(location) = &site.location {
            let _ = write!(text, " at {location}");
        }
    }
    if let Some(rest) = waits.len().checked_sub(NAMED_TASKS_MAX).filter(|rest| *rest > 0) {
        let _ = write!(text, ", and {rest} more tasks wait");
    }
    text
}
