//! The probe: records every event of the embedded loop, exactly and in order, into a bounded ring.
//!
//! The loop thread writes frequent events as records of `loopscope-probe` (`event_records`) into a ring of its own
//! (`writer`). Other threads only wake tasks occasionally; they share a channel. The `reader` merges both into one
//! sequence.
//!
//! Events that later events refer to (a task's spawn, an await's start) block until there is space. On a virtual clock
//! every event does, because blocking takes no loop time. On the real clock a poll or wake that finds the ring full is
//! dropped and counted, and the interval is marked as a gap.

mod event_records;
mod parker;
mod reader;
mod site_cache;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::ProbeReader;
pub use writer::LoopWriter;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Sender, TrySendError, bounded};
use loopscope_probe::record::{Record, TICKS_MAX};
use loopscope_probe::ring::fixed_ring;
use rustc_hash::FxHashMap;

use crate::trace::{AwaitId, AwaitSite, Event, Nanos, Resource, ResourceId, ResourceKind, SiteId, TaskId, WakeSource};
use event_records::RecordDecoder;
use parker::ParkerPair;
use site_cache::SiteCache;

/// Capacity of the loop thread's ring, in records: 2 MiB, enough for 5 ms of a loop that only yields.
const RING_RECORDS: usize = 1 << 17;

/// Capacity of the loop thread's side queue, in events that have no records.
const SIDE_EVENTS: usize = 1 << 12;

/// Capacity of the channel that all other threads share, in events.
const THREAD_EVENTS: usize = 1 << 12;

/// The writing side, used by the loop thread and the threads of its blocking pool.
#[derive(Debug)]
pub struct Probe {
    /// Events of threads that have no ring of their own, with their loop times as far as a record can express them.
    thread_events: Sender<(Nanos, Event)>,
    parkers: Arc<ParkerPair>,
    is_lossless: bool,
    /// Records polls, wakes and awaits. If `false`, the console feed delivers those and the probe records the rest.
    records_polls: bool,
    tasks: AtomicU32,
    awaits: AtomicU32,
    sites: Mutex<FxHashMap<AwaitSite, SiteId>>,
    /// Number of resources, and the actors among them by name. Locked while one is emitted, so that ids stay in order.
    resources: Mutex<(usize, FxHashMap<Arc<str>, ResourceId>)>,
    gap_from: AtomicU64,
    gap_dropped: AtomicU64,
    thread_event_count: AtomicU32,
}

impl Probe {
    /// Creates a probe, the writer that the loop thread installs, and the reader.
    ///
    /// `is_lossless`: block instead of dropping when the ring is full (for clocks on which blocking takes no loop
    /// time). With `records_polls` false, polls, wakes and awaits are left to console-subscriber.
    pub fn new(is_lossless: bool, records_polls: bool) -> (Self, LoopWriter, ProbeReader) {
        let (record_writer, records) = fixed_ring(RING_RECORDS);
        let (side_events_sender, side_events) = bounded(SIDE_EVENTS);
        let (thread_events_sender, thread_events) = bounded(THREAD_EVENTS);
        let parkers = Arc::<ParkerPair>::default();
        let probe = Self {
            thread_events: thread_events_sender,
            parkers: parkers.clone(),
            is_lossless,
            records_polls,
            tasks: AtomicU32::new(0),
            awaits: AtomicU32::new(0),
            sites: Mutex::default(),
            resources: Mutex::default(),
            gap_from: AtomicU64::new(0),
            gap_dropped: AtomicU64::new(0),
            thread_event_count: AtomicU32::new(0),
        };
        let writer = LoopWriter {
            records: record_writer,
            side_events: side_events_sender,
            parkers: parkers.clone(),
            is_lossless,
            last_ns: 0,
            site_cache: SiteCache::default(),
            gap: None,
        };
        (
            probe,
            writer,
            ProbeReader {
                records,
                side_events,
                thread_events,
                next_thread_event: None,
                decoder: RecordDecoder::default(),
                parkers,
            },
        )
    }

    /// Allocates the next task id.
    pub fn next_task_id(&self) -> TaskId {
        TaskId::from_index(self.tasks.fetch_add(1, Ordering::Relaxed) as usize)
    }

    /// Allocates the next await id.
    pub fn next_await_id(&self) -> AwaitId {
        AwaitId::from_index(self.awaits.fetch_add(1, Ordering::Relaxed) as usize)
    }

    /// Emits the start of an await, and its site if that is new. Returns the id of the site.
    #[inline]
    pub fn await_start(&self, at: Nanos, id: AwaitId, task: TaskId, site: &AwaitSite) -> SiteId {
        writer::write_await_start(at, id, task, site, self.records_polls).unwrap_or_else(|| {
            let site = self.intern_site(site);
            self.emit(at, Event::AwaitStart { id, task, at, site });
            site
        })
    }

    /// Emits a poll of an await.
    #[inline]
    pub fn await_poll(&self, id: AwaitId, is_ready: bool) {
        if self.records_polls && !writer::write_await_poll(id, is_ready) {
            self.emit(0, Event::AwaitPoll { id, is_ready });
        }
    }

    /// Emits the end of an await.
    #[inline]
    pub fn await_end(&self, at: Nanos, id: AwaitId) {
        if self.records_polls && !writer::write_await_end(at, id) {
            self.emit(at, Event::AwaitEnd { id, at });
        }
    }

