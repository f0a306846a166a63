#!/usr/bin/env bash
# tokio 1.54.1 with `tokio_unstable` and its feature `tracing`: the task that releases a mutex enters the span of the
# waiter's operation.
#
# Likely guess: the `runtime.resource.async_op` span of a lock operation is entered only by the task that awaits the
# lock, so the order of enters tells which task polls which operation.
# Seen: of the enters of the waiter's operation, one happens inside the task that holds the lock, when it drops the
# guard.
# Cause: the releasing side assigns the permit to the first waiter and reports that inside the waiter's span.
# Fails if the behaviour changes. Set CARGO_TARGET_DIR to share the build between runs.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "release-enters-waiters-span"
version = "0.0.0"
edition = "2021"

[dependencies]
tokio = { version = "=1.54.1", features = ["rt", "sync", "tracing"] }
tracing = "=0.1.44"
tracing-subscriber = { version = "=0.3.23", default-features = false, features = ["registry", "std"] }
TOML
cat > src/main.rs <<'RUST'
use std::{collections::HashMap, sync::{Arc, Mutex}};
use tracing::{span, Subscriber};
use tracing_subscriber::{layer::Context, prelude::*, Layer};

#[derive(Default)]
struct State {
    /// The spans of tasks and operations. The value of an operation is the task that created it.
    tasks: Vec<u64>,
    operations: HashMap<u64, u64>,
    /// The entered spans of the only thread, innermost last.
    entered: Vec<u64>,
    enters_in_creator: u32,
    enters_in_other_task: u32,
}

impl State {
    fn current_task(&self) -> Option<u64> {
        self.entered.iter().rev().find(|id| self.tasks.contains(id)).copied()
    }
}

#[derive(Clone, Default)]
struct Enters(Arc<Mutex<State>>);

impl<S: Subscriber> Layer<S> for Enters {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, _: Context<'_, S>) {
        let mut state = self.0.lock().unwrap();
        match (attributes.metadata().name(), state.current_task()) {
            ("runtime.spawn", _) => state.tasks.push(id.into_u64()),
            ("runtime.resource.async_op", Some(task)) => drop(state.operations.insert(id.into_u64(), task)),
            _ => {}
        }
    }
    fn on_enter(&self, id: &span::Id, _: Context<'_, S>) {
        let mut state = self.0.lock().unwrap();
        if let Some(creator) = state.operations.get(&id.into_u64()).copied() {
            match state.current_task() == Some(creator) {
                true => state.enters_in_creator += 1,
                false => state.enters_in_other_task += 1,
            }
        }
        state.entered.push(id.into_u64());
    }
    fn on_exit(&self, _: &span::Id, _: Context<'_, S>) {
        self.0.lock().unwrap().entered.pop();
    }
}

fn main() {
    let with_waiter = std::env::args().nth(1).as_deref() == Some("waiter");
    let enters = Enters::default();
    tracing_subscriber::registry().with(enters.clone()).init();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        let holder = tokio::spawn({
            let lock = lock.clone();
            async move {
                let guard = lock.lock().await;
                tokio::task::yield_now().await;
                drop(guard);
            }
        });
        if with_waiter {
            tokio::spawn(async move { drop(lock.lock().await) }).await.unwrap();
        }
        holder.await.unwrap();
    });
    let state = enters.0.lock().unwrap();
    println!("{} {}", state.enters_in_creator, state.enters_in_other_task);
}
RUST
export RUSTFLAGS="--cfg tokio_unstable"
cargo build --quiet
read -r own_alone foreign_alone < <(cargo run --quiet -- alone)
read -r own_waiter foreign_waiter < <(cargo run --quiet -- waiter)
echo "no task waits: spans of lock operations are entered $own_alone times in their task, $foreign_alone times in another"
echo "one task waits: spans of lock operations are entered $own_waiter times in their task, $foreign_waiter times in another"
[ "$own_alone" -gt 0 ] && [ "$foreign_alone" = 0 ] && [ "$own_waiter" -gt "$own_alone" ] && [ "$foreign_waiter" = 1 ]
