//! Awaits, from the operations that tasks poll.
//!
//! An operation may be created by another task than the one that polls it, such as the receiver of a oneshot channel.
//! Its await starts with the first poll.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::definitions::Definitions;
use super::resources::ResourceReplay;
use super::timed_record::TimedRecord;
use crate::trace::{AwaitId, AwaitKind, AwaitSite, Event, Nanos, SiteId, TaskId};

/// Open operations that are followed; further ones are only counted.
const OPERATIONS_MAX: usize = 1 << 20;

/// Distinct await sites; awaits at further ones share a site without source and location.
const SITES_MAX: usize = 1 << 16;

/// Awaits of one session. Trace ids allow four times this.
const AWAITS_MAX: usize = 1 << 30;

/// tokio's name for the operation of a sleep, and the name by which all feeds call it.
const SLEEP_SOURCE: (&str, &str) = ("Sleep::new_timeout", "sleep");

/// An operation that was created and not dropped.
#[derive(Debug)]
struct LiveOperation {
    /// The id of its site.
    site: u64,
    /// The id of its resource, or 0.
    resource: u64,
    /// It is a part of another operation.
    is_inner: bool,
    /// The await, and the task that polls it.
    started: Option<(AwaitId, TaskId)>,
    is_ready: bool,
    /// It was polled by an unknown task.
    is_unattributed: bool,
    /// Number of gaps before it was created.
    gaps: u32,
}

/// The operations of one stream.
#[derive(Debug, Default)]
pub struct OperationReplay {
    live: FxHashMap<u64, LiveOperation>,
    /// Trace ids of sites, by the site of the operation and that of its resource.
    sites: FxHashMap<(u64, u64), SiteId>,
    site_ids: FxHashMap<AwaitSite, SiteId>,
    await_count: usize,
    hidden: u64,
    /// Number of gaps so far.
    gaps: u32,
    /// The smallest id of an operation that was created since recording began; smaller ones began before.
    first: Option<u64>,
}

impl OperationReplay {
    /// Whether a record about an operation can be handled: it is known, or began before recording did.
    pub fn is_known(&self, number: u64) -> bool {
        self.gaps > 0 || self.first.is_none_or(|first| number < first) || self.live.contains_key(&number)
    }

    /// Returns how many operations are not shown because a limit is reached.
    pub fn hidden(&self) -> u64 {
        self.hidden
    }

    /// Notes that nothing lived when recording began, so that every operation is created before it is used.
    pub fn begin_without_past(&mut self) {
        self.first = Some(0);
    }

    /// Notes that records were dropped.
    pub fn add_gap(&mut self) {
        self.gaps = self.gaps.saturating_add(1);
    }

    /// Handles the creation of an operation.
    pub fn create(&mut self, record: &TimedRecord, resources: &ResourceReplay) {
        let [site, resource, _] = record.arguments;
        self.first = Some(self.first.map_or(record.subject, |first| first.min(record.subject)));
        if self.live.len() >= OPERATIONS_MAX {
            self.hidden += 1;
            return;
        }
        let operation = LiveOperation {
            site,
            resource,
            is_inner: resources.is_implementation(resource),
            started: None,
            is_ready: false,
            is_unattributed: false,
            gaps: self.gaps,
        };
        self.live.entry(record.subject).or_insert(operation);
    }

    /// Handles the start of a poll of an operation on a thread of which the task is not known.
    pub fn poll_by_unknown(&mut self, number: u64, events: &mut Vec<Event>) {
        let operation = self.live.get_mut(&number).filter(|operation| !operation.is_inner);
        let is_new = operation.is_some_and(|operation| {
            operation.started.is_none() && !std::mem::replace(&mut operation.is_unattributed, true)
        });
        if is_new {
            events.push(Event::AwaitsUnattributed { count: 1 });
        }
    }

