//! The loop thread's end of the ring. It is the only writer, so writing takes neither a lock nor an allocation.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use rtrb::Producer;

use super::packed_event::{PackContext, PackedEvent, PackedKind};
use super::parker::{ParkDepth, ParkerPair};
use super::site_cache::SiteCache;
use super::{RING_EVENTS, is_structural};
use crate::trace::{AwaitId, AwaitSite, Event, Nanos, SiteId, TaskId};

/// Free slots required to close a gap. With fewer, a slightly slow reader would cause one gap after another.
const GAP_CLOSE_SLOTS: usize = RING_EVENTS / 8;

/// Packed events that one event may need: a time, and itself.
const SLOTS_PER_EVENT: usize = 2;

/// Longest park while waiting for free space before checking whether the reader is gone.
const ABANDON_CHECK_INTERVAL: Duration = Duration::from_millis(20);

thread_local! {
    /// The writer of the loop that this thread runs.
    static THREAD_WRITER: RefCell<Option<LoopWriter>> = const { RefCell::new(None) };
}

/// The writing end of one thread.
#[derive(Debug)]
pub struct LoopWriter {
    /// The ring of packed events.
    pub(super) records: Producer<PackedEvent>,
    /// Events that cannot be packed, in the order of their markers in `records`.
    pub(super) side_events: Producer<Event>,
    /// Parks this end, and wakes the reader.
    pub(super) parkers: Arc<ParkerPair>,
    /// Blocks instead of dropping, because blocking takes no loop time.
    pub(super) is_lossless: bool,
    /// Loop time of the last packed event.
    pub(super) last_ns: Nanos,
    /// Context for packing the next event.
    pub(super) context: PackContext,
    /// Sites that this thread has awaited at.
    pub(super) site_cache: SiteCache,
    /// The gap that is open, if events are being dropped.
    pub(super) gap: Option<OpenGap>,
}

/// A run of dropped events: times of the first and the last, and their number.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenGap {
    from: Nanos,
    to: Nanos,
    dropped: u64,
}

/// Uninstalls this thread's [`LoopWriter`] when dropped.
#[derive(Debug)]
pub struct WriterGuard {
    // Thread-local state must be dropped on its own thread, so this type is not `Send`.
    _not_send: std::marker::PhantomData<*const ()>,
}

impl Drop for WriterGuard {
    fn drop(&mut self) {
        let _ = THREAD_WRITER.try_with(|writer| writer.borrow_mut().take());
    }
}

impl LoopWriter {
    /// Makes this the writer of the current thread until the guard is dropped.
    pub fn install(self) -> WriterGuard {
        THREAD_WRITER.with(|writer| *writer.borrow_mut() = Some(self));
        WriterGuard { _not_send: std::marker::PhantomData }
    }

    fn write_event(&mut self, at: Nanos, event: Event) {
        let is_structural = is_structural(&event);
        // These carry no time.
        let is_timeless = matches!(event, Event::AwaitPoll { .. } | Event::AwaitResource { .. });
        let at = if is_timeless { self.last_ns } else { at };
        match (PackedKind::classify(&event, self.context), &event) {
            (Some(_), &Event::AwaitStart { id, site, .. }) => {
                if !self.write_await_start(at, id, site) {
                    self.write_side_event(at, event);
                }
            }
            (Some((kind, index)), _) => {
                if !self.write(at, kind, index, is_structural) {
                    self.write_side_event(at, event);
                } else if let Event::PollStart { task, .. } = event
                    && self.gap.is_none()
                {
                    self.context.polled = Some(task);
                }
            }
            (None, _) if self.may_drop(is_structural) && (self.gap.is_some() || self.side_events.slots() == 0) => {
                self.count_drop(at);
            }
            (None, _) => self.write_side_event(at, event),
        }
    }

    /// Writes the site of an await and its start; both block for space. A site without its await is harmless.
    #[inline]
    fn write_await_start(&mut self, at: Nanos, id: AwaitId, site: SiteId) -> bool {
        let is_written = self.write(at, PackedKind::AwaitSite, site.index(), true)
            && self.write(at, PackedKind::AwaitStart, id.index(), true);
        if is_written {
            self.context.started = Some(id);
        }
        is_written
    }

    /// Writes a packed event, or drops it if the ring is full and it is not structural. Returns `false` if it cannot be
    /// packed.
    #[inline]
    fn write(&mut self, at: Nanos, kind: PackedKind, index: usize, is_structural: bool) -> bool {
        if self.gap.is_none()
            && let Some(record) = PackedEvent::new(kind, at.wrapping_sub(self.last_ns), index)
            && self.records.push(record).is_ok()
        {
            self.last_ns = at;
            if self.parkers.reader.is_parked_lightly() {
                self.parkers.reader.notify();
            }
            return true;
        }
        self.write_slow(at, kind, index, is_structural)
    }

    /// Slow path of `write`: much time has passed, the ring is full, or a gap is open.
    #[cold]
    #[inline(never)]
    fn write_slow(&mut self, at: Nanos, kind: PackedKind, index: usize, is_structural: bool) -> bool {
        if self.may_drop(is_structural) {
            let free_slots = if self.gap.is_some() { GAP_CLOSE_SLOTS } else { SLOTS_PER_EVENT };
            if self.records.slots() < free_slots {
                self.count_drop(at);
                return true;
            }
        }
        let record = match PackedEvent::new(kind, at.wrapping_sub(self.last_ns), index) {
            Some(record) => record,
            None => {
                let (Some(time), Some(record)) = (PackedEvent::time(at), PackedEvent::new(kind, 0, index)) else {
                    return false;
                };
                self.push_blocking(time);
                record
            }
        };
        self.push_blocking(record);
        self.last_ns = at;
        if !is_structural {
            self.close_gap(at);
        }
        true
    }

