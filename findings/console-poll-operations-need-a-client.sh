#!/usr/bin/env bash
# console-subscriber 0.5.0 (tokio 1.54.1): a client that connects later never gets the poll operations from before, but
# gets the operations they belong to, with all their polls counted.
#
# Likely guess: the first update contains all that is retained (for an hour by default), whenever the client connects.
# Seen: an app takes a lock ten times. A client that was connected before gets 20 operations, their polls and their
# poll operations, which alone say whether a poll was ready. One that connects afterwards gets the same operations and
# polls, and no poll operation.
# Cause: poll operations are discarded while no client is connected.
# Fails if the behaviour changes. Set CARGO_TARGET_DIR to share the build between runs.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "poll-operations"
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
static APP_IS_QUIET: AtomicBool = AtomicBool::new(false);

fn app() {
    let lock = tokio::sync::Mutex::new(());
    // The runtime makes a channel for itself, which is not to be counted.
    let build = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let runtime = tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), build);
    let task = runtime.spawn(async move {
        for _ in 0..10 {
            drop(lock.lock().await);
        }
    });
    runtime.block_on(task).unwrap();
    APP_IS_QUIET.store(true, SeqCst);
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
        let connect_late = std::env::args().nth(1).as_deref() == Some("late");
        if connect_late {
            thread::spawn(app).join().unwrap();
            // The aggregator shares this thread, so its intervals pass as well.
            tokio::time::sleep(50 * INTERVAL).await;
        }
        let mut updates = client.watch_updates(InstrumentRequest {}).await.unwrap().into_inner();
        if !connect_late {
            thread::spawn(app);
        }
        let (mut polls, mut poll_operations, mut updates_when_quiet) = (HashMap::new(), 0, 0);
        while updates_when_quiet < 10 {
            updates_when_quiet += u32::from(APP_IS_QUIET.load(SeqCst));
            let update = updates.message().await.unwrap().unwrap();
            poll_operations += update.resource_update.unwrap().new_poll_ops.len();
            for (id, stats) in update.async_op_update.unwrap().stats_update {
                polls.insert(id, stats.poll_stats.unwrap().polls);
            }
        }
        println!("{} {} {poll_operations}", polls.len(), polls.values().sum::<u64>());
    });
}
RUST
export RUSTFLAGS="--cfg tokio_unstable"
cargo build --quiet
read -r early_operations early_polls early_poll_operations < <(cargo run --quiet -- early)
read -r late_operations late_polls late_poll_operations < <(cargo run --quiet -- late)
echo "connected before: $early_operations operations, $early_polls polls, $early_poll_operations poll operations"
echo "connected later:  $late_operations operations, $late_polls polls, $late_poll_operations poll operations"
[ "$early_operations" = 20 ] && [ "$early_polls" -gt 0 ] && [ "$early_poll_operations" -gt 0 ] \
    && [ "$late_operations" = 20 ] && [ "$late_polls" = "$early_polls" ] && [ "$late_poll_operations" = 0 ]
