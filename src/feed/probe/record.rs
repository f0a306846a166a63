//! What happens often, in eight bytes: every poll, wake, await, holding, good end and park. Anything else is told aside, as it is,
//! and leaves a record here that says when its turn has come.
//!
//! From the top: what it is (5 bits), nanoseconds since the record before (27 bits), and whom it is about (32 bits). Where
//! more time has passed, a record that is nothing but a time comes first.

use crate::trace::{AwaitId, Cause, Ending, Event, Nanos, ResourceId, SiteId, TaskId};

const WHAT_SHIFT: u32 = 59;
const AFTER_SHIFT: u32 = 32;
const AFTER_BITS: u32 = WHAT_SHIFT - AFTER_SHIFT;

/// One fact, packed. See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record(u64);

/// What a record is; the rest of it is an index unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The next of what was told aside; no index.
    Aside,
    /// Nothing but a time, in 59 bits.
    Time,
    PollStart,
    PollEnd,
    /// A wake by the task that was polled last.
    WakeByPolled,
    WakeByItself,
    WakeByDriver,
    WakeByThread,
    WakeByPerson,
    /// Where the next await starts.
    AwaitSite,
    /// An await of the task that was polled last.
    AwaitStart,
    /// What the await that started last is for.
    AwaitOf,
    AwaitPending,
    AwaitReady,
    AwaitEnd,
    /// The task that was polled last holds this from now on, or gives it back.
    Acquire,
    GiveBack,
    /// A task ended, and well.
    Done,
    Park,
    Unpark,
}

/// What both ends know of the records before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Last {
    /// The task of the last poll.
    pub polled: Option<TaskId>,
    /// The await that started last.
    pub started: Option<AwaitId>,
}

const ALL: [What; 20] = [
    What::Aside,
    What::Time,
    What::PollStart,
    What::PollEnd,
    What::WakeByPolled,
    What::WakeByItself,
    What::WakeByDriver,
    What::WakeByThread,
    What::WakeByPerson,
    What::AwaitSite,
    What::AwaitStart,
    What::AwaitOf,
    What::AwaitPending,
    What::AwaitReady,
    What::AwaitEnd,
    What::Acquire,
    What::GiveBack,
    What::Done,
    What::Park,
    What::Unpark,
];

impl What {
    /// A wake of `task` with this cause, where `polled` was polled last; `None` where it is by any other task.
    #[inline]
    pub fn wake(cause: Cause, polled: Option<TaskId>) -> Option<Self> {
        Some(match cause {
            Cause::Driver => Self::WakeByDriver,
            Cause::Own => Self::WakeByItself,
            Cause::Task(by) if polled == Some(by) => Self::WakeByPolled,
            Cause::Task(_) => return None,
            Cause::Thread => Self::WakeByThread,
            Cause::Person => Self::WakeByPerson,
        })
    }

    /// What `event` is and of whom, if it is one of the frequent ones, after what was told last.
    pub fn of(event: &Event, Last { polled, started }: Last) -> Option<(Self, usize)> {
        Some(match *event {
            Event::PollStart { task, .. } => (Self::PollStart, task.index()),
            Event::PollEnd { task, .. } => (Self::PollEnd, task.index()),
            Event::Wake { task, cause, .. } => (Self::wake(cause, polled)?, task.index()),
            // Its place comes before it.
            Event::AwaitStart { id, task, .. } if polled == Some(task) => (Self::AwaitStart, id.index()),
            Event::AwaitOf { id, resource } if started == Some(id) => (Self::AwaitOf, resource.index()),
            Event::AwaitPoll { id, ready } => (if ready { Self::AwaitReady } else { Self::AwaitPending }, id.index()),
            Event::AwaitEnd { id, .. } => (Self::AwaitEnd, id.index()),
            Event::Acquire { resource, task, .. } if polled == Some(task) => (Self::Acquire, resource.index()),
            Event::GiveBack { resource, task, .. } if polled == Some(task) => (Self::GiveBack, resource.index()),
            Event::End { task, outcome: Ending::Done, .. } => (Self::Done, task.index()),
            Event::Park { .. } => (Self::Park, 0),
            Event::Unpark { .. } => (Self::Unpark, 0),
            _ => return None,
        })
    }
}

impl Record {
    /// What was told aside is due at once.
    pub const ASIDE_NOW: Self = Self((What::Aside as u64) << WHAT_SHIFT);

    /// A record of something `after_ns` after the record before; `None` where that is too long ago, or negative.
    #[inline]
    pub fn new(what: What, after_ns: u64, about: usize) -> Option<Self> {
        // Ids count from 1 in 32 bits, so their indices fit.
        let record = (what as u64) << WHAT_SHIFT | after_ns << AFTER_SHIFT | u64::from(about as u32);
        (after_ns >> AFTER_BITS == 0).then_some(Self(record))
    }

    /// Nothing but a time; `None` after 18 years.
    pub fn time(at: Nanos) -> Option<Self> {
        (at >> WHAT_SHIFT == 0).then_some(Self((What::Time as u64) << WHAT_SHIFT | at))
    }
}

/// What a reader must keep of the records before.
#[derive(Debug, Default)]
pub struct Reading {
    at: Nanos,
    last: Last,
    site: Option<SiteId>,
}

/// What a record comes to when it is read.
#[derive(Debug, PartialEq)]
pub enum Read {
    Event(Event),
    /// The next fact that was told aside is due.
    Aside,
    /// Nothing yet: it is for the records that come.
    Nothing,
}

