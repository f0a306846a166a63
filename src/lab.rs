//! The embedded loop: an instrumented tokio current-thread runtime on its own thread.
//!
//! Its clock can be virtual, and a gate before every poll lets the user pause and step it.
//!
//! A program is a closure that gets a [`LoopHandle`]. A session runs it and collects its events:
//!
//! ```
//! use std::time::Duration;
//! use loopscope::control::{ClockKind, FeedChoice, Speed};
//! use loopscope::lab::{LoopOptions, LoopProgram, TaskSpec};
//! use loopscope::session::{LabSession, Session};
//! use loopscope::trace::Trace;
//!
//! let program: LoopProgram = Box::new(|handle| {
//!     let main = async move {
//!         handle.sleep(Duration::from_secs(60)).await;
//!         Ok("done".into())
//!     };
//!     (TaskSpec { name: "main".to_owned(), location: None }, Box::pin(main))
//! });
//! let options = LoopOptions {
//!     clock: ClockKind::Virtual,
//!     speed: Speed::Max,
//!     feed: FeedChoice::Probe,
//!     start_paused: false,
//!     seed: 0,
//!     stop_at: None,
//! };
//! let mut session = LabSession::start("sleep", program, options, Trace::default())?;
//! while !session.is_finished() {
//!     session.wait(Duration::from_millis(5));
//!     session.pump(Duration::from_millis(5));
//! }
//! assert_eq!(session.trace().now(), 60_000_000_000);
//! # Ok::<(), std::io::Error>(())
//! ```

mod boxed_future;
mod cached_now;
mod clock;
mod console_listener;
mod console_server;
mod deadlock;
mod gate;
mod idle_hook;
mod instrumented_await;
mod loop_control;
mod loop_handle;
mod loop_shared;
mod loop_thread;
mod program_hooks;
mod resources;
mod run_end;
mod sleep;
mod spawn_location;
mod spin_detector;
mod task;
#[cfg(test)]
mod tests;
mod throttle;
mod timers;
mod tsc_clock;
mod untraced;

pub use boxed_future::BoxFuture;
pub use console_listener::ConsoleListener;
pub use gate::RunStopped;
pub use instrumented_await::InstrumentedAwait;
pub use loop_control::LoopControl;
pub use loop_handle::{LoopHandle, TaskSpec};
pub use resources::ResourceGuard;
pub use task::panic_message;
pub use untraced::Untraced;

use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

use crate::control::{Breakpoint, ClockKind, FeedChoice, RunOutcome, SessionCommand, Speed};
use crate::feed::console::{OwnConsoleDecoder, TokioTaskIds};
use crate::feed::probe::{LoopWriter, Probe, ProbeReader};
use crate::feed::time_map::TimeMap;
use crate::trace::{Event, Nanos};
use clock::LoopClock;
use gate::Gate;
use loop_shared::LoopShared;
use throttle::AggregatorThrottle;
use timers::TimerRegistry;

/// The program to run. Given a handle to the loop, it returns main's name and location and main's body. The body's
/// result is the result of the run.
pub type LoopProgram = Box<dyn FnOnce(LoopHandle) -> (TaskSpec, BoxFuture<Result<serde_json::Value, String>>) + Send>;

/// Options of a run.
#[derive(Clone, Copy, Debug)]
pub struct LoopOptions {
    /// The clock that defines loop time.
    pub clock: ClockKind,
    /// The initial speed of a virtual clock.
    pub speed: Speed,
    /// The feeds that observe the loop.
    pub feed: FeedChoice,
    /// Start paused, before the first poll.
    pub start_paused: bool,
    /// The random seed. On a virtual clock, equal seeds give identical runs.
    pub seed: u64,
    /// The loop time at which the run ends as cancelled, if any.
    pub stop_at: Option<Nanos>,
}

/// A run that was started: its controls, its event streams and its result.
pub struct LoopRun {
    /// Controls the loop from any thread.
    pub control: LoopControl,
    /// The reader of the probe's events.
    pub probe_reader: ProbeReader,
    /// Batches of events from console-subscriber, if the console feed is on.
    pub console: Option<console_server::EventBatches>,
    /// Receives the result of the run when it ends.
    pub outcome: oneshot::Receiver<RunOutcome>,
    /// Keeps external consoles connected until it is dropped, even after the run has ended.
    pub console_server_guard: Option<ConsoleServerGuard>,
}

/// Keeps external consoles connected until it is dropped. See [`LoopRun::console_server_guard`].
#[derive(Debug)]
pub struct ConsoleServerGuard {
    _shutdown_sender: oneshot::Sender<()>,
}

