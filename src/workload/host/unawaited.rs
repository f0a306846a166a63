//! Tracks coroutines that were created and have not started, and other awaitables that were dropped without an `await`.
//! Coroutines that remain when main ends were never awaited.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::lock::lock;
use crate::lab::LoopHandle;
use crate::trace::{Nanos, TaskId};
use crate::workload::script_source::ScriptSource;

/// Maximum number of coroutines that are tracked at a time. A script that creates more before it awaits the first
/// either awaits the tracked ones before it ends, or has enough to report.
const TRACKED_MAX: usize = 10_000;

/// Coroutines that have not started, in order of creation.
#[derive(Default)]
pub(super) struct PendingCoroutines {
    created_count: u64,
    pending: BTreeMap<u64, NeverAwaited>,
}

/// A coroutine that has not started, or an awaitable that was dropped without an `await`, with the task, time and line of
/// its creation.
pub(super) struct NeverAwaited {
    creator: Option<TaskId>,
    created_ns: Nanos,
    name: Arc<str>,
    line: Option<u32>,
}

impl NeverAwaited {
    fn report(self, loop_handle: &LoopHandle, source: &ScriptSource) {
        let location = self.line.map(|line| source.location(line));
        loop_handle.report_never_awaited(self.creator, self.created_ns, self.name, location);
    }
}

/// Awaitables that were dropped without an `await`.
pub(super) type ForgottenAwaitables = Arc<Mutex<Vec<NeverAwaited>>>;

/// Task and time of the creation of an awaitable, and where to report that it was dropped without an `await`.
pub(super) struct AwaitableCreation {
    creator: Option<TaskId>,
    created_ns: Nanos,
    forgotten: ForgottenAwaitables,
}

impl AwaitableCreation {
    /// Creates the record of an awaitable that is created now.
    pub fn now(loop_handle: &LoopHandle, forgotten: &ForgottenAwaitables) -> Self {
        Self { creator: loop_handle.current_task(), created_ns: loop_handle.now_ns(), forgotten: Arc::clone(forgotten) }
    }

    /// Reports that the awaitable was dropped without an `await`.
    pub fn report(self, source: &Arc<str>, line: Option<u32>) {
        let mut forgotten = lock(&self.forgotten);
        if forgotten.len() < TRACKED_MAX {
            // The parentheses tell a call from a coroutine.
            let name = if source.contains('(') { Arc::clone(source) } else { format!("{source}()").into() };
            forgotten.push(NeverAwaited { creator: self.creator, created_ns: self.created_ns, name, line });
        }
    }
}

/// Reports each awaitable that was dropped without an `await`, in order of creation.
pub(super) fn report_forgotten(forgotten: &ForgottenAwaitables, loop_handle: &LoopHandle, source: &ScriptSource) {
    let mut forgotten = std::mem::take(&mut *lock(forgotten));
    forgotten.sort_by_key(|awaitable| (awaitable.created_ns, awaitable.line));
    forgotten.into_iter().for_each(|awaitable| awaitable.report(loop_handle, source));
}

impl PendingCoroutines {
    /// Tracks a new coroutine and returns its sequence number. Without a loop it is only numbered.
    pub fn track(&mut self, loop_handle: Option<&LoopHandle>, name: &Arc<str>, line: Option<u32>) -> u64 {
        self.created_count += 1;
        let number = self.created_count;
        if let Some(loop_handle) = loop_handle.filter(|_| self.pending.len() < TRACKED_MAX) {
            let coroutine = NeverAwaited {
                creator: loop_handle.current_task(),
                created_ns: loop_handle.now_ns(),
                name: Arc::clone(name),
                line,
            };
            self.pending.insert(number, coroutine);
        }
        number
    }

    /// Removes a coroutine that was started.
    pub fn remove(&mut self, number: u64) {
        self.pending.remove(&number);
    }

    /// Reports each remaining coroutine as never awaited.
    pub fn report_never_awaited(self, loop_handle: &LoopHandle, source: &ScriptSource) {
        self.pending.into_values().for_each(|coroutine| coroutine.report(loop_handle, source));
    }
}
