//! A task: metadata, lane, counts, open awaits and holds.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::awaits::{AwaitIds, OpenAwaits};
use super::id::{AwaitId, TaskId, WorkerId};
use super::lane::{Lane, LaneTotals};
use super::stats::TaskHistograms;
use super::storage::ALLOCATION_BYTES;
use super::task_meta::{TaskCounts, TaskKind, TaskMeta, TaskOutcome};
use super::time::Nanos;
use super::wake_source::WakeSource;
use super::wakes::{self, ExtraWakes};

/// What a task is doing at the newest end of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TaskPhase {
    /// It is being polled.
    Running,
    /// It is ready to be polled.
    Scheduled,
    /// It waits for a wake.
    Waiting,
    /// It has ended.
    Ended,
}

/// A task that changed its phase.
#[derive(Clone, Copy, Debug)]
pub(super) struct PhaseChange {
    pub before: TaskPhase,
    pub after: TaskPhase,
    pub kind: TaskKind,
    pub is_held: bool,
}

/// A task and its history.
///
/// There may be millions of tasks, so state that few of them have is boxed separately.
#[derive(Clone, Debug)]
pub struct Task {
    /// Id of the task.
    pub id: TaskId,
    /// Metadata, shared by all tasks with equal metadata.
    pub meta: Arc<TaskMeta>,
    /// Its polls, waits and scheduled times.
    pub lane: Lane,
    /// How it ended, or `None` while it lives.
    pub outcome: Option<TaskOutcome>,
    /// Counts of the polls, wakes and awaits in the trace; with sampled polls, console-subscriber's.
    pub counts: TaskCounts,
    /// Time and source of its last wake.
    pub last_wake: Option<(Nanos, WakeSource)>,
    /// Number of polls that the loop had started when this task was spawned.
    pub spawn_step: u32,
    /// Number of polls that the loop had started when this task ended.
    pub end_step: Option<u32>,
    pub(super) phase: TaskPhase,
    pub(super) open_awaits: OpenAwaits,
    pub(super) awaits: AwaitIds,
    /// Wakes after the first one that follows each poll.
    pub(super) wakes: Option<Box<ExtraWakes>>,
    pub(super) console_stats: Option<Box<ConsoleTaskStats>>,
    pub(super) cold: Option<Box<ColdState>>,
}

/// Statistics of a task that only a console reports.
#[derive(Clone, Debug, Default)]
pub(super) struct ConsoleTaskStats {
    pub counts: Option<TaskCounts>,
    /// Time of the last sampled wake.
    pub last_sampled_wake: Option<Nanos>,
    /// Clones of its waker that were created, and that were dropped.
    pub waker_counts: Option<(u64, u64)>,
    pub histograms: Option<Box<TaskHistograms>>,
}

/// State that few tasks have.
#[derive(Clone, Debug, Default)]
pub(super) struct ColdState {
    /// Polls that were suppressed while the task was held.
    pub suppressed_polls: u64,
    /// The first wake during the current hold, which is delivered at the release.
    pub deferred_wake: Option<(Nanos, WakeSource)>,
    /// Start and end of each hold.
    pub holds: Vec<(Nanos, Option<Nanos>)>,
    /// Start and end of each hold, as numbers of polls that the loop had started.
    pub hold_steps: Vec<(u32, Option<u32>)>,
    /// Its awaits that are blocking calls.
    pub blocking_calls: AwaitIds,
}

impl Task {
    pub(super) fn new(id: TaskId, meta: Arc<TaskMeta>, at: Nanos, spawn_step: u32) -> Self {
        Self {
            id,
            meta,
            lane: Lane::new(at),
            outcome: None,
            counts: TaskCounts::default(),
            last_wake: None,
            spawn_step,
            end_step: None,
            phase: TaskPhase::Scheduled,
            open_awaits: OpenAwaits::default(),
            awaits: AwaitIds::default(),
            wakes: None,
            console_stats: None,
            cold: None,
        }
    }

