#!/usr/bin/env bash
# console-subscriber 0.5.0 (tokio 1.54.1): the scheduled time of a task that is aborted while it waits includes its
# whole last wait.
#
# Likely guess: the scheduled time is the time from a wake to the next poll, so that of a task that only waits is
# small.
# Seen: two tasks wait for 2 s for a message. One then gets it, and its scheduled time is almost nothing. The other one
# is aborted, and its scheduled time is 2 s. tokio-console shows that as the time that the task was ready and not
# polled.
# Cause: an aborted task is dropped inside its span, which counts as a poll. As no wake is reported before that one,
# its scheduled time is counted from the end of the poll before.
# Fails if the behaviour changes. Set CARGO_TARGET_DIR to share the build between runs.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "abort-counts-as-scheduled"
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
use tokio::{sync::oneshot, time::sleep};
use tracing_subscriber::prelude::*;

const INTERVAL: Duration = Duration::from_millis(20);

fn app() {
    let abort = std::env::args().nth(1).as_deref() == Some("abort");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (sender, receiver) = oneshot::channel::<()>();
        let waiter = tokio::spawn(receiver);
        sleep(Duration::from_secs(2)).await;
        if abort { waiter.abort() } else { sender.send(()).unwrap() }
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
        let (mut ids, mut stats, mut updates_since_end) = (vec![], HashMap::new(), 0);
        while updates_since_end < 10 {
            let update = updates.message().await.unwrap().unwrap().task_update.unwrap();
            for task in update.new_tasks {
                if task.fields.iter().any(|field| format!("{:?}", field.value).contains("\"task\"")) {
                    ids.push(task.id.unwrap().id);
                }
            }
            stats.extend(update.stats_update);
            updates_since_end += u32::from(ids.iter().any(|id| stats[id].dropped_at.is_some()));
        }
        let [id] = ids[..] else { panic!("more than one task") };
        let scheduled = stats[&id].scheduled_time.clone().unwrap();
        println!("{} {}", stats[&id].wakes, scheduled.seconds * 1000 + i64::from(scheduled.nanos) / 1_000_000);
    });
}
RUST
export RUSTFLAGS="--cfg tokio_unstable"
cargo build --quiet
read -r wakes_message scheduled_message < <(cargo run --quiet -- message)
read -r wakes_abort scheduled_abort < <(cargo run --quiet -- abort)
echo "ended by a message after 2 s: $wakes_message wake(s), scheduled for $scheduled_message ms"
echo "aborted after 2 s:            $wakes_abort wake(s), scheduled for $scheduled_abort ms"
[ "$wakes_message" = 1 ] && [ "$scheduled_message" -lt 1000 ] && [ "$wakes_abort" = 0 ] && [ "$scheduled_abort" -ge 1900 ]
