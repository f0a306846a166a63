//! Decoder for other programs: tasks are spawned and ended by what the wire reports.
//!
//! Counts, sums, starts and ends are exact. Of single polls and wakes each update carries only the last one. The wire
//! does not tell whether a task completed or was cancelled. One that is dropped while it waits, or before its first poll,
//! was cancelled; any other task that ends counts as done.

mod caveats;
mod task_updates;

use console_api::instrument::Update;
use console_api::tasks::{self, Stats, TaskUpdate};
use prost_types::Timestamp;
use rustc_hash::{FxHashMap, FxHashSet};

use super::async_op_decoder::AsyncOpDecoder;
use super::publish_lag::PublishLag;
use super::span_map::SpanMap;
use super::task_stats;
use super::text_interner::TextInterner;
use super::update_rhythm::UpdateRhythm;
use super::wire_clock::{ToLoopTime, WireClock, WireTimestamp};
use crate::feed::await_resolver::{AwaitResolver, AwaitTarget, ReportedSpan};
use crate::feed::wire::ConsoleMessage;
use crate::trace::{Event, Nanos, TaskCounts, TaskId, TaskKind, TaskMeta, TaskOutcome, TaskStats};
use caveats::Caveats;

/// Live tasks that are shown; further ones are only counted.
const TASKS_MAX: usize = 1 << 20;

/// Tasks in total: the limit of trace ids.
const IDS_MAX: usize = u32::MAX as usize - 1;

/// Entries of the reverse map below which it is never pruned.
const PRUNE_MIN: usize = 1 << 12;

/// Where polls and wakes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollSource {
    /// The console wire alone: sums, samples, and the ends of tasks.
    Console,
    /// A recording: every poll, wake and end. The counts of the wire are for comparison.
    Recording,
}

/// A task that the wire has reported.
#[derive(Clone, Debug)]
struct ConsoleTaskEntry {
    task: TaskId,
    kind: TaskKind,
    spawned_at: Nanos,
    counts: TaskCounts,
    /// Loop time and values of the last measurement.
    measured: Option<(Nanos, TaskStats)>,
    has_location: bool,
}

/// Decodes the updates of another program, for one process.
#[derive(Debug)]
pub struct ConsoleDecoder {
    polls: PollSource,
    tasks: SpanMap<ConsoleTaskEntry>,
    /// Number of tasks so far.
    task_count: usize,
    /// Span ids by task; may hold outdated entries.
    span_by_task: FxHashMap<TaskId, u64>,
    /// Number of entries in `spans` at which outdated ones are pruned.
    prune_at: usize,
    /// Span ids of tasks that were running in the last update about them.
    running: FxHashSet<u64>,
    async_ops: AsyncOpDecoder,
    clock: WireClock,
    text_interner: TextInterner,
    caveats: Caveats,
    publish_lag: PublishLag,
    rhythm: UpdateRhythm,
    /// The interval without updates that this update ended.
    silent: Option<(Nanos, Nanos)>,
    /// After a reconnect: entities that were dropped before this are not new.
    reconnected_after: Option<WireTimestamp>,
    last_update: Option<WireTimestamp>,
    /// Loop time of the first update.
    first_update_at: Option<Nanos>,
    /// Loop time of the previous update.
    previous_update_at: Nanos,
    /// Events dropped by the program, as this update reports.
    dropped: u64,
}

impl ConsoleDecoder {
    /// Creates a decoder for one process.
    pub fn new(polls: PollSource) -> Self {
        Self {
            polls,
            tasks: SpanMap::default(),
            task_count: 0,
            span_by_task: FxHashMap::default(),
            prune_at: PRUNE_MIN,
            running: FxHashSet::default(),
            async_ops: AsyncOpDecoder::new(true),
            clock: WireClock::default(),
            text_interner: TextInterner::default(),
            caveats: Caveats::default(),
            publish_lag: PublishLag::default(),
            rhythm: UpdateRhythm::default(),
            silent: None,
            reconnected_after: None,
            last_update: None,
            first_update_at: None,
            previous_update_at: 0,
            dropped: 0,
        }
    }