    /// Handles the start of a poll of an operation by `task`. Returns whether it is an await of the task.
    pub fn poll(
        &mut self,
        number: u64,
        (task, at): (Option<TaskId>, Nanos),
        (definitions, resources): (&mut Definitions, &ResourceReplay),
        events: &mut Vec<Event>,
    ) -> bool {
        let Some(operation) = self.live.get_mut(&number).filter(|operation| !operation.is_inner) else { return false };
        // Outside of every task, nothing is awaited: this is how a runtime shuts down.
        let Some(task) = task else { return false };
        match operation.started {
            Some((_, owner)) if owner == task => return true,
            // It was moved to another task.
            Some((id, _)) => events.push(Event::AwaitEnd { id, at }),
            None => {}
        }
        let what = (operation.site, operation.resource);
        let Some(id) = self.start_await(what, (task, at), (definitions, resources), events) else { return false };
        if let Some(operation) = self.live.get_mut(&number) {
            operation.started = Some((id, task));
        }
        true
    }

    /// Starts an await of a resource, or 0, at a site. `None` if a limit is reached.
    pub fn start_await(
        &mut self,
        (site, resource): (u64, u64),
        (task, at): (TaskId, Nanos),
        (definitions, resources): (&mut Definitions, &ResourceReplay),
        events: &mut Vec<Event>,
    ) -> Option<AwaitId> {
        if self.await_count >= AWAITS_MAX {
            self.hidden += 1;
            return None;
        }
        let id = AwaitId::from_index(self.await_count);
        self.await_count += 1;
        let site = self.site_id(site, resource, definitions, resources, events);
        events.push(Event::AwaitStart { id, task, at, site });
        let resource = resources.whole(resource).and_then(|resource| resource.id);
        events.extend(resource.map(|resource| Event::AwaitResource { id, resource }));
        Some(id)
    }

    /// Handles the end of a poll of an operation by `task`.
    pub fn finish_poll(&mut self, number: u64, task: Option<TaskId>, is_ready: bool, events: &mut Vec<Event>) {
        let Some(operation) = self.live.get_mut(&number) else { return };
        operation.is_ready |= is_ready;
        if let Some((id, owner)) = operation.started.filter(|_| !operation.is_inner)
            && task.is_none_or(|task| task == owner)
        {
            events.push(Event::AwaitPoll { id, is_ready });
        }
    }

    /// Handles the drop of an operation.
    pub fn end(&mut self, number: u64, at: Nanos, events: &mut Vec<Event>) {
        let Some(operation) = self.live.remove(&number) else { return };
        let Some((id, _)) = operation.started else { return };
        if !operation.is_ready && operation.gaps < self.gaps {
            events.push(Event::AwaitPollsMissed { id });
        }
        events.push(Event::AwaitEnd { id, at });
    }

    /// Returns the open await of `task` that `number` is.
    pub fn open_await(&self, number: u64, task: TaskId) -> Option<AwaitId> {
        let (id, owner) = self.live.get(&number)?.started?;
        (owner == task).then_some(id)
    }

    /// Returns the trace id of a site. Defines it if it is new.
    fn site_id(
        &mut self,
        site: u64,
        resource: u64,
        definitions: &mut Definitions,
        resources: &ResourceReplay,
        events: &mut Vec<Event>,
    ) -> SiteId {
        let resource = resources.whole(resource);
        let key = (site, resource.map_or(0, |resource| resource.site));
        if let Some(id) = self.sites.get(&key) {
            return *id;
        }
        let mut described = AwaitSite { kind: AwaitKind::Other, source: "".into(), location: None, chain: None };
        if let Some(site) = definitions.site(site).filter(|_| self.site_ids.len() < SITES_MAX) {
            described.kind = match resource {
                Some(resource) if !definitions.states_kinds => resource.kind,
                _ => AwaitKind::from_name(&site.kind.to_ascii_lowercase()),
            };
            described.chain = site.frames.clone();
            let is_sleep = &*site.name == SLEEP_SOURCE.0;
            described.source = if is_sleep { SLEEP_SOURCE.1.into() } else { Arc::clone(&site.name) };
            described.location =
                site.own_location().or_else(|| resource.and_then(|resource| resource.location.as_ref())).cloned();
        }
        let next = SiteId::from_index(self.site_ids.len());
        let id = *self.site_ids.entry(described.clone()).or_insert(next);
        if id == next {
            events.push(Event::NewAwaitSite { id, site: Box::new(described) });
        }
        if self.sites.len() < SITES_MAX {
            self.sites.insert(key, id);
        }
        id
    }
}
