#!/usr/bin/env bash
# console-subscriber 0.5.0 (tokio 1.54.1): the smaller the event buffer, the fresher is what a client sees of a busy
# app.
#
# Likely guess: every publish interval delivers all that happened, and a smaller `event_buffer_capacity` only loses
# more.
# Seen: with the default of 102,400 the client stays about 50,000 resources behind the app, with 4,096 about 1,500, and
# nothing is dropped in either case. Once the app is quiet, each interval delivers 128 more.
# Cause: the aggregator reads the buffer in a loop over `poll_recv`, which tokio's cooperative budget ends after 128
# events. It runs more often than once per interval only while half of the buffer is in use.
# Fails if the behaviour changes. Set CARGO_TARGET_DIR to share the build between runs.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "smaller-buffer"
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
use std::{cell::Cell, rc::Rc, time::Duration};
use tokio::sync::Semaphore;
use tracing::{dispatcher, subscriber::NoSubscriber, Dispatch};
use tracing_subscriber::prelude::*;

/// Each makes two resources: the semaphore itself and the one inside it.
const SEMAPHORES: usize = 40_000;

fn main() {
    let capacity = std::env::args().nth(1).unwrap().parse().unwrap();
    let (layer, server) = console_subscriber::ConsoleLayer::builder()
        .event_buffer_capacity(capacity)
        .publish_interval(Duration::from_millis(100))
        .retention(Duration::from_millis(100))
        .build();
    let traced = Dispatch::new(tracing_subscriber::registry().with(layer));
    let _untraced = dispatcher::set_default(&Dispatch::new(NoSubscriber::default()));
    let app_is_quiet = Rc::new(Cell::new(false));
    let app = {
        let app_is_quiet = app_is_quiet.clone();
        async move {
            for _ in 0..SEMAPHORES / 50 {
                dispatcher::with_default(&traced, || (0..50).for_each(|_| drop(Semaphore::new(1))));
                tokio::task::yield_now().await;
            }
            app_is_quiet.set(true);
            std::future::pending::<()>().await;
        }
    };
    // One thread, so that how far the client is behind does not depend on the speed of the machine.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let console = server.into_parts();
        tokio::spawn(console.aggregator.run());
        let mut client = InstrumentClient::new(console.instrument_server).max_decoding_message_size(usize::MAX);
        let mut updates = client.watch_updates(InstrumentRequest {}).await.unwrap().into_inner();
        tokio::task::spawn_local(app);
        let (mut seen, mut dropped, mut updates_when_quiet) = (0, 0, 0);
        while updates_when_quiet < 3 {
            updates_when_quiet += usize::from(app_is_quiet.get());
            let resources = updates.message().await.unwrap().unwrap().resource_update.unwrap();
            seen += resources.new_resources.len();
            dropped += resources.dropped_events as usize;
        }
        println!("{} {dropped}", 2 * SEMAPHORES - seen - dropped);
    });
}
RUST
export RUSTFLAGS="--cfg tokio_unstable"
cargo build --quiet
read -r behind_large dropped_large < <(cargo run --quiet -- 102400)
read -r behind_small dropped_small < <(cargo run --quiet -- 4096)
echo "buffer of 102,400 events: the client is $behind_large resources behind, $dropped_large dropped"
echo "buffer of   4,096 events: the client is $behind_small resources behind, $dropped_small dropped"
[ "$behind_large" -gt 40000 ] && [ "$behind_large" -lt 60000 ] && [ "$behind_small" -lt 4096 ]
