//! The one door: every source of facts, whatever it is, says them as an [`Event`].
//!
//! Times are loop time: nanoseconds since the run began, with pauses cut out (virtual nanoseconds on a virtual clock).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::{AwaitId, ResourceId, SiteId, TaskId};
use super::measure::{Histograms, Measured};
use super::pause::PauseCause;
use super::resource::{Attribute, Resource, Unawaited};

/// Loop time, in nanoseconds since the run began.
pub type Nanos = u64;

/// One fact about the loop under study.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Spawn {
        task: TaskId,
        at: Nanos,
        spawned: Box<Spawned>,
    },
    PollStart {
        task: TaskId,
        at: Nanos,
    },
    PollEnd {
        task: TaskId,
        at: Nanos,
    },
    /// The loop reached a held task and turned back at its door: its own code did not run.
    Bounce {
        task: TaskId,
        at: Nanos,
    },
    Wake {
        task: TaskId,
        at: Nanos,
        cause: Cause,
    },
    /// A wake of a held task, kept for its release.
    WakeKept {
        task: TaskId,
        at: Nanos,
        cause: Cause,
    },
    Hold {
        task: TaskId,
        at: Nanos,
    },
    Release {
        task: TaskId,
        at: Nanos,
    },
    End {
        task: TaskId,
        at: Nanos,
        outcome: Ending,
    },
    /// A place that awaits is told once, before the first await made there.
    Site {
        site: SiteId,
        described: Box<Site>,
    },
    AwaitStart {
        id: AwaitId,
        task: TaskId,
        at: Nanos,
        site: SiteId,
    },
    /// The awaitable was polled by its task.
    AwaitPoll {
        id: AwaitId,
        ready: bool,
    },
    /// The awaitable was polled so many times so far, by somebody who does not tell each.
    AwaitPolled {
        id: AwaitId,
        polls: u32,
        ready: bool,
    },
    /// Some of the polls of this await may have gone untold: unless one is told that was ready, nobody knows whether one
    /// was.
    AwaitUntold {
        id: AwaitId,
    },
    AwaitEnd {
        id: AwaitId,
        at: Nanos,
    },
    /// A thing that tasks share is told once, before it is first named.
    Resource {
        resource: ResourceId,
        at: Nanos,
        described: Box<Resource>,
    },
    /// What a resource says of itself now; a later one of the same name takes its place.
    Attribute {
        resource: ResourceId,
        attribute: Box<Attribute>,
    },
    /// The resource is gone.
    ResourceEnd {
        resource: ResourceId,
        at: Nanos,
    },
    /// What an await that has just started is for.
    AwaitOf {
        id: AwaitId,
        resource: ResourceId,
    },
    /// From now on the task holds the resource: the lock is its, or one permit.
    Acquire {
        resource: ResourceId,
        task: TaskId,
        at: Nanos,
    },
    /// The task gives back what it acquired last of this resource.
    GiveBack {
        resource: ResourceId,
        task: TaskId,
        at: Nanos,
    },
    /// A signal was given and reached nobody, and nothing keeps it for whoever comes later.
    Unheard {
        resource: ResourceId,
        task: Option<TaskId>,
        at: Nanos,
    },
    /// A coroutine that was made at that time and, now that the program is over, never began.
    NeverAwaited {
        task: Option<TaskId>,
        at: Nanos,
        coroutine: Box<Unawaited>,
    },
    /// Nothing is ready: the loop waits for a timer, for I/O or for another thread.
    Park {
        at: Nanos,
    },
    Unpark {
        at: Nanos,
    },
    Output {
        task: Option<TaskId>,
        at: Nanos,
        text: Box<str>,
    },
    /// It was paused here. A mark, never a span: loop time stands still meanwhile.
    Pause {
        at: Nanos,
        cause: PauseCause,
    },
    /// Facts were lost between these times.
    Gap {
        from: Nanos,
        to: Nanos,
        dropped: u64,
    },
    /// Nobody listened between these times: what happened then is not told, and nothing of it was dropped.
    Unwatched {
        from: Nanos,
        to: Nanos,
    },
    /// Where nothing better is told: the last poll and wake of a task, of possibly many since it was told last.
    Sampled {
        task: TaskId,
        polled: Option<(Nanos, Option<Nanos>)>,
        woken: Option<Nanos>,
    },
    /// What console-subscriber counted for a task, so far.
    Counted {
        task: TaskId,
        counts: Counts,
    },
    /// What was measured of a task from its spawn to `at`, by somebody who saw every poll and tells only sums.
    Measured {
        task: TaskId,
        at: Nanos,
        measured: Box<Measured>,
    },
    /// Every task that had anything to tell was [`Event::Measured`] as of `at`.
    LoopMeasured {
        at: Nanos,
    },
    /// How a task's polls and its times in the ready queue spread so far.
    Histograms {
        task: TaskId,
        histograms: Box<Histograms>,
    },
    /// Where a task was spawned, told later than its spawn.
    Located {
        task: TaskId,
        location: Box<Location>,
    },
    /// Two polls were under way at once: there is more than one thread, and who woke whom is a guess from now on.
    ManyThreads {
        at: Nanos,
    },
    /// What console-subscriber says of itself.
    ConsoleUpdate {
        dropped: u64,
    },
    /// Loop time has come this far, though nothing else happened.
    Now {
        at: Nanos,
    },
}

