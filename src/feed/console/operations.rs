//! Awaits as the wire alone tells them: async operations with exact beginnings and ends, on resources that say their
//! kind and place.

use console_api::async_ops::{AsyncOpUpdate, Stats};
use console_api::resources::resource::kind::{Kind, Known};
use console_api::resources::{Resource, ResourceUpdate};
use rustc_hash::FxHashMap;

use super::Times;
use crate::trace::{AwaitId, AwaitKind, Event, Location, Nanos, Site, SiteId, TaskId};

/// What the wire has told of resources and operations so far, by span id.
#[derive(Debug, Default)]
pub struct Operations {
    resources: FxHashMap<u64, (AwaitKind, Option<Location>)>,
    operations: FxHashMap<u64, Operation>,
    sites: FxHashMap<Site, SiteId>,
    awaits: usize,
}

#[derive(Debug)]
struct Operation {
    site: Site,
    /// Once it is known which task awaits it.
    id: Option<AwaitId>,
    polls: u64,
    ready: bool,
}

/// An await that begins with this update.
struct Begin {
    operation: u64,
    task: TaskId,
    at: Nanos,
}

impl Operations {
    /// What an update says of awaits: beginnings in order of time, then polls, then ends.
    pub fn events(
        &mut self,
        resources: &ResourceUpdate,
        operations: &AsyncOpUpdate,
        task: impl Fn(u64) -> Option<TaskId>,
        times: &Times,
    ) -> Vec<Event> {
        for resource in &resources.new_resources {
            if let Some(id) = &resource.id {
                self.resources.insert(id.id, (kind(resource), location(resource)));
            }
        }
        for operation in &operations.new_async_ops {
            let (Some(id), Some(resource)) = (&operation.id, &operation.resource_id) else { continue };
            let (kind, location) = self.resources.get(&resource.id).cloned().unwrap_or((AwaitKind::Other, None));
            let site = Site { kind, source: operation.source.as_str().into(), location };
            self.operations.insert(id.id, Operation { site, id: None, polls: 0, ready: false });
        }
        for poll in resources.new_poll_ops.iter().filter(|poll| poll.is_ready) {
            if let Some(operation) = poll.async_op_id.as_ref().and_then(|id| self.operations.get_mut(&id.id)) {
                operation.ready = true;
            }
        }
        let mut events = self.begin(operations, task, times);
        for (operation, stats) in &operations.stats_update {
            events.extend(self.polled(*operation, stats));
        }
        for (operation, stats) in operations.stats_update.iter().filter(|(_, stats)| stats.dropped_at.is_some()) {
            let ended = self.operations.remove(operation).and_then(|operation| operation.id);
            events.extend(ended.map(|id| Event::AwaitEnd { id, at: times.at(stats.dropped_at) }));
        }
        for (resource, _) in resources.stats_update.iter().filter(|(_, stats)| stats.dropped_at.is_some()) {
            self.resources.remove(resource);
        }
        events
    }

    fn begin(&mut self, operations: &AsyncOpUpdate, task: impl Fn(u64) -> Option<TaskId>, times: &Times) -> Vec<Event> {
        let mut begins: Vec<Begin> = operations
            .stats_update
            .iter()
            .filter(|(id, _)| self.operations.get(id).is_some_and(|operation| operation.id.is_none()))
            .filter_map(|(id, stats)| {
                let task = task(stats.task_id.as_ref()?.id)?;
                Some(Begin { operation: *id, task, at: times.at(stats.created_at) })
            })
            .collect();
        begins.sort_unstable_by_key(|begin| (begin.at, begin.operation));
        let mut events = Vec::new();
        for begin in begins {
            let Some(operation) = self.operations.get_mut(&begin.operation) else { continue };
            let id = AwaitId::from_index(self.awaits);
            self.awaits += 1;
            operation.id = Some(id);
            let next_site = SiteId::from_index(self.sites.len());
            let site = *self.sites.entry(operation.site.clone()).or_insert(next_site);
            if site == next_site {
                events.push(Event::Site { site, described: Box::new(operation.site.clone()) });
            }
            events.push(Event::AwaitStart { id, task: begin.task, at: begin.at, site });
        }
        events
    }

    /// The polls of an operation that are new.
    fn polled(&mut self, operation: u64, stats: &Stats) -> Vec<Event> {
        let polls = stats.poll_stats.as_ref().map_or(0, |stats| stats.polls);
        let Some(operation) = self.operations.get_mut(&operation) else { return Vec::new() };
        let Some(id) = operation.id else { return Vec::new() };
        let new = polls.saturating_sub(operation.polls);
        operation.polls = polls;
        (1..=new).map(|poll| Event::AwaitPoll { id, ready: operation.ready && poll == new }).collect()
    }
}

fn kind(resource: &Resource) -> AwaitKind {
    match resource.kind.as_ref().and_then(|kind| kind.kind.as_ref()) {
        Some(Kind::Known(known)) if *known == Known::Timer as i32 => AwaitKind::Timer,
        Some(Kind::Other(name)) => AwaitKind::from_name(name),
        _ => AwaitKind::Other,
    }
}

fn location(resource: &Resource) -> Option<Location> {
    let location = resource.location.as_ref()?;
    let file = location.file.as_deref().filter(|file| !file.is_empty())?;
    Some(Location { file: file.into(), line: location.line? })
}
