//! The reading end: what the loop's thread wrote and what other threads did, as one sequence of events.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use rtrb::Consumer;

use super::RING_EVENTS;
use super::meeting::{Meeting, Sleep};
use super::record::{Read, Reading, Record};
use crate::trace::{Event, Nanos};

/// How long the reader lets events gather before it may be called for the next: every call costs the loop's thread a
/// visit to the system, and every reading may cost it the core that it runs on.
const GATHER: Duration = Duration::from_millis(8);

/// See the module.
#[derive(Debug)]
pub struct Ring {
    pub(super) records: Consumer<Record>,
    pub(super) aside: Consumer<Event>,
    /// What threads beside the loop's tell, with its time.
    pub(super) others: Receiver<(Nanos, Event)>,
    /// The next of these.
    pub(super) other: Option<(Nanos, Event)>,
    pub(super) reading: Reading,
    pub(super) meeting: Arc<Meeting>,
}

impl Ring {
    /// Nothing waits to be read.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.other.is_none() && self.others.is_empty()
    }

    /// How many records of the loop's thread wait. Not each becomes an event.
    pub fn waiting(&self) -> usize {
        self.records.slots()
    }

    /// Takes up to about `at_most` events, in order, and tells how many there were.
    ///
    /// Other threads' events go in between by their times. Whatever happened on another thread before something that the
    /// loop's thread has written is seen here no later than that.
    pub fn take(&mut self, at_most: usize, mut file: impl FnMut(Event)) -> usize {
        let ready = self.records.slots().min(at_most);
        let mut taken = 0;
        if ready == 0 {
            while taken < at_most
                && let Some((_, event)) = self.other.take().or_else(|| self.others.try_recv().ok())
            {
                file(event);
                taken += 1;
            }
        } else if let Ok(chunk) = self.records.read_chunk(ready) {
            let (first, second) = chunk.as_slices();
            self.other = self.other.take().or_else(|| self.others.try_recv().ok());
            for record in first.iter().chain(second) {
                let event = match self.reading.read(*record) {
                    Read::Event(event) => event,
                    // Written before its record: it is there.
                    Read::Aside => match self.aside.pop() {
                        Ok(event) => event,
                        Err(_) => continue,
                    },
                    Read::Nothing => continue,
                };
                while let Some((_, other)) = self.other.take_if(|(at, _)| *at <= self.reading.at()) {
                    file(other);
                    taken += 1;
                    self.other = self.others.try_recv().ok();
                }
                file(event);
                taken += 1;
            }
            chunk.commit_all();
        }
        if taken > 0 && self.meeting.writer.is_called_for() {
            self.meeting.writer.call();
        }
        taken
    }

    /// Waits until there is something to read, or `at_most`.
    pub fn wait(&self, at_most: Duration) {
        if !self.is_empty() {
            return;
        }
        let gather = GATHER.min(at_most);
        let reader = &self.meeting.reader;
        // Whoever has filled the ring meanwhile, or has ended, shakes the reader awake.
        let is_pressing = || self.records.slots() >= RING_EVENTS / 2 || self.records.is_abandoned();
        if !reader.sleep_until(Sleep::Deep, gather, is_pressing) {
            reader.sleep_until(Sleep::Light, at_most - gather, || !self.is_empty() || self.records.is_abandoned());
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.meeting.writer.shake();
    }
}
