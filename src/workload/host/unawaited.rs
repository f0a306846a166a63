//! Tracks coroutines that were created and have not started. Those that remain when main ends were never awaited.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ScriptHost, lock};
use crate::trace::{Nanos, TaskId};

/// Maximum number of coroutines that are tracked at a time. A script that creates more before it awaits the first
/// either awaits the tracked ones before it ends, or has enough to report.
const TRACKED_MAX: usize = 10_000;

/// Coroutines that have not started, in order of creation.
#[derive(Default)]
pub(super) struct PendingCoroutines {
    created_count: u64,
    pending: BTreeMap<u64, PendingCoroutine>,
}

/// A coroutine that has not started, with the task, time and line of its creation.
struct PendingCoroutine {
    creator: Option<TaskId>,
    created_ns: Nanos,
    name: Arc<str>,
    line: Option<u32>,
}

impl PendingCoroutines {
    /// Removes a coroutine that was started.
    pub fn remove(&mut self, number: u64) {
        self.pending.remove(&number);
    }
}

/// Tracks a new coroutine and returns its sequence number.
pub(super) fn track(host: &ScriptHost, name: &Arc<str>, line: Option<u32>) -> u64 {
    let mut unawaited = lock(&host.unawaited);
    unawaited.created_count += 1;
    let number = unawaited.created_count;
    if let Some(loop_handle) = host.loop_handle.get().filter(|_| unawaited.pending.len() < TRACKED_MAX) {
        let coroutine = PendingCoroutine {
            creator: loop_handle.current_task(),
            created_ns: loop_handle.now_ns(),
            name: Arc::clone(name),
            line,
        };
        unawaited.pending.insert(number, coroutine);
    }
    number
}

/// Reports each remaining coroutine as never awaited, at the end of main.
pub(super) fn report_never_awaited(host: &ScriptHost) {
    let pending = std::mem::take(&mut lock(&host.unawaited).pending);
    let Some(loop_handle) = host.loop_handle.get() else { return };
    for coroutine in pending.into_values() {
        loop_handle.report_never_awaited(
            coroutine.creator,
            coroutine.created_ns,
            coroutine.name,
            coroutine.line.map(|line| host.source.location(line)),
        );
    }
}
