//! The door for programs that are not ours: tasks are spawned by what the wire says, and live as far as it tells.
//!
//! Counts, sums, beginnings and ends are exact there; of single polls and wakes the last of each is told with each
//! update, and no other. Whether a task that is gone had finished or was dropped before that, the wire does not say: it
//! counts as done, and nobody here claims more.

mod caveats;
mod following;

use console_api::instrument::Update;
use console_api::tasks::{self, Stats, TaskUpdate};
use prost_types::Timestamp;
use rustc_hash::{FxHashMap, FxHashSet};

use super::facts;
use super::operations::Operations;
use super::spans::Spans;
use super::stamps::{Stamp, Stamps, Times};
use super::texts::Texts;
use crate::feed::lateness::Lateness;
use crate::feed::wire::Message;
use crate::trace::{Counts, Event, Measured, Nanos, ResourceId, Site, Spawned, TaskId, TaskKind};
use caveats::Caveats;

/// Tasks that are there at once; more are counted and not shown.
const TASKS_MAX: usize = 1 << 20;

/// Tasks in all: there are no more ids of the trace.
const IDS_MAX: usize = u32::MAX as usize - 1;

/// Span ids of tasks that are looked through for those that mean nothing any more, at least.
const SPANS_MIN: usize = 1 << 12;

/// Who tells of polls and wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polls {
    /// The wire alone, in sums and samples; it also tells when a task ends.
    Told,
    /// Somebody else tells each of them, and each end; the wire's counts are there to compare.
    Elsewhere,
}

/// A task as it was told of so far.
#[derive(Clone, Debug)]
struct Known {
    task: TaskId,
    kind: TaskKind,
    spawned_at: Nanos,
    counts: Counts,
    /// When it was measured last, and how.
    measured: Option<(Nanos, Measured)>,
    is_located: bool,
}

/// See the module. One door serves one process.
#[derive(Debug)]
pub struct ForeignDoor {
    polls: Polls,
    tasks: Spans<Known>,
    /// How many were told of.
    count: usize,
    /// The span id of each task that is still remembered, by its own.
    spans: FxHashMap<TaskId, u64>,
    /// With how many of these they are looked through.
    swept_at: usize,
    /// Tasks that were in a poll when they were told of last, by span id.
    running: FxHashSet<u64>,
    operations: Operations,
    stamps: Stamps,
    texts: Texts,
    caveats: Caveats,
    lateness: Lateness,
    /// Joined again: what was gone by then is not news.
    rejoined_after: Option<Stamp>,
    last_update: Option<Stamp>,
    /// Loop time of the update before this one.
    before: Nanos,
    /// Events that were dropped before this update.
    dropped: u64,
}

impl ForeignDoor {
    pub fn new(polls: Polls) -> Self {
        Self {
            polls,
            tasks: Spans::default(),
            count: 0,
            spans: FxHashMap::default(),
            swept_at: SPANS_MIN,
            running: FxHashSet::default(),
            operations: Operations::new(true),
            stamps: Stamps::default(),
            texts: Texts::default(),
            caveats: Caveats::default(),
            lateness: Lateness::default(),
            rejoined_after: None,
            last_update: None,
            before: 0,
            dropped: 0,
        }
    }

    /// Which task `span` means now, or meant last.
    pub fn task(&self, span: u64) -> Option<TaskId> {
        self.tasks.get(span).map(|known| known.task)
    }

    /// The span id of a task, to ask the program about it.
    pub fn span(&self, task: TaskId) -> Option<u64> {
        let span = *self.spans.get(&task)?;
        (self.task(span) == Some(task)).then_some(span)
    }

    /// How many tasks were told of.
    pub fn tasks(&self) -> usize {
        self.count
    }

    /// The clock of the program, in loop time; whoever tells of polls goes by it too.
    pub fn stamps(&self) -> &Stamps {
        &self.stamps
    }

    pub fn stamps_mut(&mut self) -> &mut Stamps {
        &mut self.stamps
    }

    /// Text that was told before is kept once.
    pub fn texts_mut(&mut self) -> &mut Texts {
        &mut self.texts
    }

    /// What a person should know of what they see, in a sentence or several; empty where all is as it should be.
    pub fn caveats(&self) -> String {
        // One that we started tells as often as it can already.
        let advice = (self.polls == Polls::Told).then_some("a shorter TOKIO_CONSOLE_PUBLISH_INTERVAL helps");
        self.caveats.text(self.operations.unshown(), &self.stamps, self.lateness.late(), advice)
    }

