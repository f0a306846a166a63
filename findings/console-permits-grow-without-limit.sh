#!/usr/bin/env bash
# console-subscriber 0.5.0 (tokio 1.54.1): the attribute `permits` of a semaphore grows by one with each `try_acquire`
# that succeeds, above the number of permits that exist.
#
# Likely guess: `permits` on the wire is what `available_permits` returns.
# Seen: a semaphore with one permit is taken and released 1,000 times. With `acquire`, the wire reports 1. With
# `try_acquire`, it reports 1001, and `available_permits` returns 1.
# Cause: tokio reports that a permit is given back, but not that `try_acquire` took it.
# Fails if the behaviour changes. Set CARGO_TARGET_DIR to share the build between runs.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "permits-grow"
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
use console_api::{field::{Name, Value}, instrument::{instrument_client::InstrumentClient, InstrumentRequest}};
use std::{collections::HashMap, sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst}, thread, time::Duration};
use tracing_subscriber::prelude::*;

const INTERVAL: Duration = Duration::from_millis(20);
static APP_IS_QUIET: AtomicBool = AtomicBool::new(false);
static AVAILABLE: AtomicUsize = AtomicUsize::new(0);

fn app() {
    let semaphore = tokio::sync::Semaphore::new(1);
    let with_try = std::env::args().nth(1).as_deref() == Some("try_acquire");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for _ in 0..1_000 {
            let permit = if with_try { semaphore.try_acquire().unwrap() } else { semaphore.acquire().await.unwrap() };
            drop(permit);
        }
        AVAILABLE.store(semaphore.available_permits(), SeqCst);
        APP_IS_QUIET.store(true, SeqCst);
        std::future::pending::<()>().await;
    });
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
        let (mut permits, mut updates_when_quiet) = (HashMap::new(), 0);
        while updates_when_quiet < 10 || permits.is_empty() {
            updates_when_quiet += u32::from(APP_IS_QUIET.load(SeqCst));
            let update = updates.message().await.unwrap().unwrap().resource_update.unwrap();
            for (id, stats) in update.stats_update {
                for field in stats.attributes.into_iter().filter_map(|attribute| attribute.field) {
                    let Some(Value::U64Val(value)) = field.value else { continue };
                    if field.name == Some(Name::StrName("permits".into())) {
                        permits.insert(id, value);
                    }
                }
            }
        }
        println!("{} {}", permits.values().max().unwrap(), AVAILABLE.load(SeqCst));
    });
}
RUST
export RUSTFLAGS="--cfg tokio_unstable"
cargo build --quiet
read -r wire_acquire real_acquire < <(cargo run --quiet -- acquire)
read -r wire_try real_try < <(cargo run --quiet -- try_acquire)
echo "after 1,000 acquire:     $wire_acquire permits on the wire, $real_acquire available"
echo "after 1,000 try_acquire: $wire_try permits on the wire, $real_try available"
[ "$wire_acquire" = 1 ] && [ "$real_acquire" = 1 ] && [ "$wire_try" = 1001 ] && [ "$real_try" = 1 ]
