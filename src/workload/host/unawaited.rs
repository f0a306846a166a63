//! Tracks coroutines that were created and have not started. Those that remain when main ends were never awaited.

use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// Tracks a new coroutine and returns its sequence number. Without a loop it is only numbered.
    pub fn track(&mut self, loop_handle: Option<&LoopHandle>, name: &Arc<str>, line: Option<u32>) -> u64 {
        self.created_count += 1;
        let number = self.created_count;
        if let Some(loop_handle) = loop_handle.filter(|_| self.pending.len() < TRACKED_MAX) {
            let coroutine = PendingCoroutine {
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
        for coroutine in self.pending.into_values() {
            loop_handle.report_never_awaited(
                coroutine.creator,
                coroutine.created_ns,
                coroutine.name,
                coroutine.line.map(|line| source.location(line)),
            );
        }
    }
}
