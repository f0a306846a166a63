#!/usr/bin/env bash
# console-subscriber 0.5.0 (tokio 1.54.1): a task that has returned stays alive on the wire as long as a `spawn_blocking`
# closure runs that it started and did not await.
#
# Likely guess: a task is reported as ended once its future has returned and its join handle is ready.
# Seen: a task starts a `spawn_blocking` closure and returns. Its join handle is ready, and 20 updates later the task is
# still alive. It ends once the closure does. With a thread in place of the closure, the task ends at once.
# Cause: the span of the closure is a child of the span of the task, and a span closes only after its children have.
# Fails if the behaviour changes. Set CARGO_TARGET_DIR to share the build between runs.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "blocking-work"
version = "0.0.0"
edition = "2021"

[dependencies]
console-api = "=0.9.0"
console-subscriber = "=0.5.0"
tokio = { version = "=1.54.1", features = ["rt", "sync", "time", "tracing"] }
tracing = "=0.1.44"
tracing-subscriber = "=0.3.23"
TOML
cat > src/main.rs <<'RUST'
use console_api::instrument::{instrument_client::InstrumentClient, InstrumentRequest};
use std::{collections::HashMap, sync::atomic::{AtomicBool, Ordering::SeqCst}, thread, time::Duration};
use tracing_subscriber::prelude::*;

const INTERVAL: Duration = Duration::from_millis(20);
static TASK_RETURNED: AtomicBool = AtomicBool::new(false);
static WORK_MAY_END: AtomicBool = AtomicBool::new(false);

fn work() {
    while !WORK_MAY_END.load(SeqCst) {
        thread::sleep(Duration::from_millis(5));
    }
}

fn app() {
    let with_thread = std::env::args().nth(1).as_deref() == Some("thread");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let task = runtime.spawn(async move {
        if with_thread { drop(thread::spawn(work)) } else { drop(tokio::task::spawn_blocking(work)) }
    });
    runtime.block_on(task).unwrap();
    TASK_RETURNED.store(true, SeqCst);
    runtime.block_on(std::future::pending::<()>());
}

fn main() {
    let (layer, server) = console_subscriber::ConsoleLayer::builder().publish_interval(INTERVAL).build();
    tracing_subscriber::registry().with(layer).init();
    let _untraced = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let console = server.into_parts();
        tokio::spawn(console.aggregator.run());
        let mut client = InstrumentClient::new(console.instrument_server);
        let mut updates = client.watch_updates(InstrumentRequest {}).await.unwrap().into_inner();
        thread::spawn(app);
        let (mut ids, mut stats, mut updates_since_return) = (vec![], HashMap::new(), 0);
        loop {
            updates_since_return += u32::from(TASK_RETURNED.load(SeqCst));
            let update = updates.message().await.unwrap().unwrap().task_update.unwrap();
            for task in update.new_tasks {
                if task.fields.iter().any(|field| format!("{:?}", field.value).contains("\"task\"")) {
                    ids.push(task.id.unwrap().id);
                }
            }
            stats.extend(update.stats_update);
            let has_ended = ids.iter().any(|id| stats[id].dropped_at.is_some());
            let state = if has_ended { "ended" } else { "alive" };
            if updates_since_return == 20 {
                print!("{state} during the work, ");
                WORK_MAY_END.store(true, SeqCst);
            }
            if updates_since_return > 20 && has_ended || updates_since_return == 1_000 {
                println!("{state} after it");
                break;
            }
        }
    });
}
RUST
export RUSTFLAGS="--cfg tokio_unstable"
cargo build --quiet
blocking=$(cargo run --quiet -- spawn_blocking)
thread=$(cargo run --quiet -- thread)
echo "a task that returned, with a spawn_blocking closure: $blocking"
echo "a task that returned, with a thread:                 $thread"
[ "$blocking" = "alive during the work, ended after it" ] && [ "$thread" = "ended during the work, ended after it" ]
