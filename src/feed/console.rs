//! console-subscriber's updates, turned into events: ids of the wire become ids of the trace, here and nowhere else.

mod operations;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use console_api::field::{Name, Value};
use console_api::instrument::Update;
use console_api::{async_ops, tasks};
use prost_types::Timestamp;
use rustc_hash::{FxHashMap, FxHashSet};

use super::time_map::TimeMap;
use crate::trace::{Counts, Event, Nanos, TaskId};
use operations::Operations;

/// tokio's number of each task that the lab spawned, until the wire has told of it: the number is the one thing that
/// both know.
#[derive(Clone, Debug, Default)]
pub struct TaskNumbers(Arc<Mutex<FxHashMap<u64, TaskId>>>);

impl TaskNumbers {
    /// Runs `spawn`, which makes the task that we call `task`, and notes tokio's number of it. Locked meanwhile: the wire
    /// may tell of a task before its spawn has even returned.
    pub fn note<H>(
        &self,
        task: TaskId,
        spawn: impl FnOnce() -> tokio::task::JoinHandle<H>,
    ) -> tokio::task::JoinHandle<H> {
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = spawn();
        // The number is nowhere to be had but in what the id prints.
        if let Ok(number) = handle.id().to_string().parse() {
            numbers.insert(number, task);
        }
        handle
    }

    fn take(&self, number: u64) -> Option<TaskId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&number)
    }
}

/// When console-subscriber began, on both clocks: it says times of the monotonic one in terms of the system's.
#[derive(Clone, Copy, Debug)]
pub struct Anchor {
    began: Instant,
    began_at: SystemTime,
}

impl Anchor {
    pub fn now() -> Self {
        Self { began: Instant::now(), began_at: SystemTime::now() }
    }

    /// The instant that `stamp` means; the beginning for anything before it.
    pub fn instant(&self, stamp: Option<Timestamp>) -> Instant {
        let stamp = stamp.and_then(|stamp| SystemTime::try_from(stamp).ok()).unwrap_or(self.began_at);
        let passed = stamp.duration_since(self.began_at).unwrap_or_default();
        self.began.checked_add(passed).unwrap_or(self.began)
    }
}

/// A task as the wire has told of it so far.
#[derive(Clone, Copy, Debug)]
struct Known {
    task: TaskId,
    counts: Counts,
}

/// See the module. One door serves one session.
#[derive(Debug)]
pub struct Door {
    numbers: TaskNumbers,
    /// By span id.
    tasks: FxHashMap<u64, Known>,
    /// Tasks that are gone, and the update that said so. Counts may have been read just before a last poll and the end
    /// just after it, and then a later update tells the truth: these are kept a little longer.
    gone: VecDeque<(u64, u64)>,
    updates: u64,
    /// Async operations that are not counted for a task yet, by span id.
    uncounted: FxHashSet<u64>,
    /// Where the wire is the only witness of polls and awaits.
    sole: Option<(Arc<TimeMap>, Operations)>,
}

impl Door {
    /// A door that counts; with a map of its stamps also one that tells polls and awaits.
    pub fn new(numbers: TaskNumbers, map: Option<Arc<TimeMap>>) -> Self {
        Self {
            numbers,
            tasks: FxHashMap::default(),
            gone: VecDeque::new(),
            updates: 0,
            uncounted: FxHashSet::default(),
            sole: map.map(|map| (map, Operations::default())),
        }
    }

    /// What `update` says, as events.
    pub fn events(&mut self, update: Update, anchor: &Anchor) -> Vec<Event> {
        let told_tasks = update.task_update.unwrap_or_default();
        let told_resources = update.resource_update.unwrap_or_default();
        let told_operations = update.async_op_update.unwrap_or_default();
        let dropped = told_tasks.dropped_events + told_resources.dropped_events + told_operations.dropped_events;
        told_tasks.new_tasks.iter().for_each(|task| self.meet(task));

        let mut touched = Vec::new();
        for (span, stats) in &told_tasks.stats_update {
            if let Some(known) = self.tasks.get_mut(span) {
                known.counts = Counts { awaits: known.counts.awaits, ..counts(stats) };
                touched.push(*span);
            }
        }
        self.uncounted.extend(told_operations.new_async_ops.iter().filter_map(|told| Some(told.id.as_ref()?.id)));
        for (operation, stats) in &told_operations.stats_update {
            touched.extend(self.count_await(*operation, stats));
        }
        touched.sort_unstable();
        touched.dedup();

        let mut events = Vec::new();
        if let Some((map, operations)) = &mut self.sole {
            let times = Times { map, anchor };
            let task = |span: u64| self.tasks.get(&span).map(|known| known.task);
            events = operations.events(&told_resources, &told_operations, task, &times);
            for (span, stats) in &told_tasks.stats_update {
                events.extend(task(*span).map(|task| sample(task, stats, &times)));
            }
            let published = anchor.instant(update.now);
            map.forget_before(published.checked_sub(REMEMBERED).unwrap_or(published));
        }
        let known = touched.iter().filter_map(|span| self.tasks.get(span));
        events.extend(known.map(|known| Event::Counted { task: known.task, counts: known.counts }));
        events.push(Event::ConsoleUpdate { dropped });
        self.forget_gone(&told_tasks);
        events
    }

