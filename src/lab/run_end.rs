//! The end of a run: the program's cleanup, then the drop of the tasks that remain.

use tokio::sync::Notify;

use super::boxed_future::BoxFuture;
use super::loop_shared::LoopShared;
use super::loop_thread;
use crate::control::SessionCommand;
use crate::trace::TaskId;

/// Runs the program's cleanup, then drops the remaining tasks.
pub async fn finish_run(shared: &LoopShared, root_wakeup: &Notify) {
    // If main has ended, its end is what cancels the other tasks and wakes them.
    let main = TaskId::from_index(0);
    let cleanup = match shared.find_task(main) {
        None => loop_thread::run_as_task(main, || shared.program_hooks.take_cleanup()),
        Some(_) => shared.program_hooks.take_cleanup(),
    };
    if let Some(cleanup) = cleanup {
        run_cleanup(shared, root_wakeup, cleanup).await;
    }
    drop_remaining_tasks(shared).await;
}

/// Runs the program's cleanup to its end, or until the run is stopped.
async fn run_cleanup(shared: &LoopShared, root_wakeup: &Notify, mut cleanup: BoxFuture<()>) {
    while !shared.gate.is_quitting() {
        tokio::select! {
            biased;
            () = &mut cleanup => return,
            () = root_wakeup.notified() => shared.gate.run_actions(shared),
        }
    }
}

/// Drops the remaining tasks in the order of their creation. tokio would drop them in an order that depends on how many
/// tasks the whole process has spawned.
async fn drop_remaining_tasks(shared: &LoopShared) {
    /// Number of times that tasks are dropped which dropped tasks have spawned.
    const ROUNDS_MAX: usize = 100;
    // From here on, no gate stops the loop.
    shared.gate.command(SessionCommand::Quit, Some(&shared.clock));
    for _ in 0..ROUNDS_MAX {
        let remaining = shared.live_tasks().all();
        if remaining.is_empty() {
            return;
        }
        remaining.iter().for_each(|task| task.cancel());
        tokio::task::yield_now().await;
    }
}
