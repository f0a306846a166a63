//! The end of a run: the tasks that remain are cancelled, and their cleanup runs to its end.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{join_all, select};

use super::script_host::ScriptHost;
use super::task_handle::ScriptTask;
use crate::lab::BoxFuture;
use crate::trace::TaskId;

/// Maximum loop time that the cleanup of all remaining tasks may take: 10 s.
const CLEANUP_MAX: Duration = Duration::from_secs(10);

/// Maximum number of times that the tasks are cancelled which were spawned during the cleanup of others. Cleanup that
/// spawns itself again runs until [`CLEANUP_MAX`].
const ROUNDS_MAX: usize = 100;

/// The message of the cancel of a task that remains at the end of the run.
const RUN_ENDED: &str = "the run ended";

/// Sets what the loop runs at the end of the run, and when the user cancels a task.
pub(in crate::workload) fn install(host: &Arc<ScriptHost>) {
    let weak = Arc::downgrade(host);
    let cancelled = Weak::clone(&weak);
    host.on_user_cancel(move |id| match cancelled.upgrade().and_then(|host| host.tasks.find(id)) {
        Some(task) => {
            task.cancel(None);
            true
        }
        None => false,
    });
    host.on_run_end(move || -> BoxFuture<()> {
        // If no task has code of the script to run, nothing happens here: the loop drops all tasks where they wait.
        let host = weak.upgrade().filter(|host| !host.tasks.all().iter().all(ScriptTask::has_no_cleanup));
        let Some(host) = host else { return Box::pin(std::future::ready(())) };
        let first = cancel_spawned_after(&host, None);
        Box::pin(async move { wait_for_all(&host, first).await })
    });
}

/// Cancels the tasks that were spawned after `last`, or all tasks, and returns them.
fn cancel_spawned_after(host: &ScriptHost, last: Option<TaskId>) -> Vec<ScriptTask> {
    let mut tasks = host.tasks.all();
    tasks.retain(|task| task.id() > last);
    tasks.iter().for_each(|task| {
        task.cancel(Some(RUN_ENDED.into()));
    });
    tasks
}

/// Waits for the end of the cancelled tasks, then cancels the tasks that they have spawned, and so on, for at most
/// [`CLEANUP_MAX`].
async fn wait_for_all(host: &ScriptHost, first: Vec<ScriptTask>) {
    let Some(sleep) = host.sleep(CLEANUP_MAX) else { return };
    let all_ended = async {
        let mut tasks = first;
        for _ in 0..ROUNDS_MAX {
            let Some(last) = tasks.last().map(ScriptTask::id) else { return };
            join_all(tasks.iter().map(ScriptTask::ended)).await;
            tasks = cancel_spawned_after(host, last);
        }
        std::future::pending::<()>().await;
    };
    select(all_ended.boxed(), sleep).await;
    for task in host.tasks.all() {
        let limit = humantime::format_duration(CLEANUP_MAX);
        host.log_error(&format!("the cleanup of {} did not end within {limit} and was dropped", task.name()));
    }
}
