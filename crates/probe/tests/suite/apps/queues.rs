//! A program that fills the queues of its runtimes, one runtime after the other, and checks that each one is gone when it
//! was dropped.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

/// The runtimes, in order: whether each is multi-threaded.
pub const RUNTIMES: [bool; 4] = [true, false, false, true];

/// Tasks that the blocked task spawns.
pub const SPAWNED: u64 = 20;

/// Tasks that another thread spawns.
pub const SPAWNED_FROM_OUTSIDE: u64 = 7;

/// Runs with `hooks` or `spans`. Each runtime blocks until a line arrives on standard input. Prints for each how many
/// references are left of what it owned, and of what its task owned, and the number of open files before and after it.
pub fn run(arguments: &str) {
    let _probe = loopscope_probe::builder().flight_recorder(Duration::from_secs(60), 1 << 20).init();
    // What the process opens once, such as for signals, is opened here.
    drop(Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime"));
    for is_multi_threaded in RUNTIMES {
        let files = open_files();
        let (of_runtime, of_task) = (Arc::new(()), Arc::new(()));
        let mut builder = if is_multi_threaded { Builder::new_multi_thread() } else { Builder::new_current_thread() };
        if arguments == "hooks" {
            loopscope_probe::runtime(&mut builder);
        }
        let owned = of_runtime.clone();
        let runtime = builder.worker_threads(1).enable_all().on_thread_start(move || drop(owned.clone())).build();
        let runtime = runtime.expect("runtime");
        runtime.block_on(async { tokio::spawn(block()).await }).expect("task");
        let owned = of_task.clone();
        runtime.spawn(async move {
            let _owned = owned;
            pending::<()>().await;
        });
        drop(builder);
        drop(runtime);
        let references = (Arc::strong_count(&of_runtime), Arc::strong_count(&of_task));
        println!("left {} {} {files} {}", references.0, references.1, open_files());
    }
}

/// Blocks the worker until a line arrives, while tasks wait in its queue and in the global one.
async fn block() {
    for _ in 0..SPAWNED {
        tokio::spawn(async {});
    }
    let handle = Handle::current();
    let outside = std::thread::spawn(move || {
        for _ in 0..SPAWNED_FROM_OUTSIDE {
            handle.spawn(async {});
        }
    });
    outside.join().expect("thread");
    std::io::stdin().read_line(&mut String::new()).expect("line");
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