    /// The program told of tokio's own span for tasks: it is built with what it takes.
    pub fn knows_of_tasks(&self) -> bool {
        self.caveats.knows_of_tasks || self.count > 0
    }

    /// These tasks, with the times of their creation, are of the very process that this door has listened to: one of
    /// them is known.
    pub fn recognises(&self, tasks: impl IntoIterator<Item = (u64, Option<Timestamp>)>) -> bool {
        tasks.into_iter().any(|(span, created)| {
            let created = Stamp::of(created);
            created.is_some() && self.tasks.is_known(span, created)
        })
    }

    /// The program is gone, or the connection to it: gives what would have waited for the next update.
    pub fn close(&mut self) -> Vec<Event> {
        self.operations.close(false)
    }

    /// The next update comes over a new connection to the same process. Gives loop time so far, where the hole begins.
    pub fn rejoin(&mut self) -> Nanos {
        self.rejoined_after = self.last_update;
        self.lateness.rejoin();
        self.stamps.now()
    }

    /// A task that `span` means from now on, unless that is known: told by whoever tells first. Gives its event.
    pub fn spawn(&mut self, span: u64, created: Option<Stamp>, at: Nanos, spawned: Spawned) -> Option<Event> {
        if self.tasks.is_known(span, created) {
            return None;
        }
        if self.tasks.live() >= TASKS_MAX || self.count >= IDS_MAX {
            self.caveats.unshown_now += 1;
            return None;
        }
        let task = TaskId::from_index(self.count);
        self.count += 1;
        let is_located = spawned.location.is_some();
        let known =
            Known { task, kind: spawned.kind, spawned_at: at, counts: Counts::default(), measured: None, is_located };
        self.tasks.meet(span, created, known);
        self.spans.insert(task, span);
        if self.spans.len() > self.swept_at {
            self.spans.retain(|task, span| self.tasks.get(*span).is_some_and(|known| known.task == *task));
            self.swept_at = (self.spans.len() * 2).max(SPANS_MIN);
        }
        Some(Event::Spawn { task, at, spawned: Box::new(spawned) })
    }

    /// Takes in all of `message`, a few entries at a time, and gives `tell` the events of each part; `arrived` is our own
    /// clock's time, where there is one.
    pub fn hear(&mut self, mut message: Message, arrived: Option<Nanos>, mut tell: impl FnMut(Vec<Event>)) {
        self.begin(&message, arrived);
        for part in message.parts() {
            tell(self.take(part));
        }
        tell(self.finish(message.cut()));
    }

    /// A message begins that is handed over in parts.
    pub fn begin(&mut self, message: &Message, arrived: Option<Nanos>) {
        let (now, dropped) = (message.now, message.dropped());
        let earliest = message.creations().filter_map(|created| Stamp::of(Some(created))).min();
        self.stamps.begin(earliest.into_iter().chain(Stamp::of(now)).min());
        self.caveats.begin();
        self.lateness.begin(Stamp::of(now));
        self.before = self.stamps.now();
        let at = self.stamps.advance(now, arrived);
        // Nobody keeps polls of async operations for those who come later.
        if self.last_update.is_none() || self.rejoined_after.is_some() || dropped[2] > 0 {
            self.operations.note_untold(at);
        }
        self.last_update = Stamp::of(now).or(self.last_update);
        self.dropped = dropped.into_iter().fold(0, u64::saturating_add);
        self.caveats.dropped = self.caveats.dropped.saturating_add(self.dropped);
    }

