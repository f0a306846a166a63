//! Frequent events as records of `loopscope-probe`: polls, wakes, awaits, lock ownership, ends of tasks, parks and gaps.
//!
//! Any other event goes into a side queue, and a marker keeps its position in the sequence. So does an event later than a
//! record can express. The ticks of the records are nanoseconds of loop time.
//!
//! A kind of the protocol is used where its meaning fits. The others are for private use (see [`PrivateKind`]), because
//! the protocol leaves to the reader what the loop knows: who woke a task and who awaits. A subject that stands for two
//! ids has the first one in its lower and the second one in its upper 32 bits. Ids start at 1.

use loopscope_probe::record::{PRIVATE_KIND_MIN, Record, RecordKind, TICKS_MAX};

use crate::trace::{AwaitId, Event, Nanos, ResourceId, SiteId, TaskId, TaskOutcome, WakeSource};

/// Kind of a record that the protocol does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum PrivateKind {
    /// The next event of the side queue is due. No subject.
    SideEvent = PRIVATE_KIND_MIN,
    /// The task was woken by a task. Subject: both.
    WakeByTask,
    /// The task was woken by itself.
    SelfWake,
    /// The task was woken by the timer or I/O driver.
    WakeByDriver,
    /// The task was woken by another thread.
    WakeByThread,
    /// The task was woken by the user.
    WakeByUser,
    /// The task was woken by an unknown source.
    WakeByUnknown,
    /// An await started. Subject: the await and its task. Argument: its site.
    AwaitStart,
    /// An await has a resource. Subject: both.
    AwaitResource,
    /// A resource was acquired. Subject: the resource and the task.
    Acquire,
    /// A resource was released. Subject: the resource and the task.
    Release,
}

impl PrivateKind {
    const ALL: [Self; 11] = [
        Self::SideEvent,
        Self::WakeByTask,
        Self::SelfWake,
        Self::WakeByDriver,
        Self::WakeByThread,
        Self::WakeByUser,
        Self::WakeByUnknown,
        Self::AwaitStart,
        Self::AwaitResource,
        Self::Acquire,
        Self::Release,
    ];

    #[inline]
    fn of(record: Record) -> Option<Self> {
        Self::ALL.get(usize::from(record.kind_number().checked_sub(PRIVATE_KIND_MIN)?)).copied()
    }

    /// Creates a record; `None` if `at` is too late for one.
    #[inline]
    fn record(self, at: Nanos, subject: u64) -> Option<Record> {
        (at <= TICKS_MAX).then(|| Record::private(self as u8, at, subject))
    }
}

#[inline]
fn public(kind: RecordKind, at: Nanos, subject: u32) -> Option<Record> {
    (at <= TICKS_MAX).then(|| Record::new(kind, at, subject.into()))
}

/// Returns the subject for two ids.
#[inline]
fn pair(first: u32, second: u32) -> u64 {
    u64::from(first) | u64::from(second) << 32
}

/// Returns the record of the start of a poll; `None` if `at` is too late for a record, as for all functions here.
#[inline]
pub fn poll_start(at: Nanos, task: TaskId) -> Option<Record> {
    public(RecordKind::PollStart, at, task.number())
}

/// Returns the record of the end of a poll.
#[inline]
pub fn poll_end(at: Nanos, task: TaskId) -> Option<Record> {
    public(RecordKind::PollEnd, at, task.number())
}

/// Returns the record of a wake.
#[inline]
pub fn wake(at: Nanos, task: TaskId, source: WakeSource) -> Option<Record> {
    let (kind, by) = match source {
        WakeSource::Task(by) => (PrivateKind::WakeByTask, by.number()),
        WakeSource::SelfWake => (PrivateKind::SelfWake, 0),
        WakeSource::Driver => (PrivateKind::WakeByDriver, 0),
        WakeSource::Thread => (PrivateKind::WakeByThread, 0),
        WakeSource::User => (PrivateKind::WakeByUser, 0),
        WakeSource::Unknown => (PrivateKind::WakeByUnknown, 0),
    };
    kind.record(at, pair(task.number(), by))
}