/// Returns a dispatcher without a subscriber, for every thread that must not be traced.
///
/// tracing caches a callsite as disabled for the whole process if it is first reached on a thread without the only live
/// dispatcher. With one dispatcher alive, it decides that without a lock, so the decision can also overwrite that of a
/// second dispatcher that is created in the same moment. Hence two dispatchers stay alive from the first call on.
pub fn untraced_dispatch() -> Dispatch {
    static PAIR: OnceLock<[Dispatch; 2]> = OnceLock::new();
    PAIR.get_or_init(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::default())))[0].clone()
}

/// Starts `program` on a new loop thread and serves external consoles on `listener`. Consoles need the console feed:
/// with the probe alone the listener is not used.
///
/// # Errors
///
/// If the system cannot create a thread or an event queue.
pub fn start(program: LoopProgram, options: LoopOptions, listener: Option<ConsoleListener>) -> io::Result<LoopRun> {
    start_with_breakpoints(program, options, listener, &[])
}

/// Like [`start`], with breakpoints that apply from the first poll on.
///
/// # Errors
///
/// If the system cannot create a thread or an event queue.
pub fn start_with_breakpoints(
    program: LoopProgram,
    options: LoopOptions,
    listener: Option<ConsoleListener>,
    breakpoints: &[Breakpoint],
) -> io::Result<LoopRun> {
    task::silence_task_panics();
    let untraced = untraced_dispatch();
    let is_virtual = options.clock == ClockKind::Virtual;
    let (probe, writer, probe_reader) = Probe::new(is_virtual, options.feed.has_probe());
    let probe = Arc::new(probe);
    let gate = Arc::new(Gate::new(options.speed, options.start_paused));
    breakpoints.iter().for_each(|breakpoint| {
        gate.command(SessionCommand::AddBreakpoint(*breakpoint), None);
    });
    let task_ids = TokioTaskIds::default();
    let throttle = Arc::new(AggregatorThrottle::new(is_virtual));
    // The console's timestamps only need translation if the probe does not report polls and awaits.
    let time_map = (options.feed == FeedChoice::Console).then(Arc::<TimeMap>::default);
    let mut console_server_guard = None;
    let (dispatch, batches, ended, ready) = if options.feed.has_console() {
        let decoder = OwnConsoleDecoder::new(task_ids.clone(), time_map.clone());
        let external = listener.map(|listener| {
            let (shutdown_sender, shutdown) = oneshot::channel();
            console_server_guard = Some(ConsoleServerGuard { _shutdown_sender: shutdown_sender });
            console_server::ExternalConsoles { listener, shutdown }
        });
        let console = console_server::start(decoder, throttle.clone(), external)?;
        (console.dispatch, Some(console.batches), Some(console.loop_ended), Some(console.ready))
    } else {
        (untraced, None, None, None)
    };
    let console = options.feed.has_console().then_some((throttle, task_ids));
    let shared = Arc::new(OnceLock::new());
    let root_wakeup = Arc::<Notify>::default();
    let control = LoopControl::new(gate.clone(), shared.clone(), root_wakeup.clone());
    let (outcome_sender, outcome) = oneshot::channel();

    std::thread::Builder::new().name("loopscope-loop".into()).spawn(move || {
        if let Some(ready) = ready {
            let _ = ready.recv();
        }
        let setup =
            LoopSetup { dispatch, gate: gate.clone(), probe, writer, console, shared, root_wakeup, time_map, options };
        let outcome = tracing::dispatcher::with_default(&untraced_dispatch(), || setup.run(program));
        gate.mark_over();
        let _ = outcome_sender.send(outcome);
        if let Some(ended) = ended {
            let _ = ended.send(Instant::now());
        }
    })?;
    Ok(LoopRun { control, probe_reader, console: batches, outcome, console_server_guard })
}

/// Everything that the loop thread starts with.
struct LoopSetup {
    dispatch: Dispatch,
    gate: Arc<Gate>,
    probe: Arc<Probe>,
    writer: LoopWriter,
    console: Option<(Arc<AggregatorThrottle>, TokioTaskIds)>,
    shared: Arc<OnceLock<Arc<LoopShared>>>,
    root_wakeup: Arc<Notify>,
    time_map: Option<Arc<TimeMap>>,
    options: LoopOptions,
}

