//! Owners of the locks of an external app, inferred from its lock calls.
//!
//! tokio reports whether a lock is locked, but not by which task. Its owner is the task whose call acquired it last, unless
//! the outcome of a later call is unknown. If no call is known to have acquired it, and only one may have, that is the
//! owner. Guards from `try_lock`, and guards that were moved, are not visible.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::awaits::AwaitOutcome;
use super::id::{AwaitId, ResourceId, TaskId};
use super::resource::{ResourceAttribute, ResourceEntry};
use super::time::Nanos;

/// Attributes with which tokio's `Mutex` and `RwLock` report exclusive ownership.
const EXCLUSIVE_ATTRIBUTES: [&str; 2] = ["locked", "write_locked"];

/// Maximum number of calls of one lock whose outcome may still become known.
const UNKNOWN_CALLS_MAX: usize = 8;

impl ResourceAttribute {
    /// Whether a lock is owned exclusively, if this is the attribute that says so.
    pub fn exclusive_ownership(&self) -> Option<bool> {
        EXCLUSIVE_ATTRIBUTES.contains(&&*self.name).then_some(&*self.value == "true")
    }
}

impl ResourceEntry {
    /// Whether a lock reports that it is owned exclusively now.
    pub fn is_owned_exclusively(&self) -> bool {
        self.attributes().iter().any(|attribute| attribute.exclusive_ownership() == Some(true))
    }
}

/// The calls of one lock from the last one that acquired it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct LockCalls {
    /// When it was acquired last, and by which task.
    acquired: Option<(Nanos, TaskId)>,
    /// Calls that ended with an unknown outcome: when, which, and of which task.
    unknown: Vec<(Nanos, AwaitId, TaskId)>,
    /// When the last such call ended that is not in the list.
    unknown_until: Option<Nanos>,
}

impl LockCalls {
    fn acquire(&mut self, at: Nanos, task: TaskId) {
        if self.acquired.is_none_or(|(before, _)| before <= at) {
            self.acquired = Some((at, task));
            self.unknown.retain(|(ended, ..)| *ended > at);
        }
    }
}

/// The last calls of each lock.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LockOwners(BTreeMap<ResourceId, LockCalls>);

impl LockOwners {
    /// Records the end of a lock call.
    pub fn call_ended(&mut self, lock: ResourceId, id: AwaitId, (task, at): (TaskId, Nanos), outcome: AwaitOutcome) {
        match outcome {
            AwaitOutcome::Ready => self.0.entry(lock).or_default().acquire(at, task),
            AwaitOutcome::Unknown => {
                let calls = self.0.entry(lock).or_default();
                if calls.unknown.len() == UNKNOWN_CALLS_MAX {
                    let (ended, ..) = calls.unknown.remove(0);
                    calls.unknown_until = calls.unknown_until.max(Some(ended));
                }
                calls.unknown.push((at, id, task));
            }
            _ => {}
        }
    }

    /// Records the outcome of a call that ended before.
    pub fn outcome_known(&mut self, lock: ResourceId, id: AwaitId, (task, at): (TaskId, Nanos), is_ready: bool) {
        let Some(calls) = self.0.get_mut(&lock) else { return };
        calls.unknown.retain(|(_, unknown, _)| *unknown != id);
        if is_ready {
            calls.acquire(at, task);
        }
    }

    /// Records that a lock is free.
    pub fn released(&mut self, lock: ResourceId) {
        self.0.remove(&lock);
    }

    /// Returns the task that acquired a lock last, if that is known.
    pub fn last_owner(&self, lock: ResourceId) -> Option<TaskId> {
        let calls = self.0.get(&lock)?;
        match (calls.acquired, calls.unknown.as_slice()) {
            (Some((at, task)), unknown) => {
                let is_last = calls.unknown_until < Some(at) && unknown.iter().all(|(ended, ..)| *ended < at);
                is_last.then_some(task)
            }
            (None, [(.., task)]) => calls.unknown_until.is_none().then_some(*task),
            (None, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_that_gave_up_leaves_the_owner() {
        let [first, second, third] = [0, 1, 2].map(TaskId::from_index);
        let (lock, id) = (ResourceId::from_index(0), AwaitId::from_index);
        let mut owners = LockOwners::default();
        owners.call_ended(lock, id(0), (first, 10), AwaitOutcome::Ready);
        owners.call_ended(lock, id(1), (second, 20), AwaitOutcome::Cancelled);
        assert_eq!(owners.last_owner(lock), Some(first));
        owners.call_ended(lock, id(2), (third, 30), AwaitOutcome::Unknown);
        assert_eq!(owners.last_owner(lock), None, "it may have acquired the lock");
        let mut acquired = owners.clone();
        owners.outcome_known(lock, id(2), (third, 30), false);
        assert_eq!(owners.last_owner(lock), Some(first));
        acquired.outcome_known(lock, id(2), (third, 30), true);
        assert_eq!(acquired.last_owner(lock), Some(third));
        acquired.released(lock);
        assert_eq!(acquired.last_owner(lock), None);
        acquired.call_ended(lock, id(3), (first, 40), AwaitOutcome::Unknown);
        assert_eq!(acquired.last_owner(lock), Some(first), "no other call can have acquired it");
        acquired.call_ended(lock, id(4), (second, 50), AwaitOutcome::Unknown);
        assert_eq!(acquired.last_owner(lock), None, "one of two");
    }
}
