#!/usr/bin/env bash
# tokio 1.54.1 with `tokio_unstable` and its feature `tracing`: a sleep that is not due reports a ready `poll_elapsed`.
#
# Likely guess: each poll of a `Sleep` emits one poll operation, ready only at the poll at which the time has elapsed.
# Seen: a sleep that is polled twice emits four `poll_elapsed`: ready, not ready, ready, ready. A oneshot receiver that
# is polled twice emits two `poll_recv`: not ready, ready.
# Cause: the check of the cooperative budget at the start of each poll is reported under the name of the timer's own. A
# tool that takes a ready poll operation for the end of the wait believes that each sleep ends at once.
# Fails if the behaviour changes. Set CARGO_TARGET_DIR to share the build between runs.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "sleep-polls-ready-twice"
version = "0.0.0"
edition = "2021"

[dependencies]
tokio = { version = "=1.54.1", features = ["rt", "sync", "test-util", "time", "tracing"] }
tracing = "=0.1.44"
TOML
cat > src/main.rs <<'RUST'
use std::{fmt::Debug, sync::Mutex, time::Duration};
use tracing::{field::{Field, Visit}, span, Event, Metadata, Subscriber};

static POLL_OPS: Mutex<Vec<(String, bool)>> = Mutex::new(Vec::new());

struct PollOps;

impl Subscriber for PollOps {
    fn enabled(&self, _: &Metadata<'_>) -> bool { true }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id { span::Id::from_u64(1) }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        if event.metadata().target() == "runtime::resource::poll_op" {
            let mut fields = Fields::default();
            event.record(&mut fields);
            POLL_OPS.lock().unwrap().push((fields.op_name, fields.is_ready));
        }
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Fields { op_name: String, is_ready: bool }

impl Visit for Fields {
    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "is_ready" { self.is_ready = value }
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "op_name" { self.op_name = value.into() }
    }
}

fn print(expected_op: &str) {
    for (op, ready) in std::mem::take(&mut *POLL_OPS.lock().unwrap()) {
        assert_eq!(op, expected_op);
        print!("{} ", if ready { "ready" } else { "pending" });
    }
    println!();
}

fn main() {
    tracing::subscriber::set_global_default(PollOps).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async { tokio::spawn(tokio::time::sleep(Duration::from_secs(1))).await.unwrap() });
    print("poll_elapsed");
    let (sender, receiver) = tokio::sync::oneshot::channel();
    runtime.block_on(async {
        let waiter = tokio::spawn(receiver);
        tokio::task::yield_now().await;
        sender.send(()).unwrap();
        waiter.await.unwrap().unwrap();
    });
    print("poll_recv");
}
RUST
export RUSTFLAGS="--cfg tokio_unstable"
cargo build --quiet
{ read -r sleep; read -r oneshot; } < <(cargo run --quiet)
echo "poll operations of a sleep of one second: $sleep"
echo "poll operations of a oneshot receiver:    $oneshot"
[ "$sleep" = "ready pending ready ready" ] && [ "$oneshot" = "pending ready" ]
