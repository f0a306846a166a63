//! The retained data of a run, by id: tasks, awaits, resources, output, and the loop's own lane.
//!
//! Its operations return the change in stored bytes as a [`StorageDelta`]. The memory budget is the task of
//! [`super::retention`].

use std::collections::VecDeque;
use std::sync::Arc;

use super::await_site::{AwaitKind, AwaitSite};
use super::awaits::{AwaitOutcome, Awaits, OpenAwaits};
use super::gap::Gap;
use super::id::{AwaitId, ResourceId, SiteId, TaskId, WorkerId};
use super::lane::{Cycle, Lane};
use super::location::Location;
use super::lock_owners::LockOwners;
use super::marks::push_mark;
use super::meta_interner::MetaInterner;
use super::notices::Notices;
use super::output::OutputLog;
use super::pause::Pauses;
use super::queue_depths::QueueDepths;
use super::resource::{ResourceKind, Resources};
use super::stats::StatsSnapshot;
use super::storage::{ALLOCATION_BYTES, StorageDelta};
use super::task::{ColdState, ConsoleTaskStats, PhaseChange, Task, TaskPhase};
use super::task_meta::{TaskKind, TaskMeta, TaskOutcome};
use super::tasks::Tasks;
use super::time::Nanos;
use super::wake_source::WakeSource;
use super::worker::Worker;

/// Maximum number of awaits side by side among which the one is chosen that a task is shown to wait on.
const SIDE_BY_SIDE_MAX: usize = 64;

/// The retained data of a run.
#[derive(Clone, Debug)]
pub(super) struct History {
    /// The retained tasks.
    pub tasks: Tasks,
    /// Metadata that tasks share.
    pub meta_interner: MetaInterner,
    /// All await sites, by id.
    pub sites: Vec<AwaitSite>,
    /// The retained awaits.
    pub awaits: Awaits,
    /// The resources that tasks share, with their acquisitions.
    pub resources: Resources,
    /// Owners of the locks of an external app.
    pub lock_owners: LockOwners,
    /// The loop's own lane: a turn counts as a poll, a park as waiting.
    pub loop_lane: Lane,
    /// The workers of the runtime, by id.
    pub workers: Vec<Worker>,
    /// Samples of the stack, and exceptions that nothing retrieved.
    pub notices: Notices,
    /// Sampled depths of the queues of the runtime.
    pub queue_depths: QueueDepths,
    /// The newest lines that the program printed.
    pub output: OutputLog,
    /// The newest pauses.
    pub pauses: Pauses,
    /// The newest gaps, oldest first.
    pub gaps: VecDeque<Gap>,
    /// The open awaits of a task are side by side, not inside each other: those of an external app, in which only tokio's
    /// own primitives report awaits.
    pub are_awaits_side_by_side: bool,
    /// Scratch buffer in which blocks are packed.
    pack_scratch: Vec<u8>,
}

/// What the end of a poll tells about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndedPoll {
    /// Length of the poll, in nanoseconds.
    pub busy_ns: u64,
    /// The task was woken during the poll.
    pub is_woken: bool,
    /// The poll ran beside the loop.
    pub is_off_loop: bool,
}

impl History {
    /// Creates an empty history of a trace with this memory budget.
    pub fn new(budget_bytes: usize) -> Self {
        Self {
            tasks: Tasks::default(),
            meta_interner: MetaInterner::default(),
            sites: Vec::new(),
            awaits: Awaits::default(),
            resources: Resources::default(),
            lock_owners: LockOwners::default(),
            loop_lane: Lane::new(0),
            workers: Vec::new(),
            notices: Notices::default(),
            queue_depths: QueueDepths::new(budget_bytes),
            output: OutputLog::default(),
            pauses: Pauses::default(),
            gaps: VecDeque::new(),
            are_awaits_side_by_side: false,
            pack_scratch: Vec::new(),
        }
    }

    /// Adds the next task. Returns the bytes of its row.
    pub fn add_task(&mut self, meta: TaskMeta, at: Nanos, step: u32) -> usize {
        let id = TaskId::from_index(self.tasks.len());
        let task = Task::new(id, self.meta_interner.intern(meta), at, step);
        let bytes = task.row_bytes();
        self.tasks.push(task);
        bytes
    }

