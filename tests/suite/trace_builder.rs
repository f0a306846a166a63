//! Builds traces by hand, event by event, as input for lints.

use loopscope::insight::{Finding, LintRunner, Thresholds, run_lints};
use loopscope::trace::{
    AwaitId, AwaitKind, AwaitSite, Event, Location, Nanos, Resource, ResourceId, ResourceKind, SiteId, TaskId,
    TaskKind, TaskMeta, TaskOutcome, Trace, WakeSource, WorkerId,
};

pub const SECOND: Nanos = 1_000_000_000;
pub const MILLISECOND: Nanos = 1_000_000;

/// A trace under construction, with its current loop time.
#[derive(Default)]
pub struct TraceBuilder {
    pub trace: Trace,
    pub now: Nanos,
    tasks: usize,
    awaits: usize,
    sites: Vec<AwaitSite>,
    resources: usize,
}

impl TraceBuilder {
    /// Applies one event.
    pub fn apply(&mut self, event: Event) {
        self.trace.apply(event);
    }

    /// Advances loop time to `now`.
    pub fn advance_to(&mut self, now: Nanos) -> &mut Self {
        self.now = now;
        self.apply(Event::Advance { at: now });
        self
    }

    /// Spawns a task, with the first task as its parent, at line 9.
    pub fn spawn(&mut self, name: &str) -> TaskId {
        self.spawn_sized(name, None, None)
    }

    /// Spawns a task of this kind at this location.
    pub fn spawn_at(&mut self, name: &str, kind: TaskKind, file: &str, line: u32) -> TaskId {
        let task = TaskId::from_index(self.tasks);
        self.tasks += 1;
        let location = Some(Location { file: file.into(), line });
        let meta = Box::new(TaskMeta { name: name.into(), kind, location, ..TaskMeta::default() });
        self.apply(Event::Spawn { task, at: self.now, meta });
        task
    }

    /// Makes `parent` spawn a task at this location.
    pub fn spawn_by(&mut self, parent: TaskId, file: &str, line: u32) -> TaskId {
        let task = TaskId::from_index(self.tasks);
        self.tasks += 1;
        let location = Some(Location { file: file.into(), line });
        let meta = Box::new(TaskMeta { parent: Some(parent), location, ..TaskMeta::default() });
        self.apply(Event::Spawn { task, at: self.now, meta });
        task
    }

    /// Spawns a task with the size of its future, and its size before the runtime boxed it.
    pub fn spawn_sized(&mut self, name: &str, size_bytes: Option<u64>, original_size_bytes: Option<u64>) -> TaskId {
        let task = TaskId::from_index(self.tasks);
        let parent = (self.tasks > 0).then(|| TaskId::from_index(0));
        self.tasks += 1;
        let location = Some(Location { file: "story.lua".into(), line: 9 });
        let (name, kind) = (name.into(), TaskKind::Task);
        let meta = Box::new(TaskMeta { name, kind, parent, location, size_bytes, original_size_bytes });
        self.apply(Event::Spawn { task, at: self.now, meta });
        task
    }

    /// Starts a poll.
    pub fn start_poll(&mut self, task: TaskId) {
        self.apply(Event::PollStart { task, at: self.now });
    }

    /// Starts a poll on the worker with this index.
    pub fn poll_on(&mut self, task: TaskId, worker: usize) {
        self.start_poll(task);
        self.apply(Event::PollWorker { task, worker: WorkerId::from_index(worker) });
    }

    /// Ends the current poll.
    pub fn end_poll(&mut self, task: TaskId) {
        self.apply(Event::PollEnd { task, at: self.now });
    }

    /// Wakes a task.
    pub fn wake(&mut self, task: TaskId, source: WakeSource) {
        self.apply(Event::Wake { task, at: self.now, source });
    }

    /// Ends a task.
    pub fn end_task(&mut self, task: TaskId, outcome: TaskOutcome) {
        self.apply(Event::TaskEnd { task, at: self.now, outcome });
    }

