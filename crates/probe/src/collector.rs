//! Collects the records of all threads in rounds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::protocol::{Definition, FRAME_BYTES_MAX, FrameKind, Reply, Thread, write_frame, write_frame_head};
use crate::record::RECORD_BYTES;
use crate::ring::Reader;
use crate::sites::KnownSites;
use crate::snapshot::LiveRecords;
use crate::{clock, events, gate, queues, recorder};

/// Records in one frame.
const FRAME_RECORDS_MAX: usize = (FRAME_BYTES_MAX - 16) / RECORD_BYTES;

/// Names of tasks that wait to be sent. Further ones are not sent.
const NAMES_MAX: usize = 1 << 16;

/// Replies that wait to be sent.
const REPLIES_MAX: usize = 1 << 10;

/// Longest time between two rounds while there are records.
pub(crate) const ROUND_INTERVAL: Duration = Duration::from_millis(10);

/// Bytes after which frames are passed on.
const FLUSH_BYTES: usize = 1 << 18;

struct ThreadEntry {
    thread: Thread,
    reader: Reader,
    is_defined: bool,
}

/// Threads that the collector has not seen yet, names of tasks, and replies to loopscope.
#[derive(Default)]
struct Arrivals {
    threads: Vec<ThreadEntry>,
    names: Vec<(u64, Box<str>)>,
    replies: Vec<Reply>,
}

static ARRIVALS: Mutex<Arrivals> = Mutex::new(Arrivals { threads: Vec::new(), names: Vec::new(), replies: Vec::new() });

/// The collector. Whoever locks it collects.
static COLLECTOR: LazyLock<Mutex<Collector>> = LazyLock::new(Mutex::default);

/// Waits until this thread may collect.
pub(crate) fn lock_collector() -> MutexGuard<'static, Collector> {
    lock(&COLLECTOR)
}

/// The thread that collects.
static COLLECTING_THREAD: Mutex<Option<std::thread::Thread>> = Mutex::new(None);

/// The interests of the callsites have changed.
static MUST_REBUILD: AtomicBool = AtomicBool::new(false);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds a thread that has a ring.
pub(crate) fn add_thread(thread: Thread, reader: Reader) {
    lock(&ARRIVALS).threads.push(ThreadEntry { thread, reader, is_defined: false });
}

/// Adds the name of a task.
pub(crate) fn add_task_name(task: u64, name: &str) {
    let mut arrivals = lock(&ARRIVALS);
    if arrivals.names.len() < NAMES_MAX {
        arrivals.names.push((task, Box::from(name)));
    }
}

/// Adds a reply. While loopscope does not read, further ones replace the last.
pub(crate) fn add_reply(reply: Reply) {
    let mut arrivals = lock(&ARRIVALS);
    if arrivals.replies.len() >= REPLIES_MAX {
        arrivals.replies.pop();
    }
    arrivals.replies.push(reply);
    drop(arrivals);
    wake();
}

/// Removes the replies for an earlier peer.
pub(crate) fn clear_replies() {
    lock(&ARRIVALS).replies.clear();
}

/// Wakes the collector, because a ring fills up or something must be sent.
#[cold]
pub(crate) fn wake() {
    if let Some(thread) = &*lock(&COLLECTING_THREAD) {
        thread.unpark();
    }
}

/// Sets or clears the thread that collects.
pub(crate) fn set_thread(thread: Option<std::thread::Thread>) {
    *lock(&COLLECTING_THREAD) = thread;
}

/// Asks the collector to have the callsites register again.
pub(crate) fn rebuild_soon() {
    MUST_REBUILD.store(true, Ordering::SeqCst);
    wake();
}

/// Has the callsites register again if that was asked for.
pub(crate) fn rebuild_if_asked() {
    if MUST_REBUILD.swap(false, Ordering::SeqCst) {
        tracing_core::callsite::rebuild_interest_cache();
    }
}

/// Appends the head of a frame with this many records of a thread, which the caller appends.
fn write_records_head(thread: u32, records: usize, frames: &mut Vec<u8>) {
    let thread = thread.to_le_bytes();
    write_frame_head(FrameKind::Records as u8, thread.len() + records * RECORD_BYTES, frames);
    frames.extend_from_slice(&thread);
}

/// Where frames go. An error ends the collection.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(&mut Vec<u8>) -> std::io::Result<()>;

/// Collects the records of all threads.
#[derive(Default)]
pub(crate) struct Collector {
    threads: Vec<ThreadEntry>,
    live: LiveRecords,
    sites: KnownSites,
    frames: Vec<u8>,
    /// No thread polled at the last look, while the program was to pause.
    was_quiet: bool,
}

impl Collector {
    /// Starts to record, unless that happens already. Discards what earlier recordings left.
    pub(crate) fn start(&mut self) {
        if events::is_recording() {
            return;
        }
        self.clear_threads();
        lock(&ARRIVALS).names.clear();
        events::begin_recording();
        tracing_core::callsite::rebuild_interest_cache();
    }

    /// Discards all records, and the threads that have ended.
    fn clear_threads(&mut self) {
        self.threads.append(&mut lock(&ARRIVALS).threads);
        self.threads.iter_mut().for_each(|entry| entry.reader.clear());
        self.threads.retain_mut(|entry| !entry.reader.is_finished());
    }

    /// Gathers what lives for a new peer, which has no definitions yet.
    pub(crate) fn begin_peer(&mut self) {
        self.live = LiveRecords::gather();
        self.sites = KnownSites::default();
        queues::forget_samples();
        self.threads.iter_mut().for_each(|entry| entry.is_defined = false);
    }

