//! Records: one event in 16 bytes, as threads write it into their rings and as the protocol transports it.
//!
//! A record is two 64-bit words. The first holds the kind in its lowest 8 bits and the time in the other 56 bits, in
//! ticks since the base of the stream. The second holds the subject: the id of a task, resource or operation, or the number
//! of a runtime.
//!
//! A record that needs more than one subject is followed by records of the kind [`RecordKind::Argument`], each with one
//! more value. They are written as one unit.
//!
//! ```
//! use loopscope_probe::record::{Record, RecordKind};
//!
//! let record = Record::new(RecordKind::PollStart, 1_000, 7);
//! assert_eq!(Record::from_bytes(record.to_bytes()), record);
//! assert_eq!((record.kind(), record.ticks(), record.subject()), (Some(RecordKind::PollStart), 1_000, 7));
//! ```

/// Bits of the first word that hold the kind.
const KIND_BITS: u32 = 8;

/// Latest time that a record can hold, in ticks: 278 days at 3 GHz.
pub const TICKS_MAX: u64 = u64::MAX >> KIND_BITS;

/// Least number of the kinds for private use, up to 255. The protocol does not use them, and no stream contains them. The
/// lab of loopscope has some in its own ring.
pub const PRIVATE_KIND_MIN: u8 = 192;

/// Size of a record in bytes.
pub const RECORD_BYTES: usize = 16;

/// One event of one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    head: u64,
    subject: u64,
}

