#!/usr/bin/env bash
# tokio 1.54.1, built with `--cfg tokio_unstable`: the wake of `yield_now` happens after the poll, where the driver wakes.
#
# Likely guess: `yield_now` wakes its task while the task is being polled, so that whoever observes wakers sees that the task
# woke itself. Or else a hook, such as that of parking, separates these wakes from those of timers and sockets.
# Seen: the waker is called only after the hook that follows the poll. On a current-thread runtime no hook runs between that
# wake and the next poll, neither for parking nor for unparking.
# Fails if the behaviour changes. Set CARGO_TARGET_DIR to share the build between runs.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "yield-wakes"
version = "0.0.0"
edition = "2021"

[dependencies]
tokio = { version = "=1.54.1", features = ["rt", "time"] }
TOML
cat > src/main.rs <<'RUST'
use std::future::{poll_fn, Future};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

type Log = Arc<Mutex<Vec<&'static str>>>;

/// Notes that it is called, and wakes the task.
struct NotingWaker(Waker, Log);

impl Wake for NotingWaker {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push("wake");
        self.0.wake_by_ref();
    }
}

fn main() {
    let log = Log::default();
    let note = |text: &'static str| {
        let log = log.clone();
        move || log.lock().unwrap().push(text)
    };
    let (before, after) = (note("before"), note("after"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .on_before_task_poll(move |_| before())
        .on_after_task_poll(move |_| after())
        .on_thread_park(note("park"))
        .on_thread_unpark(note("unpark"))
        .build()
        .unwrap();
    let wakes = log.clone();
    runtime.block_on(async move {
        let task = tokio::spawn(async move {
            let mut yielding = pin!(tokio::task::yield_now());
            poll_fn(|context| {
                let waker = Waker::from(Arc::new(NotingWaker(context.waker().clone(), wakes.clone())));
                yielding.as_mut().poll(&mut Context::from_waker(&waker))
            })
            .await;
        });
        task.await.unwrap();
    });
    println!("{}", log.lock().unwrap().join(" "));
}
RUST
export RUSTFLAGS="--cfg tokio_unstable"
cargo build --quiet
seen=$(cargo run --quiet)
echo "a task that yields once: $seen"
[ "$seen" = "before after wake before after" ]
