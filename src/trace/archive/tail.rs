//! The tail of an archive: everything that still changes, such as totals, unsealed history, task rows and resources.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::super::awaits::{AwaitsTail, OpenAwaits};
use super::super::evicted_tasks::EvictedTasks;
use super::super::fidelity::Fidelity;
use super::super::gap::Gap;
use super::super::id::{AwaitId, TaskId};
use super::super::lane::{Lane, LaneTail};
use super::super::location::Location;
use super::super::lock_owners::LockOwners;
use super::super::loop_counts::LoopCounts;
use super::super::loop_state::PhaseCounts;
use super::super::marks::push_mark;
use super::super::pause::Pauses;
use super::super::processor_waits::ProcessorWaits;
use super::super::queue_history::QueueHistory;
use super::super::recording_stats::RecordingStats;
use super::super::resource::Resources;
use super::super::stats::TaskHistograms;
use super::super::task::{ConsoleTaskStats, Task, TaskPhase};
use super::super::task_meta::{TaskCounts, TaskOutcome};
use super::super::time::Nanos;
use super::super::unknown_counts::UnknownCounts;
use super::super::wake_source::WakeSource;
use super::super::wakes::WakeRecord;
use super::super::{Trace, pack};
use super::loader::SanitizeFn;
use super::workers;
use super::{ArchiveCursor, TraceLoadError};

/// All mutable state of a trace.
#[derive(Serialize, Deserialize)]
pub(super) struct ArchiveTail<'a> {
    pub counts: LoopCounts,
    /// How many of the counted tasks are not tasks of the program.
    pub other_roles: PhaseCounts,
    pub steps: u32,
    pub now: Nanos,
    pub is_parked: bool,
    pub console_feed_counts: (u64, u64),
    pub probe_feed_counts: (u64, u64),
    pub fidelity: Fidelity,
    pub is_external: bool,
    pub running_off_loop: u32,
    pub multi_threaded_since: Option<Nanos>,
    pub recording_stats: Option<RecordingStats>,
    pub console_complete_until: Nanos,
    pub pauses: Cow<'a, Pauses>,
    pub gaps: Cow<'a, VecDeque<Gap>>,
    /// Interval of loop time whose blocks were evicted before they were serialized.
    pub lost_interval: Option<(Nanos, Nanos)>,
    pub ready: Cow<'a, QueueHistory>,
    pub resources: Cow<'a, Resources>,
    pub awaits: AwaitsTail,
    pub loop_lane: LaneTail,
    /// Totals of evicted tasks.
    pub evicted: Cow<'a, EvictedTasks>,
    /// One row for every other task, in spawn order.
    pub rows: Vec<TaskRow<'a>>,
    pub unknown: UnknownCounts,
    pub has_late_events: bool,
    pub outside_input: Option<bool>,
    pub processor_waits: Cow<'a, ProcessorWaits>,
    pub lock_owners: Cow<'a, LockOwners>,
}

