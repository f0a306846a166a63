//! In-memory event store: the complete history of every task, within a memory budget, queryable at any loop time.
//!
//! Feeds produce [`Event`]s and [`Trace::apply`] stores them. All other modules only query the [`Trace`]. This module
//! does no I/O, reads no clock and starts no thread.
//!
//! ```
//! use loopscope::trace::{Event, TaskId, TaskMeta, TaskOutcome, TaskState, Trace};
//!
//! let mut trace = Trace::default();
//! let task = TaskId::from_index(0);
//! let meta = TaskMeta { name: "worker".into(), ..TaskMeta::default() };
//! trace.apply(Event::Spawn { task, at: 0, meta: Box::new(meta) });
//! trace.apply(Event::PollStart { task, at: 10 });
//! trace.apply(Event::PollEnd { task, at: 25 });
//! trace.apply(Event::TaskEnd { task, at: 25, outcome: TaskOutcome::Completed });
//!
//! assert_eq!(trace.counts().busy_ns, 15);
//! assert_eq!(trace.state_at(task, 12), Some(TaskState::Running));
//! assert_eq!(trace.state_at(task, 30), Some(TaskState::Completed));
//! ```

mod apply;
pub mod archive;
mod await_site;
mod awaits;
mod block_owner;
mod cell_cache;
mod event;
mod evicted_tasks;
mod feed_check;
mod fidelity;
mod gap;
mod history;
mod id;
mod lane;
mod lane_cell;
mod location;
mod lock_owners;
mod loop_counts;
mod loop_state;
mod marks;
mod meta_interner;
mod notices;
mod output;
mod pack;
mod pause;
mod processor_waits;
mod queue_depths;
mod queue_history;
mod recording_stats;
mod reported_facts;
mod resource;
mod retention;
mod stack_frame;
mod stats;
mod stats_ingest;
mod storage;
mod task;
mod task_meta;
mod task_state;
mod tasks;
mod time;
mod unknown_counts;
mod wake_source;
mod wakes;
mod window;
mod worker;
mod worker_ingest;

pub use await_site::{AwaitKind, AwaitSite};
pub use awaits::{Await, AwaitOutcome, Awaits};
pub use event::Event;
pub use evicted_tasks::EvictedTasks;
pub use feed_check::FeedDisagreement;
pub use fidelity::Fidelity;
pub use gap::Gap;
pub use id::{AwaitId, ResourceId, SiteId, TaskId, WorkerId};
pub use lane::{Cycle, Lane, LaneTotals};
pub use lane_cell::{Axis, LaneCell, column_edge};
pub use location::Location;
pub use loop_counts::{LoopCounts, TaskStateCounts};
pub use notices::{Notice, Notices, StackSample, UnretrievedException};
pub use output::{ERROR_MARK, OUTPUT_LINES_MAX, OutputLine, OutputLog, panic_place};
pub use pause::{Pause, PauseReason};
pub use queue_depths::QueueSample;
pub use recording_stats::{MalformedLine, RecordingStats};
pub use reported_facts::ReportedFacts;
pub use resource::{
    Acquisition, LostNotification, Resource, ResourceAttribute, ResourceEntry, ResourceKind, Resources,
    UnawaitedCoroutine,
};
pub use stack_frame::StackFrame;
pub use stats::{DurationHistogram, SampledInterval, TaskActivity, TaskHistograms, TaskStats};
pub use task::Task;
pub use task_meta::{TaskCounts, TaskKind, TaskMeta, TaskOutcome};
pub use task_state::TaskState;
pub use tasks::Tasks;
pub use time::Nanos;
pub use unknown_counts::UnknownCounts;
pub use wake_source::WakeSource;
pub use worker::{WORKERS_MAX, Worker, WorkerActivity, WorkerTotals};

use feed_check::FeedCheck;
use history::History;
use loop_state::LoopState;
use retention::Retention;

/// Default memory budget of a trace, in bytes: 1 GiB. Past it, the oldest data is evicted.
pub const BUDGET_BYTES_DEFAULT: usize = 1 << 30;

/// The history of one run: tasks, polls, wakes, awaits, resources and output.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The retained data, by id.
    history: History,
    /// Memory accounting and eviction.
    retention: Retention,
    /// The loop at the newest end of the trace.
    loop_state: LoopState,
    /// The feeds, and how their counts are compared.
    feed_check: FeedCheck,
}

impl Default for Trace {
    fn default() -> Self {
        Self::with_budget(BUDGET_BYTES_DEFAULT)
    }
}

impl Trace {
    /// Creates an empty trace with a memory budget of about `budget_bytes`.
    pub fn with_budget(budget_bytes: usize) -> Self {
        Self {
            history: History::new(budget_bytes),
            retention: Retention::new(budget_bytes),
            loop_state: LoopState::default(),
            feed_check: FeedCheck::default(),
        }
    }

    /// Declares that polls and wakes are sampled. From now on task counts come from console-subscriber.
    pub fn set_sampled(&mut self) {
        self.feed_check.fidelity = Fidelity::Sampled;
    }

