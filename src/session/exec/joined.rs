//! The app's console joined with its recording: the wire names what the recording has only ids for, and counts the same
//! polls and wakes by itself.
//!
//! Tasks, polls, wakes and awaits are the recording's; of the wire's facts only those are taken that it alone knows. A
//! task is the same in both by its span and the moment of its spawn, which is stamped once.

use rustc_hash::FxHashMap;

use crate::feed::console::{ForeignDoor, Polls, Stamp};
use crate::feed::recording::Recording;
use crate::feed::wire::Message;
use crate::trace::{Counts, Event, Location, Nanos, TaskId, Trace};

/// Ends of resources that wait for the recording to come as far; past that the oldest are told at once.
const ENDS_MAX: usize = 1 << 18;

/// How much further than its spawn the recording may come before a task counts as one that it does not tell of: 10 s.
const UNTOLD_NS: Nanos = 10_000_000_000;

/// Tasks of which something waits to be told; past that the oldest are let go.
const WAITING_MAX: usize = 1 << 18;

/// Tasks that are looked through for those of which the wire will tell nothing more, at least.
const TASKS_MIN: usize = 1 << 12;

/// A task as the wire tells of it.
#[derive(Debug)]
struct Told {
    span: u64,
    /// The moment of its spawn, in nanoseconds since 1970.
    born: u64,
    /// What the recording calls it.
    ours: Option<TaskId>,
    location: Option<Box<Location>>,
    counts: Option<Counts>,
    /// It is among those of which something is to be told.
    waits: bool,
}

/// See the module.
pub struct Joined {
    door: ForeignDoor,
    /// Where loop time begins, in nanoseconds since 1970.
    origin: u64,
    /// By the door's own number of a task.
    tasks: FxHashMap<TaskId, Told>,
    /// With how many of these they are looked through.
    swept_at: usize,
    /// Those of which something is to be told once the recording has come as far.
    waiting: Vec<TaskId>,
    /// Ends of resources, likewise.
    ends: Vec<Event>,
    /// Until when the wire has told, in nanoseconds since 1970.
    told_until: Option<u64>,
    /// Until when everything is in its counts: until the update before the last.
    counted_until: Option<u64>,
}

impl Joined {
    pub fn new(origin: u64) -> Self {
        let mut door = ForeignDoor::new(Polls::Elsewhere);
        door.stamps_mut().begin(i64::try_from(origin).ok().map(Stamp::from_nanos));
        Self {
            door,
            origin,
            tasks: FxHashMap::default(),
            swept_at: TASKS_MIN,
            waiting: Vec::new(),
            ends: Vec::new(),
            told_until: None,
            counted_until: None,
        }
    }

    /// What the wire knows of spans.
    pub fn names(&self) -> &ForeignDoor {
        &self.door
    }

    /// Until when the wire has told everything, in nanoseconds since 1970.
    pub fn told_until(&self) -> Option<u64> {
        self.told_until
    }

    /// Until when everything that happened is in what the wire counted, in nanoseconds since 1970. An update is stamped
    /// once all of it was read, which may take a while: only what happened before it was begun is certainly in it.
    pub fn counted_until(&self) -> Option<u64> {
        self.counted_until
    }

    /// What a person should know of what the wire told.
    pub fn caveats(&self) -> String {
        self.door.caveats()
    }

    /// Takes in a message, and gives `tell`, part by part, what can be told at once, with the program's own times put right
    /// by `time`.
    pub fn take(&mut self, mut message: Message, time: impl Fn(u64) -> Nanos, mut tell: impl FnMut(Vec<Event>)) {
        let origin = self.origin;
        let time = |at: Nanos| time(origin.saturating_add(at));
        self.door.begin(&message, None);
        for part in message.parts() {
            let events = self.door.take(part);
            tell(self.sort(events, time));
        }
        let events = self.door.finish(message.cut());
        let mut told = self.sort(events, time);
        self.counted_until = self.told_until;
        self.told_until = Some(origin.saturating_add(self.door.stamps().now()));
        let too_many = self.ends.len().saturating_sub(ENDS_MAX);
        told.extend(self.ends.drain(..too_many));
        tell(told);
        self.sweep();
    }

    /// Forgets what nobody will ask for any more.
    fn sweep(&mut self) {
        let too_many = self.waiting.len().saturating_sub(WAITING_MAX);
        for task in self.waiting.drain(..too_many) {
            self.tasks.remove(&task);
        }
        if self.tasks.len() > self.swept_at {
            self.tasks.retain(|task, told| told.waits || self.door.span(*task).is_some());
            self.swept_at = (self.tasks.len() * 2).max(TASKS_MIN);
        }
    }

    /// Keeps what has to wait, and gives the rest.
    fn sort(&mut self, events: Vec<Event>, time: impl Fn(Nanos) -> Nanos) -> Vec<Event> {
        let mut told = Vec::new();
        for event in events {
            match event {
                Event::Spawn { task, at, spawned } => {
                    let span = self.door.span(task).unwrap_or_default();
                    let born = self.origin.saturating_add(at);
                    let location = spawned.location.map(Box::new);
                    self.waiting.push(task);
                    let told = Told { span, born, ours: None, location, counts: None, waits: true };
                    self.tasks.insert(task, told);
                }
                Event::Located { task, location } => {
                    wait(&mut self.tasks, &mut self.waiting, task, |told| told.location = Some(location));
                }
                Event::Counted { task, counts } => {
                    wait(&mut self.tasks, &mut self.waiting, task, |told| told.counts = Some(counts));
                }
                Event::Resource { resource, at, described } => {
                    told.push(Event::Resource { resource, at: time(at), described });
                }
                Event::Attribute { .. } | Event::ConsoleUpdate { .. } => told.push(event),
                Event::ResourceEnd { resource, at } => self.ends.push(Event::ResourceEnd { resource, at: time(at) }),
                // Whatever else it says the recording says better.
                _ => {}
            }
        }
        told
    }