    fn may_drop(&self, is_structural: bool) -> bool {
        !self.is_lossless && !is_structural
    }

    fn count_drop(&mut self, at: Nanos) {
        let gap = self.gap.get_or_insert(OpenGap { from: at, to: at, dropped: 0 });
        gap.to = at;
        gap.dropped += 1;
    }

    fn close_gap(&mut self, at: Nanos) {
        if let Some(OpenGap { from, dropped, .. }) = self.gap.take() {
            self.write_side_event(at, Event::Gap { from, to: at, dropped });
        }
    }

    #[cold]
    #[inline(never)]
    fn write_side_event(&mut self, at: Nanos, event: Event) {
        self.block_until(|writer| writer.side_events.slots() > 0);
        // Still no space means that the reader is gone, so the event is not missed.
        if self.side_events.push(event).is_ok() {
            let marker = PackedEvent::new(PackedKind::SideEvent, at.wrapping_sub(self.last_ns), 0);
            if marker.is_some() {
                self.last_ns = at;
            }
            // Long after the previous packed event the marker is due at once; the event carries its own time.
            self.push_blocking(marker.unwrap_or(PackedEvent::SIDE_EVENT_NOW));
        }
    }

    fn push_blocking(&mut self, record: PackedEvent) {
        self.block_until(|writer| writer.records.slots() > 0);
        let _ = self.records.push(record);
        self.parkers.reader.notify();
    }

    /// Blocks until `has_space` returns true or the reader is gone.
    fn block_until(&self, has_space: impl Fn(&Self) -> bool) {
        let is_over = || has_space(self) || self.records.is_abandoned();
        if !is_over() {
            self.parkers.reader.unpark();
            while !self.parkers.writer.park_until(ParkDepth::Light, ABANDON_CHECK_INTERVAL, is_over) {}
        }
    }
}

impl Drop for LoopWriter {
    fn drop(&mut self) {
        // Events dropped at the very end are reported too.
        if let Some(OpenGap { to, .. }) = self.gap {
            self.close_gap(to.max(self.last_ns));
        }
        self.parkers.reader.unpark();
    }
}

/// Runs `write` on this thread's writer. Returns `false` if there is none. Never re-entrant: writing emits nothing.
#[inline]
fn with_thread_writer(write: impl FnOnce(&mut LoopWriter) -> bool) -> bool {
    THREAD_WRITER
        .try_with(|writer| writer.try_borrow_mut().is_ok_and(|mut writer| writer.as_mut().is_some_and(write)))
        .unwrap_or(false)
}

/// Writes a poll or wake to this thread's ring. Returns `false` if there is none or the event cannot be packed.
#[inline]
pub fn write_task_event(at: Nanos, task: TaskId, kind: impl FnOnce(Option<TaskId>) -> Option<PackedKind>) -> bool {
    with_thread_writer(|writer| {
        let Some(kind) = kind(writer.context.polled) else { return false };
        if !writer.write(at, kind, task.index(), false) {
            return false;
        }
        if kind == PackedKind::PollStart && writer.gap.is_none() {
            writer.context.polled = Some(task);
        }
        true
    })
}

/// Writes the start of an await at a cached site, and returns the id of the site. With `is_recorded` false it only
/// looks the site up. Returns `None` if there is no ring, the site is not cached, or the event cannot be packed.
#[inline]
pub fn write_await_start(at: Nanos, id: AwaitId, task: TaskId, site: &AwaitSite, is_recorded: bool) -> Option<SiteId> {
    let mut cached = None;
    let is_written = with_thread_writer(|writer| {
        cached = writer.site_cache.get(site);
        cached.is_some_and(|site| {
            !is_recorded || writer.context.polled == Some(task) && writer.write_await_start(at, id, site)
        })
    });
    cached.filter(|_| is_written)
}

/// Writes a poll of an await, with the time of the previous packed event. Returns `false` if there is no ring.
#[inline]
pub fn write_await_poll(id: AwaitId, is_ready: bool) -> bool {
    let kind = if is_ready { PackedKind::AwaitReady } else { PackedKind::AwaitPending };
    with_thread_writer(|writer| writer.write(writer.last_ns, kind, id.index(), false))
}

/// Writes the end of an await. Returns `false` if there is no ring or the event cannot be packed.
#[inline]
pub fn write_await_end(at: Nanos, id: AwaitId) -> bool {
    with_thread_writer(|writer| writer.write(at, PackedKind::AwaitEnd, id.index(), true))
}

/// Adds a site to this thread's cache.
pub fn cache_site(site: &AwaitSite, id: SiteId) {
    with_thread_writer(|writer| {
        writer.site_cache.insert(site, id);
        true
    });
}

/// Writes an event to this thread's ring; returns the event if there is none.
pub fn write_event(at: Nanos, event: Event) -> Result<(), Event> {
    let mut unwritten = Some(event);
    let _ = THREAD_WRITER.try_with(|writer| {
        if let Ok(mut writer) = writer.try_borrow_mut()
            && let Some(writer) = &mut *writer
            && let Some(event) = unwritten.take()
        {
            writer.write_event(at, event);
        }
    });
    unwritten.map_or(Ok(()), Err)
}

/// Wakes a parked reader so that it reads what this thread wrote.
pub fn notify_reader() {
    let _ = THREAD_WRITER.try_with(|writer| {
        if let Ok(writer) = writer.try_borrow()
            && let Some(writer) = &*writer
        {
            writer.parkers.reader.notify();
        }
    });
}
