#!/usr/bin/env bash
# console-subscriber 0.5.0 (tokio 1.54.1): a oneshot channel whose receiver no task awaits has an operation
# `Receiver::await` with one poll.
#
# Likely guess: an operation on the wire, such as `Receiver::await`, begins when a task awaits.
# Seen: a task makes a channel and a future that locks a mutex, and polls neither. The channel's operation is there
# from then on, with one poll and not dropped. The lock has no operation.
# Cause: tokio creates the operation of a oneshot together with the channel, and enters its span to create that of its
# polls; console-subscriber counts each enter as a poll. The wait that is shown of such a channel includes the time
# before any task waited.
# Fails if the behaviour changes. Set CARGO_TARGET_DIR to share the build between runs.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "oneshot-counts-as-awaited"
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
use std::{collections::HashMap, thread, time::Duration};
use tracing_subscriber::prelude::*;

const INTERVAL: Duration = Duration::from_millis(20);

fn app() {
    // The runtime makes a channel for itself, which is not to be counted.
    let build = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let runtime = tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), build);
    let task = runtime.spawn(async {
        let mutex = tokio::sync::Mutex::new(());
        let _lock = mutex.lock();
        let _channel = tokio::sync::oneshot::channel::<()>();
        std::future::pending::<()>().await;
    });
    runtime.block_on(task).unwrap();
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
        let (mut sources, mut stats, mut updates_since) = (HashMap::new(), HashMap::new(), 0);
        // Some updates more, in which the operation of the lock could come.
        while updates_since < 20 {
            let update = updates.message().await.unwrap().unwrap().async_op_update.unwrap();
            sources.extend(update.new_async_ops.into_iter().map(|operation| (operation.id.unwrap().id, operation.source)));
            stats.extend(update.stats_update);
            updates_since += u32::from(!sources.is_empty());
        }
        for (id, source) in sources {
            let stats = &stats[&id];
            let end = if stats.dropped_at.is_none() { "open" } else { "dropped" };
            println!("{source}: {} poll, {end}", stats.poll_stats.as_ref().unwrap().polls);
        }
    });
}
RUST
export RUSTFLAGS="--cfg tokio_unstable"
cargo build --quiet
operations=$(cargo run --quiet)
echo "operations of a channel and a lock that no task awaits: $operations"
[ "$operations" = "Receiver::await: 1 poll, open" ]
