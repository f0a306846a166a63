//! The door for our own loop: the probe spawned its tasks, and the wire tells of the same ones by tokio's number.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use console_api::instrument::Update;
use console_api::{async_ops, tasks};
use prost_types::Timestamp;
use rustc_hash::{FxHashMap, FxHashSet};

use super::facts;
use super::operations::Operations;
use super::spans::Spans;
use super::stamps::{Stamp, Times};
use super::texts::Texts;
use crate::feed::time_map::TimeMap;
use crate::trace::{Counts, Event, Nanos, TaskId};

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
///
/// It reads one clock after the other, and so do we. A thread that loses its processor in between reads them far apart, and
/// from then on all of its stamps are off by as much; how much at the most is all that can be known.
#[derive(Clone, Copy, Debug)]
pub struct Anchor {
    began: Instant,
    began_at: SystemTime,
    /// How far from the truth a stamp may be at the most.
    margin: Duration,
}

impl Anchor {
    /// Runs `begin`, within which console-subscriber reads its clocks.
    pub fn around<R>(begin: impl FnOnce() -> R) -> (Self, R) {
        let (began, began_at) = (Instant::now(), SystemTime::now());
        let begun = begin();
        (Self { began, began_at, margin: began.elapsed() }, begun)
    }

    /// The earliest instant that `stamp` can mean.
    pub fn earliest(&self, stamp: Option<Timestamp>) -> Instant {
        let instant = self.instant(stamp);
        instant.checked_sub(self.margin).unwrap_or(self.began)
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
    tasks: Spans<Known>,
    /// Async operations that are not counted for a task yet, by span id.
    uncounted: FxHashSet<u64>,
    /// Where the wire is the only witness of polls and awaits.
    sole: Option<(Arc<TimeMap>, Operations)>,
    texts: Texts,
}

impl Door {
    /// A door that counts; with a map of its stamps also one that tells polls and awaits.
    pub fn new(numbers: TaskNumbers, map: Option<Arc<TimeMap>>) -> Self {
        Self {
            numbers,
            tasks: Spans::default(),
            uncounted: FxHashSet::default(),
            sole: map.map(|map| (map, Operations::new(false))),
            texts: Texts::default(),
        }
    }

    /// What `update` says, as events.
    pub fn events(&mut self, update: Update, anchor: &Anchor) -> Vec<Event> {
        let told_tasks = update.task_update.unwrap_or_default();
        let told_resources = update.resource_update.unwrap_or_default();
        let told_operations = update.async_op_update.unwrap_or_default();
        let dropped = told_tasks.dropped_events + told_resources.dropped_events + told_operations.dropped_events;
        told_tasks.new_tasks.iter().for_each(|task| self.meet(task, &told_tasks));

        let mut touched = Vec::new();
        for (span, stats) in &told_tasks.stats_update {
            // Counts may have been read just before a last poll and the end just after it, and then a later update tells
            // the truth.
            if let Some(known) = self.tasks.get_mut(*span) {
                known.counts = Counts { awaits: known.counts.awaits, ..facts::counts(stats) };
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
            let times = LoopTimes { map, anchor };
            let task = |span: u64| self.tasks.get(span).map(|known| known.task);
            events = operations.events(&told_resources, &told_operations, task, &mut self.texts, &times);
            // Its aggregator empties its buffer each time.
            events.extend(operations.finish(true));
            for (span, stats) in &told_tasks.stats_update {
                let (polled, woken) = facts::last(stats, &times);
                events.extend(task(*span).map(|task| Event::Sampled { task, polled, woken }));
            }
            let published = anchor.instant(update.now);
            map.forget_before(published.checked_sub(REMEMBERED).unwrap_or(published));
        }
        let known = touched.iter().filter_map(|span| self.tasks.get(*span));
        events.extend(known.map(|known| Event::Counted { task: known.task, counts: known.counts }));
        events.push(Event::ConsoleUpdate { dropped });
        for (span, _) in told_tasks.stats_update.iter().filter(|(_, stats)| stats.dropped_at.is_some()) {
            self.tasks.end(*span);
        }
        events
    }

    /// No update will come any more: gives what would have waited for the next one. `is_complete` says that everything
    /// was told.
    pub fn close(&mut self, is_complete: bool) -> Vec<Event> {
        self.sole.as_mut().map_or_else(Vec::new, |(_, operations)| operations.close(is_complete))
    }

    fn meet(&mut self, task: &tasks::Task, told: &tasks::TaskUpdate) {
        let (Some(span), Some(number)) = (&task.id, facts::number(task)) else { return };
        if let Some(task) = self.numbers.take(number) {
            let created = told.stats_update.get(&span.id).and_then(|stats| stats.created_at);
            self.tasks.meet(span.id, Stamp::of(created), Known { task, counts: Counts::default() });
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
        let known = self.tasks.get_mut(span).filter(|_| first)?;
        known.counts.awaits += 1;
        Some(span)
    }
}

/// How far back an update may still speak of things that no earlier one told.
const REMEMBERED: Duration = Duration::from_secs(2);

/// Stamps of the wire, in loop time.
struct LoopTimes<'a> {
    map: &'a TimeMap,
    anchor: &'a Anchor,
}

impl Times for LoopTimes<'_> {
    fn at(&self, stamp: Option<Timestamp>) -> Nanos {
        self.map.loop_time(self.anchor.instant(stamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_believed_no_further_than_the_two_clocks_can_have_been_read_apart() {
        const APART: Duration = Duration::from_millis(30);
        // As console-subscriber does it, and loses its processor in the midst of it.
        let (anchor, (began, began_at)) = Anchor::around(|| {
            let began = Instant::now();
            while began.elapsed() < APART {
                std::thread::yield_now();
            }
            (began, SystemTime::now())
        });
        let now = Instant::now();
        let stamp = Some(Timestamp::from(began_at + (now - began)));
        assert!(anchor.instant(stamp) >= now + APART / 2, "it says a later time than it was");
        assert!(anchor.earliest(stamp) <= now, "it was not later than that");
    }
}
