//! What each thread does now, from its own records: which task and which operations it polls.

use crate::trace::{TaskId, WakeSource};

/// Nesting levels that are followed.
const LEVELS_MAX: usize = 64;

/// Operations inside each other that are followed.
const OPERATIONS_MAX: usize = 256;

/// Why a thread is inside a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnterRole {
    /// It polls the task.
    Poll,
    /// It probably polls the task: the records that would show a drop did not arrive in time.
    ProbablePoll,
    /// It drops the task's future. Whether the task had completed.
    Drop {
        /// The future had returned before.
        has_completed: bool,
    },
    /// It would poll the task, but the user holds it.
    Suppressed,
    /// It has entered the task once more inside a poll.
    Nested,
}

impl EnterRole {
    /// Whether it is a poll.
    pub fn is_poll(self) -> bool {
        matches!(self, Self::Poll | Self::ProbablePoll)
    }
}

/// A task that a thread has entered.
#[derive(Clone, Copy, Debug)]
pub struct EnteredTask {
    /// Its id in the stream.
    pub number: u64,
    /// The task; `None` if it is unknown.
    pub task: Option<TaskId>,
    /// Why it was entered.
    pub role: EnterRole,
    /// It is a worker of the runtime, which polls other tasks.
    pub is_worker: bool,
}

/// A poll that ended as the last record of its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastExit {
    /// The task's id in the stream.
    pub number: u64,
    /// It ended by a panic.
    pub has_panicked: bool,
    /// It may have been the drop of the future.
    pub is_probable: bool,
}

/// What one thread does.
#[derive(Debug, Default)]
pub struct ThreadContext {
    /// Its id in the stream.
    pub id: u32,
    entered: Vec<EnteredTask>,
    operations: Vec<u64>,
    /// It is a worker, or parks like one, so it runs the driver between two polls.
    pub is_worker: bool,
    /// What it does is not known: its records began in the middle, or some of them were dropped.
    pub is_unknown: bool,
    /// The poll that ended with its last record.
    pub last_exit: Option<LastExit>,
    /// A poll that a sample has shown before its start was recorded: the task and the start in ticks.
    pub sampled: Option<(u64, u64)>,
}

impl ThreadContext {
    /// Creates the context of a thread. `is_unknown`: its records may begin in the middle.
    pub fn new(id: u32, is_unknown: bool) -> Self {
        Self { id, is_unknown, ..Self::default() }
    }

    /// Enters a task.
    pub fn enter(&mut self, entered: EnteredTask) {
        self.is_unknown = false;
        if self.entered.len() < LEVELS_MAX {
            self.entered.push(entered);
        }
    }

    /// Leaves a task. Returns how it was entered; `None` if that is not known.
    pub fn exit(&mut self, number: u64) -> Option<EnteredTask> {
        self.is_unknown = false;
        let index = self.entered.iter().rposition(|entered| entered.number == number)?;
        if !self.entered[index].is_worker {
            self.operations.clear();
        }
        Some(self.entered.remove(index))
    }

    /// Starts the poll of an operation.
    pub fn enter_operation(&mut self, operation: u64) {
        if self.operations.len() < OPERATIONS_MAX {
            self.operations.push(operation);
        }
    }

    /// Ends the poll of an operation.
    pub fn exit_operation(&mut self, operation: u64) {
        if let Some(index) = self.operations.iter().rposition(|inside| *inside == operation) {
            self.operations.truncate(index);
        }
    }

    /// Forgets what the thread does. Returns the tasks that it polled.
    pub fn reset(&mut self) -> Vec<EnteredTask> {
        self.operations.clear();
        self.is_unknown = true;
        self.last_exit = None;
        std::mem::take(&mut self.entered)
    }

    /// Whether the thread is inside a task with this id.
    pub fn is_inside(&self, number: u64) -> bool {
        self.entered.iter().any(|entered| entered.number == number)
    }

    /// Returns the task that the thread polls or drops.
    pub fn polled(&self) -> Option<&EnteredTask> {
        self.entered.iter().rev().find(|entered| !entered.is_worker)
    }

    /// Returns the task that the thread polls or drops, if it is known.
    pub fn polled_task(&self) -> Option<TaskId> {
        self.polled().and_then(|entered| entered.task)
    }

    /// Returns what wakes the task `woken` where the thread calls its waker now.
    pub fn wake_source(&self, woken: TaskId) -> WakeSource {
        match (self.polled(), self.is_unknown) {
            (Some(EnteredTask { task: Some(task), .. }), _) if *task == woken => WakeSource::SelfWake,
            (Some(EnteredTask { task: Some(task), .. }), _) => WakeSource::Task(*task),
            (Some(EnteredTask { task: None, .. }), _) | (None, true) => WakeSource::Unknown,
            (None, false) if self.is_worker => WakeSource::Driver,
            (None, false) => WakeSource::Thread,
        }
    }
}
