//! The only way into a [`Trace`](super::Trace).

use super::id::{AwaitId, ResourceId, SiteId, TaskId, WorkerId};
use super::task_meta::{TaskCounts, TaskMeta, TaskOutcome};
use super::{await_site::AwaitSite, location::Location, time::Nanos, wake_source::WakeSource};

/// One event. `at` is loop time: nanoseconds since the run began, without pauses. Those of one task come in time order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A task was spawned.
    Spawn {
        /// The new task. Ids are dense: each is one more than the last.
        task: TaskId,
        /// Time of the spawn.
        at: Nanos,
        /// Metadata of the task.
        meta: Box<TaskMeta>,
    },
    /// A poll of a task started.
    PollStart {
        /// The polled task.
        task: TaskId,
        /// Start of the poll.
        at: Nanos,
    },
    /// What a task did before is not known: it was spawned before recording began. From now on it waits.
    ObservedFrom {
        /// The task.
        task: TaskId,
        /// Time from which on its events are recorded.
        at: Nanos,
    },
    /// Names the worker that runs the poll of a task. Directly follows the [`Event::PollStart`] of the task.
    PollWorker {
        /// The polled task.
        task: TaskId,
        /// The worker.
        worker: WorkerId,
    },
    /// The current poll of a task ended.
    PollEnd {
        /// The polled task.
        task: TaskId,
        /// End of the poll.
        at: Nanos,
    },
    /// The runtime polled a held task, and the poll returned without running the task's own code.
    PollSuppressed {
        /// The held task.
        task: TaskId,
        /// Time of the suppressed poll.
        at: Nanos,
    },
    /// The waker of a task was called.
    Wake {
        /// The woken task.
        task: TaskId,
        /// Time of the wake.
        at: Nanos,
        /// What called the waker.
        source: WakeSource,
    },
    /// The waker of a held task was called. The wake is delivered when the task is released.
    WakeDeferred {
        /// The held task.
        task: TaskId,
        /// Time of the wake.
        at: Nanos,
        /// What called the waker.
        source: WakeSource,
    },
    /// The user holds a task: from now on it is not polled.
    Hold {
        /// The held task.
        task: TaskId,
        /// Start of the hold.
        at: Nanos,
    },
    /// The user released a held task.
    Release {
        /// The released task.
        task: TaskId,
        /// End of the hold.
        at: Nanos,
    },
    /// A task ended.
    TaskEnd {
        /// The ended task.
        task: TaskId,
        /// Time of the end.
        at: Nanos,
        /// How the task ended.
        outcome: TaskOutcome,
    },
    /// How a task ended that seemed to complete is not known after all.
    TaskOutcomeDoubted {
        /// The ended task.
        task: TaskId,
    },
    /// Defines an await site. Precedes the first await at that site.
    NewAwaitSite {
        /// The new site. Ids are dense.
        id: SiteId,
        /// Description of the site.
        site: Box<AwaitSite>,
    },
    /// A task created an awaitable. The await lasts until the awaitable is dropped.
    AwaitStart {
        /// The new await. Ids are dense.
        id: AwaitId,
        /// The awaiting task.
        task: TaskId,
        /// Start of the await.
        at: Nanos,
        /// Where the task awaits.
        site: SiteId,
    },
    /// The task polled the awaitable.
    AwaitPoll {
        /// The polled await.
        id: AwaitId,
        /// The poll returned `Poll::Ready`.
        is_ready: bool,
    },
    /// Sets the total number of polls of an await, for feeds that do not report single polls.
    AwaitPollCount {
        /// The polled await.
        id: AwaitId,
        /// Polls since the await started.
        polls: u32,
        /// The last poll returned `Poll::Ready`.
        is_ready: bool,
    },
    /// Some polls of an await may not have been reported. Unless a reported poll is ready, its outcome is unknown.
    AwaitPollsMissed {
        /// The affected await.
        id: AwaitId,
    },
    /// The last poll of the task did not poll this open awaitable: the task does not wait on it until it polls it again.
    AwaitUnpolled {
        /// The await.
        id: AwaitId,
    },
    /// The outcome of an await that has ended became known.
    AwaitOutcomeKnown {
        /// The ended await.
        id: AwaitId,
        /// Its last poll returned `Poll::Ready`; otherwise it was dropped before.
        is_ready: bool,
    },
    /// Awaits were observed whose task is not known.
    AwaitsUnattributed {
        /// Their number.
        count: u64,
    },
    /// The awaitable was dropped.
    AwaitEnd {
        /// The ended await.
        id: AwaitId,
        /// End of the await.
        at: Nanos,
    },
    /// Defines a resource that tasks share. Precedes every other event that refers to it.
    NewResource {
        /// The new resource. Ids are dense.
        id: ResourceId,
        /// Time of its creation.
        at: Nanos,
        /// Description of the resource.
        resource: Box<super::resource::Resource>,
    },
    /// Sets an attribute of a resource. Replaces the previous attribute of the same name.
    ResourceAttribute {
        /// The resource.
        resource: ResourceId,
        /// Name and new value.
        attribute: Box<super::resource::ResourceAttribute>,
    },
    /// A resource was dropped.
    ResourceEnd {
        /// The dropped resource.
        resource: ResourceId,
        /// Time of the drop.
        at: Nanos,
    },
    /// Links an await that has just started to the resource it waits for.
    AwaitResource {
        /// The await.
        id: AwaitId,
        /// The awaited resource.
        resource: ResourceId,
    },
    /// A task acquired a resource: a lock, or one permit of a semaphore.
    ResourceAcquire {
        /// The acquired resource.
        resource: ResourceId,
        /// The new owner.
        task: TaskId,
        /// Time of the acquisition.
        at: Nanos,
    },
    /// A task released its most recent acquisition of a resource.
    ResourceRelease {
        /// The released resource.
        resource: ResourceId,
        /// The previous owner.
        task: TaskId,
        /// Time of the release.
        at: Nanos,
    },
    /// A notification was sent while no task waited for it, and it is not stored for later waiters.
    NotificationLost {
        /// The resource that was notified.
        resource: ResourceId,
        /// The notifying task, if a task sent it.
        task: Option<TaskId>,
        /// Time of the notification.
        at: Nanos,
    },
    /// A coroutine was created and never awaited. Reported when the program ends.
    NeverAwaited {
        /// The task that created the coroutine, if known.
        task: Option<TaskId>,
        /// Time of its creation.
        at: Nanos,
        /// Name and location of the coroutine.
        coroutine: Box<super::resource::UnawaitedCoroutine>,
    },
    /// No task is ready: the loop parks until a timer, I/O or another thread unparks it.
    Park {
        /// Start of the park.
        at: Nanos,
    },
    /// The loop woke from a park.
    Unpark {
        /// End of the park.
        at: Nanos,
    },
    /// Defines a worker, a thread that polls tasks, before its other events. At most [`WORKERS_MAX`](super::WORKERS_MAX).
    NewWorker {
        /// The new worker. Ids are dense.
        id: WorkerId,
        /// Time from which on the worker is known.
        at: Nanos,
        /// Name of its thread; may be empty.
        name: Box<str>,
    },
    /// A worker has nothing to do and parks. For programs whose workers are known, in place of [`Event::Park`].
    WorkerPark {
        /// The worker.
        worker: WorkerId,
        /// Start of the park.
        at: Nanos,
    },
    /// A worker was unparked.
    WorkerUnpark {
        /// The worker.
        worker: WorkerId,
        /// End of the park.
        at: Nanos,
    },
    /// The depth of one of the runtime's queues was sampled.
    QueueDepth(super::queue_depths::QueueSample),
    /// The program printed a line.
    Output {
        /// The task that printed it, if known.
        task: Option<TaskId>,
        /// Time of the output.
        at: Nanos,
        /// The line, without control characters.
        text: Box<str>,
    },
    /// The program printed a part of a line, such as a prompt, and waits.
    OutputPending {
        /// Time of the output.
        at: Nanos,
        /// Whether it is on standard error.
        is_error: bool,
        /// The text of the line so far, which replaces the previous one. An empty text ends it.
        text: Box<str>,
    },
    /// The loop was paused. A pause is a point on the axis, because loop time stands still.
    Pause {
        /// Loop time at which the loop was paused.
        at: Nanos,
        /// Why it was paused.
        reason: super::pause::PauseReason,
    },
    /// Events were dropped in an interval.
    Gap {
        /// Start of the interval.
        from: Nanos,
        /// End of the interval.
        to: Nanos,
        /// Number of dropped events.
        dropped: u64,
    },
    /// No update arrived in an interval: no feed was connected, or the app was stopped. Nothing counts as dropped.
    Disconnected {
        /// Start of the interval.
        from: Nanos,
        /// End of the interval.
        to: Nanos,
    },
    /// The last poll and the last wake of a task, where single polls and wakes are not reported.
    Sample {
        /// The sampled task.
        task: TaskId,
        /// Start of the last poll, and its end unless the poll is in progress.
        last_poll: Option<(Nanos, Option<Nanos>)>,
        /// Time of the last wake.
        last_wake: Option<Nanos>,
    },
    /// The last wake of a task, where single wakes are not reported. The task may have been polled since.
    SampledWake {
        /// The woken task.
        task: TaskId,
        /// Time of the last wake.
        at: Nanos,
    },
    /// Sets the counts that console-subscriber has of a task.
    ConsoleCounts {
        /// The counted task.
        task: TaskId,
        /// Counts since its spawn.
        counts: TaskCounts,
    },
    /// Sets how many clones of a task's waker were created and dropped.
    WakerCounts {
        /// The task.
        task: TaskId,
        /// Clones that were created since its spawn.
        clones: u64,
        /// Clones that were dropped.
        drops: u64,
    },
    /// The console cannot keep up with the program, and reports new events late.
    ConsoleLate,
    /// Some events of an app with the probe may be in a wrong order.
    OrderDoubtful,
    /// Threads of an external app waited for a processor in an interval: other programs kept them busy.
    ProcessorWait {
        /// Start and end of the interval.
        interval: (Nanos, Nanos),
        /// The worker that waited; `None` for the longest wait of all threads.
        worker: Option<WorkerId>,
        /// Maximum time that a thread waited, in nanoseconds.
        waited_ns: u64,
    },
    /// Whether something outside of the program can wake it, such as a socket; `None` if that is not known.
    OutsideInput {
        /// Whether it has such an input.
        is_possible: Option<bool>,
    },
    /// Cumulative statistics of a task, from a feed that observes every poll and reports only totals.
    TaskStats {
        /// The task.
        task: TaskId,
        /// Time up to which the statistics count.
        at: Nanos,
        /// Statistics since the spawn.
        stats: Box<super::stats::TaskStats>,
    },
    /// Marks the end of an update: statistics of every task that changed have been reported up to `at`.
    StatsComplete {
        /// Time up to which all statistics are complete.
        at: Nanos,
    },
    /// Sets the distributions of a task's poll durations and scheduled durations.
    TaskHistograms {
        /// The task.
        task: TaskId,
        /// Distributions since its spawn.
        histograms: Box<super::stats::TaskHistograms>,
    },
    /// Sets the spawn location of a task, where it becomes known only after the spawn.
    SpawnLocation {
        /// The task.
        task: TaskId,
        /// Where it was spawned.
        location: Box<Location>,
    },
    /// Two polls overlapped, so the runtime has several threads. From now on the source of a wake is a guess.
    MultiThreadDetected {
        /// Time of the overlap.
        at: Nanos,
    },
    /// console-subscriber published an update.
    ConsoleUpdate {
        /// Events that console-subscriber dropped since its last update.
        dropped: u64,
    },
    /// The program reports something about a task.
    Notice(Box<super::notices::Notice>),
    /// Loop time advanced without any other event.
    Advance {
        /// The new loop time.
        at: Nanos,
    },
}
