//! Correlation of the app's console with its recording.
//!
//! The recording is the source of tasks, polls, wakes and awaits. The console adds what the recording lacks: names of
//! spans, locations, resources, and independent counts of polls and wakes. Tasks are matched by span id and spawn
//! time, which has the same timestamp in both.

use rustc_hash::FxHashMap;

use super::waker_backlog::WakerBacklog;
use crate::feed::console::{ConsoleDecoder, PollSource, WireTimestamp};
use crate::feed::recording::RecordingDecoder;
use crate::feed::wire::ConsoleMessage;
use crate::trace::{Event, Location, Nanos, TaskCounts, TaskId, Trace};

/// Maximum number of resource ends that wait for the recording. Beyond it, the oldest are emitted at once.
const PENDING_ENDS_MAX: usize = 1 << 18;

/// How far the recording may be past a task's spawn before the task counts as missing from it: 10 s in nanoseconds.
const MISSING_AFTER_NS: Nanos = 10_000_000_000;

/// Maximum number of tasks with pending updates. Beyond it, the oldest are dropped. It also limits the tasks of which
/// the console is ahead; further ones are not corrected.
const PENDING_TASKS_MAX: usize = 1 << 18;

/// Minimum number of tasks before finished ones are removed.
const SWEEP_TASKS_MIN: usize = 1 << 12;

/// A task reported by the console.
#[derive(Debug)]
struct ConsoleTask {
    span: u64,
    /// Spawn time in nanoseconds since 1970.
    spawned_at: u64,
    /// The task's id in the trace, assigned by the recording.
    trace_id: Option<TaskId>,
    /// A location to emit.
    location: Option<Box<Location>>,
    /// Counts to emit.
    counts: Option<TaskCounts>,
    /// Created and dropped clones of its waker, to emit once the recording has been read up to them.
    wakers: WakerBacklog,
    /// The task is in the list of tasks with pending updates.
    is_pending: bool,
}

/// Correlates the messages of an app's console with its recording.
pub struct Correlator {
    decoder: ConsoleDecoder,
    /// Origin of loop time in nanoseconds since 1970.
    origin: u64,
    /// Tasks by the id that the decoder assigned.
    tasks: FxHashMap<TaskId, ConsoleTask>,
    /// Number of tasks at which finished ones are removed.
    sweep_threshold: usize,
    /// Tasks with updates that wait for the recording.
    pending: Vec<TaskId>,
    /// Tasks of which the console has counted more polls than the recording so far, with those counts.
    ahead: FxHashMap<TaskId, TaskCounts>,
    /// Resource ends that wait for the recording.
    pending_ends: Vec<Event>,
    /// Time of the last console update in nanoseconds since 1970.
    updated_until: Option<u64>,
    /// Time up to which the counts are complete, in nanoseconds since 1970: that of the update before the last.
    counted_until: Option<u64>,
    /// Loop time after which waker counts that wait for the recording have changed.
    wakers_wait_since: Option<Nanos>,
}

impl Correlator {
    /// Creates a correlator. `origin` is the origin of loop time in nanoseconds since 1970.
    pub fn new(origin: u64) -> Self {
        let mut decoder = ConsoleDecoder::new(PollSource::Recording);
        decoder.clock_mut().set_origin(i64::try_from(origin).ok().map(WireTimestamp::from_nanos));
        Self {
            decoder,
            origin,
            tasks: FxHashMap::default(),
            sweep_threshold: SWEEP_TASKS_MIN,
            pending: Vec::new(),
            ahead: FxHashMap::default(),
            pending_ends: Vec::new(),
            updated_until: None,
            counted_until: None,
            wakers_wait_since: None,
        }
    }

    /// Returns the decoder, which resolves span ids to names.
    pub fn span_names(&self) -> &ConsoleDecoder {
        &self.decoder
    }

    /// Returns the time of the last console update in nanoseconds since 1970.
    pub fn updated_until(&self) -> Option<u64> {
        self.updated_until
    }

    /// Returns the time up to which the console's counts are complete, in nanoseconds since 1970.
    ///
    /// The timestamp of an update is taken after its counts. Only events before the previous update are certain to be
    /// included.
    pub fn counted_until(&self) -> Option<u64> {
        self.counted_until
    }

