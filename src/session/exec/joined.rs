//! The app's console joined with its recording: the wire names what the recording has only ids for, and counts the same
//! polls and wakes by itself.
//!
//! Tasks, polls, wakes and awaits are the recording's; of the wire's facts only those are taken that it alone knows. A
//! task is the same in both by its span and the moment of its spawn, which is stamped once.

use console_api::instrument::Update;

use crate::feed::console::{ForeignDoor, Polls, Stamp};
use crate::feed::recording::Recording;
use crate::trace::{Event, Nanos, TaskId};

/// Facts that wait for the recording to come as far; past that the oldest go.
const LATER_MAX: usize = 1 << 20;

/// See the module.
pub struct Joined {
    door: ForeignDoor,
    /// Where loop time begins, in nanoseconds since 1970.
    origin: u64,
    /// By the door's own number of a task: its span and the moment of its spawn, and what the recording calls it.
    tasks: Vec<(u64, u64, Option<TaskId>)>,
    /// Facts about tasks that the recording may not have told of yet.
    later: Vec<Event>,
    /// Until when the wire has told, in nanoseconds since 1970.
    told_until: Option<u64>,
}

impl Joined {
    pub fn new(origin: u64) -> Self {
        let mut door = ForeignDoor::new(Polls::Elsewhere);
        door.stamps_mut().begin(i64::try_from(origin).ok().map(Stamp::from_nanos));
        Self { door, origin, tasks: Vec::new(), later: Vec::new(), told_until: None }
    }

    /// What the wire knows of spans.
    pub fn names(&self) -> &ForeignDoor {
        &self.door
    }

    /// Until when the wire has told everything, in nanoseconds since 1970.
    pub fn told_until(&self) -> Option<u64> {
        self.told_until
    }

    /// What a person should know of what the wire told.
    pub fn caveats(&self) -> String {
        self.door.caveats()
    }

    /// Takes in an update, and gives what can be told at once, with the program's own times put right by `time`.
    pub fn take(&mut self, update: Update, time: impl Fn(u64) -> Nanos) -> Vec<Event> {
        let mut told = Vec::new();
        let time = |at: Nanos| time(self.origin.saturating_add(at));
        for event in self.door.events(update, None) {
            match event {
                Event::Spawn { task, at, spawned } => {
                    debug_assert_eq!(task.index(), self.tasks.len(), "the door gives its ids in order");
                    let span = self.door.span(task).unwrap_or_default();
                    self.tasks.push((span, self.origin.saturating_add(at), None));
                    let location = spawned.location.map(Box::new);
                    self.later.extend(location.map(|location| Event::Located { task, location }));
                }
                Event::Resource { resource, at, described } => {
                    told.push(Event::Resource { resource, at: time(at), described });
                }
                Event::Attribute { .. } | Event::ConsoleUpdate { .. } => told.push(event),
                Event::ResourceEnd { resource, at } => self.later.push(Event::ResourceEnd { resource, at: time(at) }),
                Event::Located { .. } | Event::Counted { .. } => self.later.push(event),
                // Whatever else it says the recording says better.
                _ => {}
            }
        }
        self.told_until = Some(self.origin.saturating_add(self.door.stamps().now()));
        if self.later.len() > LATER_MAX {
            let too_many = self.later.len() - LATER_MAX;
            self.later.drain(..too_many);
        }
        told
    }

    /// The recording has come as far as the wire: gives what had to wait for that.
    pub fn catch_up(&mut self, recording: &Recording) -> Vec<Event> {
        let mut told = Vec::new();
        for event in std::mem::take(&mut self.later) {
            let theirs = match &event {
                Event::Located { task, .. } | Event::Counted { task, .. } => *task,
                _ => {
                    told.push(event);
                    continue;
                }
            };
            let Some((span, born, ours)) = self.tasks.get_mut(theirs.index()) else { continue };
            if ours.is_none() {
                *ours = recording.born(*span, *born);
            }
            let Some(task) = *ours else { continue };
            match event {
                Event::Located { location, .. } => told.push(Event::Located { task, location }),
                Event::Counted { counts, .. } => told.push(Event::Counted { task, counts }),
                _ => {}
            }
        }
        told
    }
}
