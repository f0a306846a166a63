//! Frequent events packed into eight bytes: polls, wakes, awaits, lock ownership, successful task ends and parks.
//!
//! Any other event goes into a side queue unpacked, and a packed marker keeps its position in the sequence.
//!
//! Layout from the top: kind (5 bits), nanoseconds since the previous packed event (27 bits), index of the subject
//! (32 bits). Where more time has passed, a packed event that only carries a time comes first.

use crate::trace::{AwaitId, Event, Nanos, ResourceId, SiteId, TaskId, TaskOutcome, WakeSource};

const KIND_SHIFT: u32 = 59;
const DELTA_SHIFT: u32 = 32;
const DELTA_BITS: u32 = KIND_SHIFT - DELTA_SHIFT;

/// One event in eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedEvent(u64);

/// The kind of a packed event. The low 32 bits are the index of the subject unless stated otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackedKind {
    /// Marker: the next event of the side queue is due. No index.
    SideEvent,
    /// Only a loop time, in 59 bits.
    Time,
    /// A poll of the task started.
    PollStart,
    /// A poll of the task ended.
    PollEnd,
    /// Wake by the task that was polled last.
    WakeByPolledTask,
    /// Wake by the task itself.
    SelfWake,
    /// Wake by the timer or I/O driver.
    WakeByDriver,
    /// Wake by another thread.
    WakeByThread,
    /// Wake by the user.
    WakeByUser,
    /// Site of the next await that starts.
    AwaitSite,
    /// Start of an await of the task that was polled last.
    AwaitStart,
    /// Resource of the await that started last.
    AwaitResource,
    /// A poll of the await returned pending.
    AwaitPending,
    /// A poll of the await returned ready.
    AwaitReady,
    /// The await was dropped.
    AwaitEnd,
    /// The task that was polled last acquired the resource.
    Acquire,
    /// The task that was polled last released the resource.
    Release,
    /// The task completed.
    TaskDone,
    /// The loop parked. No index.
    Park,
    /// The loop unparked. No index.
    Unpark,
}

/// State that packing and unpacking derive from the preceding events.
#[derive(Clone, Copy, Debug, Default)]
pub struct PackContext {
    /// The task that was polled last.
    pub polled: Option<TaskId>,
    /// The await that started last.
    pub started: Option<AwaitId>,
}

const ALL: [PackedKind; 20] = [
    PackedKind::SideEvent,
    PackedKind::Time,
    PackedKind::PollStart,
    PackedKind::PollEnd,
    PackedKind::WakeByPolledTask,
    PackedKind::SelfWake,
    PackedKind::WakeByDriver,
    PackedKind::WakeByThread,
    PackedKind::WakeByUser,
    PackedKind::AwaitSite,
    PackedKind::AwaitStart,
    PackedKind::AwaitResource,
    PackedKind::AwaitPending,
    PackedKind::AwaitReady,
    PackedKind::AwaitEnd,
    PackedKind::Acquire,
    PackedKind::Release,
    PackedKind::TaskDone,
    PackedKind::Park,
    PackedKind::Unpark,
];

impl PackedKind {
    /// Returns the kind of a wake with this source; `None` if it is by a task other than `polled`, the one polled last.
    #[inline]
    pub fn of_wake(source: WakeSource, polled: Option<TaskId>) -> Option<Self> {
        Some(match source {
            WakeSource::Driver => Self::WakeByDriver,
            WakeSource::SelfWake => Self::SelfWake,
            WakeSource::Task(by) if polled == Some(by) => Self::WakeByPolledTask,
            WakeSource::Task(_) | WakeSource::Unknown => return None,
            WakeSource::Thread => Self::WakeByThread,
            WakeSource::User => Self::WakeByUser,
        })
    }

