#!/usr/bin/env bash
# tokio 1.54.1, multi_thread with two workers: while one worker is blocked, the timers of the other, idle one do not
# fire.
#
# Likely guess: a task that blocks its thread takes one of two workers, and the other one serves all other tasks.
# Seen: task A sleeps for 100 ms and then blocks its thread for 2 s. Task B sleeps for 500 ms and is woken about 1.6 s
# late, although a worker was idle all the time. If A blocks in `spawn_blocking`, B is woken in time.
# Cause: one idle worker waits for timers and sockets, the other for a signal of a worker. The first one runs what its
# timer woke and signals no other worker if that is a single task.
# Fails if the behaviour changes. Set CARGO_TARGET_DIR to share the build between runs.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "blocked-worker"
version = "0.0.0"
edition = "2021"

[dependencies]
tokio = { version = "=1.54.1", features = ["rt-multi-thread", "time"] }
TOML
cat > src/main.rs <<'RUST'
use std::time::{Duration, Instant};
use tokio::time::sleep;

fn block() {
    std::thread::sleep(Duration::from_secs(2));
}

/// Returns by how much the timer of a task is late while another task blocks.
fn lateness(blocks_worker: bool) -> Duration {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let blocking = runtime.spawn(async move {
        sleep(Duration::from_millis(100)).await;
        if blocks_worker { block() } else { tokio::task::spawn_blocking(block).await.unwrap() }
    });
    let due = Instant::now() + Duration::from_millis(500);
    let sleeping = runtime.spawn(async move {
        tokio::time::sleep_until(due.into()).await;
        due.elapsed()
    });
    runtime.block_on(async {
        blocking.await.unwrap();
        sleeping.await.unwrap()
    })
}

fn main() {
    let count_late = |blocks_worker| (0..5).filter(|_| lateness(blocks_worker) > Duration::from_secs(1)).count();
    println!("{} {}", count_late(true), count_late(false));
}
RUST
cargo build --quiet
read -r worker pool < <(cargo run --quiet)
echo "a worker is blocked:      the timer is more than 1 s late in $worker of 5 runs"
echo "a pool thread is blocked: the timer is more than 1 s late in $pool of 5 runs"
[ "$worker" -ge 3 ] && [ "$pool" -le 1 ]
