//! Traces told by hand, event by event, for the lints to look at.

use loopscope::insight::{Finding, Search, Thresholds, findings};
use loopscope::trace::{
    AwaitId, AwaitKind, Cause, Ending, Event, Location, Nanos, Resource, ResourceId, ResourceKind, Site, SiteId,
    Spawned, TaskId, TaskKind, Trace,
};

pub const SECOND: Nanos = 1_000_000_000;
pub const MILLISECOND: Nanos = 1_000_000;

/// A trace in the making, and the loop time in it.
#[derive(Default)]
pub struct Story {
    pub trace: Trace,
    pub now: Nanos,
    tasks: usize,
    awaits: usize,
    sites: Vec<Site>,
    resources: usize,
}

impl Story {
    pub fn tell(&mut self, event: Event) {
        self.trace.apply(event);
    }

    pub fn at(&mut self, now: Nanos) -> &mut Self {
        self.now = now;
        self.tell(Event::Now { at: now });
        self
    }

    /// A task that the first one spawned at line 9.
    pub fn spawn(&mut self, name: &str) -> TaskId {
        self.spawn_sized(name, None, None)
    }

    /// The same, with what is told of its future's size and of the one that the runtime boxed.
    pub fn spawn_sized(&mut self, name: &str, size_bytes: Option<u64>, boxed_from_bytes: Option<u64>) -> TaskId {
        let task = TaskId::from_index(self.tasks);
        let parent = (self.tasks > 0).then(|| TaskId::from_index(0));
        self.tasks += 1;
        let location = Some(Location { file: "story.lua".into(), line: 9 });
        let spawned =
            Spawned { name: name.into(), kind: TaskKind::Task, parent, location, size_bytes, boxed_from_bytes };
        self.tell(Event::Spawn { task, at: self.now, spawned: Box::new(spawned) });
        task
    }

    pub fn start(&mut self, task: TaskId) {
        self.tell(Event::PollStart { task, at: self.now });
    }

    pub fn stop(&mut self, task: TaskId) {
        self.tell(Event::PollEnd { task, at: self.now });
    }

    pub fn wake(&mut self, task: TaskId, cause: Cause) {
        self.tell(Event::Wake { task, at: self.now, cause });
    }

    pub fn end(&mut self, task: TaskId, outcome: Ending) {
        self.tell(Event::End { task, at: self.now, outcome });
    }

    pub fn resource(&mut self, kind: ResourceKind, name: &str, size: u64) -> ResourceId {
        let resource = ResourceId::from_index(self.resources);
        self.resources += 1;
        let described = Box::new(Resource { kind, name: name.into(), location: None, size });
        self.tell(Event::Resource { resource, at: 0, described });
        resource
    }

    /// An await begins, at the line that its source is long.
    pub fn wait(&mut self, task: TaskId, kind: AwaitKind, source: &str, of: Option<ResourceId>) -> AwaitId {
        let location = Some(Location { file: "story.lua".into(), line: source.len() as u32 });
        let site = Site { kind, source: source.into(), location };
        let known = self.sites.iter().position(|known| *known == site);
        let site = SiteId::from_index(known.unwrap_or_else(|| {
            let described = Box::new(site.clone());
            self.sites.push(site);
            self.trace.apply(Event::Site { site: SiteId::from_index(self.sites.len() - 1), described });
            self.sites.len() - 1
        }));
        let id = AwaitId::from_index(self.awaits);
        self.awaits += 1;
        self.tell(Event::AwaitStart { id, task, at: self.now, site });
        if let Some(resource) = of {
            self.tell(Event::AwaitOf { id, resource });
        }
        self.tell(Event::AwaitPoll { id, ready: false });
        id
    }

    pub fn met(&mut self, id: AwaitId) {
        self.tell(Event::AwaitPoll { id, ready: true });
        self.tell(Event::AwaitEnd { id, at: self.now });
    }

    pub fn given_up(&mut self, id: AwaitId) {
        self.tell(Event::AwaitEnd { id, at: self.now });
    }

    /// A call that keeps the loop for so long, in the poll that is under way.
    pub fn call(&mut self, task: TaskId, source: &str, length_ns: u64) {
        let id = self.wait(task, AwaitKind::Block, source, None);
        self.at(self.now + length_ns);
        self.met(id);
    }

    /// A whole poll that makes one such call.
    pub fn poll_of(&mut self, task: TaskId, source: &str, length_ns: u64) {
        self.start(task);
        self.call(task, source, length_ns);
        self.stop(task);
    }

    pub fn acquire(&mut self, task: TaskId, resource: ResourceId) {
        self.tell(Event::Acquire { resource, task, at: self.now });
    }

    pub fn give_back(&mut self, task: TaskId, resource: ResourceId) {
        self.tell(Event::GiveBack { resource, task, at: self.now });
    }

    /// Every finding, which is the same whether it is looked for at once or by the smallest pieces.
    fn findings(&self) -> Vec<Finding> {
        let thresholds = Thresholds::default();
        let (found, mut search) = (findings(&self.trace, &thresholds), Search::new(&thresholds));
        let by_the_piece = (0..1_000_000).find_map(|_| search.go_on(&self.trace, 1)).expect("it comes to an end");
        assert_eq!(by_the_piece, found);
        found.listed
    }

    /// The names of what is found, one a finding.
    pub fn found(&self) -> Vec<&'static str> {
        self.findings().into_iter().map(|finding| finding.name).collect()
    }

    /// Message and evidence of the only finding.
    pub fn only(&self) -> String {
        let found = self.findings();
        let [only] = found.as_slice() else { panic!("one finding and not {found:?}") };
        format!("{} | {}", only.message, only.evidence)
    }
}
