//! Context of the lints: the trace, the thresholds, and an index that several lints share.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use rustc_hash::FxHashMap;

use super::long_poll::{GreedyPoll, LongPoll};
use super::missing_data;
use super::panic_messages::{PanicMessage, find_panics};
use super::thresholds::Thresholds;
use super::units::{human_ns, human_number};
use crate::trace::{
    Await, AwaitId, AwaitKind, AwaitOutcome, AwaitSite, Cycle, Location, Nanos, ResourceId, ResourceKind, Task, TaskId,
    TaskKind, TaskOutcome, Trace, WorkerId,
};

/// The source of blocking calls by which a program declares a computation of its own, such as a workload's `work(ms)`.
const COMPUTING_SOURCE: &str = "work";

/// Maximum time in which the workers of a runtime start.
const WORKERS_START_NS: u64 = 50_000_000;

/// Maximum number of tasks that a message names in one list.
const NAMED_TASKS_MAX: usize = 5;

/// Everything that a lint reads.
#[derive(Clone, Copy)]
pub struct LintContext<'a> {
    /// The trace under analysis.
    pub trace: &'a Trace,
    /// Limits above which something is reported.
    pub thresholds: &'a Thresholds,
    /// Awaits and polls that were indexed in one pass over the trace.
    pub index: &'a LintIndex,
}

/// Awaits and polls of a trace, indexed for the lints.
#[derive(Default)]
pub struct LintIndex {
    /// Calls that occupied the loop (blocking or computing), by task, in order of time.
    loop_calls: FxHashMap<TaskId, Vec<Await>>,
    /// Awaits of a known resource, by resource, in order of creation.
    pub awaits_by_resource: FxHashMap<ResourceId, Vec<Await>>,
    /// Awaits in `awaits_by_resource` that were open when they were indexed: resource, index in its list, await id.
    open_awaits: Vec<(ResourceId, usize, AwaitId)>,
    /// Polls that compute without yielding, in order of time.
    pub greedy_polls: Vec<GreedyPoll>,
    /// Panic messages of an external app, in order of time.
    pub panics: Vec<PanicMessage>,
    /// Start of each worker of a multi-threaded runtime.
    worker_starts: Vec<Nanos>,
    /// Whether a thread still blocks on a future, and when the last one stopped doing so.
    has_block_on: bool,
    block_on_end: Option<Nanos>,
    /// Start of the last poll of that thread's future.
    last_block_on_poll: Nanos,
}

impl LintIndex {
    /// Adds an await. Awaits must be added in order of creation.
    pub fn add_await(&mut self, trace: &Trace, id: AwaitId, found: Await) {
        if trace.site(found.site).is_some_and(|site| site.kind == AwaitKind::BlockingCall) {
            self.loop_calls.entry(found.task).or_default().push(found);
        }
        if let Some(resource) = found.resource() {
            let awaits = self.awaits_by_resource.entry(resource).or_default();
            if found.end().is_none() {
                self.open_awaits.push((resource, awaits.len(), id));
            }
            awaits.push(found);
        }
    }

    /// Updates the awaits that were open when they were added. An await that was evicted since stays as it was added.
    pub fn refresh_open_awaits(&mut self, trace: &Trace) {
        let by_resource = &mut self.awaits_by_resource;
        self.open_awaits.retain(|(resource, index, id)| {
            let indexed = by_resource.get_mut(resource).and_then(|awaits| awaits.get_mut(*index));
            let (Some(indexed), Some(current)) = (indexed, trace.awaits().get(*id)) else { return false };
            *indexed = current;
            current.end().is_none()
        });
    }

    /// Adds a task.
    pub fn add_task(&mut self, task: &Task) {
        if task.meta.kind == TaskKind::Worker {
            self.worker_starts.push(task.lane.spawned_at());
        }
        if task.meta.kind == TaskKind::BlockOn {
            self.has_block_on |= task.outcome.is_none();
            let end = task.lane.ended_at();
            if end > self.block_on_end {
                self.block_on_end = end;
                self.last_block_on_poll = task.lane.last().map_or(task.lane.spawned_at(), |poll| poll.start);
            }
        }
    }

    /// Adds the panic messages of an external app.
    pub fn add_panics(&mut self, trace: &Trace) {
        if trace.is_external() {
            self.panics = find_panics(trace);
            self.panics.sort_by_key(|panic| panic.at);
        }
    }

    /// Returns whether a panic message arrived in this interval.
    pub fn has_panic(&self, from: Nanos, to: Nanos) -> bool {
        !self.panics_within(from, to).is_empty()
    }