    /// Stops recording, unless the flight recorder goes on.
    pub(crate) fn stop(&mut self) {
        if !recorder::is_enabled() {
            events::set_flag(events::RECORDING, false);
            tracing_core::callsite::rebuild_interest_cache();
            self.clear_threads();
        }
    }

    /// Passes on everything that lived when the peer began.
    pub(crate) fn snapshot(&mut self, sink: Sink<'_>) -> std::io::Result<()> {
        self.define_sites(sink)?;
        std::mem::take(&mut self.live).write(&mut self.frames);
        // The flight recorder has snapshots of its own.
        let result = sink(&mut self.frames);
        self.frames.clear();
        result
    }

    /// Passes on what all threads have recorded. Returns whether there was anything.
    pub(crate) fn round(&mut self, is_due: bool, sink: Sink<'_>) -> std::io::Result<bool> {
        queues::sample();
        let (ticks, monotonic_ns) = (clock::ticks(), clock::monotonic_ns());
        let mut names = Vec::new();
        let mut has_any = false;
        // A thread whose ring is continued in another one needs several passes.
        loop {
            let mut arrivals = lock(&ARRIVALS);
            self.threads.append(&mut arrivals.threads);
            drop(arrivals);
            let available: Vec<usize> = self.threads.iter_mut().map(|entry| entry.reader.available()).collect();
            // Whatever these records refer to was added before.
            names.append(&mut lock(&ARRIVALS).names);
            self.define_sites(sink)?;
            for (task, name) in names.drain(..) {
                self.define(&Definition::TaskName { task, name: name.into_string() }, sink)?;
            }
            for (index, records) in available.into_iter().enumerate() {
                has_any |= records > 0;
                self.read(index, records, sink)?;
            }
            if !self.threads.iter().any(|entry| entry.reader.is_continued()) {
                break;
            }
        }
        self.remove_finished(sink)?;
        gate::check_pause(&mut self.was_quiet);
        let replies = std::mem::take(&mut lock(&ARRIVALS).replies);
        for reply in &replies {
            self.write_json(FrameKind::Reply, reply, sink)?;
        }
        if has_any || is_due || !self.frames.is_empty() {
            let mut payload = ticks.to_le_bytes().to_vec();
            payload.extend_from_slice(&monotonic_ns.to_le_bytes());
            write_frame(FrameKind::Round as u8, &payload, &mut self.frames);
            self.flush(sink)?;
        }
        recorder::end_round();
        Ok(has_any)
    }

    /// Passes on this many records of a thread.
    fn read(&mut self, index: usize, mut records: usize, sink: Sink<'_>) -> std::io::Result<()> {
        while records > 0 {
            let Some(entry) = self.threads.get_mut(index) else { return Ok(()) };
            let mut part = records.min(FRAME_RECORDS_MAX);
            while part < records && part > 1 && entry.reader.is_argument(part) {
                part -= 1;
            }
            records -= part;
            self.define_thread(index, sink)?;
            let Some(entry) = self.threads.get_mut(index) else { return Ok(()) };
            write_records_head(entry.thread.id, part, &mut self.frames);
            entry.reader.read(part, &mut self.frames);
            self.flush_if_long(sink)?;
        }
        Ok(())
    }

    fn remove_finished(&mut self, sink: Sink<'_>) -> std::io::Result<()> {
        let mut gaps = Vec::new();
        self.threads.retain_mut(|entry| {
            let is_finished = entry.reader.is_finished();
            if is_finished && entry.is_defined {
                gaps.extend(entry.reader.last_gap().map(|gap| (entry.thread.id, gap)));
            }
            !is_finished
        });
        for (thread, gap) in gaps {
            write_records_head(thread, gap.len(), &mut self.frames);
            self.frames.extend(gap.iter().flat_map(|record| record.to_bytes()));
            self.flush_if_long(sink)?;
        }
        Ok(())
    }

    fn define_sites(&mut self, sink: Sink<'_>) -> std::io::Result<()> {
        for definition in self.sites.update() {
            self.define(&definition, sink)?;
        }
        Ok(())
    }

    fn define_thread(&mut self, index: usize, sink: Sink<'_>) -> std::io::Result<()> {
        match self.threads.get_mut(index) {
            Some(entry) if !entry.is_defined => {
                entry.is_defined = true;
                recorder::keep_thread(&entry.thread);
                let definition = Definition::Thread(entry.thread.clone());
                self.define(&definition, sink)
            }
            _ => Ok(()),
        }
    }

    fn define(&mut self, definition: &Definition, sink: Sink<'_>) -> std::io::Result<()> {
        self.write_json(FrameKind::Definition, definition, sink)
    }

    /// Passes on a message as JSON.
    pub(crate) fn write_json(
        &mut self,
        kind: FrameKind,
        message: &impl serde::Serialize,
        sink: Sink<'_>,
    ) -> std::io::Result<()> {
        let payload = serde_json::to_vec(message).map_err(std::io::Error::other)?;
        write_frame(kind as u8, &payload, &mut self.frames);
        self.flush_if_long(sink)
    }

    fn flush_if_long(&mut self, sink: Sink<'_>) -> std::io::Result<()> {
        if self.frames.len() < FLUSH_BYTES { Ok(()) } else { self.flush(sink) }
    }

    /// Passes on all frames.
    pub(crate) fn flush(&mut self, sink: Sink<'_>) -> std::io::Result<()> {
        if recorder::is_enabled() {
            recorder::keep(&self.frames);
        }
        let result = sink(&mut self.frames);
        self.frames.clear();
        result
    }
}