/// Returns the records of the start of an await.
#[inline]
pub fn await_start(at: Nanos, id: AwaitId, task: TaskId, site: SiteId) -> Option<[Record; 2]> {
    let record = PrivateKind::AwaitStart.record(at, pair(id.number(), task.number()))?;
    Some([record, Record::argument(site.number().into())])
}

/// Returns the record of a poll of an await.
#[inline]
pub fn await_poll(at: Nanos, id: AwaitId, is_ready: bool) -> Option<Record> {
    let kind = if is_ready { RecordKind::OperationReady } else { RecordKind::OperationPending };
    public(kind, at, id.number())
}

/// Returns the record of the end of an await.
#[inline]
pub fn await_end(at: Nanos, id: AwaitId) -> Option<Record> {
    public(RecordKind::OperationDropped, at, id.number())
}

/// Returns the records of a gap on the real clock.
pub fn gap(from: Nanos, to: Nanos, dropped: u64) -> [Record; 2] {
    [Record::new(RecordKind::Dropped, from, dropped), Record::argument(to)]
}

/// Returns the marker for the next event of the side queue, which is due at `at`.
pub fn side_event(at: Nanos) -> Record {
    Record::private(PrivateKind::SideEvent as u8, at, 0)
}

/// One event as records.
pub enum EncodedEvent {
    /// One record.
    One(Record),
    /// A record and its argument.
    Two([Record; 2]),
}

/// Encodes an event that happened at `at`; returns `None` if it belongs into the side queue.
pub fn encode(at: Nanos, event: &Event) -> Option<EncodedEvent> {
    let record = match *event {
        Event::PollStart { task, .. } => poll_start(at, task),
        Event::PollEnd { task, .. } => poll_end(at, task),
        Event::Wake { task, source, .. } => wake(at, task, source),
        Event::AwaitPoll { id, is_ready } => await_poll(at, id, is_ready),
        Event::AwaitEnd { id, .. } => await_end(at, id),
        Event::AwaitResource { id, resource } => {
            PrivateKind::AwaitResource.record(at, pair(id.number(), resource.number()))
        }
        Event::ResourceAcquire { resource, task, .. } => {
            PrivateKind::Acquire.record(at, pair(resource.number(), task.number()))
        }
        Event::ResourceRelease { resource, task, .. } => {
            PrivateKind::Release.record(at, pair(resource.number(), task.number()))
        }
        Event::Park { .. } => public(RecordKind::Park, at, 0),
        Event::Unpark { .. } => public(RecordKind::Unpark, at, 0),
        Event::AwaitStart { id, task, site, .. } => return await_start(at, id, task, site).map(EncodedEvent::Two),
        Event::TaskEnd { task, ref outcome, .. } => {
            let outcome = match outcome {
                TaskOutcome::Completed => 0,
                TaskOutcome::Cancelled => 1,
                TaskOutcome::Unknown => 3,
                // Its message needs the side queue.
                TaskOutcome::Failed(_) => return None,
            };
            let record = public(RecordKind::TaskEnded, at, task.number())?;
            return Some(EncodedEvent::Two([record, Record::argument(outcome)]));
        }
        _ => None,
    };
    record.map(EncodedEvent::One)
}

/// Decodes the records of one ring.
#[derive(Debug, Default)]
pub struct RecordDecoder {
    at: Nanos,
    /// The last record, while its argument is to follow.
    head: Option<Record>,
}

/// An event from one or two records.
#[derive(Debug, PartialEq)]
pub enum DecodedRecord {
    /// A complete event.
    Event(Event),
    /// The next event of the side queue is due.
    SideEvent,
}

impl RecordDecoder {
    /// Returns the loop time of the last event.
    #[inline]
    pub fn last_time(&self) -> Nanos {
        self.at
    }