    /// Returns kind and index of `event`, or `None` if it cannot be packed in this context.
    pub fn classify(event: &Event, PackContext { polled, started }: PackContext) -> Option<(Self, usize)> {
        Some(match *event {
            Event::PollStart { task, .. } => (Self::PollStart, task.index()),
            Event::PollEnd { task, .. } => (Self::PollEnd, task.index()),
            Event::Wake { task, source, .. } => (Self::of_wake(source, polled)?, task.index()),
            // Its site precedes it.
            Event::AwaitStart { id, task, .. } if polled == Some(task) => (Self::AwaitStart, id.index()),
            Event::AwaitResource { id, resource } if started == Some(id) => (Self::AwaitResource, resource.index()),
            Event::AwaitPoll { id, is_ready } => {
                (if is_ready { Self::AwaitReady } else { Self::AwaitPending }, id.index())
            }
            Event::AwaitEnd { id, .. } => (Self::AwaitEnd, id.index()),
            Event::ResourceAcquire { resource, task, .. } if polled == Some(task) => (Self::Acquire, resource.index()),
            Event::ResourceRelease { resource, task, .. } if polled == Some(task) => (Self::Release, resource.index()),
            Event::TaskEnd { task, outcome: TaskOutcome::Completed, .. } => (Self::TaskDone, task.index()),
            Event::Park { .. } => (Self::Park, 0),
            Event::Unpark { .. } => (Self::Unpark, 0),
            _ => return None,
        })
    }
}

impl PackedEvent {
    /// The marker for a side event that is due at once, at the time of the previous packed event.
    pub const SIDE_EVENT_NOW: Self = Self((PackedKind::SideEvent as u64) << KIND_SHIFT);

    /// Packs an event that happened `delta_ns` after the previous one; `None` if that does not fit into 27 bits.
    #[inline]
    pub fn new(kind: PackedKind, delta_ns: u64, index: usize) -> Option<Self> {
        // Ids are 32 bits and start at 1, so indices fit.
        let record = (kind as u64) << KIND_SHIFT | delta_ns << DELTA_SHIFT | u64::from(index as u32);
        (delta_ns >> DELTA_BITS == 0).then_some(Self(record))
    }

    /// Packs a loop time; `None` if it exceeds 59 bits (18 years).
    pub fn time(at: Nanos) -> Option<Self> {
        (at >> KIND_SHIFT == 0).then_some(Self((PackedKind::Time as u64) << KIND_SHIFT | at))
    }
}

/// Unpacks a sequence of packed events.
#[derive(Debug, Default)]
pub struct EventUnpacker {
    at: Nanos,
    context: PackContext,
    site: Option<SiteId>,
}

/// Result of unpacking one packed event.
#[derive(Debug, PartialEq)]
pub enum UnpackStep {
    /// A complete event.
    Event(Event),
    /// The next event of the side queue is due.
    SideEvent,
    /// No event yet: this one is context for those that follow.
    Nothing,
}

impl EventUnpacker {
    /// Returns the loop time of the last packed event.
    #[inline]
    pub fn last_time(&self) -> Nanos {
        self.at
    }

