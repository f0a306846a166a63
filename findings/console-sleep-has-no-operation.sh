#!/usr/bin/env bash
# console-subscriber 0.5.0 (tokio 1.54.1): a task that awaits `sleep` has no operation on the wire; after
# `Sleep::reset` the same timer has one.
#
# Likely guess: whatever tokio instruments appears as an operation of the task that awaits it, as a lock does.
# Seen: of a task that sleeps ten times, the client gets ten timers and no operation (with tokio 1.52.3, ten operations
# `Sleep::new_timeout`). If each timer is reset before it is awaited, the client gets ten timers and ten operations
# `Sleep::reset`.
# Cause: tokio creates the operation of a new timer with an explicit parent span, and console-subscriber only looks for
# a resource span that is entered.
# Fails if the behaviour changes. Set CARGO_TARGET_DIR to share the build between runs.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "sleep-has-no-operation"
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
use std::{collections::BTreeSet, sync::atomic::{AtomicBool, Ordering::SeqCst}, thread, time::Duration};
use tokio::time::{sleep, Instant};
use tracing_subscriber::prelude::*;

const INTERVAL: Duration = Duration::from_millis(20);
static APP_IS_QUIET: AtomicBool = AtomicBool::new(false);

fn app() {
    let with_reset = std::env::args().nth(1).as_deref() == Some("reset");
    // The runtime makes a channel for itself, which is not to be counted.
    let build = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let runtime = tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), build);
    let task = runtime.spawn(async move {
        for _ in 0..10 {
            let mut timer = Box::pin(sleep(Duration::from_millis(5)));
            if with_reset {
                timer.as_mut().reset(Instant::now() + Duration::from_millis(10));
            }
            timer.await;
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
        let mut updates = client.watch_updates(InstrumentRequest {}).await.unwrap().into_inner();
        thread::spawn(app);
        let (mut timers, mut operations, mut sources, mut updates_when_quiet) = (0, 0, BTreeSet::new(), 0);
        while updates_when_quiet < 10 {
            updates_when_quiet += u32::from(APP_IS_QUIET.load(SeqCst));
            let update = updates.message().await.unwrap().unwrap();
            let resources = update.resource_update.unwrap().new_resources;
            timers += resources.iter().filter(|resource| resource.concrete_type == "Sleep").count();
            let new_operations = update.async_op_update.unwrap().new_async_ops;
            operations += new_operations.len();
            sources.extend(new_operations.into_iter().map(|operation| operation.source));
        }
        println!("{timers} timers, {operations} operations {sources:?}");
    });
}
RUST
export RUSTFLAGS="--cfg tokio_unstable"
cargo build --quiet
plain=$(cargo run --quiet -- plain)
reset=$(cargo run --quiet -- reset)
echo "ten sleeps:             $plain"
echo "ten sleeps after reset: $reset"
[ "$plain" = "10 timers, 0 operations {}" ] && [ "$reset" = '10 timers, 10 operations {"Sleep::reset"}' ]
