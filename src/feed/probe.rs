//! The probe: the exact witness inside the embedded loop. What it sees goes into a bounded ring, in order.
//!
//! Facts that others refer to (a task's spawn, an await's start) wait for room, and on a virtual clock every fact does:
//! waiting takes no loop time. On the real clock a poll or a wake that finds the ring full is dropped and counted, and
//! the stretch is marked as a gap.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use rustc_hash::FxHashMap;

use crate::trace::{AwaitId, Event, Nanos, Resource, ResourceId, ResourceKind, Site, SiteId, TaskId};

/// Events that the ring holds: enough for a tenth of a second of a loop that does nothing but yield.
const RING_EVENTS: usize = 1 << 16;

/// The writing side, used by the loop's thread and the threads of its blocking pool.
#[derive(Debug)]
pub struct Probe {
    ring: Sender<Event>,
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
}

/// The reading side.
pub type Ring = Receiver<Event>;

impl Probe {
    /// A probe and the ring that it writes into; `lossless` where waiting for room takes no loop time. One that does
    /// not watch leaves polls, wakes and awaits to console-subscriber.
    pub fn new(lossless: bool, watches: bool) -> (Self, Ring) {
        let (ring, reader) = bounded(RING_EVENTS);
        let probe = Self {
            ring,
            lossless,
            watches,
            tasks: AtomicU32::new(0),
            awaits: AtomicU32::new(0),
            sites: Mutex::default(),
            resources: Mutex::default(),
            gap_from: AtomicU64::new(0),
            gap_dropped: AtomicU64::new(0),
        };
        (probe, reader)
    }

    pub fn next_task(&self) -> TaskId {
        TaskId::from_index(self.tasks.fetch_add(1, Ordering::Relaxed) as usize)
    }

    pub fn next_await(&self) -> AwaitId {
        AwaitId::from_index(self.awaits.fetch_add(1, Ordering::Relaxed) as usize)
    }

    /// The id of `site`, which is told to the trace when it is first seen.
    pub fn site(&self, site: &Site) -> SiteId {
        let mut sites = self.sites.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(id) = sites.get(site) {
            return *id;
        }
        let id = SiteId::from_index(sites.len());
        self.tell(0, Event::Site { site: id, described: Box::new(site.clone()) });
        sites.insert(site.clone(), id);
        id
    }

    /// The id of a resource, which is told to the trace. An actor is known by its name: whoever names it again means the
    /// same one.
    pub fn resource(&self, at: Nanos, resource: Resource) -> ResourceId {
        let mut known = self.resources.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
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

    /// Writes one event that happened at `at`.
    pub fn tell(&self, at: Nanos, event: Event) {
        if !self.watches && is_watched(&event) {
            return;
        }
        match self.ring.try_send(event) {
            Ok(()) => self.tell_gap(at),
            Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(event)) if self.lossless || is_structure(&event) => self.wait_for_room(event),
            Err(TrySendError::Full(_)) => {
                if self.gap_dropped.fetch_add(1, Ordering::Relaxed) == 0 {
                    self.gap_from.store(at, Ordering::Relaxed);
                }
            }
        }
    }

    fn tell_gap(&self, at: Nanos) {
        if self.gap_dropped.load(Ordering::Relaxed) > 0 {
            let dropped = self.gap_dropped.swap(0, Ordering::Relaxed);
            self.wait_for_room(Event::Gap { from: self.gap_from.load(Ordering::Relaxed), to: at, dropped });
        }
    }

    /// Waits until the reader has made room, or is gone.
    fn wait_for_room(&self, event: Event) {
        let _ = self.ring.send(event);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ring_drops_polls_counts_them_and_says_where() {
        let (probe, ring) = Probe::new(false, true);
        let task = probe.next_task();
        for at in 0..RING_EVENTS as u64 + 5 {
            probe.tell(at, Event::PollStart { task, at });
        }
        assert_eq!(ring.len(), RING_EVENTS);
        let first: Vec<Event> = ring.try_iter().collect();
        assert_eq!(first.len(), RING_EVENTS);
        let later = RING_EVENTS as u64 + 100;
        probe.tell(later, Event::Park { at: later });
        let rest: Vec<Event> = ring.try_iter().collect();
        assert_eq!(rest[1], Event::Gap { from: RING_EVENTS as u64, to: later, dropped: 5 });
    }

    #[test]
    fn a_lossless_probe_waits_for_its_reader() {
        let (probe, ring) = Probe::new(true, true);
        let task = probe.next_task();
        let told = RING_EVENTS as u64 * 3;
        let reader = std::thread::spawn(move || ring.iter().count() as u64);
        for at in 0..told {
            probe.tell(at, Event::PollStart { task, at });
        }
        drop(probe);
        assert_eq!(reader.join().expect("the reader only counts"), told);
    }

    #[test]
    fn a_probe_without_a_reader_never_waits() {
        let (probe, ring) = Probe::new(true, true);
        drop(ring);
        let task = probe.next_task();
        for at in 0..RING_EVENTS as u64 * 2 {
            probe.tell(at, Event::PollStart { task, at });
        }
    }

    #[test]
    fn a_probe_that_does_not_watch_tells_only_what_no_other_witness_knows() {
        let (probe, ring) = Probe::new(true, false);
        let task = probe.next_task();
        probe.tell(0, Event::PollStart { task, at: 0 });
        probe.tell(0, Event::Output { task: None, at: 0, text: "One".into() });
        assert_eq!(ring.try_iter().count(), 1);
    }
}