    /// Returns the loop time after which the waker counts of the trace may be out of date, because newer ones wait for the
    /// recording; `None` if none wait.
    pub fn wakers_wait_since(&self) -> Option<Nanos> {
        self.wakers_wait_since
    }

    /// Returns the interval in which every poll of an await is reported, in nanoseconds since 1970.
    pub fn polls_interval(&self) -> Option<(u64, u64)> {
        let [from, until] = [self.decoder.polls_complete_from(), self.decoder.polls_complete_until()];
        (until > 0).then(|| (self.origin.saturating_add(from), self.origin.saturating_add(until)))
    }

    /// Returns a note about the limits of the console's data.
    pub fn caveats(&self) -> String {
        self.decoder.caveats()
    }

    /// Processes a message and passes events that need not wait to `emit`, part by part.
    ///
    /// `time` converts epoch time to loop time, both in nanoseconds.
    pub fn ingest(
        &mut self,
        mut message: ConsoleMessage,
        time: impl Fn(u64) -> Nanos,
        mut emit: impl FnMut(Vec<Event>),
    ) {
        let origin = self.origin;
        let time = |at: Nanos| time(origin.saturating_add(at));
        self.decoder.begin_message(&message, None);
        for part in message.parts() {
            let events = self.decoder.decode_part(part);
            emit(self.sort_events(events, time));
        }
        let events = self.decoder.finish_message(message.skipped_entries());
        let mut emitted = self.sort_events(events, time);
        self.counted_until = self.updated_until;
        self.updated_until = Some(origin.saturating_add(self.decoder.clock().now()));
        let too_many = self.pending_ends.len().saturating_sub(PENDING_ENDS_MAX);
        emitted.extend(self.pending_ends.drain(..too_many));
        emit(emitted);
        self.sweep();
    }

    /// Decides what would have waited for the next update, because the app is gone.
    pub fn close(&mut self) {
        // The recording reports the ends of awaits.
        drop(self.decoder.close());
    }

    /// Removes tasks that are no longer needed.
    fn sweep(&mut self) {
        let too_many = self.pending.len().saturating_sub(PENDING_TASKS_MAX);
        for task in self.pending.drain(..too_many) {
            self.tasks.remove(&task);
        }
        if self.tasks.len() > self.sweep_threshold {
            self.tasks.retain(|task, emitted| emitted.is_pending || self.decoder.span_for_task(*task).is_some());
            self.sweep_threshold = (self.tasks.len() * 2).max(SWEEP_TASKS_MIN);
        }
    }

    /// Stores events that wait for the recording and returns the others.
    fn sort_events(&mut self, events: Vec<Event>, time: impl Fn(Nanos) -> Nanos) -> Vec<Event> {
        let mut emitted = Vec::new();
        let update_at = time(self.decoder.clock().now());
        let updated_before = self.updated_until.map_or(0, |epoch_ns| time(epoch_ns.saturating_sub(self.origin)));
        for event in events {
            match event {
                Event::Spawn { task, at, meta: spawned } => {
                    let span = self.decoder.span_for_task(task).unwrap_or_default();
                    let spawned_at = self.origin.saturating_add(at);
                    let location = spawned.location.map(Box::new);
                    self.pending.push(task);
                    let emitted = ConsoleTask {
                        span,
                        spawned_at,
                        trace_id: None,
                        location,
                        counts: None,
                        wakers: WakerBacklog::default(),
                        is_pending: true,
                    };
                    self.tasks.insert(task, emitted);
                }
                Event::SpawnLocation { task, location } => {
                    update_task(&mut self.tasks, &mut self.pending, task, |emitted| emitted.location = Some(location));
                }
                Event::ConsoleCounts { task, counts } => {
                    update_task(&mut self.tasks, &mut self.pending, task, |emitted| emitted.counts = Some(counts));
                }
                Event::WakerCounts { task, clones, drops } => {
                    update_task(&mut self.tasks, &mut self.pending, task, |emitted| {
                        emitted.wakers.push(updated_before, update_at, (clones, drops));
                    });
                }
                Event::NewResource { id: resource, at, resource: described } => {
                    emitted.push(Event::NewResource { id: resource, at: time(at), resource: described });
                }
                Event::ResourceAttribute { .. } | Event::ConsoleUpdate { .. } => emitted.push(event),
                Event::ResourceEnd { resource, at } => {
                    self.pending_ends.push(Event::ResourceEnd { resource, at: time(at) });
                }
                // The recording is more precise about everything else.
                _ => {}
            }
        }
        emitted
    }