    /// Defines a resource.
    pub fn new_resource(&mut self, kind: ResourceKind, name: &str, size: u64) -> ResourceId {
        let id = ResourceId::from_index(self.resources);
        self.resources += 1;
        let resource = Box::new(Resource { kind, name: name.into(), location: None, size });
        self.apply(Event::NewResource { id, at: 0, resource });
        id
    }

    /// Polls a task once, in no time.
    pub fn poll_once(&mut self, task: TaskId) {
        self.start_poll(task);
        self.end_poll(task);
    }

    /// Starts an await and polls it once. Its line number is the length of `source`.
    pub fn start_await(
        &mut self,
        task: TaskId,
        kind: AwaitKind,
        source: &str,
        resource: Option<ResourceId>,
    ) -> AwaitId {
        let location = Some(Location { file: "story.lua".into(), line: source.len() as u32 });
        let site = AwaitSite { kind, source: source.into(), location, chain: None };
        let index = self.sites.iter().position(|known| *known == site);
        let site = SiteId::from_index(index.unwrap_or_else(|| {
            let id = SiteId::from_index(self.sites.len());
            self.trace.apply(Event::NewAwaitSite { id, site: Box::new(site.clone()) });
            self.sites.push(site);
            id.index()
        }));
        let id = AwaitId::from_index(self.awaits);
        self.awaits += 1;
        self.apply(Event::AwaitStart { id, task, at: self.now, site });
        if let Some(resource) = resource {
            self.apply(Event::AwaitResource { id, resource });
        }
        self.apply(Event::AwaitPoll { id, is_ready: false });
        id
    }

    /// Ends an await as ready.
    pub fn end_await_ready(&mut self, id: AwaitId) {
        self.apply(Event::AwaitPoll { id, is_ready: true });
        self.apply(Event::AwaitEnd { id, at: self.now });
    }

    /// Ends an await as cancelled.
    pub fn cancel_await(&mut self, id: AwaitId) {
        self.apply(Event::AwaitEnd { id, at: self.now });
    }

    /// Makes a blocking call of `length_ns` in the current poll.
    pub fn blocking_call(&mut self, task: TaskId, source: &str, length_ns: u64) {
        let id = self.start_await(task, AwaitKind::BlockingCall, source, None);
        self.advance_to(self.now + length_ns);
        self.end_await_ready(id);
    }

    /// Adds a complete poll that makes one blocking call.
    pub fn poll_with_call(&mut self, task: TaskId, source: &str, length_ns: u64) {
        self.start_poll(task);
        self.blocking_call(task, source, length_ns);
        self.end_poll(task);
    }

    /// Gives the task ownership of a resource.
    pub fn acquire(&mut self, task: TaskId, resource: ResourceId) {
        self.apply(Event::ResourceAcquire { resource, task, at: self.now });
    }

    /// Ends the task's ownership of a resource.
    pub fn release(&mut self, task: TaskId, resource: ResourceId) {
        self.apply(Event::ResourceRelease { resource, task, at: self.now });
    }

    /// Returns all findings. Checks that a run in the smallest steps gives the same findings as a run at once.
    pub fn findings(&self) -> Vec<Finding> {
        let thresholds = Thresholds::default();
        let (at_once, mut runner) = (run_lints(&self.trace, &thresholds), LintRunner::new(&thresholds));
        let stepwise = (0..1_000_000).find_map(|_| runner.advance(&self.trace, 1)).expect("the run comes to an end");
        assert_eq!(stepwise, at_once);
        at_once.listed
    }

    /// Returns the lint names of all findings.
    pub fn lint_names(&self) -> Vec<&'static str> {
        self.findings().into_iter().map(|finding| finding.name).collect()
    }

    /// Returns message and evidence of the only finding.
    pub fn only_finding(&self) -> String {
        let findings = self.findings();
        let [only] = findings.as_slice() else { panic!("expected one finding, got {findings:?}") };
        format!("{} | {}", only.message, only.evidence)
    }
}
