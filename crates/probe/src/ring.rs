//! A ring of records with one writer and one reader, and without a lock. The writer publishes all records of an event at
//! once.
//!
//! The ring of a thread grows: when it is full, it is continued in a ring of four times its size, up to a limit. Threads
//! with few events need little memory. The lab of loopscope uses a ring of a fixed size.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::record::{RECORD_BYTES, Record, RecordKind};

/// Records of the first ring of a thread: 16 KiB.
const FIRST_RECORDS: usize = 1 << 10;

/// Records of the largest ring of a thread: 16 MiB.
const RECORDS_MAX: usize = 1 << 20;

/// Bytes of all rings together at which no ring is continued any more.
static TOTAL_BYTES_MAX: AtomicUsize = AtomicUsize::new(128 << 20);

/// Limits the bytes of all rings together. Each thread has its first ring in any case.
pub(crate) fn set_total_bytes_max(bytes: usize) {
    TOTAL_BYTES_MAX.store(bytes, Ordering::Relaxed);
}

/// How many records the writer writes between two looks at what the reader has read.
const LOOK_INTERVAL: usize = 1 << 10;

/// Bytes of all rings.
static TOTAL_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Records of one thread.
struct Ring {
    slots: Box<[[AtomicU64; 2]]>,
    /// Records of the largest ring that may continue this one.
    records_max: usize,
    written: AtomicUsize,
    read: AtomicUsize,
    /// A ring that can continue this one, made by the reader because that takes time.
    prepared: OnceLock<Arc<Ring>>,
    /// The ring that continues this one.
    next: OnceLock<Arc<Ring>>,
    /// What did not fit when the thread ended.
    last_gap: OnceLock<[Record; 2]>,
    /// No record follows, unless there is a next ring.
    is_closed: AtomicBool,
}

impl Ring {
    /// Creates a ring. The number of records is a power of two.
    fn new(records: usize, records_max: usize) -> Arc<Self> {
        let slots: Box<[_]> = (0..records).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect();
        TOTAL_BYTES.fetch_add(size_of_val(&*slots), Ordering::Relaxed);
        let (written, read) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (prepared, next, last_gap) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Arc::new(Self {
            slots,
            records_max,
            written,
            read,
            prepared,
            next,
            last_gap,
            is_closed: AtomicBool::new(false),
        })
    }

    /// Creates a ring that can continue this one, if the limits permit.
    fn larger(&self) -> Option<Arc<Self>> {
        let records = self.slots.len() * 4;
        let bytes = records * size_of::<[AtomicU64; 2]>();
        let is_permitted = records <= self.records_max
            && TOTAL_BYTES.load(Ordering::Relaxed) + bytes <= TOTAL_BYTES_MAX.load(Ordering::Relaxed);
        is_permitted.then(|| Self::new(records, self.records_max))
    }

    fn mask(&self) -> usize {
        self.slots.len() - 1
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        TOTAL_BYTES.fetch_sub(size_of_val(&*self.slots), Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("records", &self.slots.len()).finish_non_exhaustive()
    }
}

/// Creates the ring of a thread: the end for the thread, and the end for the collector.
pub(crate) fn thread_ring() -> (Writer, Reader) {
    ends_of(Ring::new(FIRST_RECORDS, RECORDS_MAX))
}

/// Creates a ring that holds at least this many records and does not grow.
pub fn fixed_ring(records: usize) -> (Writer, Reader) {
    let records = records.next_power_of_two();
    ends_of(Ring::new(records, records))
}

fn ends_of(ring: Arc<Ring>) -> (Writer, Reader) {
    let (reader, limit) = (Reader { ring: ring.clone() }, ring.slots.len());
    (Writer { ring, written: 0, limit, look_at: LOOK_INTERVAL, dropped: None }, reader)
}

/// Records that did not fit.
#[derive(Clone, Copy, Debug)]
struct DroppedRecords {
    records: u64,
    first_ticks: u64,
    last_ticks: u64,
}

impl DroppedRecords {
    fn to_records(self) -> [Record; 2] {
        [Record::new(RecordKind::Dropped, self.first_ticks, self.records), Record::argument(self.last_ticks)]
    }
}

/// Writing end.
#[derive(Debug)]
pub struct Writer {
    ring: Arc<Ring>,
    written: usize,
    /// Up to which position there was room when the writer last looked. While records are dropped, there is none.
    limit: usize,
    look_at: usize,
    dropped: Option<DroppedRecords>,
}

impl Writer {
    /// Returns whether there was room for this many records when the writer last looked.
    #[inline]
    pub fn has_room(&self, records: usize) -> bool {
        self.written + records <= self.limit
    }

