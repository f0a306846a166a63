//! The loop's own end of the ring: only its thread writes here, so writing takes neither a lock nor an allocation.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use rtrb::Producer;

use super::meeting::Meeting;
use super::record::Record;
use super::{RING_EVENTS, is_structure};
use crate::trace::{Event, Nanos, TaskId};

/// Room that must be free before a gap ends. Less, and a reader that is only just too slow would be told of one gap
/// after another.
const GAP_ENDS_AT: usize = RING_EVENTS / 8;

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
    /// The task of the last poll that was written.
    pub(super) polled: Option<TaskId>,
    /// Where facts began to be dropped, and how many were.
    pub(super) gap: Option<(Nanos, u64)>,
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
        match Record::pack(&event, self.polled).filter(|_| Record::has_room_for(at)) {
            Some(record) => {
                if self.write(at, record, is_structure(&event))
                    && let Event::PollStart { task, .. } = event
                {
                    self.polled = Some(task);
                }
            }
            None => self.tell_aside(at, event),
        }
    }

    /// Writes a record; false where it was dropped. One that is structure is waited with.
    #[inline]
    fn write(&mut self, at: Nanos, record: Record, is_structure: bool) -> bool {
        if self.gap.is_some() || self.records.push(record).is_err() {
            return self.write_late(at, record, is_structure);
        }
        if self.meeting.reader.is_taken() {
            self.meeting.reader.call();
        }
        true
    }

    /// There is no room, or was none a moment ago.
    #[cold]
    #[inline(never)]
    fn write_late(&mut self, at: Nanos, record: Record, is_structure: bool) -> bool {
        if self.lossless || is_structure {
            self.push_when_there_is_room(record);
        } else if self.gap.is_none() || self.records.slots() < GAP_ENDS_AT {
            let (_, dropped) = self.gap.get_or_insert((at, 0));
            *dropped += 1;
            return false;
        } else {
            self.push_when_there_is_room(record);
            self.end_gap(at);
        }
        true
    }

    fn end_gap(&mut self, at: Nanos) {
        if let Some((from, dropped)) = self.gap.take() {
            self.tell_aside(at, Event::Gap { from, to: at, dropped });
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_aside(&mut self, at: Nanos, event: Event) {
        self.wait_until(|writer| writer.aside.slots() > 0);
        // The reader is gone if there is still no room: nobody misses it.
        if self.aside.push(event).is_ok() {
            self.push_when_there_is_room(Record::aside(at));
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
            self.meeting.reader.call();
            while !self.meeting.writer.sleep_until(LOOK, is_over) {}
        }
    }
}

impl Drop for LoopWriter {
    fn drop(&mut self) {
        // What was dropped to the very end is still to be told of.
        if let Some((from, _)) = self.gap {
            self.end_gap(from);
        }
        self.meeting.reader.call();
    }
}

/// Writes a record of a poll or a wake through this thread's own ring, in which `polled` (where there is one) is the task
/// whose poll this starts. False where the thread has no ring.
#[inline]
pub fn write(at: Nanos, record: Record, polled: Option<TaskId>) -> bool {
    let written = OWN.try_with(|own| {
        // Nothing that is called while writing tells anything: it cannot be borrowed already.
        let Ok(mut own) = own.try_borrow_mut() else { return false };
        let Some(own) = &mut *own else { return false };
        if own.write(at, record, false) && polled.is_some() {
            own.polled = polled;
        }
        true
    });
    written.unwrap_or(false)
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