    /// Creates a task without metadata, as the target of data that is read for an evicted task.
    pub(super) fn placeholder(id: TaskId) -> Self {
        Self::new(id, Arc::new(TaskMeta::default()), 0, 0)
    }

    /// Returns the bytes of its row, without its sealed history and without shared metadata.
    pub(super) fn row_bytes(&self) -> usize {
        let console_bytes = self.console_stats.as_ref().map_or(0, |_| size_of::<ConsoleTaskStats>() + ALLOCATION_BYTES);
        let cold_bytes = self.cold.as_ref().map_or(0, |_| size_of::<ColdState>() + ALLOCATION_BYTES);
        size_of::<Self>() + ALLOCATION_BYTES + console_bytes + cold_bytes
    }

    /// Returns the bytes of its retained history.
    pub(super) fn history_bytes(&self) -> usize {
        let calls = self.cold.as_ref().map_or(0, |cold| cold.blocking_calls.retained_bytes());
        let wakes = self.wakes.as_ref().map_or(0, |wakes| wakes.retained_bytes());
        self.lane.retained_bytes() + self.awaits.retained_bytes() + calls + wakes
    }

    /// Returns console-subscriber's counts, or `None` if it has not reported the task.
    pub fn console_counts(&self) -> Option<TaskCounts> {
        self.console_stats.as_ref()?.counts
    }

    /// Returns the time of the last sampled wake, if wakes are sampled. Its source is unknown.
    pub fn sampled_wake(&self) -> Option<Nanos> {
        self.console_stats.as_ref()?.last_sampled_wake
    }

    /// Returns how many clones of its waker were created and dropped, or `None` if they are not counted.
    pub fn waker_counts(&self) -> Option<(u64, u64)> {
        self.console_stats.as_ref()?.waker_counts
    }

    /// Returns the number of live clones of its waker, or `None` if they are not counted.
    pub fn live_wakers(&self) -> Option<u64> {
        self.waker_counts().map(|(clones, drops)| clones.saturating_sub(drops))
    }

    /// Returns the time of its last wake, as far as it was observed or reported.
    pub fn last_woken_at(&self) -> Option<Nanos> {
        self.last_wake.map(|(at, _)| at).max(self.sampled_wake())
    }

    /// Returns the worker that ran its last poll up to `at`, or `None` if that is not known.
    pub fn worker_at(&self, at: Nanos) -> Option<WorkerId> {
        self.lane.cycle_at(at)?.worker()
    }

    /// Returns the distributions of its poll and scheduled durations, if the console reports them.
    pub fn histograms(&self) -> Option<&TaskHistograms> {
        self.console_stats.as_ref()?.histograms.as_deref()
    }

    /// Returns how many polls were suppressed while the task was held. console-subscriber counts them as polls.
    pub fn suppressed_polls(&self) -> u64 {
        self.cold.as_ref().map_or(0, |cold| cold.suppressed_polls)
    }

    /// Returns time and source of the first wake since the task is held. It counts as a wake only at the release.
    pub fn deferred_wake(&self) -> Option<(Nanos, WakeSource)> {
        self.cold.as_ref()?.deferred_wake
    }

    /// Returns the task's totals at loop time `at`, and how long it was held until then. The time in which it was held
    /// counts neither as waiting nor as scheduled.
    pub fn totals_at(&self, at: Nanos) -> (LaneTotals, Nanos) {
        let mut totals = self.lane.totals_at(at);
        let mut held_ns = 0;
        let last = at.min(self.lane.ended_at().unwrap_or(at));
        for (from, to) in self.holds().iter().filter(|(from, _)| *from < last) {
            let held = self.lane.totals_at(to.unwrap_or(last).min(last)).since(&self.lane.totals_at(*from));
            held_ns += held.scheduled_ns + held.waiting_total_ns();
            totals.scheduled_ns = totals.scheduled_ns.saturating_sub(held.scheduled_ns);
            for (waiting, held) in totals.waiting_ns.iter_mut().zip(held.waiting_ns) {
                *waiting = waiting.saturating_sub(held);
            }
        }
        (totals, held_ns)
    }