    /// Looks for how many records there is room.
    pub fn room(&mut self) -> usize {
        self.limit = self.ring.read.load(Ordering::Acquire) + self.ring.slots.len();
        self.limit - self.written
    }

    /// Returns whether the reader is gone.
    pub fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.ring) < 2
    }

    /// Writes the records of one event, for which there is room. Returns whether the reader should be woken.
    #[inline]
    pub fn push<const N: usize>(&mut self, records: [Record; N]) -> bool {
        for (index, record) in records.into_iter().enumerate() {
            self.store(self.written + index, record);
        }
        self.publish(N)
    }

    #[inline]
    fn store(&self, position: usize, record: Record) {
        if let Some([head, subject]) = self.ring.slots.get(position & self.ring.mask()) {
            let (head_word, subject_word) = record.to_words();
            head.store(head_word, Ordering::Relaxed);
            subject.store(subject_word, Ordering::Relaxed);
        }
    }

    #[inline]
    fn publish(&mut self, records: usize) -> bool {
        self.written += records;
        self.ring.written.store(self.written, Ordering::Release);
        self.written >= self.look_at && self.look()
    }

    /// Returns whether a quarter of the ring is in use, so that the reader should be woken. Small rings are continued
    /// in larger ones instead.
    #[cold]
    fn look(&mut self) -> bool {
        self.look_at = self.written + LOOK_INTERVAL;
        let records = self.ring.slots.len();
        let used = records - self.room();
        records >= 16 * LOOK_INTERVAL && used >= records / 4
    }

    /// Writes the records of one event, or none of them if there is no room. Returns whether the reader should be woken.
    #[cold]
    pub(crate) fn write(&mut self, records: &[Record]) -> bool {
        // `Dropped` and its argument come first.
        let needed = records.len() + 2 * usize::from(self.dropped.is_some());
        if self.room() < needed && !self.grow() {
            self.limit = self.written;
            let ticks = records.first().map_or(0, |record| record.ticks());
            let is_first = self.dropped.is_none();
            let dropped = self.dropped.get_or_insert(DroppedRecords { records: 0, first_ticks: ticks, last_ticks: 0 });
            dropped.records += records.len() as u64;
            dropped.last_ticks = ticks;
            return is_first;
        }
        let mut position = self.written;
        if let Some(dropped) = self.dropped.take() {
            for record in dropped.to_records() {
                self.store(position, record);
                position += 1;
            }
        }
        for &record in records {
            self.store(position, record);
            position += 1;
        }
        self.publish(needed)
    }

    /// Continues in a larger ring, if the limits permit.
    fn grow(&mut self) -> bool {
        let Some(next) = self.ring.prepared.get().cloned().or_else(|| self.ring.larger()) else { return false };
        let _ = self.ring.next.set(next.clone());
        self.ring.is_closed.store(true, Ordering::Release);
        (self.limit, self.written, self.look_at) = (next.slots.len(), 0, LOOK_INTERVAL);
        self.ring = next;
        true
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(dropped) = self.dropped {
            let _ = self.ring.last_gap.set(dropped.to_records());
        }
        self.ring.is_closed.store(true, Ordering::Release);
    }
}

/// Reading end.
#[derive(Debug)]
pub struct Reader {
    ring: Arc<Ring>,
}

impl Reader {
    /// Returns how many records can be read, of a ring that does not grow.
    pub fn pending(&self) -> usize {
        self.ring.written.load(Ordering::Acquire) - self.ring.read.load(Ordering::Relaxed)
    }

    /// Returns whether the writer is gone.
    pub fn is_closed(&self) -> bool {
        self.ring.is_closed.load(Ordering::Acquire)
    }

    /// Returns how many records can be read from the current ring.
    pub(crate) fn available(&mut self) -> usize {
        loop {
            // Read before the number of records: what was written before the ring was closed is seen.
            let (is_closed, available) = (self.is_closed(), self.pending());
            match self.ring.next.get() {
                Some(next) if is_closed && available == 0 => self.ring = next.clone(),
                next => {
                    if next.is_none() && available > self.ring.slots.len() / 2 && self.ring.prepared.get().is_none() {
                        self.ring.larger().into_iter().for_each(|larger| drop(self.ring.prepared.set(larger)));
                    }
                    return available;
                }
            }
        }
    }

    /// Returns whether further records are in another ring already.
    pub(crate) fn is_continued(&self) -> bool {
        self.ring.next.get().is_some()
    }

