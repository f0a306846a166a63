//! WHERE IT RUNS: an instrumented current-thread tokio runtime on a thread of its own, with a clock that can be virtual
//! and a gate before every poll.

mod awaiting;
mod clock;
mod console;
mod gate;
mod idle;
mod moment;
mod pace;
mod quiet;
mod serve;
mod sharing;
mod stuck;
mod task;
mod telling;
#[cfg(test)]
mod tests;
mod timers;
mod valve;
mod world;

pub use awaiting::Awaiting;
pub use gate::Stopped;
pub use quiet::Quiet;
pub use serve::Listener;
pub use sharing::Taken;
pub use task::panic_message;
pub use world::{TaskSpec, World};

use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

use crate::control::{Breakpoint, ClockKind, Command, FeedChoice, Hit, Outcome, Phase, Speed};
use crate::feed::console::{Door, TaskNumbers};
use crate::feed::probe::{LoopWriter, Probe, Ring};
use crate::feed::time_map::TimeMap;
use crate::trace::{Event, Nanos, PauseCause};
use clock::LoopClock;
use gate::{Delivery, Gate};
use timers::Timers;
use valve::Valve;

/// A future that owns all it needs.
pub type BoxFuture<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;

/// What runs: given the world, main's name and place and the future that is its body. The result is what main returned.
pub type Program = Box<dyn FnOnce(World) -> (TaskSpec, BoxFuture<Result<serde_json::Value, String>>) + Send>;

/// How to run it.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub clock: ClockKind,
    pub speed: Speed,
    pub feed: FeedChoice,
    pub paused: bool,
    pub seed: u64,
    /// Loop time at which the run ends by itself, as cancelled.
    pub until: Option<Nanos>,
}

/// A run: what it tells, and what may be asked of it.
pub struct Run {
    pub control: Control,
    /// The probe's events.
    pub ring: Ring,
    /// console-subscriber's, where it listens.
    pub console: Option<console::Batches>,
    /// How the run came out, once it has.
    pub outcome: oneshot::Receiver<Outcome>,
    /// Consoles from outside are served for as long as this is kept, also when the run is over.
    pub served: Option<Served>,
}

/// See [`Run::served`].
#[derive(Debug)]
pub struct Served {
    _kept: oneshot::Sender<()>,
}

/// The dispatcher of every thread that must not be watched.
///
/// While exactly one dispatcher is alive in a process, a callsite that is first reached on a thread without it is
/// switched off for good. This one stays alive, so that there are always two.
pub fn uninstrumented() -> Dispatch {
    static NONE: OnceLock<Dispatch> = OnceLock::new();
    NONE.get_or_init(|| Dispatch::new(NoSubscriber::default())).clone()
}

/// Starts `program` on a loop of its own, which consoles from outside may look at through `listener`. They need the
/// console feed: with the probe alone there is nothing to serve.
///
/// # Errors
/// Where the system gives no thread or no event queue.
pub fn start(program: Program, options: Options, listener: Option<Listener>) -> io::Result<Run> {
    start_with(program, options, listener, &[])
}

/// The same, with breakpoints that hold from before the first poll.
///
/// # Errors
/// Where the system gives no thread or no event queue.
pub fn start_with(
    program: Program,
    options: Options,
    listener: Option<Listener>,
    breakpoints: &[Breakpoint],
) -> io::Result<Run> {
    task::hush_panics();
    let none = uninstrumented();
    let is_virtual = options.clock == ClockKind::Virtual;
    let (probe, writer, ring) = Probe::new(is_virtual, options.feed.probe());
    let probe = Arc::new(probe);
    let gate = Arc::new(Gate::new(options.speed, options.paused));
    breakpoints.iter().for_each(|breakpoint| {
        gate.command(Command::Break(*breakpoint), None);
    });
    let numbers = TaskNumbers::default();
    let valve = Arc::new(Valve::new(is_virtual));
    // Only where nobody else tells polls and awaits are the wire's stamps worth translating.
    let map = (options.feed == FeedChoice::Console).then(Arc::<TimeMap>::default);
    let mut served = None;
    let (dispatch, batches, ended, listening) = if options.feed.console() {
        let door = Door::new(numbers.clone(), map.clone());
        let outside = listener.map(|listener| {
            let (kept, is_over) = oneshot::channel();
            served = Some(Served { _kept: kept });
            console::Outside { listener, is_over }
        });
        let console = console::start(door, valve.clone(), outside)?;
        (console.dispatch, Some(console.batches), Some(console.ended), Some(console.listening))
    } else {
        (none, None, None, None)
    };
    let console = options.feed.console().then_some((valve, numbers));
    let world = Arc::new(OnceLock::new());
    let control = Control { gate: gate.clone(), world: world.clone(), kick: Arc::default() };
    let kick = control.kick.clone();
    let (outcome_sender, outcome) = oneshot::channel();

    std::thread::Builder::new().name("loopscope-loop".into()).spawn(move || {
        if let Some(listening) = listening {
            let _ = listening.recv();
        }
        let start = Start { dispatch, gate: gate.clone(), probe, writer, console, world, kick, map, options };
        let outcome = tracing::dispatcher::with_default(&uninstrumented(), || start.run(program));
        gate.end();
        let _ = outcome_sender.send(outcome);
        if let Some(ended) = ended {
            let _ = ended.send(Instant::now());
        }
    })?;
    Ok(Run { control, ring, console: batches, outcome, served })
}

