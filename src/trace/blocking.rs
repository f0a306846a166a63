//! Blocking calls: drawn inside the poll that makes them, so they are looked for where a task ran.

use super::Trace;
use super::event::Nanos;
use super::id::{AwaitId, TaskId};

/// Awaits that a look-up goes back through: calls made by one poll after the other.
const LOOK_BACK: usize = 32;

impl Trace {
    /// A blocking call that `id` made at some time from `from` up to but not including `to`.
    pub fn blocking_call(&self, id: TaskId, from: Nanos, to: Nanos) -> Option<AwaitId> {
        let calls = self.task(id)?.calls()?;
        let until = calls.until(to.checked_sub(1)?, &self.awaits);
        until
            .take(LOOK_BACK)
            .find(|id| self.awaits.get(*id).is_some_and(|found| found.end().is_none_or(|end| end > from)))
    }
}
