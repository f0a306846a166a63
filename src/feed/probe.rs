//! The probe: the exact witness inside the embedded loop. What it sees goes into a bounded ring, in order.
//!
//! The loop's own thread writes eight bytes for what is frequent ([`record`]) into a ring that is its alone
//! ([`writer`]); other threads, which only wake tasks now and then, share a channel. The reader ([`ring`]) makes one
//! sequence of both.
//!
//! Facts that others refer to (a task's spawn, an await's start) wait for room, and on a virtual clock every fact does:
//! waiting takes no loop time. On the real clock a poll or a wake that finds the ring full is dropped and counted, and
//! the stretch is marked as a gap.

mod meeting;
mod places;
mod record;
mod ring;
#[cfg(test)]
mod tests;
mod writer;

pub use ring::Ring;
pub use writer::{LoopWriter, Writing};

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Sender, TrySendError, bounded};
use rtrb::RingBuffer;
use rustc_hash::FxHashMap;

use crate::trace::{AwaitId, Cause, Event, Nanos, Resource, ResourceId, ResourceKind, Site, SiteId, TaskId};
use meeting::Meeting;
use places::Places;
use record::{Last, Reading, What};

/// Records that the ring of the loop's thread holds: 2 MiB, enough for ten milliseconds of a loop that does nothing but
/// yield.
const RING_EVENTS: usize = 1 << 18;

/// Rare facts of the loop's thread that may wait to be read.
const ASIDE_EVENTS: usize = 1 << 12;

/// Facts of all other threads that may wait to be read.
const OTHERS_EVENTS: usize = 1 << 12;

/// The writing side, used by the loop's thread and the threads of its blocking pool.
#[derive(Debug)]
pub struct Probe {
    /// For threads that have no ring of their own.
    others: Sender<(Nanos, Event)>,
    meeting: Arc<Meeting>,
    lossless: bool,
    /// Polls, wakes and awaits are told; without it only what no other witness can know is.
    watches: bool,
    tasks: AtomicU32,
    awaits: AtomicU32,
    sites: Mutex<FxHashMap<Site, SiteId>>,
    /// How many resources there are, and the actors among them by name. Locked while one is told: ids come in order.
    resources: Mutex<(usize, FxHashMap<Arc<str>, ResourceId>)>,
    gap_from: AtomicU64,
    gap_dropped: AtomicU64,
    told_elsewhere: AtomicU32,
}

impl Probe {
    /// A probe, what the loop's thread is to install, and where it can all be read; `lossless` where waiting for room
    /// takes no loop time. One that does not watch leaves polls, wakes and awaits to console-subscriber.
    pub fn new(lossless: bool, watches: bool) -> (Self, LoopWriter, Ring) {
        let (record_writer, records) = RingBuffer::new(RING_EVENTS);
        let (aside_writer, aside) = RingBuffer::new(ASIDE_EVENTS);
        let (others_sender, others) = bounded(OTHERS_EVENTS);
        let meeting = Arc::<Meeting>::default();
        let probe = Self {
            others: others_sender,
            meeting: meeting.clone(),
            lossless,
            watches,
            tasks: AtomicU32::new(0),
            awaits: AtomicU32::new(0),
            sites: Mutex::default(),
            resources: Mutex::default(),
            gap_from: AtomicU64::new(0),
            gap_dropped: AtomicU64::new(0),
            told_elsewhere: AtomicU32::new(0),
        };
        let writer = LoopWriter {
            records: record_writer,
            aside: aside_writer,
            meeting: meeting.clone(),
            lossless,
            last_ns: 0,
            last: Last::default(),
            places: Places::default(),
            gap: None,
        };
        (probe, writer, Ring { records, aside, others, other: None, reading: Reading::default(), meeting })
    }

    pub fn next_task(&self) -> TaskId {
        TaskId::from_index(self.tasks.fetch_add(1, Ordering::Relaxed) as usize)
    }

    pub fn next_await(&self) -> AwaitId {
        AwaitId::from_index(self.awaits.fetch_add(1, Ordering::Relaxed) as usize)
    }

    /// [`Probe::tell`] of an await's start, and of its place where that is new. Gives the place's id.
    #[inline]
    pub fn await_start(&self, at: Nanos, id: AwaitId, task: TaskId, site: &Site) -> SiteId {
        writer::start_await(at, id, task, site, self.watches).unwrap_or_else(|| {
            let site = self.site(site);
            self.tell(at, Event::AwaitStart { id, task, at, site });
            site
        })
    }

    /// [`Probe::tell`] of an await's poll.
    #[inline]
    pub fn await_poll(&self, id: AwaitId, ready: bool) {
        if self.watches && !writer::poll_await(id, ready) {
            self.tell(0, Event::AwaitPoll { id, ready });
        }
    }

    /// [`Probe::tell`] of an await's end.
    #[inline]
    pub fn await_end(&self, at: Nanos, id: AwaitId) {
        if self.watches && !writer::end_await(at, id) {
            self.tell(at, Event::AwaitEnd { id, at });
        }
    }