    /// Returns the stored events whose tasks are in the trace. Call it when the recording has been read.
    pub fn catch_up(&mut self, recording: &mut RecordingDecoder, trace: &Trace) -> Vec<Event> {
        let mut emitted = std::mem::take(&mut self.pending_ends);
        let (tasks, last) = (&mut self.tasks, self.origin.saturating_add(recording.last_time()));
        let (ahead, mut wakers_wait_since) = (&mut self.ahead, None::<Nanos>);
        self.pending.retain(|console_id| {
            let Some(pending) = tasks.get_mut(console_id) else { return false };
            pending.trace_id =
                pending.trace_id.or_else(|| recording.take_spawned_task(pending.span, pending.spawned_at));
            // The recording may know a task that is not yet in the trace.
            let Some(task) = pending.trace_id.filter(|task| trace.task(*task).is_some()) else {
                // Its line may be late or lost.
                pending.is_pending = last < pending.spawned_at.saturating_add(MISSING_AFTER_NS);
                return pending.is_pending;
            };
            emitted.extend(pending.location.take().map(|location| Event::SpawnLocation { task, location }));
            if let Some(counts) = pending.counts.take() {
                emitted.push(Event::ConsoleCounts { task, counts });
                ahead.remove(console_id);
                let is_ahead = trace.task(task).is_some_and(|task| counts.polls > task.counts.polls);
                if is_ahead && ahead.len() < PENDING_TASKS_MAX {
                    ahead.insert(*console_id, counts);
                }
            }
            let wakers = pending.wakers.take_until(trace.now());
            emitted.extend(wakers.map(|(clones, drops)| Event::WakerCounts { task, clones, drops }));
            let waiting_since = pending.wakers.waiting_since();
            wakers_wait_since = [wakers_wait_since, waiting_since].into_iter().flatten().min();
            pending.is_pending = waiting_since.is_some();
            pending.is_pending
        });
        self.wakers_wait_since = wakers_wait_since;
        self.correct_drops(trace, &mut emitted);
        emitted
    }

    /// Corrects the counts of ended tasks whose spans are still open. Until then, the console counts the drop of the
    /// future as a poll.
    fn correct_drops(&mut self, trace: &Trace, emitted: &mut Vec<Event>) {
        let (tasks, decoder) = (&self.tasks, &self.decoder);
        self.ahead.retain(|console_id, counts| {
            let Some(task) = tasks.get(console_id).and_then(|task| trace.task(task.trace_id?)) else { return false };
            if counts.polls <= task.counts.polls {
                return false;
            }
            if counts.polls == task.counts.polls + 1 && task.outcome.is_some() && decoder.is_open(*console_id) {
                let counts = TaskCounts { polls: counts.polls - 1, ..*counts };
                emitted.push(Event::ConsoleCounts { task: task.id, counts });
                return false;
            }
            true
        });
    }
}