impl Reading {
    /// The time of the record that was read last.
    #[inline]
    pub fn at(&self) -> Nanos {
        self.at
    }

    /// Reads the next record.
    #[inline]
    pub fn read(&mut self, Record(record): Record) -> Read {
        let Some(&what) = ALL.get((record >> WHAT_SHIFT) as usize) else { return Read::Nothing };
        if what == What::Time {
            self.at = record & ((1 << WHAT_SHIFT) - 1);
            return Read::Nothing;
        }
        self.at += record >> AFTER_SHIFT & ((1 << AFTER_BITS) - 1);
        let at = self.at;
        let about = record as u32 as usize;
        let task = TaskId::from_index(about);
        let id = AwaitId::from_index(about);
        let resource = ResourceId::from_index(about);
        let wake = |cause| Event::Wake { task, at, cause };
        Read::Event(match what {
            What::Aside => return Read::Aside,
            What::Time => return Read::Nothing,
            What::AwaitSite => {
                self.site = Some(SiteId::from_index(about));
                return Read::Nothing;
            }
            What::PollStart => {
                self.last.polled = Some(task);
                Event::PollStart { task, at }
            }
            What::PollEnd => Event::PollEnd { task, at },
            What::WakeByPolled => wake(self.last.polled.map_or(Cause::Driver, Cause::Task)),
            What::WakeByItself => wake(Cause::Own),
            What::WakeByDriver => wake(Cause::Driver),
            What::WakeByThread => wake(Cause::Thread),
            What::WakeByPerson => wake(Cause::Person),
            // The writer saw to it that there is a poll, and said the place just before.
            What::AwaitStart => match (self.last.polled, self.site) {
                (Some(task), Some(site)) => {
                    self.last.started = Some(id);
                    Event::AwaitStart { id, task, at, site }
                }
                _ => return Read::Nothing,
            },
            What::AwaitOf => match self.last.started {
                Some(id) => Event::AwaitOf { id, resource },
                None => return Read::Nothing,
            },
            What::AwaitPending => Event::AwaitPoll { id, ready: false },
            What::AwaitReady => Event::AwaitPoll { id, ready: true },
            What::AwaitEnd => Event::AwaitEnd { id, at },
            What::Acquire | What::GiveBack => match self.last.polled {
                Some(task) if what == What::Acquire => Event::Acquire { resource, task, at },
                Some(task) => Event::GiveBack { resource, task, at },
                None => return Read::Nothing,
            },
            What::Done => Event::End { task, at, outcome: Ending::Done },
            What::Park => Event::Park { at },
            What::Unpark => Event::Unpark { at },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_as_it_was() {
        let (task, other) = (TaskId::from_index(7), TaskId::from_index(u32::MAX as usize - 1));
        let (id, site) = (AwaitId::from_index(3), SiteId::from_index(9));
        let resource = ResourceId::from_index(4);
        let at = (1 << 58) + 5;
        let mut events = vec![
            Event::PollStart { task, at },
            Event::AwaitStart { id, task, at, site },
            Event::AwaitOf { id, resource },
            Event::Acquire { resource, task, at },
            Event::GiveBack { resource, task, at },
            Event::AwaitPoll { id, ready: true },
            Event::AwaitPoll { id, ready: false },
            Event::AwaitEnd { id, at },
            Event::PollEnd { task, at },
            Event::End { task, at, outcome: Ending::Done },
            Event::Park { at },
            Event::Unpark { at },
        ];
        for cause in [Cause::Task(task), Cause::Own, Cause::Driver, Cause::Thread, Cause::Person] {
            events.push(Event::Wake { task: other, at, cause });
        }
        let last = Last { polled: Some(task), started: Some(id) };
        let mut reading = Reading::default();
        assert_eq!(reading.read(Record::time(at).expect("it is soon enough")), Read::Nothing);
        for event in events {
            let (what, about) = What::of(&event, last).expect("it is a frequent one");
            if let Event::AwaitStart { site, .. } = event {
                let place = Record::new(What::AwaitSite, 0, site.index()).expect("no time has passed");
                assert_eq!(reading.read(place), Read::Nothing);
            }
            let record = Record::new(what, 0, about).expect("no time has passed");
            assert_eq!(reading.read(record), Read::Event(event));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (task, other) = (TaskId::from_index(7), TaskId::from_index(8));
        let start = Event::AwaitStart { id: AwaitId::from_index(0), task, at: 0, site: SiteId::from_index(0) };
        let last = Last { polled: Some(other), started: Some(AwaitId::from_index(0)) };
        assert_eq!(What::of(&start, last), None, "of a task that is not the one being polled");
        assert_eq!(What::of(&Event::Wake { task, at: 0, cause: Cause::Task(task) }, last), None, "by another");
        let resource = ResourceId::from_index(0);
        assert_eq!(What::of(&Event::AwaitOf { id: AwaitId::from_index(1), resource }, last), None, "of an earlier one");
        assert_eq!(What::of(&Event::GiveBack { resource, task, at: 0 }, last), None, "by another");
        assert_eq!(What::of(&Event::Hold { task, at: 0 }, last), None, "a rare one");
        assert_eq!(Record::new(What::PollEnd, 1 << AFTER_BITS, 0), None, "too long after");
        assert_eq!(Record::new(What::PollEnd, 0_u64.wrapping_sub(1), 0), None, "before");
        assert_eq!(Record::time(1 << WHAT_SHIFT), None, "in 18 years");
    }
}
