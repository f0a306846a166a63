//! The workers of the program's runtimes, and the threads that are workers now.

use loopscope_probe::protocol::Thread;
use rustc_hash::FxHashMap;

use crate::trace::{Event, Nanos, WORKERS_MAX, WorkerId};

/// Threads whose definitions are kept.
const THREADS_MAX: usize = 1 << 14;

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
}

impl Workers {
    /// Adds the definition of a thread. `name` is its sanitized name.
    pub fn define(&mut self, thread: &Thread, name: &str) {
        match thread.worker {
            Some(index) if self.threads.len() < THREADS_MAX => {
                let worker = (thread.runtime, index);
                self.threads.insert(thread.id, WorkerThread { worker, name: name.into() });
            }
            _ => drop(self.threads.remove(&thread.id)),
        }
    }

    /// Whether a thread is a worker.
    pub fn is_worker(&self, thread: u32) -> bool {
        self.threads.contains_key(&thread)
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
        Some(id)
    }
}