macro_rules! record_kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// Kind of a record. The number of each is part of the protocol and never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum RecordKind {
            $($(#[$doc])* $name = $number,)*
        }

        impl RecordKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the kind with this number.
            #[inline]
            pub fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

record_kinds! {
    /// One more value of the record before it.
    Argument = 0,
    /// A poll of the task started.
    PollStart = 1,
    /// The poll of the task returned.
    PollEnd = 2,
    /// The poll of the task ended by a panic.
    PollPanicked = 3,
    /// The task's span was entered, and it is not known whether this is a poll or the drop of its future. It is a drop if
    /// [`Self::Exit`] and [`Self::TaskClosed`] follow on this thread without any other record of the task in between.
    Enter = 4,
    /// The task's span was exited after [`Self::Enter`].
    Exit = 5,
    /// As [`Self::Exit`], by a panic.
    ExitPanicked = 6,
    /// The task was woken, by what this thread does now: the task that it polls, else the driver if the thread is a
    /// worker, else the thread itself.
    Wake = 7,
    /// The task was woken by a wake that it had deferred itself, such as by `yield_now`.
    WakeDeferred = 8,
    /// A waker of the task was cloned.
    WakerCloned = 9,
    /// A waker of the task was dropped.
    WakerDropped = 10,
    /// A task was spawned, by the task that this thread polls. Argument: its site.
    Spawn = 11,
    /// The task completed, was cancelled or panicked. Argument: 0 completed, 1 cancelled, 2 panicked, 3 unknown.
    TaskEnded = 12,
    /// Nothing remains of the task. Ids are not reused.
    TaskClosed = 13,
    /// This thread parks.
    Park = 14,
    /// This thread was unparked.
    Unpark = 15,
    /// A resource was created. Arguments: its site, and the id of the resource that contains it or 0.
    ResourceCreated = 16,
    /// The resource was dropped.
    ResourceDropped = 17,
    /// An attribute of the resource changed. Arguments: the id of its name, and its value.
    ResourceAttribute = 18,
    /// An operation was created: something that a task can await. Arguments: its site, and its resource or 0.
    OperationCreated = 19,
    /// A poll of the operation started.
    OperationPolled = 20,
    /// The poll of the operation returned pending.
    OperationPending = 21,
    /// The poll of the operation returned ready.
    OperationReady = 22,
    /// The operation was dropped.
    OperationDropped = 23,
    /// Records of this thread were dropped since the previous one. Subject: their number. The time is that of the first
    /// one. Argument: the ticks of the last one.
    Dropped = 24,
    /// A closure of the blocking pool started. Subject: its task.
    BlockingStart = 25,
    /// A closure of the blocking pool ended.
    BlockingEnd = 26,
    /// The task is held: it is not polled until it is released.
    Held = 27,
    /// The held task was released.
    Released = 28,
    /// The program paused before the poll of the task, or before anything if the subject is 0. Argument: 0 because the user
    /// paused it, 1 because a step ended, 2 because of a breakpoint.
    Paused = 29,
    /// The program continued.
    Continued = 30,
    /// What began with [`Self::PollStart`] or [`Self::BlockingStart`] did not run the task: it was cancelled, and its
    /// future was dropped instead; or it is held. Follows in place of [`Self::PollEnd`], but after
    /// [`Self::BlockingEnd`].
    PollSkipped = 31,
    /// A sample of the depth of a worker's local queue, which differs from the last one. Subject: its runtime. Arguments:
    /// the index of the worker, and the number of tasks in the queue.
    LocalQueueDepth = 32,
    /// A sample of the depth of a runtime's global queue, which differs from the last one. Subject: the runtime. Argument:
    /// the number of tasks in the queue.
    GlobalQueueDepth = 33,
    /// The task was woken by what the arguments name, whatever this thread does. Arguments: 0 a timer or I/O of the loop's
    /// driver, 1 another thread, 2 a task, 3 unknown; and the id of the task that woke it, or 0.
    WokenBy = 40,
    /// The task returns from this poll because it waits for one await. Precedes [`Self::PollEnd`]. Arguments: the site of
    /// the await, its resource or 0, and the number of the await, from 1. Numbers are not reused. The number of its
    /// previous suspension says that it still waits for that await.
    Suspended = 41,
    /// How the await ended for which the task waited: in the poll of the task under way, or before it. Argument: 1 it was
    /// cancelled, 2 it raised an exception. Without this record, it was ready when that poll started.
    AwaitEnded = 42,
    /// A sample of the stack of this thread, which polls the task. Arguments: a site with frames, and the start of the
    /// poll, if the poll may not have been recorded yet, or 0.
    Sampled = 43,
    /// A whole poll, written at its end: the task waits for a new await. It stands for [`Self::PollStart`], for
    /// [`Self::Wake`] if the task has woken itself, for [`Self::Suspended`] without a resource, and for
    /// [`Self::PollEnd`]. Arguments: the time of that wake or 0, the end, and the site of the await. The number of the
    /// await is the time of the end.
    Polled = 44,
    /// The task has blocked its thread, with a call that is known, in the poll that this thread makes. Written when the
    /// call returns. Arguments: a site, and the start of the call.
    Blocked = 45,
}

impl Record {
    /// Creates a record. Times past [`TICKS_MAX`] are cut to it.
    #[inline]
    pub fn new(kind: RecordKind, ticks: u64, subject: u64) -> Self {
        Self::private(kind as u8, ticks, subject)
    }

    /// Creates an argument of the record before it.
    #[inline]
    pub fn argument(value: u64) -> Self {
        Self { head: RecordKind::Argument as u64, subject: value }
    }

    /// Returns the kind; `None` if it is unknown, such as one of a later version.
    #[inline]
    pub fn kind(self) -> Option<RecordKind> {
        RecordKind::from_number(self.kind_number())
    }

    /// Returns the number of the kind.
    #[inline]
    pub fn kind_number(self) -> u8 {
        self.head as u8
    }

    /// Returns the time in ticks since the base of the stream.
    #[inline]
    pub fn ticks(self) -> u64 {
        self.head >> KIND_BITS
    }

    /// Returns the subject.
    #[inline]
    pub fn subject(self) -> u64 {
        self.subject
    }

    /// Creates a record of a kind for private use, from [`PRIVATE_KIND_MIN`]. Times past [`TICKS_MAX`] are cut to it.
    #[inline]
    pub fn private(kind: u8, ticks: u64, subject: u64) -> Self {
        Self { head: ticks.min(TICKS_MAX) << KIND_BITS | u64::from(kind), subject }
    }

    /// Returns the record with these words.
    #[inline]
    pub(crate) fn from_words(head: u64, subject: u64) -> Self {
        Self { head, subject }
    }

    /// Returns both words.
    #[inline]
    pub(crate) fn to_words(self) -> (u64, u64) {
        (self.head, self.subject)
    }

    /// Returns the record as bytes, both words little-endian.
    #[inline]
    pub fn to_bytes(self) -> [u8; RECORD_BYTES] {
        (u128::from(self.head) | u128::from(self.subject) << 64).to_le_bytes()
    }

    /// Returns the record with these bytes.
    #[inline]
    pub fn from_bytes(bytes: [u8; RECORD_BYTES]) -> Self {
        let both = u128::from_le_bytes(bytes);
        Self { head: both as u64, subject: (both >> 64) as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_a_round_trip() {
        for &kind in RecordKind::ALL {
            let record = Record::new(kind, TICKS_MAX, u64::MAX);
            let read = Record::from_bytes(record.to_bytes());
            assert_eq!((read.kind(), read.ticks(), read.subject()), (Some(kind), TICKS_MAX, u64::MAX));
        }
    }

    #[test]
    fn private_kinds_are_unknown() {
        assert!(RecordKind::ALL.iter().all(|&kind| (kind as u8) < PRIVATE_KIND_MIN));
        let record = Record::private(PRIVATE_KIND_MIN, 5, 7);
        assert_eq!((record.kind(), record.kind_number()), (None, PRIVATE_KIND_MIN));
        assert_eq!((record.ticks(), record.subject()), (5, 7));
    }

    #[test]
    fn late_times_are_cut() {
        assert_eq!(Record::new(RecordKind::Park, u64::MAX, 0).ticks(), TICKS_MAX);
        assert_eq!(Record::from_bytes([255; RECORD_BYTES]).kind(), None);
    }
}