    /// Returns start and end of each hold; the end is `None` while the task is held.
    pub fn holds(&self) -> &[(Nanos, Option<Nanos>)] {
        self.cold.as_ref().map_or(&[], |cold| &cold.holds)
    }

    pub(super) fn hold_steps(&self) -> &[(u32, Option<u32>)] {
        self.cold.as_ref().map_or(&[], |cold| &cold.hold_steps)
    }

    pub(super) fn blocking_calls(&self) -> Option<&AwaitIds> {
        self.cold.as_ref().map(|cold| &cold.blocking_calls)
    }

    /// Returns its name. A task without one is named after its spawn location, as `main.rs:47 #12`, or `task 12` if
    /// that is not known.
    pub fn name(&self) -> Cow<'_, str> {
        match &self.meta.location {
            Some(location) if self.meta.name.is_empty() => format!("{} #{}", location.short(), self.id).into(),
            _ => self.given_name(),
        }
    }

    /// Returns its name, or `task 12` if it has none.
    pub fn given_name(&self) -> Cow<'_, str> {
        if self.meta.name.is_empty() { format!("task {}", self.id).into() } else { Cow::Borrowed(&self.meta.name) }
    }

    /// Returns its name and its id, as `main #1`.
    pub fn name_with_id(&self) -> String {
        if self.meta.name.is_empty() && self.meta.location.is_some() {
            return self.name().into_owned();
        }
        format!("{} #{}", self.name(), self.id)
    }

    /// Returns whether the user held the task at loop time `at`.
    pub fn is_held_at(&self, at: Nanos) -> bool {
        self.holds().iter().any(|(from, to)| *from <= at && to.is_none_or(|to| at < to))
    }

    /// Returns whether the user held the task when the loop had started `step` polls.
    pub(super) fn is_held_at_step(&self, step: u32) -> bool {
        self.hold_steps().iter().any(|(from, to)| *from <= step && to.is_none_or(|to| step < to))
    }

    /// Ends the current hold, if there is one.
    pub(super) fn end_hold(&mut self, at: Nanos, step: u32) {
        let Some(cold) = &mut self.cold else { return };
        cold.deferred_wake = None;
        if let Some((begin, end)) = cold.holds.last_mut() {
            end.get_or_insert(at.max(*begin));
        }
        if let Some((begin, end)) = cold.hold_steps.last_mut() {
            end.get_or_insert(step.max(*begin));
        }
    }

    /// Returns whether the user holds the task now. Loop time may stand still between a hold and its release.
    pub fn is_held(&self) -> bool {
        self.holds().last().is_some_and(|(_, to)| to.is_none())
    }

    /// Returns whether the task occupies a thread other than the loop's: a closure on the blocking pool or a worker.
    pub fn is_off_loop(&self) -> bool {
        self.meta.kind.is_off_loop()
    }

    /// Returns the awaits that are open now, outermost first.
    pub fn open_awaits(&self) -> impl DoubleEndedIterator<Item = AwaitId> + '_ {
        self.open_awaits.iter()
    }

    /// Returns the ids of the task's retained awaits, oldest first. For ids at the front that were evicted meanwhile,
    /// [`super::Awaits::get`] returns `None`.
    pub fn awaits(&self) -> impl DoubleEndedIterator<Item = AwaitId> + '_ {
        self.awaits.iter()
    }

    /// Returns how many of the retained wakes came at or before `at`.
    pub fn wakes_until(&self, at: Nanos) -> usize {
        self.lane.count_wakes_until(at) + self.wakes.as_ref().map_or(0, |wakes| wakes.count_until(at))
    }

    /// Returns the retained wakes of this task, oldest first.
    pub fn wakes(&self) -> impl DoubleEndedIterator<Item = (Nanos, WakeSource)> + ExactSizeIterator + '_ {
        wakes::merge_wakes(&self.lane, self.wakes.as_deref())
    }
}
