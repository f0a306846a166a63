//! A program of somebody else's, as far as loopscope knows: plain tokio with console-subscriber, and nothing of ours in
//! it. The suite attaches to it and starts it.
//!
//! `app SCENARIO [--threads N] [--tasks N] [--unix PATH] [--no-wakers] [--late] [--abort]`. It says `ready` once its tasks are spawned, lets
//! them end when it reads `stop`, and then prints, as one JSON object, how often each task was polled and woken by its own
//! count. It stays until its standard input ends, so that whoever watches can wait until everything is told; one that
//! was never told to stop does so then. Only `quits` ends by itself.

mod counted;
mod scenarios;

use std::io::{BufRead, Write};
use std::time::Duration;

use console_subscriber::ConsoleLayer;
use counted::Counts;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
    let number = |name: &str, default: usize| option(name).map_or(default, |text| text.parse().expect("a number"));
    let scenario = words.first().expect("app SCENARIO").clone();
    let (threads, tasks) = (number("--threads", 1), number("--tasks", 100));
    let has = |name: &str| words.iter().any(|word| word == name);
    if has("--late") {
        // What is spawned before the subscriber is there, it never hears of.
        let early = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
        (0..100).for_each(|_| drop(early.spawn(async {})));
    }
    match option("--unix") {
        _ if has("--no-wakers") => {
            let filter =
                Targets::new().with_default(LevelFilter::TRACE).with_target("tokio::task::waker", LevelFilter::OFF);
            tracing_subscriber::registry().with(filter).with(console_subscriber::spawn()).init();
        }
        Some(path) => ConsoleLayer::builder().with_default_env().server_addr(std::path::Path::new(path)).init(),
        None => console_subscriber::init(),
    }
    let runtime = match threads {
        1 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        more => tokio::runtime::Builder::new_multi_thread().worker_threads(more).enable_all().build(),
    };
    let counts = Counts::default();
    runtime.expect("a runtime can be made").block_on(async {
        let (end, mut is_over) = tokio::sync::mpsc::unbounded_channel();
        let running = scenarios::start(&scenario, &counts, tasks);
        say("ready");
        if scenario == "quits" {
            for task in running {
                task.await.expect("the scenario does not panic");
            }
            say(&counts.json());
            return publish_last().await;
        }
        std::thread::spawn(move || {
            let mut line = String::new();
            while std::io::stdin().lock().read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                let _ = end.send(());
            }
        });
        is_over.recv().await;
        if has("--abort") {
            running.iter().for_each(|task| task.abort());
        } else {
            counts.stop();
        }
        for task in running {
            assert!(!task.await.is_err_and(|error| error.is_panic()), "the scenario does not panic");
        }
        say(&counts.json());
        while is_over.recv().await.is_some() {}
    });
}

/// Nobody can say when all of this is told: a last update has to be published before the program goes.
async fn publish_last() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

/// A closed standard output is no reason to panic.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