    /// Returns the task that `span` stands for, also if it has ended recently.
    pub fn task_for_span(&self, span: u64) -> Option<TaskId> {
        self.tasks.get(span).map(|entry| entry.task)
    }

    /// Returns the span id of a task, for requests to the program.
    pub fn span_for_task(&self, task: TaskId) -> Option<u64> {
        let span = *self.span_by_task.get(&task)?;
        (self.task_for_span(span) == Some(task)).then_some(span)
    }

    /// Whether the span of a task is still open.
    pub fn is_open(&self, task: TaskId) -> bool {
        self.span_for_task(task).is_some_and(|span| !self.tasks.is_closed(span))
    }

    /// Returns the number of tasks so far.
    pub fn task_count(&self) -> usize {
        self.task_count
    }

    /// Returns the time from the first to the last update, in nanoseconds.
    pub fn observed_ns(&self) -> u64 {
        self.first_update_at.map_or(0, |first| self.clock.now().saturating_sub(first))
    }

    /// Returns the program's clock. Other feeds of the same program use it too.
    pub fn clock(&self) -> &WireClock {
        &self.clock
    }

    /// Returns the program's clock for modification.
    pub fn clock_mut(&mut self) -> &mut WireClock {
        &mut self.clock
    }

    /// Returns the loop time before which every poll of an await has been reported.
    pub fn polls_complete_until(&self) -> Nanos {
        self.publish_lag.complete_until().map_or(0, |stamp| self.clock.loop_time_of(stamp))
    }

    /// Returns the loop time from which on the polls of awaits are reported.
    pub fn polls_complete_from(&self) -> Nanos {
        self.async_ops.unreported_until()
    }

    /// Describes data that is missing, late or corrected, in one or more clauses; empty if there is none.
    pub fn caveats(&self) -> String {
        // A process started by loopscope publishes as often as it can already.
        let advice = (self.polls == PollSource::Console).then_some("a shorter TOKIO_CONSOLE_PUBLISH_INTERVAL helps");
        self.caveats.describe(self.async_ops.hidden(), &self.clock, self.publish_lag.lag(), advice)
    }

    /// Whether the program is instrumented: it registered tokio's span for tasks, or has reported a task.
    pub fn is_instrumented(&self) -> bool {
        self.caveats.is_instrumented || self.task_count > 0
    }

    /// Whether these tasks, given by span id and creation time, can belong to the process decoded so far: one of them
    /// is known, or none has been reported yet.
    pub fn is_same_process(&self, tasks: impl IntoIterator<Item = (u64, Option<Timestamp>)>) -> bool {
        self.task_count == 0
            || tasks.into_iter().any(|(span, created)| {
                let created = WireTimestamp::from_proto(created);
                created.is_some() && self.tasks.is_known(span, created)
            })
    }

    /// Decides everything that would have waited for the next update, because the program or connection is gone.
    pub fn close(&mut self) -> Vec<Event> {
        self.async_ops.close(false)
    }

    /// Prepares for updates over a new connection to the same process. Returns loop time so far, the start of the gap.
    pub fn reconnect(&mut self) -> Nanos {
        self.reconnected_after = self.last_update;
        self.publish_lag.reconnect();
        self.rhythm.reconnect();
        self.clock.now()
    }

    /// Spawns the task `span` unless it is known; whichever feed reports a task first spawns it. Returns the event.
    pub fn spawn_task(
        &mut self,
        span: u64,
        created: Option<WireTimestamp>,
        at: Nanos,
        spawned: TaskMeta,
    ) -> Option<Event> {
        if self.tasks.is_known(span, created) {
            return None;
        }
        if self.tasks.open_count() >= TASKS_MAX || self.task_count >= IDS_MAX {
            self.caveats.hidden_in_update += 1;
            return None;
        }
        let task = TaskId::from_index(self.task_count);
        self.task_count += 1;
        let has_location = spawned.location.is_some();
        let entry = ConsoleTaskEntry {
            task,
            kind: spawned.kind,
            spawned_at: at,
            counts: TaskCounts::default(),
            measured: None,
            has_location,
        };
        self.tasks.insert(span, created, entry);
        self.span_by_task.insert(task, span);
        if self.span_by_task.len() > self.prune_at {
            self.span_by_task.retain(|task, span| self.tasks.get(*span).is_some_and(|entry| entry.task == *task));
            self.prune_at = (self.span_by_task.len() * 2).max(PRUNE_MIN);
        }
        Some(Event::Spawn { task, at, meta: Box::new(spawned) })
    }

