//! The reading end: merges the events of the loop thread and of other threads into one sequence.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use loopscope_probe::ring::Reader;

use super::RING_RECORDS;
use super::event_records::{DecodedRecord, RecordDecoder};
use super::parker::{ParkDepth, ParkerPair};
use crate::trace::{Event, Nanos};

/// Batching delay of an idle reader: each wake-up is a syscall on the loop thread, and each read may cost it its core.
const BATCH_DELAY: Duration = Duration::from_millis(8);

/// The reading end of the probe.
#[derive(Debug)]
pub struct ProbeReader {
    /// Records of the loop thread.
    pub(super) records: Reader,
    /// Events of the loop thread that have no records.
    pub(super) side_events: Receiver<Event>,
    /// Events of other threads, with their loop times.
    pub(super) thread_events: Receiver<(Nanos, Event)>,
    /// The next event of another thread, received but not delivered.
    pub(super) next_thread_event: Option<(Nanos, Event)>,
    /// Decodes the records.
    pub(super) decoder: RecordDecoder,
    /// Parks this end, and wakes the writer.
    pub(super) parkers: Arc<ParkerPair>,
}

impl ProbeReader {
    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.records.pending() == 0 && self.next_thread_event.is_none() && self.thread_events.is_empty()
    }

    /// Returns the number of records that can be read. Some events have two.
    pub fn pending_records(&self) -> usize {
        self.records.pending()
    }

    /// Passes up to about `at_most` events to `emit`, in order, and returns their number.
    ///
    /// Events of other threads are merged by time. What another thread emitted before an event of the loop thread that
    /// depends on it is delivered no later than that event.
    pub fn drain(&mut self, at_most: usize, mut emit: impl FnMut(Event)) -> usize {
        let ready = self.records.pending().min(at_most);
        let mut count = 0;
        if ready == 0 {
            while count < at_most
                && let Some((_, event)) = self.next_thread_event.take().or_else(|| self.thread_events.try_recv().ok())
            {
                emit(event);
                count += 1;
            }
        } else {
            self.next_thread_event = self.next_thread_event.take().or_else(|| self.thread_events.try_recv().ok());
            self.records.take(ready, |record| {
                let event = match self.decoder.decode(record) {
                    Some(DecodedRecord::Event(event)) => event,
                    // Written before its marker, so it is available.
                    Some(DecodedRecord::SideEvent) => match self.side_events.try_recv() {
                        Ok(event) => event,
                        Err(_) => return,
                    },
                    None => return,
                };
                while let Some((_, next_thread_event)) =
                    self.next_thread_event.take_if(|(at, _)| *at <= self.decoder.last_time())
                {
                    emit(next_thread_event);
                    count += 1;
                    self.next_thread_event = self.thread_events.try_recv().ok();
                }
                emit(event);
                count += 1;
            });
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
        let is_urgent = || self.records.pending() >= RING_RECORDS / 4 || self.records.is_closed();
        if !reader.park_until(ParkDepth::Deep, batch_delay, is_urgent) {
            reader.park_until(ParkDepth::Light, at_most - batch_delay, || !self.is_empty() || self.records.is_closed());
        }
    }
}

impl Drop for ProbeReader {
    fn drop(&mut self) {
        self.parkers.writer.unpark();
    }
}
