//! Decoder for the embedded loop: the probe spawned its tasks, and the wire identifies them by tokio's task id.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use console_api::instrument::Update;
use console_api::{async_ops, tasks};
use prost_types::Timestamp;
use rustc_hash::{FxHashMap, FxHashSet};

use super::async_op_decoder::AsyncOpDecoder;
use super::span_map::SpanMap;
use super::task_stats;
use super::text_interner::TextInterner;
use super::wire_clock::{ToLoopTime, WireTimestamp};
use crate::feed::time_map::TimeMap;
use crate::trace::{Event, Nanos, TaskActivity, TaskCounts, TaskId};

/// Maps tokio's task id of each task that the lab spawned to its [`TaskId`], until the wire reports the task. It is the
/// only id that both feeds share.
#[derive(Clone, Debug, Default)]
pub struct TokioTaskIds(Arc<Mutex<FxHashMap<u64, TaskId>>>);

impl TokioTaskIds {
    /// Runs `spawn`, which spawns `task`, and registers tokio's id of it.
    ///
    /// The map is locked meanwhile, because the wire may report a task before its spawn returns.
    pub fn register<H>(
        &self,
        task: TaskId,
        spawn: impl FnOnce() -> tokio::task::JoinHandle<H>,
    ) -> tokio::task::JoinHandle<H> {
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = spawn();
        // tokio exposes the number only in what the id displays.
        if let Ok(number) = handle.id().to_string().parse() {
            numbers.insert(number, task);
        }
        handle
    }

    fn take(&self, number: u64) -> Option<TaskId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&number)
    }
}

/// The start of console-subscriber on both clocks: it converts monotonic times to system times.
///
/// It reads one clock after the other, and so does this. If the thread is preempted in between, all of its timestamps
/// are off by the length of the preemption. Only an upper bound of that is known.
#[derive(Clone, Copy, Debug)]
pub struct ClockAnchor {
    started: Instant,
    started_at: SystemTime,
    /// Upper bound of the error of a timestamp.
    error_max: Duration,
}

impl ClockAnchor {
    /// Runs `begin`, within which console-subscriber reads its clocks.
    pub fn bracket<R>(begin: impl FnOnce() -> R) -> (Self, R) {
        let (started, started_at) = (Instant::now(), SystemTime::now());
        let result = begin();
        (Self { started, started_at, error_max: started.elapsed() }, result)
    }

    /// Returns the earliest instant that `stamp` can stand for.
    pub fn earliest(&self, stamp: Option<Timestamp>) -> Instant {
        let instant = self.instant(stamp);
        instant.checked_sub(self.error_max).unwrap_or(self.started)
    }

    /// Returns the instant that `stamp` stands for, but not before the start of console-subscriber.
    pub fn instant(&self, stamp: Option<Timestamp>) -> Instant {
        let stamp = stamp.and_then(|stamp| SystemTime::try_from(stamp).ok()).unwrap_or(self.started_at);
        let passed = stamp.duration_since(self.started_at).unwrap_or_default();
        self.started.checked_add(passed).unwrap_or(self.started)
    }
}

/// A task that the wire has reported.
#[derive(Clone, Copy, Debug)]
struct OwnTaskEntry {
    task: TaskId,
    counts: TaskCounts,
}

/// Decodes updates about the embedded loop, for one session.
#[derive(Debug)]
pub struct OwnConsoleDecoder {
    task_ids: TokioTaskIds,
    tasks: SpanMap<OwnTaskEntry>,
    /// Span ids of async operations that are not counted for a task yet.
    uncounted: FxHashSet<u64>,
    /// Decodes awaits and samples polls, where the wire is the only source of both.
    sampling: Option<(Arc<TimeMap>, AsyncOpDecoder)>,
    interner: TextInterner,
}

impl OwnConsoleDecoder {
    /// Creates a decoder of counts; with a map of loop time, also of sampled polls and of awaits.
    pub fn new(task_ids: TokioTaskIds, map: Option<Arc<TimeMap>>) -> Self {
        Self {
            task_ids,
            tasks: SpanMap::default(),
            uncounted: FxHashSet::default(),
            sampling: map.map(|map| (map, AsyncOpDecoder::new(false))),
            interner: TextInterner::default(),
        }
    }