/// Everything that the loop's thread begins with.
struct Start {
    dispatch: Dispatch,
    gate: Arc<Gate>,
    probe: Arc<Probe>,
    writer: LoopWriter,
    console: Option<(Arc<Valve>, TaskNumbers)>,
    world: Arc<OnceLock<World>>,
    kick: Arc<Notify>,
    map: Option<Arc<TimeMap>>,
    options: Options,
}

impl Start {
    fn run(self, program: Program) -> Outcome {
        let runtime = match self.runtime() {
            Ok(runtime) => runtime,
            Err(error) => return Outcome::Failed(format!("the loop could not be made: {error}")),
        };
        let _writing = self.writer.install();
        let entered = runtime.enter();
        let shared = world::Shared {
            clock: LoopClock::start(self.options.clock, self.map),
            gate: self.gate.clone(),
            probe: self.probe.clone(),
            timers: Timers::default(),
            console: self.console,
            seed: self.options.seed,
            alive: Mutex::default(),
            dispatch: self.dispatch.clone(),
            kick: self.kick.clone(),
            idle: idle::Idle::default(),
            stuck: (self.options.clock == ClockKind::Virtual).then(stuck::Stuck::default),
        };
        let world = self.world.get_or_init(|| World::new(shared)).clone();
        drop(entered);
        World::enter_loop();
        world.tell(|at| Event::Unpark { at });
        let outcome = runtime.block_on(async {
            // Only from here on: the root itself is nobody's business, and would be listed as a task without a name.
            let _watched = tracing::dispatcher::set_default(&self.dispatch);
            root(&world, &self.kick, program, self.options.until).await
        });
        // Dropping the runtime drops what is left of its tasks, which is told as their end.
        tracing::dispatcher::with_default(&self.dispatch, || drop(runtime));
        world.tell(|at| Event::Now { at });
        outcome
    }

    fn runtime(&self) -> io::Result<tokio::runtime::Runtime> {
        let (poll_gate, poll_world) = (self.gate.clone(), self.world.clone());
        let (polled_world, park_world, unpark_world) = (self.world.clone(), self.world.clone(), self.world.clone());
        let dispatch = self.dispatch.clone();
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // What tokio leaves to chance (which of a watch channel's waiters comes first) is the seed's too.
            .rng_seed(tokio::runtime::RngSeed::from_bytes(&self.options.seed.to_le_bytes()))
            .start_paused(self.options.clock == ClockKind::Virtual)
            .on_before_task_poll(move |meta| {
                if poll_gate.is_free() {
                    return;
                }
                moment::forget();
                if let Some(world) = poll_world.get() {
                    poll_gate.before_poll(|| world.find_tokio(meta.id()), &world.shared().clock, world);
                }
            })
            .on_after_task_poll(move |_| {
                if let Some(world) = polled_world.get() {
                    world.poll_is_over();
                }
            })
            .on_thread_park(move || {
                if let Some(world) = park_world.get() {
                    world.park();
                }
            })
            .on_thread_unpark(move || {
                if let Some(world) = unpark_world.get() {
                    world.unpark();
                }
            })
            // A scoped dispatcher reaches only its own thread; the pool's threads live as long as the runtime.
            .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&dispatch)))
            .build()
    }
}