    /// Unpacks the next packed event.
    #[inline]
    pub fn unpack(&mut self, PackedEvent(record): PackedEvent) -> UnpackStep {
        let Some(&kind) = ALL.get((record >> KIND_SHIFT) as usize) else { return UnpackStep::Nothing };
        if kind == PackedKind::Time {
            self.at = record & ((1 << KIND_SHIFT) - 1);
            return UnpackStep::Nothing;
        }
        self.at += record >> DELTA_SHIFT & ((1 << DELTA_BITS) - 1);
        let at = self.at;
        let index = record as u32 as usize;
        let task = TaskId::from_index(index);
        let id = AwaitId::from_index(index);
        let resource = ResourceId::from_index(index);
        let wake = |source| Event::Wake { task, at, source };
        UnpackStep::Event(match kind {
            PackedKind::SideEvent => return UnpackStep::SideEvent,
            PackedKind::Time => return UnpackStep::Nothing,
            PackedKind::AwaitSite => {
                self.site = Some(SiteId::from_index(index));
                return UnpackStep::Nothing;
            }
            PackedKind::PollStart => {
                self.context.polled = Some(task);
                Event::PollStart { task, at }
            }
            PackedKind::PollEnd => Event::PollEnd { task, at },
            PackedKind::WakeByPolledTask => wake(self.context.polled.map_or(WakeSource::Driver, WakeSource::Task)),
            PackedKind::SelfWake => wake(WakeSource::SelfWake),
            PackedKind::WakeByDriver => wake(WakeSource::Driver),
            PackedKind::WakeByThread => wake(WakeSource::Thread),
            PackedKind::WakeByUser => wake(WakeSource::User),
            // The writer ensures that a poll and the site precede it.
            PackedKind::AwaitStart => match (self.context.polled, self.site) {
                (Some(task), Some(site)) => {
                    self.context.started = Some(id);
                    Event::AwaitStart { id, task, at, site }
                }
                _ => return UnpackStep::Nothing,
            },
            PackedKind::AwaitResource => match self.context.started {
                Some(id) => Event::AwaitResource { id, resource },
                None => return UnpackStep::Nothing,
            },
            PackedKind::AwaitPending => Event::AwaitPoll { id, is_ready: false },
            PackedKind::AwaitReady => Event::AwaitPoll { id, is_ready: true },
            PackedKind::AwaitEnd => Event::AwaitEnd { id, at },
            PackedKind::Acquire | PackedKind::Release => match self.context.polled {
                Some(task) if kind == PackedKind::Acquire => Event::ResourceAcquire { resource, task, at },
                Some(task) => Event::ResourceRelease { resource, task, at },
                None => return UnpackStep::Nothing,
            },
            PackedKind::TaskDone => Event::TaskEnd { task, at, outcome: TaskOutcome::Completed },
            PackedKind::Park => Event::Park { at },
            PackedKind::Unpark => Event::Unpark { at },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacks_what_was_packed() {
        let (task, other) = (TaskId::from_index(7), TaskId::from_index(u32::MAX as usize - 1));
        let (id, site) = (AwaitId::from_index(3), SiteId::from_index(9));
        let resource = ResourceId::from_index(4);
        let at = (1 << 58) + 5;
        let mut events = vec![
            Event::PollStart { task, at },
            Event::AwaitStart { id, task, at, site },
            Event::AwaitResource { id, resource },
            Event::ResourceAcquire { resource, task, at },
            Event::ResourceRelease { resource, task, at },
            Event::AwaitPoll { id, is_ready: true },
            Event::AwaitPoll { id, is_ready: false },
            Event::AwaitEnd { id, at },
            Event::PollEnd { task, at },
            Event::TaskEnd { task, at, outcome: TaskOutcome::Completed },
            Event::Park { at },
            Event::Unpark { at },
        ];
        for source in
            [WakeSource::Task(task), WakeSource::SelfWake, WakeSource::Driver, WakeSource::Thread, WakeSource::User]
        {
            events.push(Event::Wake { task: other, at, source });
        }
        let context = PackContext { polled: Some(task), started: Some(id) };
        let mut unpacker = EventUnpacker::default();
        assert_eq!(unpacker.unpack(PackedEvent::time(at).expect("it is soon enough")), UnpackStep::Nothing);
        for event in events {
            let (kind, index) = PackedKind::classify(&event, context).expect("it is a frequent one");
            if let Event::AwaitStart { site, .. } = event {
                let site_event = PackedEvent::new(PackedKind::AwaitSite, 0, site.index()).expect("no time has passed");
                assert_eq!(unpacker.unpack(site_event), UnpackStep::Nothing);
            }
            let record = PackedEvent::new(kind, 0, index).expect("no time has passed");
            assert_eq!(unpacker.unpack(record), UnpackStep::Event(event));
        }
    }

    #[test]
    fn rejects_what_does_not_fit() {
        let (task, other) = (TaskId::from_index(7), TaskId::from_index(8));
        let start = Event::AwaitStart { id: AwaitId::from_index(0), task, at: 0, site: SiteId::from_index(0) };
        let context = PackContext { polled: Some(other), started: Some(AwaitId::from_index(0)) };
        assert_eq!(PackedKind::classify(&start, context), None, "not the task that is being polled");
        assert_eq!(
            PackedKind::classify(&Event::Wake { task, at: 0, source: WakeSource::Task(task) }, context),
            None,
            "by another"
        );
        let resource = ResourceId::from_index(0);
        assert_eq!(
            PackedKind::classify(&Event::AwaitResource { id: AwaitId::from_index(1), resource }, context),
            None,
            "of an earlier one"
        );
        assert_eq!(
            PackedKind::classify(&Event::ResourceRelease { resource, task, at: 0 }, context),
            None,
            "by another"
        );
        assert_eq!(PackedKind::classify(&Event::Hold { task, at: 0 }, context), None, "a rare one");
        assert_eq!(PackedEvent::new(PackedKind::PollEnd, 1 << DELTA_BITS, 0), None, "too much later");
        assert_eq!(PackedEvent::new(PackedKind::PollEnd, 0_u64.wrapping_sub(1), 0), None, "before");
        assert_eq!(PackedEvent::time(1 << KIND_SHIFT), None, "in 18 years");
    }
}
