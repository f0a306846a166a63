//! Depths of the queues of runtimes, sampled while events are recorded.
//!
//! A handle of a runtime keeps the descriptors of its driver open. It is therefore kept only as long as tokio itself keeps
//! one: by a worker, or by a `block_on` of a current-thread runtime. The spans of both say how long that is.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::runtime::RuntimeMetrics;

use crate::clock;
use crate::collector::ROUND_INTERVAL;
use crate::events::is_recording;
use crate::record::{Record, RecordKind};
use crate::thread::{self, ThreadState};

/// Local queues that are sampled. Those of further workers are not.
const LOCAL_QUEUES_MAX: usize = 4_096;

/// A runtime, and the depths of its queues as they were recorded last.
struct SampledRuntime {
    /// Its number, as in the definitions of its threads.
    number: u32,
    metrics: RuntimeMetrics,
    /// Spans that keep it.
    keepers: usize,
    global: Option<u64>,
    locals: Vec<Option<u64>>,
}

/// The runtimes whose queues are sampled.
struct Registry {
    runtimes: Vec<SampledRuntime>,
    /// The number of the runtime that each span keeps.
    keepers: BTreeMap<u64, u32>,
    sampled_at: Option<Instant>,
}

static REGISTRY: Mutex<Registry> =
    Mutex::new(Registry { runtimes: Vec::new(), keepers: BTreeMap::new(), sampled_at: None });

fn lock() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns number and metrics of the runtime to which this thread belongs now, and whether it is a current-thread runtime.
#[cfg(tokio_unstable)]
fn current_runtime() -> Option<(u32, RuntimeMetrics, bool)> {
    use tokio::runtime::{Handle, RuntimeFlavor};

    let handle = Handle::try_current().ok()?;
    let number = u32::try_from(crate::hooks::number(&handle.id())).unwrap_or(u32::MAX);
    Some((number, handle.metrics(), handle.runtime_flavor() == RuntimeFlavor::CurrentThread))
}

#[cfg(tokio_unstable)]
fn local_depth(metrics: &RuntimeMetrics, worker: usize) -> u64 {
    metrics.worker_local_queue_depth(worker) as u64
}

/// Returns `None`: runtimes have no ids.
#[cfg(not(tokio_unstable))]
fn current_runtime() -> Option<(u32, RuntimeMetrics, bool)> {
    None
}

#[cfg(not(tokio_unstable))]
fn local_depth(_: &RuntimeMetrics, _: usize) -> u64 {
    0
}

/// Notes the new span of a worker. It keeps the runtime that starts the worker.
pub(crate) fn keep_for_worker(span: u64) {
    if let Some((number, metrics, _)) = current_runtime() {
        keep(span, number, metrics);
    }
}

/// Notes that the thread entered the span of a `block_on`. It keeps a current-thread runtime; another one has workers.
#[inline]
pub(crate) fn keep_for_block_on(thread: &ThreadState, span: u64) {
    if thread.block_on.replace(span) != span {
        keep_current_thread_runtime(span);
    }
}

#[cold]
fn keep_current_thread_runtime(span: u64) {
    if let Some((number, metrics, true)) = current_runtime() {
        keep(span, number, metrics);
    }
}

fn keep(span: u64, number: u32, metrics: RuntimeMetrics) {
    let mut registry = lock();
    if registry.keepers.insert(span, number).is_some() {
        return;
    }
    if let Some(runtime) = registry.runtimes.iter_mut().find(|runtime| runtime.number == number) {
        runtime.keepers += 1;
        return;
    }
    let locals = vec![None; metrics.num_workers()];
    registry.runtimes.push(SampledRuntime { number, metrics, keepers: 1, global: None, locals });
}

/// Notes that the worker or the `block_on` of a span has ended. The last one of a runtime releases it.
pub(crate) fn release(span: u64) {
    let mut registry = lock();
    let Some(number) = registry.keepers.remove(&span) else { return };
    let Some(index) = registry.runtimes.iter().position(|runtime| runtime.number == number) else { return };
    let runtime = &mut registry.runtimes[index];
    runtime.keepers -= 1;
    if runtime.keepers > 0 {
        return;
    }
    let mut runtime = registry.runtimes.swap_remove(index);
    if is_recording() {
        let _ = thread::with(|thread| runtime.record_end(thread));
    }
    // What the handle owns is dropped without the lock.
    drop(registry);
}

/// Records all depths again at the next sample, for a reader that has none of them.
pub(crate) fn forget_samples() {
    let mut registry = lock();
    registry.sampled_at = None;
    for runtime in &mut registry.runtimes {
        runtime.global = None;
        runtime.locals.fill(None);
    }
}

/// Records the depths that have changed since the last sample, at most once in [`ROUND_INTERVAL`].
pub(crate) fn sample() {
    let mut registry = lock();
    if registry.sampled_at.is_some_and(|at| at.elapsed() < ROUND_INTERVAL) {
        return;
    }
    registry.sampled_at = Some(Instant::now());
    let mut left = LOCAL_QUEUES_MAX;
    let _ = thread::with(|thread| {
        for runtime in &mut registry.runtimes {
            let count = runtime.locals.len().min(left);
            left -= count;
            runtime.sample(count, thread);
        }
    });
}

impl SampledRuntime {
    /// Records the depths that have changed, of the first `count` workers.
    fn sample(&mut self, count: usize, thread: &ThreadState) {
        let (number, ticks) = (self.number, clock::ticks());
        let global = self.metrics.global_queue_depth() as u64;
        if self.global.replace(global) != Some(global) {
            write_global(thread, number, ticks, global);
        }
        for (worker, last) in self.locals.iter_mut().take(count).enumerate() {
            let depth = local_depth(&self.metrics, worker);
            if last.replace(depth) != Some(depth) {
                write_local(thread, number, ticks, (worker, depth));
            }
        }
    }

    /// Records that all queues are gone.
    fn record_end(&mut self, thread: &ThreadState) {
        let (number, ticks) = (self.number, clock::ticks());
        if self.global.is_some_and(|depth| depth > 0) {
            write_global(thread, number, ticks, 0);
        }
        for (worker, last) in self.locals.iter().enumerate() {
            if last.is_some_and(|depth| depth > 0) {
                write_local(thread, number, ticks, (worker, 0));
            }
        }
    }
}

fn write_global(thread: &ThreadState, runtime: u32, ticks: u64, depth: u64) {
    let record = Record::new(RecordKind::GlobalQueueDepth, ticks, runtime.into());
    thread.write([record, Record::argument(depth)]);
}

fn write_local(thread: &ThreadState, runtime: u32, ticks: u64, (worker, depth): (usize, u64)) {
    let record = Record::new(RecordKind::LocalQueueDepth, ticks, runtime.into());
    thread.write([record, Record::argument(worker as u64), Record::argument(depth)]);
}