    /// Returns the positions in `panics` of the messages that arrived in this interval.
    pub fn panics_within(&self, from: Nanos, to: Nanos) -> Range<usize> {
        let first = self.panics.partition_point(|panic| panic.at < from);
        first..self.panics.partition_point(|panic| panic.at <= to).max(first)
    }

    /// Returns the number of workers that were reported as tasks.
    fn worker_tasks(&self) -> usize {
        self.worker_starts.len()
    }

    /// Returns whether a worker started after the others, so that the app uses `block_in_place`.
    pub fn has_late_worker(&self) -> bool {
        let first = self.worker_starts.iter().min().copied().unwrap_or_default();
        self.worker_starts.iter().any(|at| at.saturating_sub(first) > WORKERS_START_NS)
    }

    /// Returns whether a worker started in this interval. `block_in_place` starts one, so that the others go on.
    pub fn starts_worker(&self, from: Nanos, to: Nanos) -> bool {
        self.worker_starts.iter().any(|at| (from..=to).contains(at))
    }

    /// Whether `task` made calls that occupied the loop.
    pub fn has_loop_calls(&self, task: TaskId) -> bool {
        self.loop_calls.contains_key(&task)
    }
}

/// Returns whether the program declares the blocking call at `site` as computing, not as a blocking wait.
fn is_declared_computing(site: &AwaitSite) -> bool {
    site.kind == AwaitKind::BlockingCall && &*site.source == COMPUTING_SOURCE
}

impl<'a> LintContext<'a> {
    /// Returns the number of workers, as far as they are reported.
    pub fn workers(&self) -> usize {
        if self.trace.workers().is_empty() { self.index.worker_tasks() } else { self.trace.workers().len() }
    }

    /// Returns whether a thread that is no worker polls the task: that of a `block_on`, in a runtime with workers.
    pub fn is_beside_workers(&self, task: &Task) -> bool {
        let has_worker = || task.lane.last().is_some_and(|poll| poll.worker().is_some());
        task.meta.kind == TaskKind::BlockOn && self.workers() > 0 && !has_worker()
    }

    /// Returns whether several threads may poll tasks.
    pub fn has_several_threads(&self) -> bool {
        self.trace.multi_threaded_since().is_some() || self.workers() > 1
    }

    /// Whether the tasks of more than one await in a hundred are not known, too many to reconstruct a queue.
    pub fn lacks_awaits(&self) -> bool {
        let known = self.trace.awaits().len() as u64;
        self.trace.unknown_counts().awaits.saturating_mul(100) > known
    }

