//! WHAT HAPPENED: every task's life, held in memory, bounded, and answered from at any time.
//!
//! Pure: no I/O, no clock, no thread. Feeds say [`Event`]s, [`Trace::apply`] files them, and everybody else asks.

mod agreement;
mod alike;
mod apply;
pub mod archive;
mod awaits;
mod blocking;
mod event;
mod forgotten;
mod id;
mod lane;
mod measure;
mod output;
mod pack;
mod pause;
mod query;
mod ready;
mod recorded;
mod resource;
mod retention;
mod rows;
mod sampling;
mod seen;
mod task;
mod tasks;
mod wakes;
mod window;

pub use agreement::Disagreement;
pub use awaits::{Await, Awaits, Outcome};
pub use event::{AwaitKind, Cause, Counts, Ending, Event, Location, Nanos, Site, Spawned, TaskKind};
pub use forgotten::Forgotten;
pub use id::{AwaitId, ResourceId, SiteId, TaskId};
pub use lane::{Cycle, Lane, Totals};
pub use measure::{Doing, Histogram, Histograms, Measured, Sampled};
pub use output::{Line, OUTPUT_LINES_MAX, Output};
pub use pause::{Pause, PauseCause};
pub use query::State;
pub use recorded::{BrokenLine, Recorded};
pub use resource::{Attribute, Holding, Known, Resource, ResourceKind, Resources, Unawaited, Unheard};
pub use task::Task;
pub use tasks::Tasks;
pub use window::{Axis, Cell, column_edge};

use alike::Alike;
use pause::Pauses;
use ready::Ready;
use retention::Kept;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Bytes that a trace may keep before it forgets the oldest: 1 GiB.
pub const BUDGET_BYTES_DEFAULT: usize = 1 << 30;

/// Pauses and gaps that are kept as marks; the oldest go first.
const MARKS_MAX: usize = 10_000;

/// What an allocator adds to a piece of memory that it gives, about.
const ALLOCATION_BYTES: usize = 16;

/// Facts that were lost, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub from: Nanos,
    pub to: Nanos,
    /// Events that were dropped; 0 where the trace itself forgot its oldest, or where nobody listened.
    pub dropped: u64,
    /// Nobody listened meanwhile.
    pub is_unwatched: bool,
}

impl Gap {
    /// The trace itself forgot what was there, for the memory budget was reached.
    pub fn is_forgotten(&self) -> bool {
        self.dropped == 0 && !self.is_unwatched
    }
}

/// How much of what happened was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fidelity {
    /// Every poll and wake.
    #[default]
    Exact,
    /// Counts, and now and then the last poll and wake.
    Sampled,
}

impl Fidelity {
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Sampled => "sampled",
        }
    }
}

/// Sums over the whole loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopCounts {
    pub polls: u64,
    pub wakes: u64,
    pub parks: u64,
    /// Stretches of the loop between two parks.
    pub turns: u64,
    pub busy_ns: u64,
    pub parked_ns: u64,
    pub longest_poll_ns: u64,
    /// Tasks by what they are doing now.
    pub running: u32,
    pub scheduled: u32,
    pub waiting: u32,
    pub done: u32,
    pub cancelled: u32,
    pub failed: u32,
    pub events: u64,
}

/// What happened; see the module.
#[derive(Clone, Debug)]
pub struct Trace {
    tasks: Tasks,
    alike: Alike,
    forgotten: Forgotten,
    sites: Vec<Site>,
    awaits: Awaits,
    resources: Resources,
    /// The loop's own row: awake is its poll, parked its waiting.
    loop_lane: Lane,
    output: Output,
    pauses: Pauses,
    gaps: VecDeque<Gap>,
    counts: LoopCounts,
    /// Polls of the whole loop so far.
    steps: u32,
    now: Nanos,
    parked: bool,
    ready: Ready,
    console_updates: u64,
    console_dropped: u64,
    probe_events: u64,
    probe_dropped: u64,
    fidelity: Fidelity,
    /// Nobody tells when this loop parks: its own row is when any task was polled.
    is_foreign: bool,
    /// Tasks that are running and keep no loop.
    running_beside: u32,
    /// Since when it is known that more than one thread polls.
    many_threads: Option<Nanos>,
    recorded: Option<Recorded>,
    /// Where a program that is not ours is told of twice: until when the console has told.
    compared_until: Nanos,
    budget_bytes: usize,
    kept_bytes: usize,
    /// Of these, what rows of tasks take.
    rows_bytes: usize,
    /// Tasks that are over, in the order in which they ended.
    over: VecDeque<TaskId>,
    /// Whose blocks are kept, in the order in which they were sealed.
    sealed: VecDeque<Kept>,
    /// How many there ever were.
    sealed_count: u64,
    /// Where blocks are packed.
    scratch: Vec<u8>,
    seen: seen::Seen,
}

impl Default for Trace {
    fn default() -> Self {
        Self::with_budget(BUDGET_BYTES_DEFAULT)
    }
}

