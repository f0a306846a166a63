//! The example app: plain tokio with console-subscriber and no loopscope code. The tests start it and attach to it.
//!
//! Usage: `app SCENARIO [--threads N] [--tasks N] [--unix PATH] [--no-wakers] [--late] [--abort] [--drop-runtime]`.
//!
//! The app prints `ready` once its tasks are spawned. On a line of standard input, or at its end, it stops its tasks
//! and prints their counts of polls and wakes as a JSON object. It exits at the end of standard input, so that a client
//! can wait for all updates. The scenario `quits` exits by itself.

mod counted;
mod scenarios;

use std::io::{BufRead, Write};
use std::time::Duration;

use console_subscriber::ConsoleLayer;
use counted::AppCounts;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| args.iter().position(|word| word == name).and_then(|at| args.get(at + 1));
    let number = |name: &str, default: usize| option(name).map_or(default, |text| text.parse().expect("a number"));
    let scenario = args.first().expect("app SCENARIO").clone();
    let (threads, tasks) = (number("--threads", 1), number("--tasks", 100));
    let has_flag = |name: &str| args.iter().any(|word| word == name);
    // console-subscriber starts its own runtime on a thread before its layer is installed. If both reach a callsite in the
    // same moment, tracing can disable it for the life of the app. With two dispatchers alive it decides under a lock.
    let _dispatchers = [(); 2].map(|()| tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default()));
    if has_flag("--late") {
        // The subscriber does not see tasks that are spawned before it is installed.
        let early = tokio::runtime::Builder::new_current_thread().build().expect("build a runtime");
        (0..100).for_each(|_| drop(early.spawn(async {})));
    }
    match option("--unix") {
        _ if has_flag("--no-wakers") => {
            let filter =
                Targets::new().with_default(LevelFilter::TRACE).with_target("tokio::task::waker", LevelFilter::OFF);
            tracing_subscriber::registry().with(filter).with(console_subscriber::spawn()).init();
        }
        Some(path) => ConsoleLayer::builder().with_default_env().server_addr(std::path::Path::new(path)).init(),
        None => console_subscriber::init(),
    }
    let runtime = match threads {
        1 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        several => tokio::runtime::Builder::new_multi_thread().worker_threads(several).enable_all().build(),
    };
    let counts = AppCounts::default();
    let runtime = runtime.expect("build a runtime");
    let mut lines = runtime.block_on(async {
        let (line_sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
        let running = scenarios::start(&scenario, &counts, tasks);
        print_line("ready");
        if scenario == "quits" {
            for task in running {
                task.await.expect("the scenario does not panic");
            }
            print_line(&counts.json());
            wait_for_last_update().await;
            return lines;
        }
        std::thread::spawn(move || {
            let mut line = String::new();
            while std::io::stdin().lock().read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                let _ = line_sender.send(());
            }
        });
        lines.recv().await;
        if has_flag("--drop-runtime") {
            return lines;
        }
        if has_flag("--abort") {
            running.iter().for_each(|task| task.abort());
        } else {
            counts.stop();
        }
        for task in running {
            assert!(!task.await.is_err_and(|error| error.is_panic()), "the scenario does not panic");
        }
        print_line(&counts.json());
        while lines.recv().await.is_some() {}
        lines
    });
    drop(runtime);
    if has_flag("--drop-runtime") {
        print_line(&counts.json());
        while lines.blocking_recv().is_some() {}
    }
}

/// Waits until console-subscriber has published its last update, for which there is no notification.
async fn wait_for_last_update() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

/// Prints a line. Ignores errors, as standard output may be closed.
fn print_line(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
