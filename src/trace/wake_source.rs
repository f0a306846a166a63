//! Wake sources, and their encoding as column values of packed blocks.

use serde::{Deserialize, Serialize};

use super::id::TaskId;

/// What called a waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WakeSource {
    /// Another task, during its poll.
    Task(TaskId),
    /// The woken task itself, during its own poll.
    SelfWake,
    /// The timer or I/O driver, or the runtime's queue of tasks that yielded.
    Driver,
    /// Another thread.
    Thread,
    /// The user, who released a held task.
    User,
    /// One of several possible sources.
    Unknown,
}

impl WakeSource {
    /// Returns the name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Task(_) => "task",
            Self::SelfWake => "self",
            Self::Driver => "driver",
            Self::Thread => "thread",
            Self::User => "person",
            Self::Unknown => "unknown",
        }
    }

    /// Returns the task that called the waker of `woken`, or `None` if no task did.
    pub fn waking_task(self, woken: TaskId) -> Option<TaskId> {
        match self {
            Self::Task(task) => Some(task),
            Self::SelfWake => Some(woken),
            _ => None,
        }
    }
}

/// Codes of wake sources. A task's code is [`UNKNOWN_CODE`] plus its number.
const NO_WAKE_CODE: u64 = 0;
const SELF_CODE: u64 = 1;
const DRIVER_CODE: u64 = 2;
const THREAD_CODE: u64 = 3;
const USER_CODE: u64 = 4;
const UNKNOWN_CODE: u64 = 5;

/// Encodes a wake source as a column value; `None` stands for no wake.
pub(super) fn encode_wake_source(source: Option<WakeSource>) -> u64 {
    match source {
        None => NO_WAKE_CODE,
        Some(WakeSource::SelfWake) => SELF_CODE,
        Some(WakeSource::Driver) => DRIVER_CODE,
        Some(WakeSource::Thread) => THREAD_CODE,
        Some(WakeSource::User) => USER_CODE,
        Some(WakeSource::Unknown) => UNKNOWN_CODE,
        Some(WakeSource::Task(id)) => UNKNOWN_CODE + u64::from(id.number()),
    }
}

/// Decodes a column value; `None` for no wake and for a task number out of range.
pub(super) fn decode_wake_source(code: u64) -> Option<WakeSource> {
    match code {
        NO_WAKE_CODE => None,
        SELF_CODE => Some(WakeSource::SelfWake),
        DRIVER_CODE => Some(WakeSource::Driver),
        THREAD_CODE => Some(WakeSource::Thread),
        USER_CODE => Some(WakeSource::User),
        UNKNOWN_CODE => Some(WakeSource::Unknown),
        _ => u32::try_from(code - UNKNOWN_CODE).ok().and_then(TaskId::from_number).map(WakeSource::Task),
    }
}