    /// The id of `site`, which is told to the trace when it is first seen, and known to this thread from then on.
    #[cold]
    fn site(&self, site: &Site) -> SiteId {
        let mut sites = self.sites();
        let known = sites.get(site).copied();
        let id = known.unwrap_or_else(|| {
            let id = SiteId::from_index(sites.len());
            self.tell(0, Event::Site { site: id, described: Box::new(site.clone()) });
            sites.insert(site.clone(), id);
            id
        });
        writer::keep_place(site, id);
        id
    }

    /// The place of this id.
    pub fn site_of(&self, id: SiteId) -> Option<Site> {
        self.sites().iter().find(|(_, known)| **known == id).map(|(site, _)| site.clone())
    }

    fn sites(&self) -> MutexGuard<'_, FxHashMap<Site, SiteId>> {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of a resource, which is told to the trace. An actor is known by its name: whoever names it again means the
    /// same one.
    pub fn resource(&self, at: Nanos, resource: Resource) -> ResourceId {
        let mut known = self.resources.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, actors) = &mut *known;
        if resource.kind == ResourceKind::Actor {
            if let Some(id) = actors.get(&resource.name) {
                return *id;
            }
            actors.insert(Arc::clone(&resource.name), ResourceId::from_index(*count));
        }
        let id = ResourceId::from_index(*count);
        *count += 1;
        self.tell(at, Event::Resource { resource: id, at, described: Box::new(resource) });
        id
    }

    /// [`Probe::tell`] of a poll's start, which happens often.
    #[inline]
    pub fn poll_start(&self, at: Nanos, task: TaskId) {
        self.write(at, task, |_| Some(What::PollStart), || Event::PollStart { task, at });
    }

    /// [`Probe::tell`] of a poll's end.
    #[inline]
    pub fn poll_end(&self, at: Nanos, task: TaskId) {
        self.write(at, task, |_| Some(What::PollEnd), || Event::PollEnd { task, at });
    }

    /// [`Probe::tell`] of a wake.
    #[inline]
    pub fn wake(&self, at: Nanos, task: TaskId, cause: Cause) {
        self.write(at, task, |polled| What::wake(cause, polled), || Event::Wake { task, at, cause });
    }

    #[inline]
    fn write(
        &self,
        at: Nanos,
        task: TaskId,
        what: impl FnOnce(Option<TaskId>) -> Option<What>,
        event: impl FnOnce() -> Event,
    ) {
        if self.watches && !writer::write(at, task, what) {
            self.tell(at, event());
        }
    }

    /// Writes one event that happened at `at`.
    pub fn tell(&self, at: Nanos, event: Event) {
        if !self.watches && is_watched(&event) {
            return;
        }
        if let Err(event) = writer::tell(at, event) {
            self.tell_from_elsewhere(at, event);
        }
    }

    /// How often threads beside the loop's have told something. What they told before something that this thread has
    /// seen of it is counted here.
    #[inline]
    pub fn told_elsewhere(&self) -> u32 {
        self.told_elsewhere.load(Ordering::Acquire)
    }

    /// Makes sure that a reader who sleeps hears of what this thread wrote.
    pub fn call_reader(&self) {
        writer::call_reader();
    }

    #[cold]
    #[inline(never)]
    fn tell_from_elsewhere(&self, at: Nanos, event: Event) {
        self.told_elsewhere.fetch_add(1, Ordering::AcqRel);
        match self.others.try_send((at, event)) {
            Ok(()) => self.tell_gap(at),
            Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full((at, event))) if self.lossless || is_structure(&event) => {
                self.meeting.reader.shake();
                let _ = self.others.send((at, event));
            }
            Err(TrySendError::Full(_)) => {
                if self.gap_dropped.fetch_add(1, Ordering::Relaxed) == 0 {
                    self.gap_from.store(at, Ordering::Relaxed);
                }
            }
        }
        self.meeting.reader.call();
    }

    fn tell_gap(&self, at: Nanos) {
        if self.gap_dropped.load(Ordering::Relaxed) > 0 {
            let dropped = self.gap_dropped.swap(0, Ordering::Relaxed);
            let gap = Event::Gap { from: self.gap_from.load(Ordering::Relaxed), to: at, dropped };
            let _ = self.others.send((at, gap));
        }
    }
}

/// Facts that console-subscriber tells as well.
fn is_watched(event: &Event) -> bool {
    matches!(
        event,
        Event::PollStart { .. }
            | Event::PollEnd { .. }
            | Event::Wake { .. }
            | Event::Site { .. }
            | Event::AwaitStart { .. }
            | Event::AwaitPoll { .. }
            | Event::AwaitEnd { .. }
            // Its await goes by another id there.
            | Event::AwaitOf { .. }
    )
}

/// Facts that later facts refer to.
fn is_structure(event: &Event) -> bool {
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
