//! The live tasks of a stream, by their ids there.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use super::suspension::Suspension;
use crate::trace::{Nanos, TaskId, TaskKind, TaskOutcome};

/// Live tasks that are shown; further ones are only counted.
const TASKS_MAX: usize = 1 << 20;

/// Tasks in total: the limit of trace ids.
const IDS_MAX: usize = u32::MAX as usize - 1;

/// Ended tasks whose ids are remembered, because they may still be woken.
const ENDED_MAX: usize = 1 << 16;

/// Awaits that one task polled in its last poll and that are followed.
const POLLED_MAX: usize = 1 << 12;

/// A task that was spawned and has not ended.
#[derive(Debug)]
pub struct LiveTask {
    /// Its trace id.
    pub id: TaskId,
    /// Its kind.
    pub kind: TaskKind,
    /// Time of its last event.
    pub last_at: Nanos,
    /// Index of the thread that polls it.
    pub polled_by: Option<usize>,
    /// It was woken since its last poll began, or may have been.
    pub is_woken: bool,
    /// The poll under way followed no wake.
    pub lacks_wake: bool,
    /// How it ended, while that was reported during its last poll.
    pub outcome: Option<TaskOutcome>,
    /// Nothing remains of it, while that was reported during its last poll.
    pub is_closed: bool,
    /// The await for which it waits, or waited until the poll under way, if the program states that.
    pub suspension: Option<Suspension>,
    /// Number of gaps before its last event.
    pub gaps: u32,
    /// Clones of its waker that were created and dropped; `None` if it was spawned before recording began.
    pub wakers: Option<(u64, u64)>,
    /// Its number of wakers is to be reported.
    pub has_new_wakers: bool,
    /// Operations that it polled in its poll before, and in the one under way.
    polled_before: Vec<u64>,
    polled_now: Vec<u64>,
}

impl LiveTask {
    fn new(id: TaskId, kind: TaskKind, at: Nanos, gaps: u32) -> Self {
        Self {
            id,
            kind,
            last_at: at,
            polled_by: None,
            is_woken: true,
            lacks_wake: false,
            outcome: None,
            is_closed: false,
            suspension: None,
            gaps,
            wakers: Some((0, 0)),
            has_new_wakers: false,
            polled_before: Vec::new(),
            polled_now: Vec::new(),
        }
    }

    /// Returns the time of an event: `at`, but not before the last one. `gaps` is the number of gaps so far.
    pub fn advance(&mut self, at: Nanos, gaps: u32) -> Nanos {
        self.gaps = gaps;
        self.last_at = self.last_at.max(at);
        self.last_at
    }

    /// Notes that it polls an operation.
    pub fn add_polled(&mut self, operation: u64) {
        if self.polled_now.len() < POLLED_MAX && self.polled_now.last() != Some(&operation) {
            self.polled_now.push(operation);
        }
    }

    /// Ends a poll. Returns the operations that the poll before polled, and this one did not.
    pub fn take_unpolled(&mut self) -> Vec<u64> {
        if self.polled_before.is_empty() && self.polled_now.is_empty() {
            return Vec::new();
        }
        let mut before = std::mem::replace(&mut self.polled_before, std::mem::take(&mut self.polled_now));
        match self.polled_before.as_slice() {
            [only] => before.retain(|operation| operation != only),
            now => {
                let now: FxHashSet<u64> = now.iter().copied().collect();
                before.retain(|operation| !now.contains(operation));
            }
        }
        before
    }
}

/// What is known of a task id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskPresence {
    /// The task lives.
    Live,
    /// It has ended, or ended before recording began, or is not shown because a limit is reached.
    Ended,
    /// Its spawn is outstanding, or was dropped.
    Missing,
}

/// The tasks of one stream.
#[derive(Debug, Default)]
pub struct TaskTable {
    live: FxHashMap<u64, LiveTask>,
    numbers: FxHashMap<TaskId, u64>,
    ended: FxHashMap<u64, TaskId>,
    ended_order: VecDeque<u64>,
    count: usize,
    hidden: u64,
    /// Ids from this one on were given after recording began.
    first: u64,
    /// Number of gaps so far.
    pub gaps: u32,
}

impl TaskTable {
    /// Returns the number of tasks so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns how many tasks are not shown because a limit is reached.
    pub fn hidden(&self) -> u64 {
        self.hidden
    }

    /// Returns what is known of `number`.
    pub fn presence(&self, number: u64) -> TaskPresence {
        if self.live.contains_key(&number) {
            TaskPresence::Live
        } else if number < self.first || self.hidden > 0 || self.ended.contains_key(&number) {
            TaskPresence::Ended
        } else {
            TaskPresence::Missing
        }
    }

    /// Notes that recording begins: unknown tasks with smaller ids than the largest one have ended.
    pub fn begin(&mut self) {
        self.first = self.live.keys().max().map_or(0, |largest| largest.saturating_add(1));
    }

    /// Returns whether a task has ended since recording began, as far as that is remembered.
    pub fn has_seen_end(&self, number: u64) -> bool {
        self.ended.contains_key(&number)
    }

    /// Returns a live task.
    pub fn get(&self, number: u64) -> Option<&LiveTask> {
        self.live.get(&number)
    }

    /// Returns a live task for modification.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut LiveTask> {
        self.live.get_mut(&number)
    }

    /// Returns the trace id of a task that lives, or has ended and is remembered.
    pub fn id_of(&self, number: u64) -> Option<TaskId> {
        self.get(number).map(|task| task.id).or_else(|| self.ended.get(&number).copied())
    }

    /// Returns the id in the stream of a live task.
    pub fn number_of(&self, task: TaskId) -> Option<u64> {
        self.numbers.get(&task).copied()
    }

    /// Returns the trace ids of all live tasks, in spawn order.
    pub fn live_ids(&self) -> Vec<TaskId> {
        let mut ids: Vec<TaskId> = self.live.values().map(|task| task.id).collect();
        ids.sort_unstable();
        ids
    }

    /// Adds a task. Returns its trace id; `None` if it is known, or if a limit is reached.
    pub fn spawn(&mut self, number: u64, kind: TaskKind, at: Nanos) -> Option<TaskId> {
        if self.live.contains_key(&number) || self.ended.contains_key(&number) {
            return None;
        }
        if self.live.len() >= TASKS_MAX || self.count >= IDS_MAX {
            self.hidden += 1;
            return None;
        }
        let id = TaskId::from_index(self.count);
        self.count += 1;
        self.live.insert(number, LiveTask::new(id, kind, at, self.gaps));
        self.numbers.insert(id, number);
        Some(id)
    }

    /// Removes a task that has ended.
    pub fn end(&mut self, number: u64) -> Option<LiveTask> {
        let task = self.live.remove(&number)?;
        self.numbers.remove(&task.id);
        if self.ended_order.len() == ENDED_MAX
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
        self.ended.insert(number, task.id);
        self.ended_order.push_back(number);
        Some(task)
    }
}
