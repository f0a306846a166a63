//! Tasks that end in every way. Each prints its id and how it ends.

use std::future::pending;
use std::sync::mpsc;
use std::time::Duration;

use tokio::task::{JoinSet, LocalSet};

/// Ends as `TaskEnded` states them.
const COMPLETED: u64 = 0;
const CANCELLED: u64 = 1;
const PANICKED: u64 = 2;

fn print(task: tokio::task::Id, outcome: u64, polls: u64) {
    println!("end {task} {outcome} {polls}");
}

/// Runs on a runtime with `with` or `without` hooks.
pub fn run(hooks: &str) {
    let _probe = loopscope_probe::builder().allow_control().init();
    std::panic::set_hook(Box::new(|_| {}));
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if hooks == "with" {
        loopscope_probe::runtime(&mut builder);
    }
    // A single worker, so that a task can be aborted before its first poll.
    let runtime = builder.worker_threads(1).enable_all().build().expect("runtime");
    runtime.block_on(async {
        // What other tasks do must not come in between.
        tokio::spawn(spawned()).await.expect("spawned tasks");
    });
    blocking(&runtime);
    LocalSet::new().block_on(&runtime, local());

    // These live until the runtime is shut down.
    let waiting = runtime.spawn(pending::<()>());
    runtime.block_on(async { tokio::spawn(tokio::task::yield_now()).await.expect("a poll of the task before") });
    print(waiting.id(), CANCELLED, 1);
    drop(runtime);
}

async fn spawned() {
    let task = tokio::spawn(tokio::task::yield_now());
    print(task.id(), COMPLETED, 2);
    task.await.expect("completed");

    let task = tokio::spawn(async { panic!("on purpose") });
    print(task.id(), PANICKED, 1);
    task.await.expect_err("panicked");

    let task = tokio::spawn(pending::<()>());
    print(task.id(), CANCELLED, 0);
    task.abort();
    assert!(task.await.expect_err("cancelled").is_cancelled());

    let task = tokio::spawn(pending::<()>());
    tokio::task::yield_now().await;
    print(task.id(), CANCELLED, 1);
    task.abort();
    task.await.expect_err("cancelled");

    // An abort while the future is polled: it is dropped after the poll.
    let (sender, handle) = tokio::sync::oneshot::channel::<tokio::task::AbortHandle>();
    let task = loopscope_probe::spawn(async {
        handle.await.expect("sent").abort();
        pending::<()>().await;
    });
    print(task.id(), CANCELLED, 1);
    sender.send(task.abort_handle()).expect("the task lives");
    task.await.expect_err("cancelled");

    let mut tasks = JoinSet::new();
    print(tasks.spawn(pending::<()>()).id(), CANCELLED, 1);
    tokio::task::yield_now().await;
    drop(tasks);

    // A panic while the future is dropped is how the task ends.
    let task = tokio::spawn(async {
        let _guard = PanicOnDrop;
        pending::<()>().await;
    });
    tokio::task::yield_now().await;
    print(task.id(), PANICKED, 1);
    task.abort();
    assert!(task.await.expect_err("panicked").is_panic());
}

struct PanicOnDrop;

impl Drop for PanicOnDrop {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

fn blocking(runtime: &tokio::runtime::Runtime) {
    let completed = runtime.spawn_blocking(|| {});
    print(completed.id(), COMPLETED, 1);
    runtime.block_on(completed).expect("completed");

    let panicked = runtime.spawn_blocking(|| panic!("on purpose"));
    print(panicked.id(), PANICKED, 1);
    runtime.block_on(panicked).expect_err("panicked");

    // With one thread in the pool, the second closure waits for the first.
    let pool = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().expect("runtime");
    let (release, released) = mpsc::channel::<()>();
    let first = pool.spawn_blocking(move || released.recv());
    let second = pool.spawn_blocking(|| {});
    print(first.id(), COMPLETED, 1);
    print(second.id(), CANCELLED, 0);
    second.abort();
    drop(release);
    pool.block_on(second).expect_err("cancelled");
    pool.shutdown_timeout(Duration::from_secs(60));
}

async fn local() {
    let task = tokio::task::spawn_local(async { panic!("on purpose") });
    print(task.id(), PANICKED, 1);
    task.await.expect_err("panicked");
}
