//! One and the same loop, bare, under console-subscriber's layer, and in the lab with the probe.
//!
//! A main task spawns the others and waits for them; the time is from its first wait to its last. All three run on a
//! current-thread runtime on a thread of its own, with tokio's tracing compiled in.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use console_subscriber::{ConsoleLayer, ServerParts};
use loopscope::control::{ClockKind, FeedChoice, Speed};
use loopscope::lab::{self, Options, TaskSpec};
use loopscope::session::LabSession;
use loopscope::trace::Trace;
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;

use crate::machine;
use crate::pairs::Took;

/// What runs: so many tasks, each polled so often, each poll doing this.
#[derive(Clone, Copy)]
pub struct Load {
    pub tasks: usize,
    pub yields: usize,
    pub work: fn(),
    /// Yields of each task in a first pass, which is not timed: it warms up what a program that runs for longer than a
    /// moment finds warm.
    pub warm_up_yields: usize,
}

impl Load {
    /// Polls of the whole load, but for main's few.
    pub fn polls(&self) -> usize {
        self.tasks * (self.yields + 1)
    }

    async fn one_task(self) -> Result<(), String> {
        for _ in 0..self.yields {
            (self.work)();
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn main(self, spawn: impl Fn(Self) -> tokio::task::JoinHandle<Result<(), String>>) -> Took {
        if self.warm_up_yields > 0 {
            self.pass(|| spawn(Self { yields: self.warm_up_yields, ..self })).await;
        }
        self.pass(|| spawn(self)).await
    }

    async fn pass(self, spawn: impl Fn() -> tokio::task::JoinHandle<Result<(), String>>) -> Took {
        let handles: Vec<_> = (0..self.tasks).map(|_| spawn()).collect();
        let preempted_before = machine::preemptions();
        let begun = Instant::now();
        for handle in handles {
            handle.await.expect("a task of the load neither fails nor panics").expect("it does not fail");
        }
        Took { time: begun.elapsed(), was_preempted: machine::preemptions() > preempted_before }
    }
}

/// How the loop in the lab was seen.
#[derive(Clone, Copy, Default)]
pub struct Seen {
    pub told: u64,
    pub dropped: u64,
    /// From the loop's first event to when the session had taken in its last.
    pub taking_in: Duration,
}

/// The loop with nobody watching.
pub fn bare(load: Load) -> Took {
    on_a_thread_watched_by(lab::uninstrumented(), load)
}

/// The loop with console-subscriber's layer alone. Its aggregator runs on another thread and keeps up.
pub fn console(load: Load) -> Took {
    let (layer, server) = ConsoleLayer::builder().retention(Duration::from_secs(1)).build();
    let ServerParts { aggregator, .. } = server.into_parts();
    let (stop, is_stopped) = tokio::sync::oneshot::channel::<()>();
    let aggregating = thread::spawn(move || {
        tracing::dispatcher::with_default(&lab::uninstrumented(), || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    // Its cooperative budget would keep it from emptying its buffer.
                    () = tokio::task::unconstrained(aggregator.run()) => {}
                    _ = is_stopped => {}
                }
            });
        });
    });
    let took = on_a_thread_watched_by(Dispatch::new(tracing_subscriber::registry().with(layer)), load);
    let _ = stop.send(());
    aggregating.join().expect("the aggregator ends in peace");
    // What nobody watches any more is switched off at its source again, as in a process that was never watched.
    tracing::callsite::rebuild_interest_cache();
    took
}

fn on_a_thread_watched_by(dispatch: Dispatch, load: Load) -> Took {
    let running = thread::spawn(move || {
        tracing::dispatcher::with_default(&dispatch, || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::spawn(load.main(|load| tokio::spawn(load.one_task()))).await.expect("the load does not panic")
            })
        })
    });
    running.join().expect("the load does not panic")
}

/// The loop in the lab with the probe alone, on the machine's clock, with a session that files what it tells into a
/// trace, as a screen would.
pub fn probe(load: Load) -> (Took, Seen) {
    let (took_sender, took) = mpsc::channel();
    let program: lab::Program = Box::new(move |world| {
        let body = async move {
            let spec = TaskSpec { name: "task".into(), location: None };
            let took = load.main(|load| world.spawn(spec.clone(), load.one_task())).await;
            took_sender.send(took).map_err(|error| error.to_string())?;
            Ok(serde_json::Value::Null)
        };
        (TaskSpec { name: "main".into(), location: None }, Box::pin(body))
    });
    let options = Options {
        clock: ClockKind::Real,
        speed: Speed::Max,
        feed: FeedChoice::Probe,
        paused: false,
        seed: 0,
        until: None,
    };
    let begun = Instant::now();
    let mut session = LabSession::start("load", program, options, Trace::default()).expect("a thread can be had");
    while !session.is_over() {
        session.pump(Duration::from_millis(5));
        session.wait(Duration::from_millis(5));
    }
    let (told, dropped) = session.trace().probe();
    let seen = Seen { told, dropped, taking_in: begun.elapsed() };
    (took.recv().expect("the load came to its end"), seen)
}
