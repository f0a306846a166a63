//! The owners of sealed blocks.

use super::id::{TaskId, WorkerId};

/// The owner of a sealed block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum BlockOwner {
    /// The loop's lane.
    Loop,
    /// The statistics of the loop's lane.
    LoopStats,
    /// The awaits of the trace.
    Awaits,
    /// The lane of a worker.
    Worker(WorkerId),
    /// A sequence of a task.
    Task(TaskId, TaskBlockKind),
}

/// The sequence of a task that a sealed block belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TaskBlockKind {
    /// Cycles of the lane.
    Lane,
    /// No block: the tail of the lane of a task that has ended.
    LaneTail,
    /// Statistics of the lane.
    Stats,
    /// Ids of awaits.
    Awaits,
    /// Ids of blocking calls.
    BlockingCalls,
    /// Extra wakes.
    Wakes,
}

impl BlockOwner {
    /// Returns the owning task; `None` for blocks of the loop, of a worker and of the trace.
    pub fn task(self) -> Option<TaskId> {
        if let Self::Task(id, _) = self { Some(id) } else { None }
    }
}
