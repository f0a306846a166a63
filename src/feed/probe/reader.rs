//! The reading end: merges the events of the loop thread and of other threads into one sequence.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use rtrb::Consumer;

use super::RING_EVENTS;
use super::packed_event::{EventUnpacker, PackedEvent, UnpackStep};
use super::parker::{ParkDepth, ParkerPair};
use crate::trace::{Event, Nanos};

/// Batching delay of an idle reader: each wake-up is a syscall on the loop thread, and each read may cost it its core.
const BATCH_DELAY: Duration = Duration::from_millis(8);

/// The reading end of the probe.
#[derive(Debug)]
pub struct ProbeReader {
    /// Packed events of the loop thread.
    pub(super) records: Consumer<PackedEvent>,
    /// Events of the loop thread that could not be packed.
    pub(super) side_events: Consumer<Event>,
    /// Events of other threads, with their loop times.
    pub(super) thread_events: Receiver<(Nanos, Event)>,
    /// The next event of another thread, received but not delivered.
    pub(super) next_thread_event: Option<(Nanos, Event)>,
    /// State of unpacking.
    pub(super) unpacker: EventUnpacker,
    /// Parks this end, and wakes the writer.
    pub(super) parkers: Arc<ParkerPair>,
}

impl ProbeReader {
    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.next_thread_event.is_none() && self.thread_events.is_empty()
    }

    /// Returns the number of packed events that can be read. Some of them yield no event.
    pub fn pending_records(&self) -> usize {
        self.records.slots()
    }

    /// Passes up to about `at_most` events to `emit`, in order, and returns their number.
    ///
    /// Events of other threads are merged by time. What another thread emitted before an event of the loop thread that
    /// depends on it is delivered no later than that event.
    pub fn drain(&mut self, at_most: usize, mut emit: impl FnMut(Event)) -> usize {
        let ready = self.records.slots().min(at_most);
        let mut count = 0;
        if ready == 0 {
            while count < at_most
                && let Some((_, event)) = self.next_thread_event.take().or_else(|| self.thread_events.try_recv().ok())
            {
                emit(event);
                count += 1;
            }
        } else if let Ok(chunk) = self.records.read_chunk(ready) {
            let (first, second) = chunk.as_slices();
            self.next_thread_event = self.next_thread_event.take().or_else(|| self.thread_events.try_recv().ok());
            for record in first.iter().chain(second) {
                let event = match self.unpacker.unpack(*record) {
                    UnpackStep::Event(event) => event,
                    // Written before its marker, so it is available.
                    UnpackStep::SideEvent => match self.side_events.pop() {
                        Ok(event) => event,
                        Err(_) => continue,
                    },
                    UnpackStep::Nothing => continue,
                };
                while let Some((_, next_thread_event)) =
                    self.next_thread_event.take_if(|(at, _)| *at <= self.unpacker.last_time())
                {
                    emit(next_thread_event);
                    count += 1;
                    self.next_thread_event = self.thread_events.try_recv().ok();
                }
                emit(event);
                count += 1;
            }
            chunk.commit_all();
        }
        if count > 0 && self.parkers.writer.is_parked_lightly() {
            self.parkers.writer.notify();
        }
        count
    }

    /// Parks until there is something to read, for at most `at_most`.
    pub fn wait(&self, at_most: Duration) {
        if !self.is_empty() {
            return;
        }
        let batch_delay = BATCH_DELAY.min(at_most);
        let reader = &self.parkers.reader;
        // A writer that fills the ring or ends in the meantime unparks the reader.
        let is_urgent = || self.records.slots() >= RING_EVENTS / 2 || self.records.is_abandoned();
        if !reader.park_until(ParkDepth::Deep, batch_delay, is_urgent) {
            reader.park_until(ParkDepth::Light, at_most - batch_delay, || {
                !self.is_empty() || self.records.is_abandoned()
            });
        }
    }
}

impl Drop for ProbeReader {
    fn drop(&mut self) {
        self.parkers.writer.unpark();
    }
}
