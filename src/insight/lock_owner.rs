//! Owners of the locks of an external app, which does not report them. They are inferred from the lock calls that ended.

use crate::trace::{Await, AwaitOutcome, Nanos, ResourceEntry, ResourceKind, TaskId};

/// Attributes with which tokio's `Mutex` and `RwLock` report exclusive ownership.
const EXCLUSIVE_ATTRIBUTES: [&str; 2] = ["locked", "write_locked"];

/// Returns whether a lock reports that it has an exclusive owner now.
pub fn is_locked(entry: &ResourceEntry) -> bool {
    let mut attributes = entry.attributes().iter();
    entry.resource.kind == ResourceKind::Lock
        && attributes.any(|attribute| EXCLUSIVE_ATTRIBUTES.contains(&&*attribute.name) && &*attribute.value == "true")
}

/// Returns when a lock was acquired, and by which task, in order of time: at the end of each of its `awaits` that
/// completed. A call of which the outcome is unknown counts only if none is known to have completed.
pub fn infer_acquisitions<'a>(awaits: impl Iterator<Item = &'a Await> + Clone) -> Vec<(Nanos, TaskId)> {
    let ended_with = |outcome: AwaitOutcome| {
        let ended = awaits.clone().filter(|wait| wait.outcome() == outcome);
        let mut ended: Vec<(Nanos, TaskId)> = ended.filter_map(|wait| Some((wait.end()?, wait.task))).collect();
        ended.sort_unstable();
        ended
    };
    let acquired = ended_with(AwaitOutcome::Ready);
    if acquired.is_empty() { ended_with(AwaitOutcome::Unknown) } else { acquired }
}
