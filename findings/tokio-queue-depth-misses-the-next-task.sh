#!/usr/bin/env bash
# tokio 1.54.1, built with `--cfg tokio_unstable`: the depth of a worker's local queue leaves out the task that it runs next.
#
# Likely guess: while a worker's task has spawned 20 tasks and goes on, `worker_local_queue_depth` is 20, as on a
# current-thread runtime.
# Seen: it is 19 on a multi-threaded runtime with one worker. The task that was spawned last is in a slot beside the queue,
# whatever their number: after one spawn the depth is 0. On a current-thread runtime it is 20.
# Fails if the behaviour changes. Set CARGO_TARGET_DIR to share the build between runs.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "queue-depth"
version = "0.0.0"
edition = "2021"

[dependencies]
tokio = { version = "=1.54.1", features = ["rt-multi-thread"] }
TOML
cat > src/main.rs <<'RUST'
use tokio::runtime::{Builder, Handle, Runtime};

/// Returns the depth of the worker's queue while its task has spawned this many others.
fn depth(runtime: &Runtime, spawned: usize) -> usize {
    let task = runtime.spawn(async move {
        for _ in 0..spawned {
            tokio::spawn(async {});
        }
        Handle::current().metrics().worker_local_queue_depth(0)
    });
    runtime.block_on(task).unwrap()
}

fn main() {
    let multi = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let current = Builder::new_current_thread().build().unwrap();
    println!("{} {} {} {}", depth(&multi, 1), depth(&multi, 20), depth(&current, 1), depth(&current, 20));
}
RUST
export RUSTFLAGS="--cfg tokio_unstable"
cargo build --quiet
seen=$(cargo run --quiet)
echo "after 1 and 20 spawns on a worker, and on a current-thread runtime: $seen"
[ "$seen" = "0 19 1 20" ]
