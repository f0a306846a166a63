//! The same loop in three variants: untraced_dispatch, with console-subscriber's layer, and in the lab with the probe.
//!
//! A main task spawns the other tasks and waits for them. Each variant runs on a current-thread runtime on its own
//! thread, with tokio's tracing compiled in. The clock is read every `polls_per_batch` polls. The middle half of these
//! batches counts, which excludes batches that the operating system interrupted.

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use console_subscriber::{ConsoleLayer, ServerParts};
use loopscope::control::{ClockKind, FeedChoice, Speed};
use loopscope::lab::{self, LoopHandle, LoopOptions, TaskSpec};
use loopscope::session::{LabSession, Session};
use loopscope::trace::{AwaitKind, AwaitSite, Trace};
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;

use crate::paired::interquartile_mean;

/// What the loop runs.
#[derive(Clone, Copy)]
pub struct BenchLoad {
    /// Number of tasks.
    pub tasks: usize,
    /// Polls of each task.
    pub polls_each: usize,
    /// What each poll does.
    pub work: fn(),
    /// Polls between two clock reads.
    pub polls_per_batch: usize,
    /// Number of repetitions, with a pause after each so that readers of the events can catch up.
    pub repetitions: usize,
}

/// Pause between two repetitions.
const PAUSE: Duration = Duration::from_millis(12);

thread_local! {
    /// Polls on this thread so far.
    static POLLS: Cell<usize> = const { Cell::new(0) };
    /// Start of the current batch of polls.
    static BATCH_START: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Durations of the finished batches, in nanoseconds.
    static BATCH_NS: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
}

impl BenchLoad {
    /// Polls one task `polls_each` times.
    async fn run_task(self) -> Result<(), String> {
        for poll in 1..=self.polls_each {
            (self.work)();
            let polls = POLLS.get() + 1;
            POLLS.set(polls);
            if polls.is_multiple_of(self.polls_per_batch) {
                let now = Instant::now();
                if let Some(start) = BATCH_START.replace(Some(now)) {
                    BATCH_NS.with_borrow_mut(|batches| batches.push((now - start).as_nanos() as f64));
                }
            }
            if poll < self.polls_each {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Runs the load and returns the time for each poll, in nanoseconds.
    async fn run_main(self, spawn: impl Fn(Self) -> tokio::task::JoinHandle<Result<(), String>>) -> f64 {
        BATCH_NS.set(Vec::with_capacity(self.repetitions * self.tasks * self.polls_each / self.polls_per_batch));
        for _ in 0..self.repetitions {
            let handles: Vec<_> = (0..self.tasks).map(|_| spawn(self)).collect();
            BATCH_START.set(None);
            for handle in handles {
                handle.await.expect("a load task does not panic").expect("a load task does not fail");
            }
            tokio::time::sleep(PAUSE).await;
        }
        // The first half is warm-up.
        let batches_ns = BATCH_NS.take();
        interquartile_mean(batches_ns[batches_ns.len() / 2..].to_vec()) / self.polls_per_batch as f64
    }
}

/// Awaits between two clock reads.
const AWAITS_PER_BATCH: usize = 2_000;
/// Number of batches of awaits, with a pause after each so that the reader can catch up.
const AWAIT_BATCHES: usize = 400;

/// Runs one lab task that awaits ready futures, instrumented or not. Returns the time for each await, in nanoseconds.
///
/// An instrumented await reports its start, its poll and its end.
pub fn time_awaits(is_instrumented: bool) -> f64 {
    run_in_lab(move |handle| async move {
        let site = AwaitSite { kind: AwaitKind::Other, source: "ready".into(), location: None, chain: None };
        let mut batches_ns = Vec::with_capacity(AWAIT_BATCHES);
        for _ in 0..AWAIT_BATCHES {
            let start = Instant::now();
            for _ in 0..AWAITS_PER_BATCH {
                let ready = black_box(std::future::ready(()));
                if is_instrumented { handle.await_at(&site, ready).await } else { ready.await }
            }
            batches_ns.push(start.elapsed().as_nanos() as f64);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        interquartile_mean(batches_ns) / AWAITS_PER_BATCH as f64
    })
    .0
}

/// Interval at which a screen reads events.
const FRAME: Duration = Duration::from_millis(16);

/// How the session read the events of a loop in the lab.
#[derive(Clone, Copy, Default)]
pub struct ProbeRunStats {
    /// Events that the probe recorded.
    pub recorded_events: u64,
    /// Events that the probe dropped.
    pub dropped_events: u64,
    /// Time that the session spent reading and storing them.
    pub ingest_time: Duration,
}

/// Runs the load without instrumentation. Returns the time for each poll, in nanoseconds.
pub fn uninstrumented(load: BenchLoad) -> f64 {
    run_on_thread_with(lab::untraced_dispatch(), load)
}

/// Runs the load with console-subscriber's layer only. Its aggregator runs on another thread. Returns the time for each
/// poll, in nanoseconds.
pub fn console(load: BenchLoad) -> f64 {
    let (layer, server) = ConsoleLayer::builder().retention(Duration::from_secs(1)).build();
    let ServerParts { aggregator, .. } = server.into_parts();
    let (stop, is_stopped) = tokio::sync::oneshot::channel::<()>();
    let aggregator_thread = thread::spawn(move || {
        tracing::dispatcher::with_default(&lab::untraced_dispatch(), || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    // tokio's cooperative budget would keep the aggregator from draining its buffer.
                    () = tokio::task::unconstrained(aggregator.run()) => {}
                    _ = is_stopped => {}
                }
            });
        });
    });
    let poll_ns = run_on_thread_with(Dispatch::new(tracing_subscriber::registry().with(layer)), load);
    let _ = stop.send(());
    aggregator_thread.join().expect("the aggregator does not panic");
    // Disables all callsites again, as in a process that never had this subscriber.
    tracing::callsite::rebuild_interest_cache();
    poll_ns
}

