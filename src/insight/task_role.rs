//! Roles of tasks that the lints must tell apart: the runtime's own workers are reported as tasks too.

use crate::trace::{Task, TaskKind};

/// End of the path of the file in tokio that starts the workers of a multi-threaded runtime.
const WORKER_FILE: &str = "runtime/scheduler/multi_thread/worker.rs";

/// Returns whether the task is a worker of a multi-threaded runtime. `block_in_place` starts one more.
pub(super) fn is_worker(task: &Task) -> bool {
    let location = task.meta.location.as_ref();
    task.meta.kind == TaskKind::Blocking && location.is_some_and(|location| location.file.ends_with(WORKER_FILE))
}

/// Returns whether the task is one that the program spawned as a future: no worker, blocking closure or `block_on`.
pub(super) fn is_program_task(task: &Task) -> bool {
    matches!(task.meta.kind, TaskKind::Task | TaskKind::Local)
}