    /// Returns the id of `site`, emits the site if it is new, and adds it to this thread's site cache.
    #[cold]
    fn intern_site(&self, site: &AwaitSite) -> SiteId {
        let mut sites = self.lock_sites();
        let existing = sites.get(site).copied();
        let id = existing.unwrap_or_else(|| {
            let id = SiteId::from_index(sites.len());
            self.emit(0, Event::NewAwaitSite { id, site: Box::new(site.clone()) });
            sites.insert(site.clone(), id);
            id
        });
        writer::cache_site(site, id);
        id
    }

    /// Returns the await site with this id.
    pub fn site_by_id(&self, id: SiteId) -> Option<AwaitSite> {
        self.lock_sites().iter().find(|(_, site_id)| **site_id == id).map(|(site, _)| site.clone())
    }

    fn lock_sites(&self) -> MutexGuard<'_, FxHashMap<AwaitSite, SiteId>> {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Emits a resource and returns its id. Actors are identified by name: the same name yields the same id.
    pub fn register_resource(&self, at: Nanos, resource: Resource) -> ResourceId {
        let mut resources = self.resources.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, actors) = &mut *resources;
        if resource.kind == ResourceKind::Actor {
            if let Some(id) = actors.get(&resource.name) {
                return *id;
            }
            actors.insert(Arc::clone(&resource.name), ResourceId::from_index(*count));
        }
        let id = ResourceId::from_index(*count);
        *count += 1;
        self.emit(at, Event::NewResource { id, at, resource: Box::new(resource) });
        id
    }

    /// Emits the start of a poll. Optimised: this happens often.
    #[inline]
    pub fn poll_start(&self, at: Nanos, task: TaskId) {
        self.write_task_event(at, event_records::poll_start(at, task), || Event::PollStart { task, at });
    }

    /// Emits the end of a poll.
    #[inline]
    pub fn poll_end(&self, at: Nanos, task: TaskId) {
        self.write_task_event(at, event_records::poll_end(at, task), || Event::PollEnd { task, at });
    }

    /// Emits a wake.
    #[inline]
    pub fn wake(&self, at: Nanos, task: TaskId, source: WakeSource) {
        self.write_task_event(at, event_records::wake(at, task, source), || Event::Wake { task, at, source });
    }

    /// Writes the record of a poll or wake; emits the event if it has none or this thread has no ring.
    #[inline]
    fn write_task_event(&self, at: Nanos, record: Option<Record>, event: impl FnOnce() -> Event) {
        if self.records_polls && !record.is_some_and(writer::write_record) {
            self.emit(at, event());
        }
    }

    /// Emits one event that happened at loop time `at`.
    pub fn emit(&self, at: Nanos, event: Event) {
        if !self.records_polls && is_console_event(&event) {
            return;
        }
        if let Err(event) = writer::write_event(at, event) {
            self.emit_from_other_thread(at, event);
        }
    }

    /// Returns how many events threads other than the loop thread have emitted.
    ///
    /// Counts every event emitted before any side effect of the emitting thread that is visible to the caller.
    #[inline]
    pub fn thread_events_sent(&self) -> u32 {
        self.thread_event_count.load(Ordering::Acquire)
    }

    /// Wakes a parked reader so that it reads what this thread wrote.
    pub fn notify_reader(&self) {
        writer::notify_reader();
    }

    #[cold]
    #[inline(never)]
    fn emit_from_other_thread(&self, at: Nanos, event: Event) {
        self.thread_event_count.fetch_add(1, Ordering::AcqRel);
        match self.thread_events.try_send((at.min(TICKS_MAX), event)) {
            Ok(()) => self.emit_gap(at),
            Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full((at, event))) if self.is_lossless || is_structural(&event) => {
                self.parkers.reader.unpark();
                let _ = self.thread_events.send((at, event));
            }
            Err(TrySendError::Full(_)) => {
                if self.gap_dropped.fetch_add(1, Ordering::Relaxed) == 0 {
                    self.gap_from.store(at, Ordering::Relaxed);
                }
            }
        }
        self.parkers.reader.notify();
    }

    fn emit_gap(&self, at: Nanos) {
        if self.gap_dropped.load(Ordering::Relaxed) > 0 {
            let dropped = self.gap_dropped.swap(0, Ordering::Relaxed);
            let gap = Event::Gap { from: self.gap_from.load(Ordering::Relaxed), to: at, dropped };
            let _ = self.thread_events.send((at, gap));
        }
    }
}

/// Whether console-subscriber reports this event as well.
fn is_console_event(event: &Event) -> bool {
    matches!(
        event,
        Event::PollStart { .. }
            | Event::PollEnd { .. }
            | Event::Wake { .. }
            | Event::NewAwaitSite { .. }
            | Event::AwaitStart { .. }
            | Event::AwaitPoll { .. }
            | Event::AwaitEnd { .. }
            // The console feed knows the await by another id.
            | Event::AwaitResource { .. }
    )
}

/// Whether later events refer to this one, so that it must not be dropped.
fn is_structural(event: &Event) -> bool {
    !matches!(
        event,
        Event::PollStart { .. }
            | Event::PollEnd { .. }
            | Event::Wake { .. }
            | Event::AwaitPoll { .. }
            | Event::Park { .. }
            | Event::Unpark { .. }
    )
}