    /// Decodes the next record. Returns `None` if its argument is to follow.
    #[inline]
    pub fn decode(&mut self, record: Record) -> Option<DecodedRecord> {
        let Some(kind) = record.kind() else { return self.decode_private(record) };
        if kind == RecordKind::Argument {
            return self.decode_argument(record.subject());
        }
        let at = record.ticks();
        self.at = at;
        // Both are ids of which only one is meant.
        let (task, id) = (TaskId::from_number(record.subject() as u32), AwaitId::from_number(record.subject() as u32));
        Some(DecodedRecord::Event(match kind {
            RecordKind::PollStart => Event::PollStart { task: task?, at },
            RecordKind::PollEnd => Event::PollEnd { task: task?, at },
            RecordKind::OperationPending => Event::AwaitPoll { id: id?, is_ready: false },
            RecordKind::OperationReady => Event::AwaitPoll { id: id?, is_ready: true },
            RecordKind::OperationDropped => Event::AwaitEnd { id: id?, at },
            RecordKind::Park => Event::Park { at },
            RecordKind::Unpark => Event::Unpark { at },
            _ => {
                self.head = Some(record);
                return None;
            }
        }))
    }

    #[inline]
    fn decode_private(&mut self, record: Record) -> Option<DecodedRecord> {
        let (at, first, second) = (record.ticks(), record.subject() as u32, (record.subject() >> 32) as u32);
        self.at = at;
        let wake = |source| Some(Event::Wake { task: TaskId::from_number(first)?, at, source });
        let ownership = || Some((ResourceId::from_number(first)?, TaskId::from_number(second)?));
        Some(DecodedRecord::Event(match PrivateKind::of(record)? {
            PrivateKind::SideEvent => return Some(DecodedRecord::SideEvent),
            PrivateKind::WakeByTask => wake(WakeSource::Task(TaskId::from_number(second)?))?,
            PrivateKind::SelfWake => wake(WakeSource::SelfWake)?,
            PrivateKind::WakeByDriver => wake(WakeSource::Driver)?,
            PrivateKind::WakeByThread => wake(WakeSource::Thread)?,
            PrivateKind::WakeByUser => wake(WakeSource::User)?,
            PrivateKind::WakeByUnknown => wake(WakeSource::Unknown)?,
            PrivateKind::AwaitStart => {
                self.head = Some(record);
                return None;
            }
            PrivateKind::AwaitResource => {
                Event::AwaitResource { id: AwaitId::from_number(first)?, resource: ResourceId::from_number(second)? }
            }
            PrivateKind::Acquire => {
                let (resource, task) = ownership()?;
                Event::ResourceAcquire { resource, task, at }
            }
            PrivateKind::Release => {
                let (resource, task) = ownership()?;
                Event::ResourceRelease { resource, task, at }
            }
        }))
    }

    /// Completes the event whose argument this is.
    #[inline]
    fn decode_argument(&mut self, argument: u64) -> Option<DecodedRecord> {
        let head = self.head.take()?;
        let (at, first, second) = (head.ticks(), head.subject() as u32, (head.subject() >> 32) as u32);
        Some(DecodedRecord::Event(match head.kind() {
            None => {
                let (id, task) = (AwaitId::from_number(first)?, TaskId::from_number(second)?);
                Event::AwaitStart { id, task, at, site: SiteId::from_number(argument as u32)? }
            }
            Some(RecordKind::TaskEnded) => {
                let outcome = match argument {
                    0 => TaskOutcome::Completed,
                    1 => TaskOutcome::Cancelled,
                    _ => TaskOutcome::Unknown,
                };
                Event::TaskEnd { task: TaskId::from_number(first)?, at, outcome }
            }
            Some(RecordKind::Dropped) => {
                self.at = argument;
                Event::Gap { from: at, to: argument, dropped: head.subject() }
            }
            Some(_) => return None,
        }))
    }
}