impl LoopSetup {
    fn run(self, program: LoopProgram) -> RunOutcome {
        let runtime = match self.runtime() {
            Ok(runtime) => runtime,
            Err(error) => return RunOutcome::Failed(format!("cannot create the runtime: {error}")),
        };
        let _writer_guard = self.writer.install();
        let runtime_guard = runtime.enter();
        let shared = LoopShared {
            clock: LoopClock::start(self.options.clock, self.time_map),
            gate: self.gate.clone(),
            probe: self.probe.clone(),
            timers: TimerRegistry::default(),
            console: self.console,
            seed: self.options.seed,
            live_tasks: Mutex::default(),
            dispatch: self.dispatch.clone(),
            root_wakeup: self.root_wakeup.clone(),
            idle_hook: idle_hook::IdleHook::default(),
            program_hooks: program_hooks::ProgramHooks::default(),
            spin_detector: spin_detector::SpinDetector::default(),
            deadlock: (self.options.clock == ClockKind::Virtual).then(deadlock::DeadlockDetector::default),
        };
        let shared = self.shared.get_or_init(|| Arc::new(shared));
        let loop_handle = LoopHandle::new(shared.clone());
        drop(runtime_guard);
        loop_thread::mark();
        shared.emit(|at| Event::Unpark { at });
        let outcome = runtime.block_on(async {
            // Trace only inside the root future: the root would otherwise be listed as an unnamed task.
            let _dispatch_guard = tracing::dispatcher::set_default(&self.dispatch);
            run_root(&loop_handle, &self.root_wakeup, program, self.options.stop_at).await
        });
        // Tasks that remain only after too many rounds of dropping are dropped here, which is reported as their end.
        tracing::dispatcher::with_default(&self.dispatch, || drop(runtime));
        shared.emit(|at| Event::Advance { at });
        outcome
    }

    fn runtime(&self) -> io::Result<tokio::runtime::Runtime> {
        let (poll_gate, poll_shared) = (self.gate.clone(), self.shared.clone());
        let (polled_shared, park_shared, unpark_shared) =
            (self.shared.clone(), self.shared.clone(), self.shared.clone());
        let dispatch = self.dispatch.clone();
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Seed tokio's own random choices too, such as which waiter of a watch channel is first.
            .rng_seed(tokio::runtime::RngSeed::from_bytes(&self.options.seed.to_le_bytes()))
            .start_paused(self.options.clock == ClockKind::Virtual)
            .on_before_task_poll(move |meta| {
                if poll_gate.is_open() {
                    return;
                }
                cached_now::invalidate();
                if let Some(shared) = poll_shared.get() {
                    let task = || shared.live_tasks().find_by_tokio_id(meta.id()).cloned();
                    poll_gate.before_poll(task, &shared.clock, &**shared);
                }
            })
            .on_after_task_poll(move |_| {
                if let Some(shared) = polled_shared.get() {
                    shared.after_poll();
                }
            })
            .on_thread_park(move || {
                if let Some(shared) = park_shared.get() {
                    shared.before_park();
                }
            })
            .on_thread_unpark(move || {
                if let Some(shared) = unpark_shared.get() {
                    shared.after_park();
                }
            })
            // A scoped dispatcher covers only its own thread, so the blocking pool needs it too. Those threads live as
            // long as the runtime, so the guard is leaked.
            .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&dispatch)))
            .build()
    }
}

/// The future that the loop blocks on: it runs the program to its end, then the cleanup of the remaining tasks.
async fn run_root(
    loop_handle: &LoopHandle,
    root_wakeup: &Notify,
    program: LoopProgram,
    until: Option<Nanos>,
) -> RunOutcome {
    let outcome = run_main(loop_handle, root_wakeup, program, until).await;
    run_end::finish_run(loop_handle.shared(), root_wakeup).await;
    outcome
}

/// Spawns main and waits for its end, for the time limit and for commands.
async fn run_main(
    loop_handle: &LoopHandle,
    root_wakeup: &Notify,
    program: LoopProgram,
    until: Option<Nanos>,
) -> RunOutcome {
    let shared = loop_handle.shared();
    let (spec, body) = program(loop_handle.clone());
    let name = spec.name.clone();
    let (id, mut main) = loop_handle.spawn_with_id(spec, body);
    let control = shared.find_task(id);
    let is_cancelled = || control.as_ref().is_some_and(|control| control.is_cancelled());
    let limit = async {
        match until {
            Some(until) => loop_handle.sleep(Duration::from_nanos(until)).await,
            None => std::future::pending().await,
        }
    };
    let mut limit = std::pin::pin!(limit);
    loop {
        tokio::select! {
            biased;
            ended = &mut main => {
                return match ended {
                    Ok(Ok(result)) => RunOutcome::Completed(result),
                    Ok(Err(_)) if shared.gate.is_quitting() || is_cancelled() => RunOutcome::Cancelled,
                    Ok(Err(message)) => RunOutcome::Failed(message),
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => RunOutcome::Failed(format!("{name} panicked: {}", task::panic_message(&*panic))),
                        Err(_) => RunOutcome::Cancelled,
                    },
                };
            }
            () = &mut limit => return RunOutcome::Cancelled,
            () = root_wakeup.notified() => {
                if shared.gate.is_quitting() {
                    return RunOutcome::Cancelled;
                }
                if let Some(message) = shared.deadlock.as_ref().and_then(deadlock::DeadlockDetector::message) {
                    return RunOutcome::Failed(message.to_owned());
                }
                shared.gate.run_actions(shared);
            }
        }
    }
}