    /// The recording has come as far as the wire, or nearly: gives what had to wait for that.
    pub fn catch_up(&mut self, recording: &mut Recording, trace: &Trace) -> Vec<Event> {
        let mut told = std::mem::take(&mut self.ends);
        let (tasks, last) = (&mut self.tasks, self.origin.saturating_add(recording.last()));
        self.waiting.retain(|theirs| {
            let Some(waiting) = tasks.get_mut(theirs) else { return false };
            waiting.ours = waiting.ours.or_else(|| recording.born(waiting.span, waiting.born));
            // One that the recording knows may still be held back there.
            let Some(task) = waiting.ours.filter(|task| trace.task(*task).is_some()) else {
                // A line may come late, or is lost.
                waiting.waits = last < waiting.born.saturating_add(UNTOLD_NS);
                return waiting.waits;
            };
            told.extend(waiting.location.take().map(|location| Event::Located { task, location }));
            told.extend(waiting.counts.take().map(|counts| Event::Counted { task, counts }));
            waiting.waits = false;
            false
        });
        told
    }
}

/// Changes what is known of a task, and notes that this is to be told.
fn wait(tasks: &mut FxHashMap<TaskId, Told>, waiting: &mut Vec<TaskId>, task: TaskId, change: impl FnOnce(&mut Told)) {
    let Some(told) = tasks.get_mut(&task) else { return };
    change(told);
    if !std::mem::replace(&mut told.waits, true) {
        waiting.push(task);
    }
}

#[cfg(test)]
mod tests {
    use console_api::Id;
    use console_api::instrument::Update;
    use console_api::tasks::{Stats, Task, TaskUpdate};
    use prost::Message as _;
    use prost_types::Timestamp;

    use super::*;
    use crate::feed::recording::Stamps;

    #[test]
    fn what_happened_while_an_update_was_made_is_not_taken_to_be_in_its_counts() {
        let mut joined = Joined::new(1_000);
        let update = |nanos| Update { now: Some(prost_types::Timestamp { seconds: 0, nanos }), ..Update::default() };
        let mut told = Vec::new();
        for nanos in [1_500, 1_700, 1_900] {
            joined.take(
                Message::read(update(nanos).encode_to_vec().into()).expect("it was just written"),
                |at| at,
                |_| (),
            );
            told.push((joined.told_until(), joined.counted_until()));
        }
        assert_eq!(told, [(Some(1_500), None), (Some(1_700), Some(1_500)), (Some(1_900), Some(1_700))]);
    }

    #[test]
    fn tasks_that_are_long_gone_take_no_room() {
        const BATCH: u64 = 4_096;
        let (mut joined, mut trace) = (Joined::new(0), Trace::default());
        let mut recording = Recording::new(Stamps::from_epoch_ns(0)).with_awaits();
        let mut lines = "{\"v\":1}\n".to_owned();
        let stamp = |nanos: u64| Timestamp { seconds: 0, nanos: i32::try_from(nanos).expect("it is early") };
        for batch in 0..10 {
            let mut update = TaskUpdate::default();
            for span in batch * BATCH + 1..=(batch + 1) * BATCH {
                let at = format!("\"at\":{{\"secs_since_epoch\":0,\"nanos_since_epoch\":{span}}}");
                lines += &format!("{{\"Spawn\":{{\"id\":{span},{at},\"fields\":[]}}}}\n");
                lines += &format!("{{\"Close\":{{\"id\":{span},{at}}}}}\n");
                update.new_tasks.push(Task { id: Some(Id { id: span }), ..Task::default() });
                let at = Some(stamp(span));
                update.stats_update.insert(span, Stats { created_at: at, dropped_at: at, ..Stats::default() });
            }
            let now = Some(stamp((batch + 1) * BATCH));
            let update = Update { now, task_update: Some(update), ..Update::default() };
            let message = Message::read(update.encode_to_vec().into()).expect("it was just written");
            joined.take(message, |at| at, |_| ());
            let mut left = lines.as_bytes();
            while !left.is_empty() {
                let taken = recording.take(left, joined.names(), &mut |event| trace.apply(event));
                left = taken.expect("it is understood");
            }
            recording.settle(u64::MAX, &mut |event| trace.apply(event));
            lines.clear();
            let told = joined.catch_up(&mut recording, &trace);
            assert!(told.iter().filter(|event| matches!(event, Event::Counted { .. })).count() as u64 > BATCH / 2);
        }
        assert_eq!(trace.tasks().len() as u64, 10 * BATCH);
        assert!((joined.tasks.len() as u64) < 8 * BATCH, "{} are kept", joined.tasks.len());
        assert_eq!(recording.born(1, 1), None, "it was asked for");
    }
}
