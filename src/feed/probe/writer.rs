//! The loop's own end of the ring: only its thread writes here, so writing takes neither a lock nor an allocation.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use rtrb::Producer;

use super::meeting::{Meeting, Sleep};
use super::places::Places;
use super::record::{Last, Record, What};
use super::{RING_EVENTS, is_structure};
use crate::trace::{AwaitId, Event, Nanos, Site, SiteId, TaskId};

/// Room that must be free before a gap ends. Less, and a reader that is only just too slow would be told of one gap
/// after another.
const GAP_ENDS_AT: usize = RING_EVENTS / 8;

/// Records that one fact may need: a time, and itself.
const RECORDS_OF_ONE: usize = 2;

/// How long to sleep for room before looking whether the reader is gone.
const LOOK: Duration = Duration::from_millis(20);

thread_local! {
    /// The ring of the loop that this thread runs.
    static OWN: RefCell<Option<LoopWriter>> = const { RefCell::new(None) };
}

/// The writing end for one thread. See the module.
#[derive(Debug)]
pub struct LoopWriter {
    pub(super) records: Producer<Record>,
    /// What is no record, in the order of the records that say so.
    pub(super) aside: Producer<Event>,
    pub(super) meeting: Arc<Meeting>,
    /// Waiting for room takes no loop time.
    pub(super) lossless: bool,
    /// The time of the last record, and what was written last.
    pub(super) last_ns: Nanos,
    pub(super) last: Last,
    pub(super) places: Places,
    pub(super) gap: Option<Gap>,
}

/// Facts that are being dropped: since when, until when so far, and how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    from: Nanos,
    to: Nanos,
    dropped: u64,
}

/// A thread writes through its own ring for as long as this lives.
#[derive(Debug)]
pub struct Writing {
    // What is kept in a thread's own memory must end on that thread.
    _stays: std::marker::PhantomData<*const ()>,
}

impl Drop for Writing {
    fn drop(&mut self) {
        let _ = OWN.try_with(|own| own.borrow_mut().take());
    }
}

impl LoopWriter {
    /// From now on this thread writes through this ring.
    pub fn install(self) -> Writing {
        OWN.with(|own| *own.borrow_mut() = Some(self));
        Writing { _stays: std::marker::PhantomData }
    }

    fn tell(&mut self, at: Nanos, event: Event) {
        let is_structure = is_structure(&event);
        // They have no time of their own.
        let is_timeless = matches!(event, Event::AwaitPoll { .. } | Event::AwaitOf { .. });
        let at = if is_timeless { self.last_ns } else { at };
        match (What::of(&event, self.last), &event) {
            (Some(_), &Event::AwaitStart { id, site, .. }) => {
                if !self.start_await(at, id, site) {
                    self.tell_aside(at, event);
                }
            }
            (Some((what, about)), _) => {
                if !self.write(at, what, about, is_structure) {
                    self.tell_aside(at, event);
                } else if let Event::PollStart { task, .. } = event
                    && self.gap.is_none()
                {
                    self.last.polled = Some(task);
                }
            }
            (None, _) if self.drops_without_room(is_structure) && (self.gap.is_some() || self.aside.slots() == 0) => {
                self.drop_one(at);
            }
            (None, _) => self.tell_aside(at, event),
        }
    }

    /// Writes the place of an await and its start, which both wait for room. A place without its await does no harm.
    #[inline]
    fn start_await(&mut self, at: Nanos, id: AwaitId, site: SiteId) -> bool {
        let is_written =
            self.write(at, What::AwaitSite, site.index(), true) && self.write(at, What::AwaitStart, id.index(), true);
        if is_written {
            self.last.started = Some(id);
        }
        is_written
    }

    /// Writes a record, or drops it where there is no room and it is no structure. False where it cannot be a record.
    #[inline]
    fn write(&mut self, at: Nanos, what: What, about: usize, is_structure: bool) -> bool {
        if self.gap.is_none()
            && let Some(record) = Record::new(what, at.wrapping_sub(self.last_ns), about)
            && self.records.push(record).is_ok()
        {
            self.last_ns = at;
            if self.meeting.reader.is_called_for() {
                self.meeting.reader.call();
            }
            return true;
        }
        self.write_late(at, what, about, is_structure)
    }

    /// Much time has passed, or there is no room, or was none a moment ago.
    #[cold]
    #[inline(never)]
    fn write_late(&mut self, at: Nanos, what: What, about: usize, is_structure: bool) -> bool {
        if self.drops_without_room(is_structure) {
            let room = if self.gap.is_some() { GAP_ENDS_AT } else { RECORDS_OF_ONE };
            if self.records.slots() < room {
                self.drop_one(at);
                return true;
            }
        }
        let record = match Record::new(what, at.wrapping_sub(self.last_ns), about) {
            Some(record) => record,
            None => {
                let (Some(time), Some(record)) = (Record::time(at), Record::new(what, 0, about)) else { return false };
                self.push_when_there_is_room(time);
                record
            }
        };
        self.push_when_there_is_room(record);
        self.last_ns = at;
        if !is_structure {
            self.end_gap(at);
        }
        true
    }

