//! One and the same loop, bare, under console-subscriber's layer, and in the lab with the probe.
//!
//! A main task spawns the others and waits for them. All three run on a current-thread runtime on a thread of its own,
//! with tokio's tracing compiled in. Time is taken every so many polls, and of these stretches the middle half counts: a
//! stretch in which the system let another program run stands out, and says nothing of ours.

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use console_subscriber::{ConsoleLayer, ServerParts};
use loopscope::app::Session;
use loopscope::control::{ClockKind, FeedChoice, Speed};
use loopscope::lab::{self, Options, TaskSpec, World};
use loopscope::session::LabSession;
use loopscope::trace::{AwaitKind, Site, Trace};
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;

use crate::pairs::middle_mean;

/// What runs: so many tasks, each polled so often, each poll doing this.
#[derive(Clone, Copy)]
pub struct Load {
    pub tasks: usize,
    pub polls_each: usize,
    pub work: fn(),
    /// Polls between two readings of the clock.
    pub stretch_polls: usize,
    /// All of this so often, with a rest after each time, so that whoever watches can keep up.
    pub times: usize,
}

/// The rest.
const REST: Duration = Duration::from_millis(12);

thread_local! {
    /// Polls on this thread so far, when the stretch began that is under way, and how long each took.
    static POLLS: Cell<usize> = const { Cell::new(0) };
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
    static TOOK_NS: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
}

impl Load {
    async fn one_task(self) -> Result<(), String> {
        for poll in 1..=self.polls_each {
            (self.work)();
            let polls = POLLS.get() + 1;
            POLLS.set(polls);
            if polls.is_multiple_of(self.stretch_polls) {
                let now = Instant::now();
                if let Some(began) = BEGAN.replace(Some(now)) {
                    TOOK_NS.with_borrow_mut(|took| took.push((now - began).as_nanos() as f64));
                }
            }
            if poll < self.polls_each {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Nanoseconds a poll.
    async fn main(self, spawn: impl Fn(Self) -> tokio::task::JoinHandle<Result<(), String>>) -> f64 {
        TOOK_NS.set(Vec::with_capacity(self.times * self.tasks * self.polls_each / self.stretch_polls));
        for _ in 0..self.times {
            let handles: Vec<_> = (0..self.tasks).map(|_| spawn(self)).collect();
            BEGAN.set(None);
            for handle in handles {
                handle.await.expect("a task of the load neither fails nor panics").expect("it does not fail");
            }
            tokio::time::sleep(REST).await;
        }
        // The first half warms up what a program that runs for longer than a moment finds warm.
        let took_ns = TOOK_NS.take();
        middle_mean(took_ns[took_ns.len() / 2..].to_vec()) / self.stretch_polls as f64
    }
}

/// Awaits between two readings of the clock, of which there are so many, with a rest after each so that the reader keeps up.
const STRETCH_AWAITS: usize = 2_000;
const STRETCHES: usize = 400;

/// One task of the lab that awaits what is ready at once: nanoseconds an await, told or not. What is told of one is its
/// start, its poll and its end.
pub fn awaits(are_told: bool) -> f64 {
    on_the_lab(move |world| async move {
        let site = Site { kind: AwaitKind::Other, source: "ready".into(), location: None };
        let mut took_ns = Vec::with_capacity(STRETCHES);
        for _ in 0..STRETCHES {
            let began = Instant::now();
            for _ in 0..STRETCH_AWAITS {
                let ready = black_box(std::future::ready(()));
                if are_told { world.await_at(&site, ready).await } else { ready.await }
            }
            took_ns.push(began.elapsed().as_nanos() as f64);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        middle_mean(took_ns) / STRETCH_AWAITS as f64
    })
    .0
}

/// How often a screen takes in what happened.
const FRAME: Duration = Duration::from_millis(16);

/// How the loop in the lab was seen.
#[derive(Clone, Copy, Default)]
pub struct Seen {
    pub told: u64,
    pub dropped: u64,
    /// What the session spent on taking them in.
    pub taking_in: Duration,
}

/// The loop with nobody watching.
pub fn bare(load: Load) -> f64 {
    on_a_thread_watched_by(lab::uninstrumented(), load)
}

/// The loop with console-subscriber's layer alone. Its aggregator runs on another thread and keeps up.
pub fn console(load: Load) -> f64 {
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

fn on_a_thread_watched_by(dispatch: Dispatch, load: Load) -> f64 {
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
pub fn probe(load: Load) -> (f64, Seen) {
    on_the_lab(move |world| async move {
        let spec = TaskSpec { name: "task".into(), location: None };
        load.main(|load| world.spawn(spec.clone(), load.one_task())).await
    })
}

fn on_the_lab<F>(main: impl FnOnce(World) -> F + Send + 'static) -> (f64, Seen)
where
    F: Future<Output = f64> + Send + 'static,
{
    let (took_sender, took) = mpsc::channel();
    let program: lab::Program = Box::new(move |world| {
        let body = async move {
            let took = main(world).await;
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
    let mut taking_in = Duration::ZERO;
    let mut session = LabSession::start("load", program, options, Trace::default()).expect("a thread can be had");
    while !session.is_over() {
        let begun = Instant::now();
        if session.pump(FRAME) {
            taking_in += begun.elapsed();
        }
        session.wait(FRAME);
    }
    let (told, dropped) = session.trace().probe();
    let seen = Seen { told, dropped, taking_in };
    (took.recv().expect("the load came to its end"), seen)
}