/// The one future that the loop blocks on: it only waits for main, and for the person.
async fn root(world: &World, kick: &Notify, program: Program, until: Option<Nanos>) -> Outcome {
    let (spec, body) = program(world.clone());
    let name = spec.name.clone();
    let mut main = world.spawn(spec, body);
    let limit = async {
        match until {
            Some(until) => world.sleep(Duration::from_nanos(until)).await,
            None => std::future::pending().await,
        }
    };
    let mut limit = std::pin::pin!(limit);
    loop {
        tokio::select! {
            biased;
            ended = &mut main => {
                return match ended {
                    Ok(Ok(result)) => Outcome::Completed(result),
                    Ok(Err(_)) if world.shared().gate.is_quitting() => Outcome::Cancelled,
                    Ok(Err(message)) => Outcome::Failed(message),
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => Outcome::Failed(format!("{name} panicked: {}", task::panic_message(&*panic))),
                        Err(_) => Outcome::Cancelled,
                    },
                };
            }
            () = &mut limit => return Outcome::Cancelled,
            () = kick.notified() => {
                if world.shared().gate.is_quitting() {
                    return Outcome::Cancelled;
                }
                if let Some(verdict) = world.shared().stuck.as_ref().and_then(stuck::Stuck::verdict) {
                    return Outcome::Failed(verdict.to_owned());
                }
                world.shared().gate.service(world);
            }
        }
    }
}

/// What a person may ask of a run, from any thread, without ever waiting.
#[derive(Clone, Debug)]
pub struct Control {
    gate: Arc<Gate>,
    world: Arc<OnceLock<World>>,
    /// Wakes the loop's root, wherever the loop is.
    kick: Arc<Notify>,
}

impl Control {
    /// Asks for `command`. Returns what the trace is to know of it: the caller files that itself, for the ring may be
    /// full and its reader is who calls.
    pub fn send(&self, command: Command) -> Option<Event> {
        let Some(world) = self.world.get() else {
            // Before the loop's first moment there is nothing to hold and no time to stop.
            self.gate.command(command, None);
            return None;
        };
        let at = world.shared().clock.shown();
        let told = match command {
            Command::Hold(task) => world.find(task).filter(|cell| cell.hold()).map(|_| Event::Hold { task, at }),
            Command::Release(task) => world.find(task).and_then(|cell| {
                let mut wake_is_kept = None;
                self.gate.deliver_later(|| {
                    wake_is_kept = cell.release();
                    wake_is_kept.is_some_and(|kept| kept).then(|| Delivery::Wake(cell))
                });
                wake_is_kept.map(|_| Event::Release { task, at })
            }),
            Command::Cancel(task) => {
                self.gate.deliver_later(|| world.find(task).map(Delivery::Cancel));
                None
            }
            _ => None,
        };
        let pauses_driver = self.gate.command(command, Some(&world.shared().clock));
        self.kick.notify_one();
        let cause = if command == Command::Pause { PauseCause::Person } else { PauseCause::Suspended };
        told.or_else(|| pauses_driver.then(|| Event::Pause { at: world.shared().clock.now(), cause }))
    }

    /// Stops the loop for something that is seen from outside of it. Returns what the trace is to know, as
    /// [`Control::send`] does.
    pub fn stop_for(&self, breakpoint: Breakpoint) -> Option<Event> {
        let world = self.world.get()?;
        let cause = PauseCause::Breakpoint(breakpoint.to_string().into());
        let pauses_driver = self.gate.pause(cause.clone(), &world.shared().clock);
        self.kick.notify_one();
        pauses_driver.then(|| Event::Pause { at: world.shared().clock.now(), cause })
    }

    /// Where and why the loop stopped by itself, until it goes on.
    pub fn hit(&self) -> Option<Hit> {
        self.gate.hit()
    }

    /// Stops the loop for a wait that is too long for a breakpoint. On a virtual clock the loop sees to that itself, to
    /// the nanosecond; on the real one it may be in the driver, and somebody has to look from outside now and then.
    /// Returns what the trace is to know, as [`Control::send`] does.
    pub fn look_at_waits(&self) -> Option<Event> {
        let world = self.world.get().filter(|world| world.clock() == ClockKind::Real)?;
        let now = world.now_ns();
        let wait = world.long_waits().into_iter().next().filter(|wait| now >= wait.at)?;
        self.gate.see(&wait.task, gate::Seen::WaitOver(now.saturating_sub(wait.since)), now);
        wait.task.wait_is_told();
        // The pause that this is, for whoever draws it and for a clock that stands still.
        self.stop_for(self.gate.hit()?.breakpoint)
    }

    pub fn phase(&self) -> Phase {
        self.gate.phase()
    }

    pub fn speed(&self) -> Speed {
        self.gate.speed()
    }

    /// Loop time for the eye; see [`clock::LoopClock::shown`].
    pub fn shown_now(&self) -> Nanos {
        self.world.get().map_or(0, |world| world.shared().clock.shown())
    }

    pub fn next_timer(&self) -> Option<Nanos> {
        self.world.get().and_then(|world| world.shared().timers.next(world.now_ns()))
    }
}