    /// Declares that the traced program is external and does not report parks. The loop's lane is then derived from the
    /// polls of its tasks, and parks and turns are not counted.
    pub fn set_external(&mut self) {
        self.feed_check.is_external = true;
        self.history.are_awaits_side_by_side = true;
    }

    /// Returns whether the traced program is external: not run by loopscope's own runtime.
    pub fn is_external(&self) -> bool {
        self.feed_check.is_external
    }

    /// Returns when polls on more than one thread were first detected. From then on the source of a wake is a guess.
    pub fn multi_threaded_since(&self) -> Option<Nanos> {
        self.feed_check.multi_threaded_since
    }

    /// Returns how many awaits and wakes were observed that could not be attributed.
    pub fn unknown_counts(&self) -> UnknownCounts {
        self.feed_check.unknown
    }

    /// Returns the numbers of the program's tasks by state, without workers, `block_on` futures and blocking closures.
    pub fn task_counts(&self) -> TaskStateCounts {
        self.loop_state.task_counts(self.history.tasks.len() as u64)
    }

    /// Stores the statistics of the console-subscriber recording that this trace is read from.
    pub fn set_recording_stats(&mut self, recorded: RecordingStats) {
        self.feed_check.recording_stats = Some(recorded);
    }

    /// Declares that the console's counts of an external app are complete up to `at`. Later activity may be missing
    /// from them.
    pub fn set_console_complete_until(&mut self, at: Nanos) {
        self.feed_check.console_complete_until = at;
    }

    /// Returns the time up to which the console's counts of an external app are complete, if it has two feeds.
    pub fn console_complete_until(&self) -> Nanos {
        self.feed_check.console_complete_until
    }

    /// Returns whether the console has reported new events late: it cannot keep up with the program.
    pub fn is_console_late(&self) -> bool {
        self.feed_check.has_late_events && !self.has_probe_in_app()
    }

    /// Whether some events may be in another order than they happened in, because the probe of an app sent them late.
    pub fn is_order_doubtful(&self) -> bool {
        self.feed_check.has_late_events && self.has_probe_in_app()
    }

    fn has_probe_in_app(&self) -> bool {
        self.feed_check.is_external && self.feed_check.probe_events > 0
    }

    /// Declares that every wait of an external app for a processor that ended before `at` has been reported.
    pub fn set_processor_waits_known_until(&mut self, at: Nanos) {
        self.feed_check.processor_waits.known_until = Some(at);
    }

    /// Returns for how long a thread of an external app may have waited for a processor from `from` to `to`, at most. That
    /// includes the time whose waits are not known yet; it is 0 if nothing reports waits.
    pub fn processor_wait_ns(&self, from: Nanos, to: Nanos) -> u64 {
        self.feed_check.processor_waits.wait_ns_max(from, to)
    }

    /// Returns for how long the thread of a worker may have waited for a processor from `from` to `to`, at most. Where that
    /// is not known of the worker alone, it is the longest wait of any thread.
    pub fn worker_wait_ns(&self, worker: Option<WorkerId>, from: Nanos, to: Nanos) -> u64 {
        let all = &self.feed_check.processor_waits;
        match worker.and_then(|worker| self.feed_check.worker_waits.get(&worker)) {
            Some(own) => {
                own.wait_ns_max(from, to).saturating_add(all.unknown_ns(from, to)).min(to.saturating_sub(from))
            }
            None => all.wait_ns_max(from, to),
        }
    }

    /// Returns whether something outside of the program can wake it, such as a socket; `None` if that is not known.
    pub fn outside_input(&self) -> Option<bool> {
        self.feed_check.outside_input
    }

    /// Returns the statistics of the recording that this trace is read from, if any.
    pub fn recording_stats(&self) -> Option<&RecordingStats> {
        self.feed_check.recording_stats.as_ref()
    }

    /// Returns how completely polls and wakes are recorded.
    pub fn fidelity(&self) -> Fidelity {
        self.feed_check.fidelity
    }

    /// Returns the retained tasks, in spawn order.
    pub fn tasks(&self) -> &Tasks {
        &self.history.tasks
    }