    /// Passes the next `records` records, which can be read, to `take`. Then there is room for as many others.
    #[inline]
    pub fn take(&mut self, records: usize, mut take: impl FnMut(Record)) {
        let start = self.ring.read.load(Ordering::Relaxed);
        let (first, end) = (start & self.ring.mask(), (start + records) & self.ring.mask());
        let slots = &self.ring.slots;
        let (before, after) = if records > 0 && end <= first { (slots.len(), end) } else { (end, 0) };
        for part in [&slots[first..before], &slots[..after]] {
            for [head, subject] in part {
                take(Record::from_words(head.load(Ordering::Relaxed), subject.load(Ordering::Relaxed)));
            }
        }
        self.ring.read.store(start + records, Ordering::Release);
    }

    /// Appends the next `records` records, which are available, to `out`.
    pub(crate) fn read(&mut self, records: usize, out: &mut Vec<u8>) {
        out.reserve(records * RECORD_BYTES);
        self.take(records, |record| out.extend_from_slice(&record.to_bytes()));
    }

    /// Returns whether the record after `records` others is an argument.
    pub(crate) fn is_argument(&self, records: usize) -> bool {
        let position = self.ring.read.load(Ordering::Relaxed) + records;
        self.ring.slots.get(position & self.ring.mask()).is_some_and(|[head, _]| head.load(Ordering::Relaxed) == 0)
    }

    /// Discards what was written.
    pub(crate) fn clear(&mut self) {
        while self.available() > 0 {
            self.ring.read.store(self.ring.written.load(Ordering::Acquire), Ordering::Release);
        }
    }

    /// Returns whether all records were read and no more will follow.
    pub(crate) fn is_finished(&mut self) -> bool {
        // The first call moves on to the newest ring; the second one sees what was written before that was closed.
        self.available() == 0 && self.is_closed() && self.available() == 0 && self.ring.next.get().is_none()
    }

    /// Returns the records that report what did not fit when the thread ended. Only after the end is reached.
    pub(crate) fn last_gap(&self) -> Option<[Record; 2]> {
        self.ring.last_gap.get().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(reader: &mut Reader) -> Vec<Record> {
        let mut records = Vec::new();
        loop {
            let available = reader.available();
            if available == 0 {
                return records;
            }
            reader.take(available, |record| records.push(record));
        }
    }

    #[test]
    fn every_record_arrives_or_is_counted() {
        let (mut writer, mut reader) = thread_ring();
        let thread = std::thread::spawn(move || {
            for number in 1..=2_000_000 {
                writer.write(&[Record::new(RecordKind::Spawn, number, number), Record::argument(number)]);
            }
            // Reports what was dropped last.
            while writer.dropped.is_some() {
                writer.write(&[Record::new(RecordKind::Park, 0, 0)]);
            }
        });
        let (mut events, mut dropped) = (0, 0);
        while !(thread.is_finished() && reader.is_finished()) {
            let records = read_all(&mut reader);
            for pair in records.windows(2) {
                match pair[0].kind() {
                    Some(RecordKind::Spawn) => {
                        assert_eq!(
                            (pair[1].kind(), pair[1].subject()),
                            (Some(RecordKind::Argument), pair[0].subject())
                        );
                        events += 1;
                    }
                    Some(RecordKind::Dropped) => dropped += pair[0].subject() / 2,
                    _ => {}
                }
            }
        }
        assert!(events + dropped >= 2_000_000 - 1, "{events} events, {dropped} dropped");
        assert!(thread.join().is_ok());
    }

    #[test]
    fn a_fixed_ring_has_room_again_once_read() {
        let (mut writer, mut reader) = fixed_ring(1_000);
        for round in 0..3 {
            while writer.room() > 0 {
                writer.push([Record::new(RecordKind::Wake, 1, round)]);
            }
            assert_eq!((reader.pending(), writer.has_room(1)), (1_024, false), "round {round}");
            reader.take(1_024, |record| assert_eq!(record.subject(), round));
        }
        drop(reader);
        assert!(writer.is_abandoned());
    }

    #[test]
    fn a_full_ring_reports_the_times_of_its_gap() {
        let (mut writer, mut reader) = thread_ring();
        let records_max =
            (FIRST_RECORDS..=RECORDS_MAX).filter(|size| size.is_power_of_two() && size.trailing_zeros() % 2 == 0);
        let capacity: usize = records_max.sum();
        for number in 0..capacity as u64 + 10 {
            writer.write(&[Record::new(RecordKind::Wake, number, 1)]);
        }
        assert_eq!(read_all(&mut reader).len(), capacity);
        writer.write(&[Record::new(RecordKind::Wake, 1 << 40, 2)]);
        let after = read_all(&mut reader);
        assert_eq!(after.len(), 3);
        assert_eq!((after[0].kind(), after[0].subject()), (Some(RecordKind::Dropped), 10));
        assert_eq!((after[0].ticks(), after[1].subject()), (capacity as u64, capacity as u64 + 9));
    }
}
