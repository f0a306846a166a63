//! Names of tasks and of what woke them.

use crate::insight::OutsideWake;
use crate::trace::{Nanos, Task, TaskId, Trace, WakeSource};

/// Returns the name of a task, or its id if the task was evicted.
pub fn task_name(trace: &Trace, id: TaskId) -> String {
    trace.task(id).map_or_else(|| format!("#{id}"), |task| task.name().into_owned())
}

/// Returns the name and id of a task, or its id if the task was evicted.
pub fn task_name_with_id(trace: &Trace, id: TaskId) -> String {
    trace.task(id).map_or_else(|| format!("#{id}"), Task::name_with_id)
}

/// Describes the source of a wake like [`describe_waker`], and names a task with its id.
pub fn describe_waker_with_id(trace: &Trace, task: TaskId, (at, cause): (Nanos, WakeSource)) -> String {
    match cause {
        WakeSource::Task(id) => task_name_with_id(trace, id),
        cause => describe_waker(trace, task, (at, cause)),
    }
}

/// Describes the source of a wake of `task` at `at` in a few words.
pub fn describe_waker(trace: &Trace, task: TaskId, (at, cause): (Nanos, WakeSource)) -> String {
    match cause {
        WakeSource::Task(id) => task_name(trace, id),
        WakeSource::SelfWake => "itself".to_owned(),
        WakeSource::Driver => OutsideWake::of(trace, task, at).description().to_owned(),
        WakeSource::Thread => "another thread".to_owned(),
        WakeSource::User => "you".to_owned(),
        WakeSource::Unknown => "an unknown source".to_owned(),
    }
}