    /// Takes in a part of the message that has begun: things come with what is told of them, tasks and resources before
    /// what refers to them.
    pub fn take(&mut self, part: Update) -> Vec<Event> {
        let tasks = part.task_update.unwrap_or_default();
        let mut resources = part.resource_update.unwrap_or_default();
        let mut operations = part.async_op_update.unwrap_or_default();
        self.lateness.note(&tasks, &resources, &operations);
        self.caveats.hear_of(&part.new_metadata.unwrap_or_default());
        if let Some(after) = self.rejoined_after {
            let is_old = |dropped: Option<_>| Stamp::of(dropped).is_some_and(|dropped| dropped <= after);
            resources.new_resources.retain(|told| {
                let stats = told.id.as_ref().and_then(|id| resources.stats_update.get(&id.id));
                !stats.is_some_and(|stats| is_old(stats.dropped_at))
            });
            operations.new_async_ops.retain(|told| {
                let stats = told.id.as_ref().and_then(|id| operations.stats_update.get(&id.id));
                !stats.is_some_and(|stats| is_old(stats.dropped_at))
            });
        }
        let mut events = Vec::new();
        self.meet(&tasks, self.rejoined_after, &mut events);
        let task = |span: u64| self.tasks.get(span).map(|known| known.task);
        let told = self.operations.events(&resources, &operations, task, &mut self.texts, &self.stamps);
        self.count_awaits(told, &mut events);
        self.follow(&tasks, &mut events);
        events
    }

    /// All of the message was handed over, but for `cut` things that could not be taken in.
    pub fn finish(&mut self, cut: u64) -> Vec<Event> {
        let mut events = Vec::new();
        self.caveats.cut += cut;
        self.follow_running(&mut events);
        self.rejoined_after = None;
        self.lateness.finish();
        events.extend(self.operations.finish(!self.lateness.is_full()));
        let now = self.stamps.now();
        events.push(match self.polls {
            Polls::Told => Event::LoopMeasured { at: now },
            Polls::Elsewhere => Event::Now { at: now },
        });
        events.push(Event::ConsoleUpdate { dropped: self.dropped });
        events
    }

    /// Spawns what is new, in order of time.
    fn meet(&mut self, update: &TaskUpdate, rejoined_after: Option<Stamp>, events: &mut Vec<Event>) {
        let told: FxHashMap<u64, &tasks::Task> =
            update.new_tasks.iter().filter_map(|task| Some((task.id.as_ref()?.id, task))).collect();
        let mut new: Vec<(Nanos, u64, Option<&Stats>)> = Vec::new();
        for (span, stats) in &update.stats_update {
            let is_old =
                rejoined_after.is_some_and(|after| Stamp::of(stats.dropped_at).is_some_and(|end| end <= after));
            if !is_old && !self.tasks.is_known(*span, Stamp::of(stats.created_at)) {
                new.push((self.stamps.at(stats.created_at), *span, Some(stats)));
            }
        }
        for span in told.keys().filter(|span| !update.stats_update.contains_key(*span)) {
            if self.tasks.get(*span).is_none() {
                new.push((self.stamps.now(), *span, None));
            }
        }
        new.sort_unstable_by_key(|(at, span, _)| (*at, *span));
        for (at, span, stats) in new {
            let spawned = match told.get(&span) {
                Some(task) => facts::spawned(task, &mut self.texts),
                None => {
                    self.caveats.untold += 1;
                    Spawned::default()
                }
            };
            // Its id is used again, so what it meant is gone, though nobody said when.
            if self.tasks.get(span).is_some() && !self.tasks.is_gone(span) {
                self.end(span, at, events);
            }
            events.extend(self.spawn(span, stats.and_then(|stats| Stamp::of(stats.created_at)), at, spawned));
        }
        for (span, told) in &told {
            let Some(known) = self.tasks.get_mut(*span).filter(|known| !known.is_located) else { continue };
            // Looked for once.
            known.is_located = true;
            let location = facts::location(told.location.as_ref(), &mut self.texts);
            let task = known.task;
            events.extend(location.map(|location| Event::Located { task, location: Box::new(location) }));
        }
    }

    /// Passes on what is told of awaits, and counts those that begin for the tasks that await.
    fn count_awaits(&mut self, told: Vec<Event>, events: &mut Vec<Event>) {
        let mut counted = FxHashSet::default();
        for event in &told {
            let Event::AwaitStart { task, .. } = event else { continue };
            if let Some(span) = self.span(*task)
                && let Some(known) = self.tasks.get_mut(span)
            {
                known.counts.awaits += 1;
                counted.insert((*task, span));
            }
        }
        events.extend(told);
        let known = counted.into_iter().filter_map(|(task, span)| Some((task, self.tasks.get(span)?.counts)));
        events.extend(known.map(|(task, counts)| Event::Counted { task, counts }));
    }
}

impl crate::feed::recording::Names for ForeignDoor {
    fn meaning(&self, span: u64) -> Option<(Site, Option<ResourceId>)> {
        self.operations.meaning(span)
    }
}