/// A task without its metadata and its sealed history.
#[derive(Serialize, Deserialize)]
pub(super) struct TaskRow<'a> {
    pub id: TaskId,
    pub spawned_at: Nanos,
    pub lane: LaneTail,
    pub outcome: Cow<'a, Option<TaskOutcome>>,
    pub location: Cow<'a, Option<Location>>,
    pub counts: TaskCounts,
    pub console_counts: Option<TaskCounts>,
    pub suppressed_polls: u64,
    pub last_wake: Option<(Nanos, WakeSource)>,
    pub sampled_wake: Option<Nanos>,
    pub holds: Cow<'a, [(Nanos, Option<Nanos>)]>,
    pub hold_steps: Cow<'a, [(u32, Option<u32>)]>,
    pub waker_counts: Option<(u64, u64)>,
    pub histograms: Cow<'a, Option<Box<TaskHistograms>>>,
    pub end_step: Option<u32>,
    pub phase: TaskPhase,
    pub open_awaits: Cow<'a, [AwaitId]>,
    /// Awaits that are in no block, oldest first, and those that outlived their block.
    pub awaits: (Cow<'a, [AwaitId]>, Vec<AwaitId>),
    /// Blocking calls that are in no block, oldest first, and those that outlived their block.
    pub blocking_calls: (Cow<'a, [AwaitId]>, Vec<AwaitId>),
    pub wakes: Cow<'a, [WakeRecord]>,
}

impl<'a> TaskRow<'a> {
    fn from_task(task: &'a Task) -> Self {
        let calls = task.blocking_calls();
        Self {
            id: task.id,
            spawned_at: task.lane.spawned_at(),
            lane: task.lane.tail(),
            outcome: Cow::Borrowed(&task.outcome),
            location: Cow::Borrowed(&task.meta.location),
            counts: task.counts,
            console_counts: task.console_counts(),
            suppressed_polls: task.suppressed_polls(),
            last_wake: task.last_wake,
            sampled_wake: task.sampled_wake(),
            holds: Cow::Borrowed(task.holds()),
            hold_steps: Cow::Borrowed(task.hold_steps()),
            waker_counts: task.waker_counts(),
            histograms: Cow::Owned(task.histograms().cloned().map(Box::new)),
            end_step: task.end_step,
            phase: task.phase,
            open_awaits: task.open_awaits().collect(),
            awaits: (Cow::Borrowed(task.awaits.unsealed()), task.awaits.outlived().to_vec()),
            blocking_calls: calls
                .map_or_else(Default::default, |calls| (Cow::Borrowed(calls.unsealed()), calls.outlived().to_vec())),
            wakes: Cow::Borrowed(task.wakes.as_ref().map_or(&[], |wakes| wakes.unsealed())),
        }
    }

    /// Copies the row into `task`, except for the spawn location, which it returns.
    fn restore_into(self, task: &mut Task) -> Option<Location> {
        task.lane.restore_tail(self.lane);
        task.outcome = self.outcome.into_owned();
        task.counts = self.counts;
        task.last_wake = self.last_wake;
        task.end_step = self.end_step;
        task.phase = self.phase;
        task.open_awaits = OpenAwaits::from_sorted(&self.open_awaits);
        task.awaits.set_unsealed(&self.awaits.0, self.awaits.1);
        let histograms = self.histograms.into_owned();
        let (counts, wake, wakers) = (self.console_counts, self.sampled_wake, self.waker_counts);
        if counts.is_some() || wake.is_some() || wakers.is_some() || histograms.is_some() {
            task.console_stats =
                Some(Box::new(ConsoleTaskStats { counts, last_sampled_wake: wake, waker_counts: wakers, histograms }));
        }
        if self.suppressed_polls > 0
            || !self.holds.is_empty()
            || !self.blocking_calls.0.is_empty()
            || !self.blocking_calls.1.is_empty()
        {
            let cold = task.cold.get_or_insert_default();
            (cold.suppressed_polls, cold.holds) = (self.suppressed_polls, self.holds.into_owned());
            cold.hold_steps = self.hold_steps.into_owned();
            cold.blocking_calls.set_unsealed(&self.blocking_calls.0, self.blocking_calls.1);
        }
        if !self.wakes.is_empty() {
            task.wakes.get_or_insert_default().set_unsealed(self.wakes.into_owned());
        }
        self.location.into_owned()
    }
}

impl Trace {
    /// Serializes all mutable state. Everything else must have been serialized up to `cursor`.
    pub fn encode_tail(&self, cursor: &ArchiveCursor) -> Vec<u8> {
        let tail = pack::to_postcard(&ArchiveTail {
            counts: self.loop_state.counts,
            other_roles: self.loop_state.other_roles,
            steps: self.loop_state.steps,
            now: self.loop_state.now,
            is_parked: self.loop_state.is_parked,
            console_feed_counts: self.console_feed_counts(),
            probe_feed_counts: self.probe_feed_counts(),
            fidelity: self.feed_check.fidelity,
            is_external: self.feed_check.is_external,
            running_off_loop: self.loop_state.running_off_loop,
            multi_threaded_since: self.feed_check.multi_threaded_since,
            recording_stats: self.feed_check.recording_stats.clone(),
            console_complete_until: self.feed_check.console_complete_until,
            pauses: Cow::Borrowed(&self.history.pauses),
            gaps: Cow::Borrowed(&self.history.gaps),
            lost_interval: cursor.lost_interval,
            ready: Cow::Borrowed(&self.loop_state.ready_queue),
            resources: Cow::Borrowed(&self.history.resources),
            awaits: self.history.awaits.tail(),
            loop_lane: self.history.loop_lane.tail(),
            evicted: Cow::Borrowed(&self.retention.evicted),
            rows: self.history.tasks.iter().map(TaskRow::from_task).collect(),
            unknown: self.feed_check.unknown,
            has_late_events: self.feed_check.has_late_events,
            outside_input: self.feed_check.outside_input,
            processor_waits: Cow::Borrowed(&self.feed_check.processor_waits),
            lock_owners: Cow::Borrowed(&self.history.lock_owners),
        });
        [tail, self.encode_tail_extension()].concat()
    }

    /// Restores the mutable state of a trace whose deltas and blocks have been read.
    ///
    /// # Errors
    /// Returns an error if it cannot be decoded or does not match this trace.
    pub(super) fn restore_tail(&mut self, bytes: &[u8], sanitize: SanitizeFn) -> Result<(), TraceLoadError> {
        let (mut tail, rest): (ArchiveTail, _) = pack::split_postcard(bytes).ok_or(TraceLoadError::Malformed)?;
        let (workers, facts, notices) = workers::decode_tail_extension(rest).ok_or(TraceLoadError::Malformed)?;
        tail.pauses.to_mut().sanitize(sanitize);
        let is_in_order = tail.rows.is_sorted_by(|a, b| a.id < b.id);
        let is_defined = tail.rows.last().is_none_or(|last| last.id.index() < self.history.tasks.len());
        // Every task has a row or was evicted.
        let is_complete =
            tail.evicted.count.checked_add(tail.rows.len() as u64) == Some(self.history.tasks.len() as u64);
        let fits = is_in_order && is_defined && is_complete && workers.len() == self.history.workers.len();
        if !fits || !tail.resources.is_in_range() || !tail.processor_waits.is_valid() {
            return Err(TraceLoadError::Mismatch);
        }
        let freed_bytes = self.history.awaits.restore_tail(tail.awaits).ok_or(TraceLoadError::Mismatch)?;
        self.retention.subtract_history_bytes(freed_bytes);
        (self.loop_state.counts, self.loop_state.other_roles) = (tail.counts, tail.other_roles);
        (self.loop_state.now, self.loop_state.steps) = (tail.now, tail.steps);
        self.loop_state.is_parked = tail.is_parked;
        (self.feed_check.console_updates, self.feed_check.console_dropped) = tail.console_feed_counts;
        (self.feed_check.probe_events, self.feed_check.probe_dropped) = tail.probe_feed_counts;
        (self.feed_check.fidelity, self.feed_check.reported_facts) = (tail.fidelity, facts);
        self.feed_check.unknown = tail.unknown;
        self.feed_check.has_late_events = tail.has_late_events;
        self.feed_check.outside_input = tail.outside_input;
        self.feed_check.processor_waits = tail.processor_waits.into_owned();
        self.feed_check.is_external = tail.is_external;
        self.history.are_awaits_side_by_side = tail.is_external;
        self.loop_state.running_off_loop = tail.running_off_loop;
        self.feed_check.multi_threaded_since = tail.multi_threaded_since;
        self.feed_check.recording_stats = tail.recording_stats;
        self.feed_check.console_complete_until = tail.console_complete_until;
        (self.history.pauses, self.history.notices) = (tail.pauses.into_owned(), notices);
        // Blocks that were evicted during the recording are in the file, so their gaps do not apply. Exceptions are
        // blocks that were evicted before they were written, and task rows.
        let lost = tail.lost_interval.map(|(from, to)| Gap { from, to, dropped: 0, is_disconnected: false });
        let gaps = tail.gaps.iter().filter(|gap| !gap.is_evicted()).copied().chain(lost);
        gaps.for_each(|gap| push_mark(&mut self.history.gaps, gap));
        self.loop_state.ready_queue = tail.ready.into_owned();
        self.history.resources = tail.resources.into_owned();
        self.history.lock_owners = tail.lock_owners.into_owned();
        self.history.loop_lane.restore_tail(tail.loop_lane);
        self.restore_workers(workers);
        self.set_rows(tail.rows, tail.evicted.into_owned());
        Ok(())
    }

    /// Restores the rows of all tasks that were not evicted during the recording.
    fn set_rows(&mut self, rows: Vec<TaskRow>, evicted: EvictedTasks) {
        if evicted.count > 0 {
            let is_evicted = |id: &TaskId| rows.binary_search_by_key(id, |row| row.id).is_err();
            let every = (0..self.history.tasks.len()).map(TaskId::from_index);
            for id in every.filter(is_evicted) {
                if let Some(task) = self.retention.remove_task(&mut self.history, id) {
                    let Task { meta, .. } = *task;
                    self.history.release_meta(meta);
                }
            }
            self.history.extend_evicted_gap(evicted.ended_until);
        }
        // Tasks that were evicted while the archive was read had no totals yet. Those are in their rows.
        self.retention.evicted = evicted;
        for row in rows {
            let id = row.id;
            if let Some(task) = self.history.tasks.get_mut(id) {
                let before = (task.row_bytes(), task.history_bytes());
                let was_ended = task.phase == TaskPhase::Ended;
                let location = row.restore_into(task);
                if task.is_held() {
                    self.loop_state.count_hold(task.phase, task.meta.kind, true);
                }
                self.retention.record_changed_task(task, before);
                if task.phase == TaskPhase::Ended && !was_ended {
                    self.retention.queue_ended_task(id);
                }
                self.history.set_spawn_location(id, location);
            } else {
                let mut placeholder = Task { lane: Lane::new(row.spawned_at), ..Task::placeholder(id) };
                row.restore_into(&mut placeholder);
                let verdict = self.feed_check.verdict(&placeholder);
                self.retention.evicted.add_task(&placeholder, verdict);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::event::Event;
    use super::super::super::marks::MARKS_MAX;
    use super::super::super::task_meta::TaskMeta;
    use super::super::TraceLoader;
    use super::*;

    #[test]
    fn rejects_tail_that_omits_a_task() {
        let mut source = Trace::default();
        (0..2).for_each(|_| source.add_task(TaskMeta::default(), 0, 0));
        let restore = |source: &Trace| {
            let mut restored = Trace::default();
            (0..2).for_each(|_| restored.add_task(TaskMeta::default(), 0, 0));
            restored.restore_tail(&source.encode_tail(&ArchiveCursor::default()), |text| text.into())
        };
        assert!(restore(&source).is_ok());
        for tasks in [1, u64::MAX] {
            source.retention.evicted.count = tasks;
            assert_eq!(restore(&source), Err(TraceLoadError::Mismatch), "no task was evicted");
        }
        source.retention.evicted.count = 1;
        assert!(source.history.remove_task(TaskId::from_index(0)).is_some());
        assert!(restore(&source).is_ok());
    }

    /// Many tasks with unique names, as connections have. The names of evicted tasks must not count as memory use.
    #[test]
    fn evicted_names_take_no_memory() {
        const BUDGET_BYTES: usize = 200_000;
        let (mut source, mut loader) =
            (Trace::with_budget(BUDGET_BYTES), TraceLoader::new(usize::MAX, |text| text.into()));
        let mut cursor = ArchiveCursor::default();
        for index in 0..5_000 {
            let (task, at) = (TaskId::from_index(index), index as u64);
            let meta = Box::new(TaskMeta { name: format!("{index:0300}").into(), ..TaskMeta::default() });
            source.apply(Event::Spawn { task, at, meta });
            source.apply(Event::TaskEnd { task, at, outcome: TaskOutcome::Completed });
            let pieces = [source.encode_delta(&mut cursor), source.encode_ends(&mut cursor)];
            pieces.into_iter().flatten().for_each(|piece| loader.add_delta(&piece).expect("the archive is valid"));
        }
        loader.add_tail(&source.encode_tail(&cursor)).expect("the archive is valid");
        let (restored, is_complete) = loader.finish();
        assert!(is_complete && restored.evicted() == source.evicted() && source.evicted().count > 4_000);
        // The newest names stay interned in any case, and the pages take little.
        let names_bytes = 1_024 * 500;
        assert!(
            restored.retained_bytes() < source.retained_bytes() + names_bytes,
            "{} bytes",
            restored.retained_bytes()
        );
    }

    #[test]
    fn doubted_outcome_is_archived_again() {
        let (mut source, mut loader) = (Trace::default(), TraceLoader::new(usize::MAX, |text| text.into()));
        let (mut cursor, task) = (ArchiveCursor::default(), TaskId::from_index(0));
        source.apply(Event::Spawn { task, at: 0, meta: Box::default() });
        source.apply(Event::TaskEnd { task, at: 5, outcome: TaskOutcome::Completed });
        let pieces = [source.encode_delta(&mut cursor), source.encode_ends(&mut cursor)];
        pieces.into_iter().flatten().for_each(|piece| loader.add_delta(&piece).expect("the archive is valid"));
        source.apply(Event::TaskOutcomeDoubted { task });
        loader.add_delta(&source.encode_ends(&mut cursor).expect("it ends again")).expect("the archive is valid");
        loader.add_tail(&source.encode_tail(&cursor)).expect("the archive is valid");
        let (restored, is_complete) = loader.finish();
        for trace in [&source, &restored] {
            assert_eq!(trace.task(task).and_then(|task| task.outcome.clone()), Some(TaskOutcome::Unknown));
            assert_eq!((trace.task_counts().completed, trace.counts().completed), (0, 0));
        }
        assert!(is_complete);
    }

    #[test]
    fn eviction_while_loading_keeps_totals() {
        let (mut source, mut loader) = (Trace::default(), TraceLoader::new(50_000, |text| text.into()));
        for index in 0..2_000 {
            let (task, at) = (TaskId::from_index(index), 1_000 * index as u64);
            source.apply(Event::Spawn { task, at, meta: Box::default() });
            source.apply(Event::TaskEnd { task, at: at + 5, outcome: TaskOutcome::Cancelled });
        }
        let mut cursor = ArchiveCursor::default();
        let pieces = [source.encode_delta(&mut cursor), source.encode_ends(&mut cursor)];
        pieces.into_iter().flatten().for_each(|piece| loader.add_delta(&piece).expect("the archive is valid"));
        loader.add_tail(&source.encode_tail(&cursor)).expect("the archive is valid");
        let (restored, _) = loader.finish();
        let evicted = restored.evicted();
        assert!(evicted.count > 1_000 && evicted.scheduled_ns == 5 * evicted.count, "{evicted:?}");
    }

    #[test]
    fn rejects_waits_that_are_out_of_order() {
        let restore = |waits: &[(Nanos, Nanos)]| {
            let mut source = Trace::default();
            source.feed_check.processor_waits = ProcessorWaits::from_unchecked(waits);
            let mut restored = Trace::default();
            let result = restored.restore_tail(&source.encode_tail(&ArchiveCursor::default()), |text| text.into());
            result.map(|()| restored.processor_wait_ns(0, 100))
        };
        assert_eq!(restore(&[(0, 20), (10, 30)]), Ok(40));
        for waits in [&[(10, 30), (0, 40)][..], &[(0, 40), (10, 30)], &[(20, 10)], &[(0, 1); 20_000]] {
            assert_eq!(restore(waits), Err(TraceLoadError::Mismatch));
        }
    }

    #[test]
    fn loads_newest_gaps_of_too_many() {
        let mut source = Trace::default();
        let gap = |from| Gap { from, to: from + 1, dropped: 1, is_disconnected: false };
        let count = MARKS_MAX as u64 + 7;
        source.history.gaps.extend((0..count).map(gap));
        let mut restored = Trace::default();
        let tail = source.encode_tail(&ArchiveCursor::default());
        restored.restore_tail(&tail, |text| text.into()).expect("the archive is valid");
        assert!(restored.gaps().copied().eq((7..count).map(gap)));
    }
}