impl Trace {
    /// An empty trace that keeps at most about `budget_bytes`.
    pub fn with_budget(budget_bytes: usize) -> Self {
        Self {
            tasks: Tasks::default(),
            alike: Alike::default(),
            forgotten: Forgotten::default(),
            sites: Vec::new(),
            awaits: Awaits::default(),
            resources: Resources::default(),
            loop_lane: Lane::new(0),
            output: Output::default(),
            pauses: Pauses::default(),
            gaps: VecDeque::new(),
            counts: LoopCounts::default(),
            steps: 0,
            now: 0,
            parked: true,
            ready: Ready::default(),
            console_updates: 0,
            console_dropped: 0,
            probe_events: 0,
            probe_dropped: 0,
            fidelity: Fidelity::Exact,
            is_foreign: false,
            running_beside: 0,
            many_threads: None,
            recorded: None,
            compared_until: 0,
            budget_bytes,
            kept_bytes: 0,
            rows_bytes: 0,
            over: VecDeque::new(),
            sealed: VecDeque::new(),
            sealed_count: 0,
            scratch: Vec::new(),
            seen: seen::Seen::default(),
        }
    }

    /// From now on polls and wakes are sampled, and counts are what console-subscriber says.
    pub fn set_sampled(&mut self) {
        self.fidelity = Fidelity::Sampled;
    }

    /// This is somebody else's program, which does not tell when its loop parks: the loop's own row is when any task was
    /// polled, and parks and turns are not counted.
    pub fn set_foreign(&mut self) {
        self.is_foreign = true;
    }

    pub fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    /// Since when it is known that more than one thread polls, so that who woke whom is a guess.
    pub fn many_threads(&self) -> Option<Nanos> {
        self.many_threads
    }

    /// What is to be known of the recording that this was read from, or is read from along with others.
    pub fn set_recorded(&mut self, recorded: Recorded) {
        self.recorded = Some(recorded);
    }

    /// The console of a program that is not ours has counted and told everything until `at`. What happened after that it
    /// may not have been able to tell.
    pub fn set_compared_until(&mut self, at: Nanos) {
        self.compared_until = at;
    }

    pub fn recorded(&self) -> Option<&Recorded> {
        self.recorded.as_ref()
    }

    pub fn fidelity(&self) -> Fidelity {
        self.fidelity
    }

    /// Every task that is kept, in order of spawning.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// One task; `None` where there is none, or its row is forgotten.
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(id)
    }

    /// The sums of tasks whose rows are forgotten.
    pub fn forgotten(&self) -> &Forgotten {
        &self.forgotten
    }

    pub fn site(&self, id: SiteId) -> Option<&Site> {
        self.sites.get(id.index())
    }

    pub fn awaits(&self) -> &Awaits {
        &self.awaits
    }

    /// What tasks share: locks, channels, signals, and who held what.
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// The loop's own row: a poll from waking up to parking, waiting while parked.
    pub fn loop_lane(&self) -> &Lane {
        &self.loop_lane
    }

    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Where it was paused, oldest first.
    pub fn pauses(&self) -> impl DoubleEndedIterator<Item = Nanos> + '_ {
        self.pauses.iter().map(|pause| pause.at)
    }

    /// The pauses that came after the first `count` ones, oldest first, and how many there are by now.
    pub fn pauses_since(&self, count: u64) -> (impl Iterator<Item = &Pause>, u64) {
        (self.pauses.since(count), self.pauses.count())
    }

    /// Where facts were lost, oldest first.
    pub fn gaps(&self) -> impl DoubleEndedIterator<Item = &Gap> {
        self.gaps.iter()
    }

    pub fn counts(&self) -> &LoopCounts {
        &self.counts
    }

    /// Loop time at the newest end of the trace.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// Polls that the loop has started so far: the length of the steps axis.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    pub fn is_parked(&self) -> bool {
        self.parked
    }

    /// Updates that console-subscriber sent, and the events that it says it dropped.
    pub fn console(&self) -> (u64, u64) {
        (self.console_updates, self.console_dropped)
    }

    /// Events that the probe told, and those for which its ring had no room.
    pub fn probe(&self) -> (u64, u64) {
        (self.probe_events, self.probe_dropped)
    }

    /// About how many bytes this trace keeps, with what an allocator adds.
    pub fn kept_bytes(&self) -> usize {
        let sealed_bytes = self.sealed.capacity() * size_of::<Kept>();
        self.kept_bytes + self.kept_rows_bytes() + self.awaits.plain_bytes() + self.ready.kept_bytes() + sealed_bytes
    }

    /// The most tasks that were ready at once from `from` up to, not including, `to`.
    pub fn ready_max(&self, from: Nanos, to: Nanos) -> u32 {
        match self.ready.changed_last() {
            _ if from > self.now => 0,
            Some(last) if to <= last => self.seen.ready_max((from, to), || self.ready.most(from, to)),
            _ => self.ready.most(from, to),
        }
    }
}

/// Adds a mark, for which the oldest goes where there are too many.
fn push_mark<T>(marks: &mut VecDeque<T>, mark: T) {
    if marks.len() == MARKS_MAX {
        marks.pop_front();
    }
    marks.push_back(mark);
}
