//! In-memory event store: the complete history of every task, within a memory budget, queryable at any loop time.
//!
//! Feeds produce [`Event`]s and [`Trace::apply`] stores them. All other modules only query the [`Trace`]. This module
//! does no I/O, reads no clock and starts no thread.

mod apply;
pub mod archive;
mod await_site;
mod awaits;
mod block_owner;
mod blocking;
mod cell_cache;
mod event;
mod evicted_tasks;
mod feed_check;
mod fidelity;
mod gap;
mod id;
mod lane;
mod lane_cell;
mod location;
mod loop_counts;
mod marks;
mod meta_interner;
mod output;
mod pack;
mod pause;
mod ready_queue;
mod recording_stats;
mod resource;
mod retention;
mod sampling;
mod stats;
mod storage;
mod task;
mod task_meta;
mod task_rows;
mod task_state;
mod tasks;
mod time;
mod wake_source;
mod wakes;
mod window;

pub use await_site::{AwaitKind, AwaitSite};
pub use awaits::{Await, AwaitOutcome, Awaits};
pub use event::Event;
pub use evicted_tasks::EvictedTasks;
pub use feed_check::FeedDisagreement;
pub use fidelity::Fidelity;
pub use gap::Gap;
pub use id::{AwaitId, ResourceId, SiteId, TaskId};
pub use lane::{Cycle, Lane, LaneTotals};
pub use lane_cell::{Axis, LaneCell, column_edge};
pub use location::Location;
pub use loop_counts::LoopCounts;
pub use output::{OUTPUT_LINES_MAX, OutputLine, OutputLog};
pub use pause::{Pause, PauseReason};
pub use recording_stats::{MalformedLine, RecordingStats};
pub use resource::{
    Acquisition, LostNotification, Resource, ResourceAttribute, ResourceEntry, ResourceKind, Resources,
    UnawaitedCoroutine,
};
pub use stats::{DurationHistogram, SampledInterval, TaskActivity, TaskHistograms, TaskStats};
pub use task::Task;
pub use task_meta::{TaskCounts, TaskKind, TaskMeta, TaskOutcome};
pub use task_state::TaskState;
pub use tasks::Tasks;
pub use time::Nanos;
pub use wake_source::WakeSource;

use block_owner::BlockOwner;
use meta_interner::MetaInterner;
use pause::Pauses;
use ready_queue::ReadyQueueHistory;

use std::collections::VecDeque;

/// Default memory budget of a trace, in bytes: 1 GiB. Past it, the oldest data is evicted.
pub const BUDGET_BYTES_DEFAULT: usize = 1 << 30;

