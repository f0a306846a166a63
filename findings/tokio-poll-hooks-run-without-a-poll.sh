#!/usr/bin/env bash
# tokio 1.54.1, built with `--cfg tokio_unstable`: the hooks around a poll also run for a task that is never polled.
#
# Likely guess: `on_before_task_poll` and `on_after_task_poll` run once for each poll, so that between them the future of
# the task is polled, and counting them counts polls.
# Seen: a task is aborted before its first poll. Its future is never polled, yet both hooks run for it once, and
# `on_task_terminate` in between. On a current-thread runtime they run while the loop drops the future of the task.
# Fails if the behaviour changes. Set CARGO_TARGET_DIR to share the build between runs.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "poll-hooks"
version = "0.0.0"
edition = "2021"

[dependencies]
tokio = { version = "=1.54.1", features = ["rt"] }
TOML
cat > src/main.rs <<'RUST'
use std::sync::{Arc, Mutex};

fn main() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let note = |text: &'static str| {
        let log = log.clone();
        move |_: &tokio::runtime::TaskMeta<'_>| log.lock().unwrap().push(text)
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .on_before_task_poll(note("before"))
        .on_after_task_poll(note("after"))
        .on_task_terminate(note("terminate"))
        .build()
        .unwrap();
    let polled = log.clone();
    runtime.block_on(async move {
        let task = tokio::spawn(async move { polled.lock().unwrap().push("polled") });
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    println!("{}", log.lock().unwrap().join(" "));
}
RUST
export RUSTFLAGS="--cfg tokio_unstable"
cargo build --quiet
seen=$(cargo run --quiet)
echo "a task that is aborted before its first poll: $seen"
[ "$seen" = "before terminate after" ]
