#!/usr/bin/env bash
# tokio 1.54.1, current_thread: tasks that call `yield_now` in turns run in the opposite order in every other round.
#
# Likely guess: `yield_now` puts its task at the back of the queue, so A B C run as A B C, A B C, A B C.
# Seen: A B C, C B A, A B C, C B A. A self-wake that returns pending (`wake_by_ref`) does give A B C each time.
# Cause: the wakers of tasks that yield are kept in a list until the runtime has nothing else to run, and that list is
# woken from its end.
# Fails if the behaviour changes. Set CARGO_TARGET_DIR to share the build between runs.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "yield-reverses-order"
version = "0.0.0"
edition = "2021"

[dependencies]
tokio = { version = "=1.54.1", features = ["rt"] }
TOML
cat > src/main.rs <<'RUST'
use std::{future::poll_fn, sync::{Arc, Mutex}, task::Poll};

async fn self_wake() {
    let mut woken = false;
    poll_fn(|context| {
        if std::mem::replace(&mut woken, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

fn main() {
    let self_wakes = std::env::args().nth(1).as_deref() == Some("self-wake");
    let order = Arc::new(Mutex::new(String::new()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let tasks = ["A", "B", "C"].map(|name| {
            let order = order.clone();
            tokio::spawn(async move {
                for _ in 0..4 {
                    order.lock().unwrap().push_str(name);
                    if self_wakes { self_wake().await } else { tokio::task::yield_now().await }
                }
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
    });
    println!("{}", order.lock().unwrap());
}
RUST
cargo build --quiet
yields=$(cargo run --quiet -- yield)
self_wakes=$(cargo run --quiet -- self-wake)
echo "four rounds with yield_now: $yields"
echo "four rounds with self-wakes: $self_wakes"
[ "$yields" = ABCCBAABCCBA ] && [ "$self_wakes" = ABCABCABCABC ]
