//! The workers of the program's runtimes, and the threads that are workers now.

use loopscope_probe::protocol::Thread;
use rustc_hash::FxHashMap;

use crate::trace::{Event, Nanos, QueueSample, WORKERS_MAX, WorkerId};

/// Threads whose definitions are kept.
const THREADS_MAX: usize = 1 << 14;

/// Runtimes with tasks in their global queues that are followed.
const RUNTIMES_MAX: usize = 1 << 10;

/// A thread that is a worker.
#[derive(Debug)]
struct WorkerThread {
    /// The worker: its runtime, and its index there.
    worker: (u32, u32),
    name: Box<str>,
}

/// The workers of one stream.
#[derive(Debug, Default)]
pub struct Workers {
    threads: FxHashMap<u32, WorkerThread>,
    ids: FxHashMap<(u32, u32), WorkerId>,
    /// The thread in the system that each worker is; `None` where it has changed or is not known.
    system_threads: FxHashMap<(u32, u32), Option<u32>>,
    /// Last sampled depths of the queues of workers that have not been seen yet.
    early_depths: FxHashMap<(u32, u32), u32>,
    /// Last sampled depths of the global queues that are not empty, by runtime.
    global_depths: FxHashMap<u32, u32>,
}

impl Workers {
    /// Adds the definition of a thread. `name` is its sanitized name.
    pub fn define(&mut self, thread: &Thread, name: &str) {
        match thread.worker {
            Some(index) if self.threads.len() < THREADS_MAX => {
                let worker = (thread.runtime, index);
                self.threads.insert(thread.id, WorkerThread { worker, name: name.into() });
                let system_id = Some(thread.system_id).filter(|id| *id > 0);
                let known = self.system_threads.entry(worker).or_insert(system_id);
                *known = known.filter(|known| Some(*known) == system_id);
            }
            _ => drop(self.threads.remove(&thread.id)),
        }
    }

    /// Whether a thread is a worker.
    pub fn is_worker(&self, thread: u32) -> bool {
        self.threads.contains_key(&thread)
    }

    /// Returns each worker with the thread in the system that it has been all the time, if that is known.
    pub fn system_threads(&self) -> impl Iterator<Item = (WorkerId, Option<u32>)> + '_ {
        self.ids.iter().map(|(worker, id)| (*id, self.system_threads.get(worker).copied().flatten()))
    }

    /// Returns the worker that a thread is, at `at`. A worker is defined when it is first seen.
    pub fn worker(&mut self, thread: u32, at: Nanos, events: &mut Vec<Event>) -> Option<WorkerId> {
        let WorkerThread { worker, name } = self.threads.get(&thread)?;
        let next = self.ids.len();
        if let Some(id) = self.ids.get(worker) {
            return Some(*id);
        }
        if next >= WORKERS_MAX {
            return None;
        }
        let id = WorkerId::from_index(next);
        self.ids.insert(*worker, id);
        events.push(Event::NewWorker { id, at, name: name.clone() });
        let depth = self.early_depths.remove(worker);
        events.extend(depth.map(|depth| Event::QueueDepth(QueueSample { worker: Some(id), at, depth })));
        Some(id)
    }

    /// Handles a sample of the depth of a worker's local queue. A worker that has not been seen yet gets it later.
    pub fn sample_local(&mut self, worker: (u32, u32), at: Nanos, depth: u32, events: &mut Vec<Event>) {
        match self.ids.get(&worker) {
            Some(id) => events.push(Event::QueueDepth(QueueSample { worker: Some(*id), at, depth })),
            None if self.early_depths.len() < WORKERS_MAX || self.early_depths.contains_key(&worker) => {
                self.early_depths.insert(worker, depth);
            }
            None => {}
        }
    }

    /// Handles a sample of the depth of a runtime's global queue. The trace has the sum over all runtimes.
    pub fn sample_global(&mut self, runtime: u32, at: Nanos, depth: u32, events: &mut Vec<Event>) {
        self.global_depths.remove(&runtime);
        if depth > 0 && self.global_depths.len() < RUNTIMES_MAX {
            self.global_depths.insert(runtime, depth);
        }
        let depth = self.global_depths.values().fold(0, |sum: u32, depth| sum.saturating_add(*depth));
        events.push(Event::QueueDepth(QueueSample { worker: None, at, depth }));
    }
}