    /// Decodes an update.
    pub fn decode(&mut self, update: Update, anchor: &ClockAnchor) -> Vec<Event> {
        let tasks = update.task_update.unwrap_or_default();
        let resources = update.resource_update.unwrap_or_default();
        let async_ops = update.async_op_update.unwrap_or_default();
        let dropped = tasks.dropped_events + resources.dropped_events + async_ops.dropped_events;
        tasks.new_tasks.iter().for_each(|task| self.add_task(task, &tasks));

        let mut touched = Vec::new();
        for (span, stats) in &tasks.stats_update {
            // Counts may be read just before the last poll and the end just after it; a later update corrects them.
            if let Some(entry) = self.tasks.get_mut(*span) {
                entry.counts = TaskCounts { awaits: entry.counts.awaits, ..task_stats::counts(stats) };
                touched.push(*span);
            }
        }
        self.uncounted.extend(async_ops.new_async_ops.iter().filter_map(|op| Some(op.id.as_ref()?.id)));
        for (operation, stats) in &async_ops.stats_update {
            touched.extend(self.count_await(*operation, stats));
        }
        touched.sort_unstable();
        touched.dedup();

        let mut events = Vec::new();
        if let Some((map, op_decoder)) = &mut self.sampling {
            let times = AnchoredTimeMap { map, anchor };
            let task = |span: u64| self.tasks.get(span).map(|entry| entry.task);
            events = op_decoder.decode(&resources, &async_ops, task, &mut self.interner, &times);
            // The aggregator of the embedded loop drains its buffer before each update.
            events.extend(op_decoder.finish_update(true));
            for (span, stats) in &tasks.stats_update {
                let Some(task) = task(*span) else { continue };
                let (last_poll, woken) = task_stats::last_poll_and_wake(stats, &times);
                // A virtual clock stands still from a wake to the poll that follows, so only the wire's own times tell
                // whether the last wake came after the last poll.
                let is_scheduled = task_stats::doing(stats) == TaskActivity::Scheduled;
                events.push(Event::Sample { task, last_poll, last_wake: woken.filter(|_| is_scheduled) });
                events.extend(woken.map(|at| Event::SampledWake { task, at }));
            }
            let published = anchor.instant(update.now);
            map.evict_before(published.checked_sub(LOOKBACK).unwrap_or(published));
        }
        let entries = touched.iter().filter_map(|span| self.tasks.get(*span));
        events.extend(entries.map(|entry| Event::ConsoleCounts { task: entry.task, counts: entry.counts }));
        events.push(Event::ConsoleUpdate { dropped });
        for (span, _) in tasks.stats_update.iter().filter(|(_, stats)| stats.dropped_at.is_some()) {
            self.tasks.close(*span);
        }
        events
    }

    /// Decides everything that would have waited for the next update. `is_complete` states that none was lost.
    pub fn close(&mut self, is_complete: bool) -> Vec<Event> {
        self.sampling.as_mut().map_or_else(Vec::new, |(_, op_decoder)| op_decoder.close(is_complete))
    }

    fn add_task(&mut self, task: &tasks::Task, update: &tasks::TaskUpdate) {
        let (Some(span), Some(number)) = (&task.id, task_stats::tokio_task_id(task)) else { return };
        if let Some(task) = self.task_ids.take(number) {
            let created = update.stats_update.get(&span.id).and_then(|stats| stats.created_at);
            self.tasks.insert(
                span.id,
                WireTimestamp::from_proto(created),
                OwnTaskEntry { task, counts: TaskCounts::default() },
            );
        }
    }

    /// Counts an await for the task that polled it, once. Returns the span id of that task if it did.
    fn count_await(&mut self, operation: u64, stats: &async_ops::Stats) -> Option<u64> {
        let Some(span) = stats.task_id.as_ref().map(|id| id.id) else {
            // Dropped before its first poll: it belongs to no task.
            if stats.dropped_at.is_some() {
                self.uncounted.remove(&operation);
            }
            return None;
        };
        let first = self.uncounted.remove(&operation);
        let entry = self.tasks.get_mut(span).filter(|_| first)?;
        entry.counts.awaits += 1;
        Some(span)
    }
}

/// How far an update may reach back before the one that precedes it.
const LOOKBACK: Duration = Duration::from_secs(2);

/// Maps wire timestamps to loop time through both clocks.
struct AnchoredTimeMap<'a> {
    map: &'a TimeMap,
    anchor: &'a ClockAnchor,
}

impl ToLoopTime for AnchoredTimeMap<'_> {
    fn loop_time(&self, stamp: Option<Timestamp>) -> Nanos {
        self.map.loop_time(self.anchor.instant(stamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_anchor_bounds_the_error() {
        const APART: Duration = Duration::from_millis(30);
        // As console-subscriber does it, with a preemption between the two readings.
        let (anchor, (started, started_at)) = ClockAnchor::bracket(|| {
            let started = Instant::now();
            while started.elapsed() < APART {
                std::thread::yield_now();
            }
            (started, SystemTime::now())
        });
        let now = Instant::now();
        let stamp = Some(Timestamp::from(started_at + (now - started)));
        assert!(anchor.instant(stamp) >= now + APART / 2, "the timestamp is late");
        assert!(anchor.earliest(stamp) <= now, "the lower bound holds");
    }
}