/// The history of one run: tasks, polls, wakes, awaits, resources and output.
#[derive(Clone, Debug)]
pub struct Trace {
    tasks: Tasks,
    meta_interner: MetaInterner,
    evicted: EvictedTasks,
    sites: Vec<AwaitSite>,
    awaits: Awaits,
    resources: Resources,
    /// The loop's own lane: a turn counts as a poll, a park as waiting.
    loop_lane: Lane,
    output: OutputLog,
    pauses: Pauses,
    gaps: VecDeque<Gap>,
    counts: LoopCounts,
    /// Polls that the loop has started so far.
    steps: u32,
    now: Nanos,
    is_parked: bool,
    ready_queue: ReadyQueueHistory,
    console_updates: u64,
    console_dropped: u64,
    probe_events: u64,
    probe_dropped: u64,
    fidelity: Fidelity,
    /// The program does not report parks: the loop's lane is derived from the polls of its tasks.
    is_external: bool,
    /// Tasks that are running now outside of the loop, such as closures on the blocking pool.
    running_off_loop: u32,
    /// When polls on more than one thread were first detected.
    multi_threaded_since: Option<Nanos>,
    recording_stats: Option<RecordingStats>,
    /// For a program with two feeds: the time up to which the console's counts are complete.
    console_complete_until: Nanos,
    budget_bytes: usize,
    /// Bytes of sealed blocks and other per-event data; task rows are counted in `rows_bytes`.
    history_bytes: usize,
    /// Bytes of task rows.
    rows_bytes: usize,
    /// Tasks that have ended, in the order in which they ended.
    ended_tasks: VecDeque<TaskId>,
    /// Owners of the retained blocks, in the order in which the blocks were sealed.
    sealed_blocks: VecDeque<BlockOwner>,
    /// Number of blocks sealed so far, including evicted ones.
    sealed_count: u64,
    /// Scratch buffer in which blocks are packed.
    pack_scratch: Vec<u8>,
    cell_cache: cell_cache::CellCache,
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
            tasks: Tasks::default(),
            meta_interner: MetaInterner::default(),
            evicted: EvictedTasks::default(),
            sites: Vec::new(),
            awaits: Awaits::default(),
            resources: Resources::default(),
            loop_lane: Lane::new(0),
            output: OutputLog::default(),
            pauses: Pauses::default(),
            gaps: VecDeque::new(),
            counts: LoopCounts::default(),
            steps: 0,
            now: 0,
            is_parked: true,
            ready_queue: ReadyQueueHistory::default(),
            console_updates: 0,
            console_dropped: 0,
            probe_events: 0,
            probe_dropped: 0,
            fidelity: Fidelity::Exact,
            is_external: false,
            running_off_loop: 0,
            multi_threaded_since: None,
            recording_stats: None,
            console_complete_until: 0,
            budget_bytes,
            history_bytes: 0,
            rows_bytes: 0,
            ended_tasks: VecDeque::new(),
            sealed_blocks: VecDeque::new(),
            sealed_count: 0,
            pack_scratch: Vec::new(),
            cell_cache: cell_cache::CellCache::default(),
        }
    }

    /// Declares that polls and wakes are sampled. From now on task counts come from console-subscriber.
    pub fn set_sampled(&mut self) {
        self.fidelity = Fidelity::Sampled;
    }

    /// Declares that the traced program is external and does not report parks. The loop's lane is then derived from the
    /// polls of its tasks, and parks and turns are not counted.
    pub fn set_external(&mut self) {
        self.is_external = true;
    }

    /// Returns whether the traced program is external: not run by loopscope's own runtime.
    pub fn is_external(&self) -> bool {
        self.is_external
    }

    /// Returns when polls on more than one thread were first detected. From then on the source of a wake is a guess.
    pub fn multi_threaded_since(&self) -> Option<Nanos> {
        self.multi_threaded_since
    }

    /// Stores the statistics of the console-subscriber recording that this trace is read from.
    pub fn set_recording_stats(&mut self, recorded: RecordingStats) {
        self.recording_stats = Some(recorded);
    }

    /// Declares that the console's counts of an external program are complete up to `at`. Later activity may be missing
    /// from them.
    pub fn set_console_complete_until(&mut self, at: Nanos) {
        self.console_complete_until = at;
    }

    /// Returns the statistics of the recording that this trace is read from, if any.
    pub fn recording_stats(&self) -> Option<&RecordingStats> {
        self.recording_stats.as_ref()
    }

    /// Returns how completely polls and wakes are recorded.
    pub fn fidelity(&self) -> Fidelity {
        self.fidelity
    }

    /// Returns the retained tasks, in spawn order.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Returns the task `id`, or `None` if it does not exist or was evicted.
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(id)
    }

    /// Returns the totals of evicted tasks.
    pub fn evicted(&self) -> &EvictedTasks {
        &self.evicted
    }

    /// Returns the await site `id`, or `None` if it does not exist.
    pub fn site(&self, id: SiteId) -> Option<&AwaitSite> {
        self.sites.get(id.index())
    }

    /// Returns the retained awaits.
    pub fn awaits(&self) -> &Awaits {
        &self.awaits
    }

    /// Returns the resources that tasks share, with their acquisitions.
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// Returns the loop's own lane, in which a turn counts as a poll and a park as waiting.
    pub fn loop_lane(&self) -> &Lane {
        &self.loop_lane
    }

    /// Returns the lines that the program printed.
    pub fn output(&self) -> &OutputLog {
        &self.output
    }

    /// Returns the times of the retained pauses, oldest first.
    pub fn pauses(&self) -> impl DoubleEndedIterator<Item = Nanos> + '_ {
        self.pauses.iter().map(|pause| pause.at)
    }

    /// Returns the retained pauses after the first `count`, oldest first, with the number of pauses so far.
    pub fn pauses_since(&self, count: u64) -> (impl Iterator<Item = &Pause>, u64) {
        (self.pauses.since(count), self.pauses.count())
    }

    /// Returns the retained gaps, oldest first.
    pub fn gaps(&self) -> impl DoubleEndedIterator<Item = &Gap> {
        self.gaps.iter()
    }

    /// Returns the totals over the whole loop.
    pub fn counts(&self) -> &LoopCounts {
        &self.counts
    }

    /// Returns the loop time at the newest end of the trace.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// Returns the number of polls that the loop has started so far, which is the length of the steps axis.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// Returns whether the loop is parked now.
    pub fn is_parked(&self) -> bool {
        self.is_parked
    }

    /// Returns the number of console-subscriber updates, and the number of events that console-subscriber dropped.
    pub fn console_feed_counts(&self) -> (u64, u64) {
        (self.console_updates, self.console_dropped)
    }

    /// Returns the number of events that the probe recorded, and the number dropped because its ring was full.
    pub fn probe_feed_counts(&self) -> (u64, u64) {
        (self.probe_events, self.probe_dropped)
    }

    /// Returns the approximate memory use in bytes, with allocator overhead.
    pub fn retained_bytes(&self) -> usize {
        let sealed_bytes = self.sealed_blocks.capacity() * size_of::<BlockOwner>();
        self.history_bytes
            + self.task_rows_bytes()
            + self.awaits.unsealed_bytes()
            + self.ready_queue.retained_bytes()
            + sealed_bytes
    }

    /// Returns the maximum number of tasks that were ready at once, from `from` (inclusive) to `to` (exclusive).
    pub fn max_ready(&self, from: Nanos, to: Nanos) -> u32 {
        match self.ready_queue.last_change() {
            _ if from > self.now => 0,
            Some(last) if to <= last => self.cell_cache.max_ready((from, to), || self.ready_queue.peak(from, to)),
            _ => self.ready_queue.peak(from, to),
        }
    }
}
