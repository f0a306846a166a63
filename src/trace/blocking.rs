//! Blocking calls: drawn inside the poll that makes them, so they are looked for where a task ran.

use super::Trace;
use super::event::{AwaitKind, Nanos};
use super::id::{AwaitId, TaskId};

/// Awaits that a look-up goes back through: calls made by one poll after the other.
const LOOK_BACK: usize = 32;

impl Trace {
    /// A blocking call that `id` made at some time from `from` up to but not including `to`.
    pub fn blocking_call(&self, id: TaskId, from: Nanos, to: Nanos) -> Option<AwaitId> {
        let awaits = &self.task(id)?.awaits;
        let started = awaits.partition_point(|id| self.awaits.get(*id).is_some_and(|found| found.start < to));
        awaits.range(started.saturating_sub(LOOK_BACK)..started).rev().copied().find(|id| {
            let Some(found) = self.awaits.get(*id) else { return false };
            let is_blocking = self.site(found.site).is_some_and(|site| site.kind == AwaitKind::Block);
            is_blocking && found.end().is_none_or(|end| end > from)
        })
    }
}