    fn forget_gone(&mut self, told: &tasks::TaskUpdate) {
        /// Updates that a task is kept after its end was told.
        const KEPT_UPDATES: u64 = 4;
        self.updates += 1;
        let gone = told.stats_update.iter().filter(|(_, stats)| stats.dropped_at.is_some());
        self.gone.extend(gone.map(|(span, _)| (*span, self.updates)));
        while self.gone.front().is_some_and(|(_, told_in)| told_in + KEPT_UPDATES < self.updates) {
            if let Some((span, _)) = self.gone.pop_front() {
                self.tasks.remove(&span);
            }
        }
    }

    fn meet(&mut self, task: &tasks::Task) {
        let (Some(span), Some(number)) = (&task.id, tokio_number(task)) else { return };
        if let Some(task) = self.numbers.take(number) {
            self.tasks.insert(span.id, Known { task, counts: Counts::default() });
        }
    }

    /// Counts an await for the task that polled it, once. Returns that task's span id when it did.
    fn count_await(&mut self, operation: u64, stats: &async_ops::Stats) -> Option<u64> {
        let Some(span) = stats.task_id.as_ref().map(|id| id.id) else {
            // Dropped before anybody polled it: it was nobody's.
            if stats.dropped_at.is_some() {
                self.uncounted.remove(&operation);
            }
            return None;
        };
        let first = self.uncounted.remove(&operation);
        let known = self.tasks.get_mut(&span).filter(|_| first)?;
        known.counts.awaits += 1;
        Some(span)
    }
}

/// How far back an update may still speak of things that no earlier one told.
const REMEMBERED: Duration = Duration::from_secs(2);

/// Stamps of the wire, in loop time.
struct Times<'a> {
    map: &'a TimeMap,
    anchor: &'a Anchor,
}

impl Times<'_> {
    fn at(&self, stamp: Option<Timestamp>) -> Nanos {
        self.map.loop_time(self.anchor.instant(stamp))
    }
}

/// The last poll and wake that `stats` tell of.
fn sample(task: TaskId, stats: &tasks::Stats, times: &Times) -> Event {
    let polled = stats.poll_stats.as_ref().and_then(|poll| {
        let start = times.at(Some(poll.last_poll_started?));
        // During a poll the end is still that of the one before.
        let end = poll.last_poll_ended.filter(|end| later(end, poll.last_poll_started.as_ref()));
        Some((start, end.map(|end| times.at(Some(end)))))
    });
    let woken = stats.last_wake.map(|wake| times.at(Some(wake)));
    Event::Sampled { task, polled, woken }
}

fn later(stamp: &Timestamp, than: Option<&Timestamp>) -> bool {
    than.is_some_and(|than| (stamp.seconds, stamp.nanos) >= (than.seconds, than.nanos))
}

/// The counts of one task, as polls of its own code.
///
/// tracing enters a span once more to drop what it instruments, and console-subscriber counts that as a poll: a task
/// that is gone has one poll too many.
fn counts(stats: &tasks::Stats) -> Counts {
    let polls = stats.poll_stats.as_ref().map_or(0, |stats| stats.polls);
    Counts {
        polls: polls - u64::from(stats.dropped_at.is_some()).min(polls),
        wakes: stats.wakes,
        self_wakes: stats.self_wakes,
        awaits: 0,
    }
}

fn tokio_number(task: &tasks::Task) -> Option<u64> {
    task.fields.iter().find_map(|field| match (&field.name, &field.value) {
        (Some(Name::StrName(name)), Some(Value::U64Val(number))) if name == "task.id" => Some(*number),
        _ => None,
    })
}