    /// Returns the task `id`; `None` if it does not exist or was evicted.
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(id)
    }

    /// Returns the kind of the await site `id`; [`AwaitKind::Other`] if the site is unknown.
    pub fn kind_of(&self, id: SiteId) -> AwaitKind {
        self.sites.get(id.index()).map_or(AwaitKind::Other, |site| site.kind)
    }

    /// Returns the console's statistics of a task, which are created if needed, and the bytes that this allocated.
    pub fn console_stats_mut(&mut self, id: TaskId) -> Option<(&mut ConsoleTaskStats, usize)> {
        let stats = &mut self.tasks.get_mut(id)?.console_stats;
        let new_bytes = if stats.is_none() { size_of::<ConsoleTaskStats>() + ALLOCATION_BYTES } else { 0 };
        Some((stats.get_or_insert_default(), new_bytes))
    }

    /// Returns the rarely used state of a task, which is created if needed, and the bytes that this allocated.
    pub fn cold_state_mut(&mut self, id: TaskId) -> Option<(&mut ColdState, usize)> {
        let cold = &mut self.tasks.get_mut(id)?.cold;
        let new_bytes = if cold.is_none() { size_of::<ColdState>() + ALLOCATION_BYTES } else { 0 };
        Some((cold.get_or_insert_default(), new_bytes))
    }

    /// Sets the spawn location of a task.
    pub fn set_spawn_location(&mut self, id: TaskId, location: Option<Location>) {
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.meta.location != location) else { return };
        let meta = self.meta_interner.intern(TaskMeta { location, ..TaskMeta::clone(&task.meta) });
        self.meta_interner.release(std::mem::replace(&mut task.meta, meta));
    }

    /// Removes a task from the table. Its reference to shared metadata must be released with [`Self::release_meta`].
    pub fn remove_task(&mut self, id: TaskId) -> Option<Box<Task>> {
        self.tasks.remove(id)
    }

    /// Releases a removed task's reference to shared metadata.
    pub fn release_meta(&mut self, meta: Arc<TaskMeta>) {
        self.meta_interner.release(meta);
    }

    /// Starts a poll of a task, the `step`-th of the loop, and adds `counted` to its polls.
    #[inline]
    pub fn start_poll(&mut self, id: TaskId, at: Nanos, step: u32, counted: u64) -> Option<StorageDelta> {
        let task = self.tasks.get_mut(id)?;
        task.counts.polls += counted;
        Some(task.lane.start_poll(at, step, &mut self.pack_scratch))
    }

    /// Ends the current poll of a task.
    #[inline]
    pub fn end_poll(&mut self, id: TaskId, at: Nanos) -> Option<EndedPoll> {
        let task = self.tasks.get_mut(id)?;
        let kind_of = |id| {
            let site = self.awaits.site_of_open(id).and_then(|site| self.sites.get(site.index()));
            site.map_or(AwaitKind::Other, |site| site.kind)
        };
        let waiting_on = if self.are_awaits_side_by_side {
            // The one that says most about why the task waits.
            let open = task.open_awaits.iter().rev().take(SIDE_BY_SIDE_MAX).map(|id| (id, kind_of(id)));
            open.min_by_key(|(_, kind)| kind.wait_rank())
        } else {
            task.open_awaits.last().map(|id| (id, kind_of(id)))
        };
        task.lane.end_poll(at, waiting_on);
        if let Some(worker) = task.lane.last().and_then(Cycle::worker)
            && let Some(worker) = self.workers.get_mut(worker.index())
        {
            worker.lane.end_worker_poll(id, at);
        }
        let (started, is_woken) =
            task.lane.last().map_or((at, false), |cycle| (cycle.start, cycle.scheduled_at().is_some()));
        Some(EndedPoll { busy_ns: at.saturating_sub(started), is_woken, is_off_loop: task.is_off_loop() })
    }

    /// Names the worker of the current poll of a task, which is the `step`-th of the loop.
    pub fn start_worker_poll(&mut self, id: TaskId, worker: WorkerId, step: u32) -> Option<StorageDelta> {
        let lane = &mut self.tasks.get_mut(id)?.lane;
        let worker = self.workers.get_mut(worker.index())?;
        let start = lane.set_poll_worker(worker.id)?;
        worker.polls += 1;
        Some(worker.lane.start_worker_poll(id, start, step, &mut self.pack_scratch))
    }

    /// Parks a worker.
    pub fn park_worker(&mut self, id: WorkerId, at: Nanos, step: u32) -> Option<StorageDelta> {
        let worker = self.workers.get_mut(id.index())?;
        worker.parks += 1;
        Some(worker.lane.park_worker(at, step, &mut self.pack_scratch))
    }

    /// Starts a turn of the loop, the `step`-th.
    pub fn start_turn(&mut self, at: Nanos, step: u32) -> StorageDelta {
        self.loop_lane.start_poll(at, step, &mut self.pack_scratch)
    }

    /// Records a wake of a task. Also returns whether the task was waiting.
    #[inline]
    pub fn wake_task(&mut self, id: TaskId, at: Nanos, step: u32, source: WakeSource) -> Option<(bool, StorageDelta)> {
        let task = self.tasks.get_mut(id)?;
        task.counts.wakes += 1;
        task.counts.self_wakes += u64::from(source == WakeSource::SelfWake);
        task.last_wake = Some((at, source));
        let delta = if task.lane.record_wake(at, step, Some(source)) {
            StorageDelta::default()
        } else {
            let poll = task.lane.poll_count();
            task.wakes.get_or_insert_default().push(poll, at, source)
        };
        Some((task.phase == TaskPhase::Waiting, delta))
    }

    /// Adds an await to the awaiting task's list, and names its last wait if `names_wait` is set. `None` if the task
    /// does not exist or was evicted.
    pub fn list_await(
        &mut self,
        task: TaskId,
        id: AwaitId,
        kind: AwaitKind,
        at: Nanos,
        names_wait: bool,
    ) -> Option<StorageDelta> {
        let owner = self.tasks.get_mut(task)?;
        owner.open_awaits.push(id);
        if names_wait {
            owner.lane.name_last_wait(id, kind, at);
        }
        Some(owner.awaits.push(id))
    }

    /// Stops counting an open await among those that its task waits on.
    pub fn stop_waiting_on(&mut self, id: AwaitId) {
        if let Some(task) = self.awaits.get(id).and_then(|found| self.tasks.get_mut(found.task)) {
            task.open_awaits.remove(id);
        }
    }

    /// Ends an await. Returns the change in stored bytes of the awaits.
    pub fn end_await(&mut self, id: AwaitId, at: Nanos) -> StorageDelta {
        let Some((task, delta)) = self.awaits.end(id, at) else { return StorageDelta::default() };
        if let Some(task) = self.tasks.get_mut(task) {
            task.open_awaits.remove(id);
        }
        delta
    }

    /// Records the end of an await, if that is a lock call.
    pub fn note_call_end(&mut self, id: AwaitId) {
        if let Some((lock, call, outcome)) = self.ended_lock_call(id) {
            self.lock_owners.call_ended(lock, id, call, outcome);
        }
    }

    /// Records that the outcome of an await that has ended became known.
    pub fn note_call_outcome(&mut self, id: AwaitId, is_ready: bool) {
        if let Some((lock, call, _)) = self.ended_lock_call(id) {
            self.lock_owners.outcome_known(lock, id, call, is_ready);
        }
    }

    /// Returns the lock, the task, the end and the outcome of a lock call that has ended.
    fn ended_lock_call(&self, id: AwaitId) -> Option<(ResourceId, (TaskId, Nanos), AwaitOutcome)> {
        let found = self.awaits.get(id)?;
        let lock = found.resource()?;
        let is_lock = self.resources.get(lock).is_some_and(|resource| resource.kind == ResourceKind::Lock);
        Some((lock, (found.task, found.end()?), found.outcome())).filter(|_| is_lock)
    }

    /// Adds polls of an await, on which its task waits again. Adds `counted` to the awaits of its task if these include
    /// the first poll.
    pub fn add_await_polls(&mut self, id: AwaitId, polls: u32, is_ready: bool, counted: u64) {
        let Some((task, is_first)) = self.awaits.record_polls(id, polls, is_ready) else { return };
        let Some(task) = self.tasks.get_mut(task).filter(|_| is_first || self.are_awaits_side_by_side) else { return };
        task.counts.awaits += if is_first { counted } else { 0 };
        if self.are_awaits_side_by_side && self.awaits.get(id).is_some_and(|found| found.end().is_none()) {
            task.open_awaits.insert(id);
        }
    }

    /// Ends a task, except for its phase, and returns its outcome and kind. `None` if it has ended before, does not exist or was
    /// evicted.
    pub fn end_task(
        &mut self,
        id: TaskId,
        at: Nanos,
        step: u32,
        outcome: TaskOutcome,
    ) -> Option<(&TaskOutcome, TaskKind, StorageDelta)> {
        let task = self.tasks.get_mut(id).filter(|task| task.outcome.is_none())?;
        let delta = task.lane.end(at);
        task.end_step = Some(step);
        task.open_awaits = OpenAwaits::default();
        let kind = task.meta.kind;
        Some((task.outcome.insert(outcome), kind, delta))
    }

    /// Sets the phase of a task. Returns `None` if the task has ended, does not exist or was evicted.
    #[inline]
    pub fn set_phase(&mut self, id: TaskId, phase: TaskPhase) -> Option<PhaseChange> {
        // Samples may arrive after their task has ended.
        let task = self.tasks.get_mut(id).filter(|task| task.phase != TaskPhase::Ended)?;
        let before = std::mem::replace(&mut task.phase, phase);
        Some(PhaseChange { before, after: phase, kind: task.meta.kind, is_held: task.is_held() })
    }

    /// Appends a snapshot to the lane of `owner`, or to the loop's lane for `None`.
    pub fn push_stats(&mut self, owner: Option<TaskId>, snapshot: StatsSnapshot) -> StorageDelta {
        let lane = match owner {
            None => Some(&mut self.loop_lane),
            Some(id) => self.tasks.get_mut(id).map(|task| &mut task.lane),
        };
        lane.map(|lane| lane.push_stats(snapshot)).unwrap_or_default()
    }

    /// Extends the gap of evicted data up to `until`.
    pub fn extend_evicted_gap(&mut self, until: Nanos) {
        match self.gaps.back_mut().filter(|gap| gap.is_evicted()) {
            Some(gap) => gap.to = gap.to.max(until),
            None => push_mark(&mut self.gaps, Gap { from: 0, to: until, dropped: 0, is_disconnected: false }),
        }
    }
}
