//! The end of a run: the tasks that remain are cancelled, and their cleanup runs to its end.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{join_all, select};

use super::script_host::ScriptHost;
use super::task_handle::ScriptTask;
use crate::lab::BoxFuture;

/// Maximum loop time that the cleanup of all remaining tasks may take: 10 s.
const CLEANUP_MAX: Duration = Duration::from_secs(10);

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
        let waiting = weak.upgrade().and_then(|host| Some((cancel_all(&host)?, host)));
        match waiting {
            Some((tasks, host)) => Box::pin(async move { wait_for_all(&host, &tasks).await }),
            None => Box::pin(std::future::ready(())),
        }
    });
}

/// Cancels all tasks and returns them.
///
/// If no task has code of the script to run, nothing happens here: the loop drops all tasks where they wait.
fn cancel_all(host: &ScriptHost) -> Option<Vec<ScriptTask>> {
    let tasks = host.tasks.all();
    if tasks.iter().all(ScriptTask::has_no_cleanup) {
        return None;
    }
    tasks.iter().for_each(|task| {
        task.cancel(Some(RUN_ENDED.into()));
    });
    Some(tasks)
}

/// Waits for the end of all tasks, for at most [`CLEANUP_MAX`].
async fn wait_for_all(host: &ScriptHost, tasks: &[ScriptTask]) {
    let Some(sleep) = host.sleep(CLEANUP_MAX) else { return };
    select(join_all(tasks.iter().map(ScriptTask::ended)).boxed(), sleep).await;
    for task in tasks.iter().filter(|task| task.outcome().is_none()) {
        let limit = humantime::format_duration(CLEANUP_MAX);
        host.log_error(&format!("the cleanup of {} did not end within {limit} and was dropped", task.name()));
    }
}
