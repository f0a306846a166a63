//! What happens often, in sixteen bytes: every poll, wake, await and park. Anything else is told aside, as it is, and
//! leaves a record here that says when its turn has come.

use crate::trace::{AwaitId, Cause, Event, Nanos, SiteId, TaskId};

/// Bits that hold a record's time: 2.28 years. What is later is told aside.
const TIME_BITS: u32 = 56;

/// One fact, packed: what it is and when in `head`, whom it is about in the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    head: u64,
    about: u32,
    by: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum What {
    Aside,
    PollStart,
    PollEnd,
    WakeByTask,
    WakeByItself,
    WakeByDriver,
    WakeByThread,
    WakeByPerson,
    AwaitStart,
    AwaitPending,
    AwaitReady,
    AwaitEnd,
    Park,
    Unpark,
}

const ALL: [What; 14] = [
    What::Aside,
    What::PollStart,
    What::PollEnd,
    What::WakeByTask,
    What::WakeByItself,
    What::WakeByDriver,
    What::WakeByThread,
    What::WakeByPerson,
    What::AwaitStart,
    What::AwaitPending,
    What::AwaitReady,
    What::AwaitEnd,
    What::Park,
    What::Unpark,
];

/// What a record comes to when it is read.
pub enum Read {
    Event(Event),
    /// The next fact that was told aside is due.
    Aside,
}

impl Record {
    #[inline]
    fn new(what: What, at: Nanos, about: usize, by: usize) -> Self {
        // Ids count from 1 in 32 bits, so their indices fit.
        Self { head: (what as u64) << TIME_BITS | at, about: about as u32, by: by as u32 }
    }

    #[inline]
    pub fn poll_start(at: Nanos, task: TaskId) -> Self {
        Self::new(What::PollStart, at, task.index(), 0)
    }

    #[inline]
    pub fn poll_end(at: Nanos, task: TaskId) -> Self {
        Self::new(What::PollEnd, at, task.index(), 0)
    }

    #[inline]
    pub fn wake(at: Nanos, task: TaskId, cause: Cause) -> Self {
        let (what, by) = match cause {
            Cause::Task(by) => (What::WakeByTask, by.index()),
            Cause::Own => (What::WakeByItself, 0),
            Cause::Driver => (What::WakeByDriver, 0),
            Cause::Thread => (What::WakeByThread, 0),
            Cause::Person => (What::WakeByPerson, 0),
        };
        Self::new(what, at, task.index(), by)
    }

    /// The place of something that is told aside at `at`.
    pub fn aside(at: Nanos) -> Self {
        Self::new(What::Aside, at.min((1 << TIME_BITS) - 1), 0, 0)
    }

    /// `event` as a record, if it is one of the frequent ones. `polled` is the task of the last poll that was told: an
    /// await of any other is told aside.
    #[inline]
    pub fn pack(event: &Event, polled: Option<TaskId>) -> Option<Self> {
        let record = match *event {
            Event::PollStart { task, at } => Self::poll_start(at, task),
            Event::PollEnd { task, at } => Self::poll_end(at, task),
            Event::Wake { task, at, cause } => Self::wake(at, task, cause),
            Event::AwaitStart { id, task, at, site } if polled == Some(task) => {
                Self::new(What::AwaitStart, at, id.index(), site.index())
            }
            Event::AwaitPoll { id, ready } => {
                Self::new(if ready { What::AwaitReady } else { What::AwaitPending }, 0, id.index(), 0)
            }
            Event::AwaitEnd { id, at } => Self::new(What::AwaitEnd, at, id.index(), 0),
            Event::Park { at } => Self::new(What::Park, at, 0, 0),
            Event::Unpark { at } => Self::new(What::Unpark, at, 0, 0),
            _ => return None,
        };
        Some(record)
    }

    /// A time as late as this runs into what a record is.
    #[inline]
    pub fn has_room_for(at: Nanos) -> bool {
        at >> TIME_BITS == 0
    }

    /// When it happened; 0 for a poll of an await, which has no time of its own.
    #[inline]
    pub fn at(self) -> Nanos {
        self.head & ((1 << TIME_BITS) - 1)
    }

    /// The reverse of [`Record::pack`], for a reader that keeps in `polled` whose poll was told last.
    #[inline]
    pub fn read(self, polled: &mut Option<TaskId>) -> Read {
        let (at, task) = (self.at(), TaskId::from_index(self.about as usize));
        let id = AwaitId::from_index(self.about as usize);
        let wake = |cause| Event::Wake { task, at, cause };
        let what = ALL.get((self.head >> TIME_BITS) as usize).copied().unwrap_or(What::Aside);
        Read::Event(match what {
            What::Aside => return Read::Aside,
            What::PollStart => {
                *polled = Some(task);
                Event::PollStart { task, at }
            }
            What::PollEnd => Event::PollEnd { task, at },
            What::WakeByTask => wake(Cause::Task(TaskId::from_index(self.by as usize))),
            What::WakeByItself => wake(Cause::Own),
            What::WakeByDriver => wake(Cause::Driver),
            What::WakeByThread => wake(Cause::Thread),
            What::WakeByPerson => wake(Cause::Person),
            What::AwaitStart => {
                let site = SiteId::from_index(self.by as usize);
                Event::AwaitStart { id, task: polled.unwrap_or(task), at, site }
            }
            What::AwaitPending => Event::AwaitPoll { id, ready: false },
            What::AwaitReady => Event::AwaitPoll { id, ready: true },
            What::AwaitEnd => Event::AwaitEnd { id, at },
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
        let at = (1 << TIME_BITS) - 1;
        let mut events = vec![
            Event::PollStart { task, at },
            Event::AwaitStart { id, task, at: 5, site },
            Event::AwaitPoll { id, ready: true },
            Event::AwaitPoll { id, ready: false },
            Event::AwaitEnd { id, at },
            Event::PollEnd { task, at },
            Event::Park { at },
            Event::Unpark { at },
        ];
        for cause in [Cause::Task(other), Cause::Own, Cause::Driver, Cause::Thread, Cause::Person] {
            events.push(Event::Wake { task: other, at, cause });
        }
        let mut polled = None;
        for event in events {
            let record = Record::pack(&event, Some(task)).expect("it is a frequent one");
            let Read::Event(read) = record.read(&mut polled) else { panic!("{event:?} came out as an aside") };
            assert_eq!(read, event);
        }
        assert_eq!(size_of::<Record>(), 16);
    }

    #[test]
    fn what_does_not_fit_is_told_aside() {
        let (task, other) = (TaskId::from_index(7), TaskId::from_index(8));
        let start = Event::AwaitStart { id: AwaitId::from_index(0), task, at: 0, site: SiteId::from_index(0) };
        assert_eq!(Record::pack(&start, Some(other)), None, "of a task that is not the one being polled");
        assert!(Record::has_room_for((1 << TIME_BITS) - 1) && !Record::has_room_for(1 << TIME_BITS), "in 2.3 years");
        assert_eq!(Record::pack(&Event::Hold { task, at: 0 }, None), None, "a rare one");
        assert!(matches!(Record::aside(u64::MAX).read(&mut None), Read::Aside));
    }
}
