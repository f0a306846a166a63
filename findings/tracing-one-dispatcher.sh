#!/usr/bin/env bash
# tracing-core 0.1.36 (tracing 0.1.44): while exactly one dispatcher is alive, an event's callsite that is reached first on
# a thread without that dispatcher is disabled for the whole process.
#
# Likely guess: a callsite that has no subscriber on one thread still works on a thread that has one.
# Seen: the thread with the subscriber gets 0 of its 3 events. With a second, empty dispatcher alive it gets all 3.
# It matters to programs with a scoped subscriber on one thread and the same library code on another, such as two tokio
# runtimes. Fails if the behaviour changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "one-dispatcher"
version = "0.0.0"
edition = "2021"

[dependencies]
tracing = { version = "=0.1.44", default-features = false, features = ["std"] }
tracing-core = "=0.1.36"
TOML
cat > src/main.rs <<'RUST'
use std::sync::atomic::{AtomicU32, Ordering};
use tracing::{span, subscriber::NoSubscriber, Dispatch, Event, Metadata, Subscriber};

static RECEIVED: AtomicU32 = AtomicU32::new(0);

struct Counter;

impl Subscriber for Counter {
    fn enabled(&self, _: &Metadata<'_>) -> bool { true }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id { span::Id::from_u64(1) }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, _: &Event<'_>) { RECEIVED.fetch_add(1, Ordering::SeqCst); }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn library() {
    tracing::info!("a callsite that both threads reach");
}

fn main() {
    let keep_second_alive = std::env::args().nth(1).as_deref() == Some("two");
    let _second = keep_second_alive.then(|| Dispatch::new(NoSubscriber::default()));
    let _guard = tracing::dispatcher::set_default(&Dispatch::new(Counter));
    std::thread::spawn(library).join().unwrap();
    (0..3).for_each(|_| library());
    println!("{}", RECEIVED.load(Ordering::SeqCst));
}
RUST
cargo build --quiet
one=$(cargo run --quiet -- one)
two=$(cargo run --quiet -- two)
echo "one dispatcher alive: the subscriber received $one of 3 events"
echo "two dispatchers alive: the subscriber received $two of 3 events"
[ "$one" = 0 ] && [ "$two" = 3 ]