/// Runs the load on a new thread with this dispatcher. Returns the time for each poll, in nanoseconds.
fn run_on_thread_with(dispatch: Dispatch, load: BenchLoad) -> f64 {
    let thread = thread::spawn(move || {
        tracing::dispatcher::with_default(&dispatch, || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let main = tokio::spawn(load.run_main(|load| tokio::spawn(load.run_task())));
                main.await.expect("the load does not panic")
            })
        })
    });
    thread.join().expect("the load does not panic")
}

/// Runs the load in the lab with the probe only, on the real clock, with a session that stores the events in a trace as
/// for a screen. Returns the time for each poll, in nanoseconds.
pub fn probe(load: BenchLoad) -> (f64, ProbeRunStats) {
    run_in_lab(move |handle| async move {
        let spec = TaskSpec { name: "task".into(), location: None };
        load.run_main(|load| handle.spawn(spec.clone(), load.run_task())).await
    })
}

/// Runs `main` as the main task of a lab program. Returns its result and how its events were read.
fn run_in_lab<F>(main: impl FnOnce(LoopHandle) -> F + Send + 'static) -> (f64, ProbeRunStats)
where
    F: Future<Output = f64> + Send + 'static,
{
    let (result_sender, result) = mpsc::channel();
    let program: lab::LoopProgram = Box::new(move |handle| {
        let body = async move {
            let value = main(handle).await;
            result_sender.send(value).map_err(|error| error.to_string())?;
            Ok(serde_json::Value::Null)
        };
        (TaskSpec { name: "main".into(), location: None }, Box::pin(body))
    });
    let options = LoopOptions {
        clock: ClockKind::Real,
        speed: Speed::Max,
        feed: FeedChoice::Probe,
        start_paused: false,
        seed: 0,
        stop_at: None,
    };
    let mut ingest_time = Duration::ZERO;
    let mut session = LabSession::start("load", program, options, Trace::default()).expect("the loop thread starts");
    while !session.is_finished() {
        let start = Instant::now();
        if session.pump(FRAME) {
            ingest_time += start.elapsed();
        }
        session.wait(FRAME);
    }
    let (recorded_events, dropped_events) = session.trace().probe_feed_counts();
    let stats = ProbeRunStats { recorded_events, dropped_events, ingest_time };
    (result.recv().expect("the load finished"), stats)
}