    fn drops_without_room(&self, is_structure: bool) -> bool {
        !self.lossless && !is_structure
    }

    fn drop_one(&mut self, at: Nanos) {
        let gap = self.gap.get_or_insert(Gap { from: at, to: at, dropped: 0 });
        gap.to = at;
        gap.dropped += 1;
    }

    fn end_gap(&mut self, at: Nanos) {
        if let Some(Gap { from, dropped, .. }) = self.gap.take() {
            self.tell_aside(at, Event::Gap { from, to: at, dropped });
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_aside(&mut self, at: Nanos, event: Event) {
        self.wait_until(|writer| writer.aside.slots() > 0);
        // The reader is gone if there is still no room: nobody misses it.
        if self.aside.push(event).is_ok() {
            let due = Record::new(What::Aside, at.wrapping_sub(self.last_ns), 0);
            if due.is_some() {
                self.last_ns = at;
            }
            // One that comes long after the last record is due right after it; its own time is in it.
            self.push_when_there_is_room(due.unwrap_or(Record::ASIDE_NOW));
        }
    }

    fn push_when_there_is_room(&mut self, record: Record) {
        self.wait_until(|writer| writer.records.slots() > 0);
        let _ = self.records.push(record);
        self.meeting.reader.call();
    }

    /// Waits until there is room, or the reader is gone.
    fn wait_until(&self, is_room: impl Fn(&Self) -> bool) {
        let is_over = || is_room(self) || self.records.is_abandoned();
        if !is_over() {
            self.meeting.reader.shake();
            while !self.meeting.writer.sleep_until(Sleep::Light, LOOK, is_over) {}
        }
    }
}

impl Drop for LoopWriter {
    fn drop(&mut self) {
        // What was dropped to the very end is still to be told of.
        if let Some(Gap { to, .. }) = self.gap {
            self.end_gap(to.max(self.last_ns));
        }
        self.meeting.reader.shake();
    }
}

/// False where the thread has no ring. Nothing that is called while writing tells anything: it is never borrowed twice.
#[inline]
fn with_own(write: impl FnOnce(&mut LoopWriter) -> bool) -> bool {
    OWN.try_with(|own| own.try_borrow_mut().is_ok_and(|mut own| own.as_mut().is_some_and(write))).unwrap_or(false)
}

/// Writes a record of a poll or a wake through this thread's own ring. False where the thread has no ring, or it cannot
/// be a record.
#[inline]
pub fn write(at: Nanos, task: TaskId, what: impl FnOnce(Option<TaskId>) -> Option<What>) -> bool {
    with_own(|own| {
        let Some(what) = what(own.last.polled) else { return false };
        if !own.write(at, what, task.index(), false) {
            return false;
        }
        if what == What::PollStart && own.gap.is_none() {
            own.last.polled = Some(task);
        }
        true
    })
}

/// The same of an await's start, at a place that this thread knows. It is only looked up where nothing is to be told.
#[inline]
pub fn start_await(at: Nanos, id: AwaitId, task: TaskId, site: &Site, is_told: bool) -> Option<SiteId> {
    let mut known = None;
    let is_written = with_own(|own| {
        known = own.places.find(site);
        known.is_some_and(|site| !is_told || own.last.polled == Some(task) && own.start_await(at, id, site))
    });
    known.filter(|_| is_written)
}

/// The same of its poll, which has the time of the record before.
#[inline]
pub fn poll_await(id: AwaitId, ready: bool) -> bool {
    let what = if ready { What::AwaitReady } else { What::AwaitPending };
    with_own(|own| own.write(own.last_ns, what, id.index(), false))
}

/// The same of its end.
#[inline]
pub fn end_await(at: Nanos, id: AwaitId) -> bool {
    with_own(|own| own.write(at, What::AwaitEnd, id.index(), true))
}

/// From now on this thread knows the place by itself.
pub fn keep_place(site: &Site, id: SiteId) {
    with_own(|own| {
        own.places.keep(site, id);
        true
    });
}

/// Writes through this thread's own ring; gives the event back where it has none.
pub fn tell(at: Nanos, event: Event) -> Result<(), Event> {
    let mut told = Some(event);
    let _ = OWN.try_with(|own| {
        if let Ok(mut own) = own.try_borrow_mut()
            && let Some(own) = &mut *own
            && let Some(event) = told.take()
        {
            own.tell(at, event);
        }
    });
    told.map_or(Ok(()), Err)
}

/// Makes sure that a reader who sleeps hears of what was written.
pub fn call_reader() {
    let _ = OWN.try_with(|own| {
        if let Ok(own) = own.try_borrow()
            && let Some(own) = &*own
        {
            own.meeting.reader.call();
        }
    });
}
