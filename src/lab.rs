//! A throw-away stand-in for the lab: just enough of a world for workloads to run in tests.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::control::ClockKind;
use crate::trace::{Location, Nanos, Site};

pub struct TaskSpec {
    pub name: String,
    pub location: Option<Location>,
}

#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the run was stopped")]
pub struct Stopped;

pub type Program = Box<dyn FnOnce(World) -> (TaskSpec, BoxFuture<'static, Result<serde_json::Value, String>>) + Send>;

#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    started: tokio::time::Instant,
    seed: u64,
    stop_after_checkpoints: Option<u64>,
    record: Mutex<Ran>,
    names: Mutex<HashMap<tokio::task::Id, String>>,
    main: Mutex<Option<tokio::task::AbortHandle>>,
}

/// What a run left behind.
#[derive(Debug, Default, Clone)]
pub struct Ran {
    pub outcome: Option<Result<serde_json::Value, String>>,
    pub elapsed_ns: Nanos,
    pub busy_ns: Nanos,
    /// (time, task, text)
    pub output: Vec<(Nanos, String, String)>,
    /// (name, location)
    pub tasks: Vec<(String, Option<Location>)>,
    /// (site, start, end)
    pub awaits: Vec<(Site, Nanos, Nanos)>,
    /// (task, how it ended)
    pub endings: Vec<(String, String)>,
    pub checkpoints: u64,
}

pub struct Awaiting<F> {
    future: Pin<Box<F>>,
    world: World,
    site: Site,
    start: Nanos,
}

impl<F: Future> Future for Awaiting<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.future.as_mut().poll(cx)
    }
}

impl<F> Drop for Awaiting<F> {
    fn drop(&mut self) {
        let end = self.world.now_ns();
        self.world.record(|ran| ran.awaits.push((self.site.clone(), self.start, end)));
    }
}

impl World {
    fn record<R>(&self, write: impl FnOnce(&mut Ran) -> R) -> R {
        write(&mut self.0.record.lock().expect("no panic while recording"))
    }

    pub fn clock(&self) -> ClockKind {
        ClockKind::Virtual
    }

    pub fn now_ns(&self) -> Nanos {
        self.0.started.elapsed().as_nanos() as Nanos
    }

    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        tokio::time::sleep(duration)
    }

    pub fn await_at<F: Future + Send>(&self, site: &Site, future: F) -> Awaiting<F> {
        Awaiting { future: Box::pin(future), world: self.clone(), site: site.clone(), start: self.now_ns() }
    }

    pub fn block(&self, site: &Site, duration: Duration) -> Result<(), Stopped> {
        let start = self.now_ns();
        let advance = std::pin::pin!(tokio::time::advance(duration));
        let _ = advance.poll(&mut Context::from_waker(std::task::Waker::noop()));
        let end = self.now_ns();
        self.record(|ran| {
            ran.busy_ns += end - start;
            ran.awaits.push((site.clone(), start, end));
        });
        Ok(())
    }

    pub fn spawn<T: Send + 'static>(
        &self,
        spec: TaskSpec,
        future: impl Future<Output = Result<T, String>> + Send + 'static,
    ) -> tokio::task::JoinHandle<Result<T, String>> {
        self.record(|ran| ran.tasks.push((spec.name.clone(), spec.location.clone())));
        let (world, name) = (self.clone(), spec.name.clone());
        let mut ending = Ending { world: world.clone(), name, how: "cancelled".to_owned() };
        let handle = tokio::spawn(async move {
            let ending = &mut ending;
            match AssertUnwindSafe(future).catch_unwind().await {
                Ok(result) => {
                    ending.how = result.as_ref().map_or_else(|error| format!("failed: {error}"), |_| "done".to_owned());
                    result
                }
                Err(panic) => {
                    ending.how = "panicked".to_owned();
                    std::panic::resume_unwind(panic)
                }
            }
        });
        world.0.names.lock().expect("names").insert(handle.id(), spec.name);
        handle
    }

    pub fn print(&self, text: &str) {
        let name = tokio::task::try_id()
            .and_then(|id| self.0.names.lock().expect("names").get(&id).cloned())
            .unwrap_or_default();
        let at = self.now_ns();
        self.record(|ran| ran.output.push((at, name, text.to_owned())));
    }

    pub fn checkpoint(&self) -> Result<(), Stopped> {
        let so_far = self.record(|ran| {
            ran.checkpoints += 1;
            ran.checkpoints
        });
        match self.0.stop_after_checkpoints {
            Some(limit) if so_far > limit => {
                if let Some(main) = &*self.0.main.lock().expect("main") {
                    main.abort();
                }
                Err(Stopped)
            }
            _ => Ok(()),
        }
    }
}

struct Ending {
    world: World,
    name: String,
    how: String,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let ending = (self.name.clone(), self.how.clone());
        self.world.record(|ran| ran.endings.push(ending));
    }
}

/// Runs a program to its end on a paused clock.
pub fn run(program: Program, seed: u64, stop_after_checkpoints: Option<u64>) -> Ran {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime for tests");
    let world = runtime.block_on(async {
        let world = World(Arc::new(Inner {
            started: tokio::time::Instant::now(),
            seed,
            stop_after_checkpoints,
            record: Mutex::default(),
            names: Mutex::default(),
            main: Mutex::default(),
        }));
        let (spec, future) = program(world.clone());
        let handle = world.spawn(spec, future);
        *world.0.main.lock().expect("main") = Some(handle.abort_handle());
        let outcome = handle.await.unwrap_or_else(|error| Err(error.to_string()));
        let elapsed_ns = world.now_ns();
        world.record(|ran| {
            ran.elapsed_ns = elapsed_ns;
            ran.outcome = Some(outcome);
        });
        world
    });
    drop(runtime);
    world.record(|ran| ran.clone())
}