/// What is known of a task from the moment it is spawned; by default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Spawned {
    pub name: Arc<str>,
    pub kind: TaskKind,
    /// The task that spawned it.
    pub parent: Option<TaskId>,
    pub location: Option<Location>,
    /// Bytes of its future as it was spawned, where that is told.
    pub size_bytes: Option<u64>,
    /// Bytes that the future had before the runtime put it into a box because of its size; `None` where it did not.
    pub boxed_from_bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TaskKind {
    /// A future on the loop.
    #[default]
    Task,
    /// A future that stays on one thread of a multi-threaded runtime.
    Local,
    /// The future that a thread blocks on.
    BlockOn,
    /// A closure on the blocking pool, outside the loop.
    Blocking,
}

impl TaskKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Local => "local",
            Self::BlockOn => "block_on",
            Self::Blocking => "blocking",
        }
    }

    /// The kind that tokio calls `name`; [`TaskKind::Task`] for a word that is not known.
    pub fn from_name(name: &str) -> Self {
        [Self::Local, Self::BlockOn, Self::Blocking].into_iter().find(|kind| kind.name() == name).unwrap_or(Self::Task)
    }
}

/// Who called the waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// Another task, during its poll.
    Task(TaskId),
    /// The task itself, during its own poll.
    Own,
    /// The timer or I/O driver, or the loop's own queue of tasks that yielded.
    Driver,
    /// Another thread.
    Thread,
    /// The person at the screen, who released a held task.
    Person,
}

impl Cause {
    pub fn name(self) -> &'static str {
        match self {
            Self::Task(_) => "task",
            Self::Own => "self",
            Self::Driver => "driver",
            Self::Thread => "thread",
            Self::Person => "person",
        }
    }

    /// The task that did it, where one did.
    pub fn by(self, woken: TaskId) -> Option<TaskId> {
        match self {
            Self::Task(task) => Some(task),
            Self::Own => Some(woken),
            _ => None,
        }
    }
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    Done,
    Cancelled,
    Failed(Box<str>),
}

/// What is awaited, in the terms a reader of the timeline thinks in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AwaitKind {
    Timer,
    /// Another task, by its handle.
    Task,
    /// A mutex, semaphore, barrier or their like.
    Sync,
    Channel,
    Io,
    /// A call that blocks the loop, drawn inside the poll that makes it.
    Block,
    /// A turn given away.
    Yield,
    Other,
}

impl AwaitKind {
    pub const ALL: [Self; 8] =
        [Self::Timer, Self::Task, Self::Sync, Self::Channel, Self::Io, Self::Block, Self::Yield, Self::Other];

    /// The word on the console wire and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Timer => "timer",
            Self::Task => "task",
            Self::Sync => "sync",
            Self::Channel => "channel",
            Self::Io => "io",
            Self::Block => "block",
            Self::Yield => "yield",
            Self::Other => "other",
        }
    }

    /// The kind called `name`; [`AwaitKind::Other`] for a word that is not ours.
    pub fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.name() == name).unwrap_or(Self::Other)
    }
}

/// A place that awaits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Site {
    pub kind: AwaitKind,
    /// What was called there: `sleep`, `gather`.
    pub source: Arc<str>,
    pub location: Option<Location>,
}

impl Site {
    /// The program says of this call that it is its own computing, which somebody has to do, and not a wait in disguise.
    pub fn is_computing(&self) -> bool {
        self.kind == AwaitKind::Block && &*self.source == "work"
    }

    /// A call that keeps the loop and only waits.
    pub fn is_blocking(&self) -> bool {
        self.kind == AwaitKind::Block && !self.is_computing()
    }
}

/// A place in somebody's source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Location {
    pub file: Arc<str>,
    /// From 1.
    pub line: u32,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Counts of one task, as one feed has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub polls: u64,
    pub wakes: u64,
    pub self_wakes: u64,
    /// Awaits that were polled at least once.
    pub awaits: u64,
}