    /// Returns why a finding that follows from awaits is not certain; `None` if the task of every await is known.
    pub fn missing_awaits(&self) -> Option<&'static str> {
        (self.trace.unknown_counts().awaits > 0).then_some("the tasks of some awaits are not known")
    }

    /// Whether events were dropped, or may not have arrived yet.
    pub fn lacks_events(&self) -> bool {
        missing_data::has_dropped_events(self.trace) || missing_data::has_late_events(self.trace)
    }

    /// Polls of `task` that compute without yielding.
    pub fn greedy_polls(&self, task: &'a Task) -> Vec<GreedyPoll> {
        let thresholds = self.thresholds;
        let is_greedy = |poll: &LongPoll| {
            poll.computing_ns > thresholds.never_yields_ns
                || (poll.computing_calls >= thresholds.never_yields_pieces
                    && poll.computing_ns > thresholds.blocked_loop_ns)
        };
        let polls = self.long_polls(task).filter(is_greedy);
        polls.map(|poll| GreedyPoll { task: task.id, from: poll.from, to: poll.to }).collect()
    }

    /// Polls of `task` over the blocked-loop threshold. A running poll counts up to now.
    pub fn long_polls(&self, task: &'a Task) -> impl Iterator<Item = LongPoll> + use<'a, '_> {
        let (now, limit_ns) = (self.trace.now(), self.thresholds.blocked_loop_ns);
        let calls = self.index.loop_calls.get(&task.id).map_or(&[][..], Vec::as_slice);
        // A task whose total busy time is within the limit has no poll over it.
        // A task that runs beside the loop cannot block it.
        let may_block = !task.is_off_loop() && task.lane.totals_at(now).busy_ns > limit_ns;
        let until = task.lane.ended_at().unwrap_or(now);
        let cycles = task.lane.cycles().filter(move |_| may_block);
        let polls = cycles.map(move |cycle| (cycle.start, poll_end(&cycle, until), cycle.worker()));
        polls
            .filter(move |(from, to, _)| to.saturating_sub(*from) > limit_ns)
            .map(move |(from, to, worker)| self.measure_poll(calls, worker, (from, to)))
    }

    /// Sums up the calls that were made between `from` and `to`.
    fn measure_poll(&self, calls: &[Await], worker: Option<WorkerId>, (from, to): (Nanos, Nanos)) -> LongPoll {
        let waited_ns = self.trace.worker_wait_ns(worker, from, to);
        let left_out_ns = waited_ns.saturating_add(self.unobserved_ns(from, to));
        let first = calls.partition_point(|call| call.end().is_some_and(|end| end <= from));
        let mut poll = LongPoll {
            from,
            to,
            worker,
            observed_ns: to.saturating_sub(from).saturating_sub(left_out_ns),
            computing_ns: 0,
            waited_ns,
            computing_calls: 0,
            blocking_calls: 0,
            longest_call: None,
        };
        for call in calls[first..].iter().take_while(|call| call.start < to) {
            let end = call.end().unwrap_or(to).min(to);
            if self.site(call).is_some_and(is_declared_computing) {
                let computing_ns = end.saturating_sub(call.start.max(from));
                poll.computing_ns = poll.computing_ns.saturating_add(computing_ns);
                poll.computing_calls += 1;
                continue;
            }
            poll.blocking_calls += 1;
            if poll.longest_call.is_none_or(|longest| self.duration_ns(call) > self.duration_ns(&longest)) {
                poll.longest_call = Some(*call);
            }
        }
        poll
    }

    /// Length of an interval without the time in which no data arrived, and without that in which an external app may have
    /// waited for a processor. If other programs keep the machine busy, everything takes longer, which is no problem of
    /// the app.
    pub fn observed_ns(&self, from: Nanos, to: Nanos) -> u64 {
        let left_out_ns = self.trace.processor_wait_ns(from, to).saturating_add(self.unobserved_ns(from, to));
        to.saturating_sub(from).saturating_sub(left_out_ns)
    }

    /// Call and source location of an await.
    pub fn site(&self, found: &Await) -> Option<&'a AwaitSite> {
        self.trace.site(found.site)
    }

    /// Source location of an await, if known.
    pub fn location_of(&self, found: &Await) -> Option<&'a Location> {
        self.site(found)?.location.as_ref()
    }

    /// Duration of an await, up to now if it is open.
    pub fn duration_ns(&self, found: &Await) -> u64 {
        self.end_of(found).saturating_sub(found.start)
    }

    /// End of an await, or now if it is open.
    pub fn end_of(&self, found: &Await) -> Nanos {
        found.end().unwrap_or(self.trace.now())
    }

    /// Time between `from` and `to` in which no data arrived.
    pub fn unobserved_ns(&self, from: Nanos, to: Nanos) -> u64 {
        missing_data::unobserved_ns(self.trace, from, to)
    }

    /// Awaits of resources of `kind`, grouped by resource and ordered by resource id.
    pub fn awaits_by_kind(&self, kind: ResourceKind) -> Vec<(ResourceId, &[Await])> {
        let is_of_kind = |id: &ResourceId| self.trace.resources().get(*id).is_some_and(|found| found.kind == kind);
        let mut found: Vec<_> = self
            .index
            .awaits_by_resource
            .iter()
            .filter(|(id, _)| is_of_kind(id))
            .map(|(id, awaits)| (*id, awaits.as_slice()))
            .collect();
        found.sort_unstable_by_key(|(id, _)| *id);
        found
    }

    /// Returns when the main future of an external app ended; `None` while it runs. It is what a thread blocks on.
    fn external_main_end(&self) -> Option<Nanos> {
        self.index.block_on_end.filter(|_| self.trace.is_external() && !self.index.has_block_on)
    }

    /// Returns the start of the last poll of an external app's main future, once that has ended. What ended since may
    /// have ended only because the app did.
    pub fn last_poll_of_main(&self) -> Option<Nanos> {
        self.external_main_end().map(|_| self.index.last_block_on_poll)
    }

    /// Time at which the run ended: the end of main, or now.
    pub fn run_end(&self) -> Nanos {
        if self.trace.is_external() {
            return self.external_main_end().unwrap_or(self.trace.now());
        }
        self.trace.task(TaskId::from_index(0)).and_then(|main| main.lane.ended_at()).unwrap_or(self.trace.now())
    }

    /// Whether the task lasted for the whole run: it is still there, or was cancelled only because the run ended.
    pub fn has_outlived_run(&self, task: &Task) -> bool {
        match &task.outcome {
            None => true,
            Some(TaskOutcome::Cancelled) => task.lane.ended_at().is_some_and(|ended| ended >= self.run_end()),
            // An external app does not report whether a task completed or was dropped, but only a drop follows the end.
            Some(_) => self.trace.is_external() && task.lane.ended_at().is_some_and(|ended| ended > self.run_end()),
        }
    }

    /// Name of a task for messages.
    pub fn task_name(&self, id: TaskId) -> String {
        self.trace.task(id).map_or_else(|| format!("task {id}"), |task| task.name().into_owned())
    }

    /// Name of a resource for messages, in backquotes; its id if it is not known. Resources of an external app have
    /// only the name of their type, so they are numbered in order of creation: `Mutex #2`.
    pub fn resource_name(&self, id: ResourceId) -> String {
        let resources = self.trace.resources();
        match (resources.get(id), self.trace.is_external()) {
            (None, _) => format!("resource {id}"),
            (Some(found), false) => format!("`{}`", found.name),
            (Some(found), true) => format!("`{} #{}`", found.name, resources.number_of(id).unwrap_or_default()),
        }
    }

    /// Name of a task with its spawn location, where that is known: `client (spawned at src/main.rs:40)`.
    pub fn task_with_location(&self, id: TaskId) -> String {
        self.task_name(id) + &spawned_at(self.spawn_location(id))
    }

    /// Names of tasks, with the spawn location that they share: `a, b and 3 more (spawned at src/main.rs:40)`.
    pub fn describe_tasks(&self, tasks: &BTreeSet<TaskId>) -> String {
        let mut by_location: BTreeMap<String, Vec<TaskId>> = BTreeMap::new();
        for task in tasks {
            by_location.entry(spawned_at(self.spawn_location(*task))).or_default().push(*task);
        }
        let describe = |(spawned_at, tasks): (String, Vec<TaskId>)| self.list_names(&tasks) + &spawned_at;
        by_location.into_iter().map(describe).collect::<Vec<_>>().join("; ")
    }

    /// Names of tasks, of many only the first: `a, b and 3 more`.
    pub fn list_names(&self, tasks: &[TaskId]) -> String {
        let named: Vec<String> = tasks.iter().take(NAMED_TASKS_MAX).map(|id| self.task_name(*id)).collect();
        match tasks.len().saturating_sub(NAMED_TASKS_MAX) {
            0 => named.join(", "),
            more => format!("{} and {} more", named.join(", "), human_number(more as u64)),
        }
    }

    /// Where a task was spawned, if known.
    pub fn spawn_location(&self, id: TaskId) -> Option<&'a Location> {
        self.trace.task(id).and_then(|task| task.meta.location.as_ref())
    }

    /// Identifies the cause of a problem of `task`: its spawn location, and `detail`. `None` without a location.
    pub fn cause_of(&self, task: &Task, detail: &str) -> Option<String> {
        task.meta.location.as_ref().map(|location| format!("{location} {detail}"))
    }

    /// Formats an await for messages: `sleep at workloads/countasync.lua:3`.
    pub fn describe_await(&self, found: &Await) -> String {
        self.site(found).map_or_else(String::new, |site| with_location(&site.source, site.location.as_ref()))
    }
}

/// Formats a spawn location for a name that it follows: ` (spawned at src/main.rs:40)`. Empty without one.
pub fn spawned_at(location: Option<&Location>) -> String {
    location.map_or_else(String::new, |location| format!(" (spawned at {location})"))
}

/// Appends the location to `what`: `sleep at workloads/countasync.lua:3`.
pub fn with_location(what: &str, location: Option<&Location>) -> String {
    match location {
        Some(location) => format!("{what} at {location}"),
        None => what.to_owned(),
    }
}

/// Formats an interval: `from 1 s to 3 s`.
pub fn human_interval(from: Nanos, to: Nanos) -> String {
    format!("from {} to {}", human_ns(from), human_ns(to))
}

/// End of a cycle's poll, or `now` if it is still running.
pub fn poll_end(cycle: &Cycle, now: Nanos) -> Nanos {
    cycle.end().unwrap_or(now).max(cycle.start)
}

/// Whether an await never became ready: it was dropped, or is still open.
pub fn is_unresolved(found: &Await) -> bool {
    !matches!(found.outcome(), AwaitOutcome::Ready | AwaitOutcome::Unknown)
}