    /// Decodes a whole message, a few entries at a time, and passes the events of each part to `emit`.
    ///
    /// `arrived` is the local time of arrival, if there is a clock.
    pub fn decode(&mut self, mut message: ConsoleMessage, arrived: Option<Nanos>, mut emit: impl FnMut(Vec<Event>)) {
        self.begin_message(&message, arrived);
        for part in message.parts() {
            emit(self.decode_part(part));
        }
        emit(self.finish_message(message.skipped_entries()));
    }

    /// Begins a message that is decoded in parts.
    pub fn begin_message(&mut self, message: &ConsoleMessage, arrived: Option<Nanos>) {
        let (now, dropped) = (message.now, message.dropped_events());
        let earliest = message.creation_times().filter_map(|created| WireTimestamp::from_proto(Some(created))).min();
        let published = WireTimestamp::from_proto(now);
        self.clock.set_origin(earliest.map(|earliest| published.map_or(earliest, |now| now.min(earliest))));
        self.caveats.begin_update();
        self.publish_lag.begin_update(WireTimestamp::from_proto(now));
        self.previous_update_at = self.clock.now();
        let at = self.clock.advance(now, arrived);
        self.first_update_at.get_or_insert(at);
        self.silent = self.rhythm.observe(self.previous_update_at, at);
        // A console does not keep polls of async operations for clients that connect later.
        if self.last_update.is_none() || self.reconnected_after.is_some() || dropped[2] > 0 {
            self.async_ops.mark_unreported_until(at);
        }
        self.last_update = WireTimestamp::from_proto(now).or(self.last_update);
        self.dropped = dropped.into_iter().fold(0, u64::saturating_add);
        self.caveats.dropped = self.caveats.dropped.saturating_add(self.dropped);
    }

    /// Decodes a part of the current message. Entities come with their statistics, tasks and resources before what
    /// refers to them.
    pub fn decode_part(&mut self, part: Update) -> Vec<Event> {
        let tasks = part.task_update.unwrap_or_default();
        let mut resources = part.resource_update.unwrap_or_default();
        let mut operations = part.async_op_update.unwrap_or_default();
        self.publish_lag.observe(&tasks, &resources, &operations);
        self.caveats.observe_metadata(&part.new_metadata.unwrap_or_default());
        if let Some(after) = self.reconnected_after {
            let is_old =
                |dropped: Option<_>| WireTimestamp::from_proto(dropped).is_some_and(|dropped| dropped <= after);
            resources.new_resources.retain(|new| {
                let stats = new.id.as_ref().and_then(|id| resources.stats_update.get(&id.id));
                !stats.is_some_and(|stats| is_old(stats.dropped_at))
            });
            operations.new_async_ops.retain(|new| {
                let stats = new.id.as_ref().and_then(|id| operations.stats_update.get(&id.id));
                !stats.is_some_and(|stats| is_old(stats.dropped_at))
            });
        }
        let mut events = Vec::new();
        self.spawn_new_tasks(&tasks, self.reconnected_after, &mut events);
        let task = |span: u64| self.tasks.get(span).map(|entry| entry.task);
        let await_events = self.async_ops.decode(&resources, &operations, task, &mut self.text_interner, &self.clock);
        self.count_awaits(await_events, &mut events);
        self.decode_task_stats(&tasks, &mut events);
        events
    }

