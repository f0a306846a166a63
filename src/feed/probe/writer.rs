//! The loop thread's end of the ring. It is the only writer, so writing takes neither a lock nor an allocation.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use loopscope_probe::record::Record;
use loopscope_probe::ring::Writer;

use super::event_records::{self, EncodedEvent};
use super::parker::{ParkDepth, ParkerPair};
use super::site_cache::SiteCache;
use super::{RING_RECORDS, is_structural};
use crate::trace::{AwaitId, AwaitSite, Event, Nanos, SiteId, TaskId};

/// Free records required to close a gap. With fewer, a slightly slow reader would cause one gap after another.
const GAP_CLOSE_RECORDS: usize = RING_RECORDS / 8;

/// Longest park while waiting for free space before checking whether the reader is gone.
const ABANDON_CHECK_INTERVAL: Duration = Duration::from_millis(20);

thread_local! {
    /// The writer of the loop that this thread runs.
    static THREAD_WRITER: RefCell<Option<LoopWriter>> = const { RefCell::new(None) };
}

/// The writing end of one thread.
#[derive(Debug)]
pub struct LoopWriter {
    /// The ring of records.
    pub(super) records: Writer,
    /// Events that have no records, in the order of their markers in `records`.
    pub(super) side_events: Sender<Event>,
    /// Parks this end, and wakes the reader.
    pub(super) parkers: Arc<ParkerPair>,
    /// Blocks instead of dropping, because blocking takes no loop time.
    pub(super) is_lossless: bool,
    /// Loop time of the last record.
    pub(super) last_ns: Nanos,
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
        match event_records::encode(at, &event) {
            Some(EncodedEvent::One(record)) => self.write([record], is_structural),
            Some(EncodedEvent::Two(records)) => self.write(records, is_structural),
            None => self.write_side_event(at, event),
        }
    }

    /// Writes the records of an event, or drops the event if the ring is full and it is not structural.
    #[inline]
    fn write<const N: usize>(&mut self, records: [Record; N], is_structural: bool) {
        if self.gap.is_none() && self.records.has_room(N) {
            self.push(records);
        } else {
            self.write_slow(records, is_structural);
        }
    }

    /// Writes records for which there is room.
    #[inline]
    fn push<const N: usize>(&mut self, records: [Record; N]) {
        if let Some(first) = records.first() {
            self.last_ns = first.ticks();
        }
        if self.records.push(records) {
            self.parkers.reader.unpark();
        } else if self.parkers.reader.is_parked_lightly() {
            self.parkers.reader.notify();
        }
    }

    /// Slow path of `write`: the ring was full when the writer last looked, or a gap is open.
    #[cold]
    #[inline(never)]
    fn write_slow<const N: usize>(&mut self, records: [Record; N], is_structural: bool) {
        let at = records.first().map_or(0, |record| record.ticks());
        if !self.is_lossless && !is_structural {
            let needed = if self.gap.is_some() { GAP_CLOSE_RECORDS } else { N };
            if self.records.room() < needed {
                self.count_drop(at);
                return;
            }
        }
        self.push_blocking(records);
        if !is_structural {
            self.close_gap(at);
        }
    }

    fn count_drop(&mut self, at: Nanos) {
        let gap = self.gap.get_or_insert(OpenGap { from: at, to: at, dropped: 0 });
        gap.to = gap.to.max(at);
        gap.dropped += 1;
    }

    fn close_gap(&mut self, at: Nanos) {
        if let Some(OpenGap { from, dropped, .. }) = self.gap.take() {
            self.push_blocking(event_records::gap(from, at, dropped));
            self.last_ns = at;
        }
    }

    #[cold]
    #[inline(never)]
    fn write_side_event(&mut self, at: Nanos, event: Event) {
        let Self { side_events, records, parkers, .. } = self;
        block_until(parkers, || !side_events.is_full() || records.is_abandoned());
        // Still no space means that the reader is gone, so the event is not missed.
        if self.side_events.try_send(event).is_ok() {
            // An event without a time, or of an earlier one, is due at once.
            self.push_blocking([event_records::side_event(at.max(self.last_ns))]);
        }
    }

    /// Writes records as soon as there is room, or discards them if the reader is gone.
    fn push_blocking<const N: usize>(&mut self, records: [Record; N]) {
        let (ring, parkers) = (&mut self.records, &self.parkers);
        block_until(parkers, || ring.room() >= N || ring.is_abandoned());
        if self.records.has_room(N) {
            self.push(records);
            self.parkers.reader.notify();
        }
    }
}

/// Blocks until `is_over` returns true, which the reader causes.
fn block_until(parkers: &ParkerPair, mut is_over: impl FnMut() -> bool) {
    if !is_over() {
        parkers.reader.unpark();
        while !parkers.writer.park_until(ParkDepth::Light, ABANDON_CHECK_INTERVAL, &mut is_over) {}
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

/// Writes a poll, a wake or another event that may be dropped to this thread's ring. Returns `false` if there is none.
#[inline]
pub fn write_record(record: Record) -> bool {
    with_thread_writer(|writer| {
        writer.write([record], false);
        true
    })
}

/// Writes the start of an await at a cached site, and returns the id of the site. With `is_recorded` false it only
/// looks the site up. Returns `None` if there is no ring, the site is not cached, or `at` is too late for a record.
#[inline]
pub fn write_await_start(at: Nanos, id: AwaitId, task: TaskId, site: &AwaitSite, is_recorded: bool) -> Option<SiteId> {
    let mut cached = None;
    let is_written = with_thread_writer(|writer| {
        cached = writer.site_cache.get(site);
        let Some(site) = cached.filter(|_| is_recorded) else { return cached.is_some() };
        event_records::await_start(at, id, task, site).is_some_and(|records| {
            writer.write(records, true);
            true
        })
    });
    cached.filter(|_| is_written)
}

/// Writes a poll of an await, with the time of the previous record. Returns `false` if there is no ring.
#[inline]
pub fn write_await_poll(id: AwaitId, is_ready: bool) -> bool {
    with_thread_writer(|writer| {
        event_records::await_poll(writer.last_ns, id, is_ready).is_some_and(|record| {
            writer.write([record], false);
            true
        })
    })
}

/// Writes the end of an await. Returns `false` if there is no ring or `at` is too late for a record.
#[inline]
pub fn write_await_end(at: Nanos, id: AwaitId) -> bool {
    event_records::await_end(at, id).is_some_and(|record| {
        with_thread_writer(|writer| {
            writer.write([record], true);
            true
        })
    })
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
