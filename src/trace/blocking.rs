//! Lookup of blocking calls, which are drawn inside the polls that make them.

use super::Trace;
use super::id::{AwaitId, TaskId};
use super::time::Nanos;

/// Number of blocking calls that a lookup inspects, from the newest before the window.
const INSPECTED_CALLS_MAX: usize = 32;

impl Trace {
    /// Returns a blocking call of `id` that overlaps `from` up to, not including, `to`.
    pub fn blocking_call(&self, id: TaskId, from: Nanos, to: Nanos) -> Option<AwaitId> {
        let calls = self.task(id)?.blocking_calls()?;
        let started = calls.iter_until(to.checked_sub(1)?, &self.awaits);
        started
            .take(INSPECTED_CALLS_MAX)
            .find(|id| self.awaits.get(*id).is_some_and(|found| found.end().is_none_or(|end| end > from)))
    }
}