    /// Completes the current message, of which `cut` entries were skipped.
    pub fn finish_message(&mut self, skipped: u64) -> Vec<Event> {
        let mut events = Vec::new();
        self.caveats.skipped_entries += skipped;
        self.extend_running_polls(&mut events);
        self.reconnected_after = None;
        self.publish_lag.finish_update();
        events.extend(self.publish_lag.lag().map(|_| Event::ConsoleLate));
        match self.polls {
            PollSource::Console => events.extend(self.async_ops.finish_update(!self.publish_lag.is_full())),
            PollSource::Recording => self.async_ops.finish_update_patiently(self.polls_complete_until()),
        }
        let now = self.clock.now();
        events.push(match self.polls {
            PollSource::Console => Event::StatsComplete { at: now },
            PollSource::Recording => Event::Advance { at: now },
        });
        // A recording shows by itself when nothing ran.
        let silent = self.silent.take().filter(|_| self.polls == PollSource::Console);
        events.extend(silent.map(|(from, to)| Event::Disconnected { from, to }));
        events.push(Event::ConsoleUpdate { dropped: self.dropped });
        events
    }

    /// Spawns new tasks, in order of time.
    fn spawn_new_tasks(
        &mut self,
        update: &TaskUpdate,
        reconnected_after: Option<WireTimestamp>,
        events: &mut Vec<Event>,
    ) {
        let descriptions: FxHashMap<u64, &tasks::Task> =
            update.new_tasks.iter().filter_map(|task| Some((task.id.as_ref()?.id, task))).collect();
        let mut new: Vec<(Nanos, u64, Option<&Stats>)> = Vec::new();
        for (span, stats) in &update.stats_update {
            let is_old = reconnected_after
                .is_some_and(|after| WireTimestamp::from_proto(stats.dropped_at).is_some_and(|end| end <= after));
            if !is_old && !self.tasks.is_known(*span, WireTimestamp::from_proto(stats.created_at)) {
                new.push((self.clock.loop_time(stats.created_at), *span, Some(stats)));
            }
        }
        for span in descriptions.keys().filter(|span| !update.stats_update.contains_key(*span)) {
            if self.tasks.get(*span).is_none() {
                new.push((self.clock.now(), *span, None));
            }
        }
        new.sort_unstable_by_key(|(at, span, _)| (*at, *span));
        for (at, span, stats) in new {
            let spawned = match descriptions.get(&span) {
                Some(task) => task_stats::task_meta(task, &mut self.text_interner),
                None => {
                    self.caveats.nameless_tasks += 1;
                    TaskMeta::default()
                }
            };
            // Its id is reused, so the old task has ended at an unknown time.
            if self.tasks.get(span).is_some() && !self.tasks.is_closed(span) {
                // Its outcome was not reported.
                self.end_task(span, at, TaskOutcome::Unknown, events);
            }
            events.extend(self.spawn_task(
                span,
                stats.and_then(|stats| WireTimestamp::from_proto(stats.created_at)),
                at,
                spawned,
            ));
        }
        for (span, description) in &descriptions {
            let Some(entry) = self.tasks.get_mut(*span).filter(|entry| !entry.has_location) else { continue };
            // Looked up once.
            entry.has_location = true;
            let location = task_stats::location(description.location.as_ref(), &mut self.text_interner);
            let task = entry.task;
            events.extend(location.map(|location| Event::SpawnLocation { task, location: Box::new(location) }));
        }
    }

    /// Forwards the events of awaits, and counts the awaits that start for their tasks.
    fn count_awaits(&mut self, await_events: Vec<Event>, events: &mut Vec<Event>) {
        let mut counted = FxHashSet::default();
        for event in &await_events {
            let Event::AwaitStart { task, .. } = event else { continue };
            if let Some(span) = self.span_for_task(*task)
                && let Some(entry) = self.tasks.get_mut(span)
            {
                entry.counts.awaits += 1;
                counted.insert((*task, span));
            }
        }
        events.extend(await_events);
        let entry = counted.into_iter().filter_map(|(task, span)| Some((task, self.tasks.get(span)?.counts)));
        events.extend(entry.map(|(task, counts)| Event::ConsoleCounts { task, counts }));
    }
}

impl AwaitResolver for ConsoleDecoder {
    fn reported(&self, span: u64) -> ReportedSpan {
        self.async_ops.reported(span)
    }

    fn target(&self, span: u64) -> Option<AwaitTarget> {
        self.async_ops.await_target(span)
    }
}