/// Changes a task and adds it to the list of tasks with pending updates.
fn update_task(
    tasks: &mut FxHashMap<TaskId, ConsoleTask>,
    pending: &mut Vec<TaskId>,
    task: TaskId,
    change: impl FnOnce(&mut ConsoleTask),
) {
    let Some(emitted) = tasks.get_mut(&task) else { return };
    change(emitted);
    if !std::mem::replace(&mut emitted.is_pending, true) {
        pending.push(task);
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
    use crate::feed::recording::RecordingClock;

    #[test]
    fn counts_are_complete_up_to_previous_update() {
        let mut correlator = Correlator::new(1_000);
        let update = |nanos| Update { now: Some(prost_types::Timestamp { seconds: 0, nanos }), ..Update::default() };
        let mut emitted = Vec::new();
        for nanos in [1_500, 1_700, 1_900] {
            correlator.ingest(
                ConsoleMessage::parse(update(nanos).encode_to_vec().into()).expect("decode the encoded message"),
                |at| at,
                |_| (),
            );
            emitted.push((correlator.updated_until(), correlator.counted_until()));
        }
        assert_eq!(emitted, [(Some(1_500), None), (Some(1_700), Some(1_500)), (Some(1_900), Some(1_700))]);
    }

    #[test]
    fn waiting_waker_counts_limit_what_is_known() {
        let (mut correlator, mut trace) = (Correlator::new(0), Trace::default());
        let mut recording = RecordingDecoder::new(RecordingClock::from_epoch_ns(0)).with_awaits();
        let stamp = |nanos| Some(Timestamp { seconds: 0, nanos });
        let line =
            "{\"v\":1}\n{\"Spawn\":{\"id\":7,\"at\":{\"secs_since_epoch\":0,\"nanos_since_epoch\":5},\"fields\":[]}}\n";
        let mut known = Vec::new();
        for (now, clones, read_until) in [(100, 1, 100), (200, 1, 200), (300, 2, 200), (400, 2, 250), (500, 2, 500)] {
            let mut update = TaskUpdate::default();
            update.new_tasks.extend((now == 100).then(|| Task { id: Some(Id { id: 7 }), ..Task::default() }));
            // An update has only the tasks that changed.
            if [100, 300].contains(&now) {
                let counts = Stats { created_at: stamp(5), waker_clones: clones, waker_drops: 1, ..Stats::default() };
                update.stats_update.insert(7, counts);
            }
            let update = Update { now: stamp(now), task_update: Some(update), ..Update::default() };
            let message = ConsoleMessage::parse(update.encode_to_vec().into()).expect("decode the encoded message");
            correlator.ingest(message, |at| at, |_| ());
            if now == 100 {
                let taken = recording.decode(line.as_bytes(), correlator.span_names(), &mut |event| trace.apply(event));
                assert_eq!(taken.expect("parse the recording"), b"");
                recording.flush_idle(u64::MAX, &mut |event| trace.apply(event));
            }
            trace.apply(Event::Advance { at: read_until });
            correlator.catch_up(&mut recording, &trace).into_iter().for_each(|event| trace.apply(event));
            let task = trace.tasks().first().expect("the task is known");
            known.push((task.waker_counts(), correlator.wakers_wait_since()));
        }
        let (old, new) = (Some((1, 1)), Some((2, 1)));
        assert_eq!(known, [(old, None), (old, None), (old, Some(200)), (old, Some(200)), (new, None)]);
    }

    #[test]
    fn finished_tasks_are_removed() {
        const BATCH: u64 = 4_096;
        let (mut correlator, mut trace) = (Correlator::new(0), Trace::default());
        let mut recording = RecordingDecoder::new(RecordingClock::from_epoch_ns(0)).with_awaits();
        let mut lines = "{\"v\":1}\n".to_owned();
        let stamp = |nanos: u64| Timestamp { seconds: 0, nanos: i32::try_from(nanos).expect("the time is small") };
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
            let message = ConsoleMessage::parse(update.encode_to_vec().into()).expect("decode the encoded message");
            correlator.ingest(message, |at| at, |_| ());
            let mut left = lines.as_bytes();
            while !left.is_empty() {
                let taken = recording.decode(left, correlator.span_names(), &mut |event| trace.apply(event));
                left = taken.expect("parse the recording");
            }
            recording.flush_idle(u64::MAX, &mut |event| trace.apply(event));
            lines.clear();
            let emitted = correlator.catch_up(&mut recording, &trace);
            assert!(
                emitted.iter().filter(|event| matches!(event, Event::ConsoleCounts { .. })).count() as u64 > BATCH / 2
            );
        }
        assert_eq!(trace.tasks().len() as u64, 10 * BATCH);
        assert!((correlator.tasks.len() as u64) < 8 * BATCH, "{} tasks remain", correlator.tasks.len());
        assert_eq!(recording.take_spawned_task(1, 1), None, "the span's id was consumed");
    }
}