    /// Returns the task `id`, or `None` if it does not exist or was evicted.
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.history.tasks.get(id)
    }

    /// Returns the totals of evicted tasks.
    pub fn evicted(&self) -> &EvictedTasks {
        &self.retention.evicted
    }

    /// Returns the await site `id`, or `None` if it does not exist.
    pub fn site(&self, id: SiteId) -> Option<&AwaitSite> {
        self.history.sites.get(id.index())
    }

    /// Returns the retained awaits.
    pub fn awaits(&self) -> &Awaits {
        &self.history.awaits
    }

    /// Sets what a program with the probe reports.
    pub fn set_reported_facts(&mut self, facts: ReportedFacts) {
        self.feed_check.reported_facts = Some(facts);
    }

    /// Returns what a program with the probe reports; `None` for any other source.
    pub fn reported_facts(&self) -> Option<ReportedFacts> {
        self.feed_check.reported_facts
    }

    /// Returns whether the program reports which tasks own its locks. If not, [`Self::lock_owner`] infers it.
    pub fn are_owners_reported(&self) -> bool {
        !self.is_external() || self.history.resources.acquisitions().next().is_some()
    }

    /// Returns the inferred owner of a lock of an external app that does not report owners: the task whose call acquired
    /// it last, while the lock is reported as locked. `None` if that is not known.
    pub fn lock_owner(&self, lock: ResourceId) -> Option<TaskId> {
        if self.are_owners_reported() {
            return None;
        }
        let entry = self.history.resources.entry(lock).filter(|entry| entry.dropped_at().is_none())?;
        let owner = self.history.lock_owners.last_owner(lock).filter(|_| entry.is_owned_exclusively())?;
        self.task(owner).filter(|task| task.outcome.is_none()).map(|task| task.id)
    }

    /// Returns the resources that tasks share, with their acquisitions.
    pub fn resources(&self) -> &Resources {
        &self.history.resources
    }

    /// Returns what the program reports besides.
    pub fn notices(&self) -> &Notices {
        &self.history.notices
    }

    /// Returns the loop's own lane, in which a turn counts as a poll and a park as waiting.
    pub fn loop_lane(&self) -> &Lane {
        &self.history.loop_lane
    }

    /// Returns the workers of the runtime, by id. Empty if they are not known.
    pub fn workers(&self) -> &[Worker] {
        &self.history.workers
    }

    /// Returns the worker `id`, or `None` if it does not exist.
    pub fn worker(&self, id: WorkerId) -> Option<&Worker> {
        self.history.workers.get(id.index())
    }

    /// Returns the lines that the program printed.
    pub fn output(&self) -> &OutputLog {
        &self.history.output
    }

    /// Returns the times of the retained pauses, oldest first.
    pub fn pauses(&self) -> impl DoubleEndedIterator<Item = Nanos> + '_ {
        self.history.pauses.iter().map(|pause| pause.at)
    }

    /// Returns the retained pauses after the first `count`, oldest first, with the number of pauses so far.
    pub fn pauses_since(&self, count: u64) -> (impl Iterator<Item = &Pause>, u64) {
        (self.history.pauses.since(count), self.history.pauses.count())
    }

    /// Returns the totals over the whole loop.
    pub fn counts(&self) -> &LoopCounts {
        &self.loop_state.counts
    }

    /// Returns the loop time at the newest end of the trace.
    pub fn now(&self) -> Nanos {
        self.loop_state.now
    }

    /// Returns the number of polls that the loop has started so far, which is the length of the steps axis.
    pub fn steps(&self) -> u32 {
        self.loop_state.steps
    }

    /// Returns whether the loop is parked now.
    pub fn is_parked(&self) -> bool {
        self.loop_state.is_parked
    }

    /// Returns the number of console-subscriber updates, and the number of events that console-subscriber dropped.
    pub fn console_feed_counts(&self) -> (u64, u64) {
        (self.feed_check.console_updates, self.feed_check.console_dropped)
    }

    /// Returns the number of events that the probe recorded, and the number dropped because its ring was full.
    pub fn probe_feed_counts(&self) -> (u64, u64) {
        (self.feed_check.probe_events, self.feed_check.probe_dropped)
    }

    /// Returns the approximate memory use in bytes, with allocator overhead.
    pub fn retained_bytes(&self) -> usize {
        let queue_bytes = self.loop_state.retained_bytes() + self.history.queue_depths.retained_bytes();
        self.retention.retained_bytes(&self.history) + queue_bytes
    }

    /// Returns the maximum number of tasks that were ready at once, from `from` (inclusive) to `to` (exclusive).
    pub fn max_ready(&self, from: Nanos, to: Nanos) -> u32 {
        self.loop_state.max_ready(from, to)
    }

    /// Returns the state of task `id` at loop time `at`. Of several changes at the same time the last one counts.
    ///
    /// Returns `None` before the task was spawned, and where its history was evicted.
    pub fn state_at(&self, id: TaskId, at: Nanos) -> Option<TaskState> {
        self.history.state_at(id, at)
    }

    /// Returns the current state of task `id`, or `None` if it does not exist or was evicted.
    pub fn state(&self, id: TaskId) -> Option<TaskState> {
        self.history.state(id)
    }

    /// Returns a blocking call of `id` that overlaps `from` up to, not including, `to`.
    pub fn blocking_call(&self, id: TaskId, from: Nanos, to: Nanos) -> Option<AwaitId> {
        self.history.blocking_call(id, from, to)
    }

    /// Returns the tasks whose counts differ between the feeds, in spawn order.
    ///
    /// Meaningful once the run is over and both feeds are drained: before that, console-subscriber is up to one publish
    /// interval late.
    pub fn disagreements(&self) -> Vec<FeedDisagreement> {
        let retained = self.tasks().iter().filter_map(|task| self.feed_check.disagreement(task));
        self.evicted().disagreements.iter().cloned().chain(retained).collect()
    }
}
