//! Metadata, outcome and counts of a task, as feeds report them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::TaskId;
use super::location::Location;

/// Metadata of a task, known from its spawn on. The default is an unnamed task of which nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskMeta {
    /// Name of the task; empty if it has none.
    pub name: Arc<str>,
    /// Kind of the task.
    pub kind: TaskKind,
    /// The task that spawned it, if known.
    pub parent: Option<TaskId>,
    /// Where it was spawned, if known.
    pub location: Option<Location>,
    /// Size of the spawned future in bytes, if known: tokio's `size.bytes`.
    pub size_bytes: Option<u64>,
    /// Size of the future in bytes before the runtime boxed it, or `None` if it did not: tokio's `original_size.bytes`.
    pub original_size_bytes: Option<u64>,
}

/// Kind of a task, as tokio names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TaskKind {
    /// A future that the runtime polls.
    #[default]
    Task,
    /// A future that stays on one thread of a multi-threaded runtime.
    Local,
    /// The future that a thread blocks on.
    BlockOn,
    /// A closure on the blocking pool, off the loop.
    Blocking,
    /// A thread of a multi-threaded runtime, which tokio runs as a closure on the blocking pool. It polls tasks.
    Worker,
    /// The callbacks of a loop of asyncio that belong to no task: each of them is a poll.
    Callback,
}

/// Paths of the closures in which tokio's multi-threaded runtime runs its workers: at its start, and where
/// `block_in_place` hands a worker over to another thread.
const WORKER_FUNCTIONS: [&str; 2] =
    ["::multi_thread::worker::Launch::launch::", "::multi_thread::worker::maybe_move_runtime::"];

impl TaskKind {
    /// Returns tokio's name of the kind, which reports use too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Local => "local",
            Self::BlockOn => "block_on",
            Self::Blocking | Self::Worker => "blocking",
            Self::Callback => "callback",
        }
    }

    /// Returns the name used on the screen: tokio's, except for workers, which tokio calls `blocking`.
    pub fn screen_name(self) -> &'static str {
        if self == Self::Worker { "worker" } else { self.name() }
    }

    /// Returns the role of such a task in reports.
    pub fn role(self) -> &'static str {
        match self {
            Self::Task | Self::Local => "task",
            kind => kind.screen_name(),
        }
    }

    /// Returns whether it is a task that the program spawned: neither a future that a thread blocks on, nor a closure on
    /// the blocking pool, nor callbacks.
    pub fn is_task(self) -> bool {
        matches!(self, Self::Task | Self::Local)
    }

    /// Returns whether it belongs to the runtime, which creates it and keeps it until the end.
    pub fn is_runtime(self) -> bool {
        matches!(self, Self::Worker | Self::Callback)
    }

    /// Returns whether it occupies a thread other than the loop's: a closure on the blocking pool or a worker.
    pub fn is_off_loop(self) -> bool {
        matches!(self, Self::Blocking | Self::Worker)
    }

    /// Returns the kind from tokio's name for it and the path of its function, which tokio reports of closures.
    pub fn from_fields(name: &str, function: &str) -> Self {
        match Self::from_name(name) {
            Self::Blocking
                if function.starts_with("tokio::")
                    && WORKER_FUNCTIONS.iter().any(|worker| function.contains(worker)) =>
            {
                Self::Worker
            }
            kind => kind,
        }
    }

    /// Returns the kind that tokio calls `name`, or [`TaskKind::Task`] for an unknown name.
    pub fn from_name(name: &str) -> Self {
        [Self::Local, Self::BlockOn, Self::Blocking].into_iter().find(|kind| kind.name() == name).unwrap_or(Self::Task)
    }
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskOutcome {
    /// Its future returned.
    Completed,
    /// Its future was dropped before it returned.
    Cancelled,
    /// Its future panicked or returned an error, with this message.
    Failed(Box<str>),
    /// It ended, and nothing shows how.
    Unknown,
}

/// Counts of one task since its spawn, as one feed has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCounts {
    /// Polls of the task.
    pub polls: u64,
    /// Calls of its waker.
    pub wakes: u64,
    /// Calls of its waker during its own poll.
    pub self_wakes: u64,
    /// Awaits that were polled at least once.
    pub awaits: u64,
}
