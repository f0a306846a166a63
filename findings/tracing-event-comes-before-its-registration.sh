#!/usr/bin/env bash
# tracing 0.1.44 and tracing-subscriber 0.3.23: a layer gets an event of a callsite before `register_callsite` has
# returned for that callsite.
#
# Likely guess: a layer is asked about a callsite first, once, and gets its events only afterwards. So a layer may note in
# `register_callsite` which callsites interest it, and look events up there; console-subscriber 0.5.0 does.
# Seen: while one thread registers a callsite, a second thread that reaches the same callsite does not wait. Its event is
# delivered at once, because `enabled` says yes, while the layer is still being asked. A layer that looks the callsite up
# in its notes does not find it, and the event is lost to it.
# Fails if the behaviour changes. Set CARGO_TARGET_DIR to share the build between runs.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "event-before-registration"
version = "0.0.0"
edition = "2021"

[dependencies]
tracing = "=0.1.44"
tracing-subscriber = { version = "=0.3.23", default-features = false, features = ["registry"] }
TOML
cat > src/main.rs <<'RUST'
use std::collections::HashSet;
use std::sync::{mpsc, Mutex};
use std::thread;
use std::time::Duration;

use tracing::callsite::Identifier;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Notes the callsites it was asked about, and takes a while for that, as it may on a busy machine.
struct Noting {
    asked: mpsc::Sender<()>,
    delivered: (mpsc::Sender<()>, Mutex<mpsc::Receiver<()>>),
    noted: Mutex<HashSet<Identifier>>,
}

impl<S: Subscriber> Layer<S> for Noting {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.asked.send(()).unwrap();
        let was_delivered = self.delivered.1.lock().unwrap().recv_timeout(Duration::from_secs(5)).is_ok();
        println!("delivered while the layer is being asked: {was_delivered}");
        self.noted.lock().unwrap().insert(metadata.callsite());
        Interest::always()
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let is_known = self.noted.lock().unwrap().contains(&event.metadata().callsite());
        println!("event of a callsite that is noted: {is_known}");
        let _ = self.delivered.0.send(());
    }
}

fn emit() {
    tracing::info!("the only callsite");
}

fn main() {
    let (asked, is_asked) = mpsc::channel();
    let (deliver, delivered) = mpsc::channel();
    let layer = Noting { asked, delivered: (deliver, Mutex::new(delivered)), noted: Mutex::default() };
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).unwrap();
    let first = thread::spawn(emit);
    is_asked.recv().unwrap();
    thread::spawn(emit).join().unwrap();
    first.join().unwrap();
}
RUST
cargo build --quiet
seen=$(cargo run --quiet)
echo "$seen"
[ "$seen" = "event of a callsite that is noted: false
delivered while the layer is being asked: true
event of a callsite that is noted: true" ]
