//! Awaits as the wire alone tells them: async operations with exact beginnings and ends, on resources that say their
//! kind and place.

use console_api::async_ops::{AsyncOp, AsyncOpUpdate};
use console_api::resources::ResourceUpdate;
use rustc_hash::{FxHashMap, FxHashSet};

use super::resources::Resources;
use super::spans::Spans;
use super::stamps::{Stamp, Times};
use super::texts::{NAME_BYTES_MAX, Texts};
use crate::trace::{AwaitId, AwaitKind, Event, Nanos, ResourceId, Site, SiteId, TaskId};

/// Operations that are there at once; more are counted and not shown.
const OPERATIONS_MAX: usize = 1 << 20;

/// Places that await; whatever is awaited at more of them is said to be awaited somewhere.
const SITES_MAX: usize = 1 << 16;

/// Awaits of one session. Ids of the trace end at four times this.
const AWAITS_MAX: usize = 1 << 30;

/// What the wire has told of resources and operations so far, by span id.
#[derive(Debug, Default)]
pub struct Operations {
    resources: Resources,
    spans: Spans<Operation>,
    sites: FxHashMap<Site, SiteId>,
    awaits: usize,
    unshown: u64,
    /// Polls from before this may have gone untold.
    untold_until: Nanos,
    /// Operations that were ready at a poll, as this update tells.
    ready: FxHashSet<u64>,
    /// Operations that are over, and of which no poll was told that was ready, with when they ended: those that this
    /// update tells of, and those of the one before.
    over: Vec<(u64, Nanos)>,
    over_before: Vec<(u64, Nanos)>,
}

#[derive(Debug)]
struct Operation {
    site: Site,
    resource: Option<ResourceId>,
    /// Once it is known which task awaits it.
    id: Option<AwaitId>,
    start: Nanos,
    polls: u64,
    ready: bool,
    /// It is over since then, and how it came out is still to be told.
    over: Option<Nanos>,
}

impl Operation {
    /// How often it was polled so far, where it is known whose it is.
    fn polled(&self) -> Option<Event> {
        let polls = u32::try_from(self.polls).unwrap_or(u32::MAX);
        self.id.map(|id| Event::AwaitPolled { id, polls, ready: self.ready })
    }
}

/// An await that begins with this update.
struct Begin {
    operation: u64,
    task: TaskId,
    at: Nanos,
}

impl Operations {
    /// Awaits, and with `tells_resources` also what they are for, where nobody else tells of resources.
    pub fn new(tells_resources: bool) -> Self {
        Self { resources: Resources::new(tells_resources), ..Self::default() }
    }

    /// How many resources and operations are not shown, for there were too many.
    pub fn unshown(&self) -> u64 {
        self.unshown + self.resources.unshown()
    }

    /// What is awaited where `span` is entered in a poll: an operation, or since tokio 1.53 a sleep that has none.
    pub fn meaning(&self, span: u64) -> Option<(Site, Option<ResourceId>)> {
        if let Some(operation) = self.spans.get(span) {
            return Some((operation.site.clone(), operation.resource));
        }
        let sleep = self.resources.sleep(span)?;
        let site = Site { kind: AwaitKind::Timer, source: "sleep".into(), location: sleep.location.clone() };
        Some((site, sleep.id))
    }

    /// Polls from before `until` may have gone untold: nobody listened, or the program had no room for them.
    pub fn note_untold(&mut self, until: Nanos) {
        self.untold_until = self.untold_until.max(until);
    }

    /// What an update says of resources and awaits: beginnings in order of time, then polls, then ends. `task` knows
    /// which task a span id means.
    pub fn events(
        &mut self,
        resources: &ResourceUpdate,
        operations: &AsyncOpUpdate,
        task: impl Fn(u64) -> Option<TaskId>,
        texts: &mut Texts,
        times: &impl Times,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        self.resources.meet(resources, texts, times, &mut events);
        // Outer ones first: what lies within another is seen by that.
        let (inner, outer): (Vec<_>, Vec<_>) =
            operations.new_async_ops.iter().partition(|operation| operation.parent_async_op_id.is_some());
        for operation in outer.into_iter().chain(inner) {
            self.meet(operation, operations, texts, times, &mut events);
        }
        let ready = resources.new_poll_ops.iter().filter(|poll| poll.is_ready);
        self.ready.extend(ready.filter_map(|poll| Some(poll.async_op_id.as_ref()?.id)));
        self.begin(operations, task, times, &mut events);
        let mut ended = Vec::new();
        for (span, stats) in &operations.stats_update {
            let Some(operation) = self.spans.live_mut(*span) else { continue };
            let was_ready = operation.ready;
            operation.ready |= self.ready.contains(span);
            let polls = stats.poll_stats.as_ref().map_or(0, |stats| stats.polls);
            if polls > operation.polls || operation.ready != was_ready {
                operation.polls = polls.max(operation.polls);
                events.extend(operation.polled());
            }
            if stats.dropped_at.is_none() || operation.over.is_some() {
                continue;
            }
            let at = times.at(stats.dropped_at);
            match operation.id {
                // What else was told of it may have been read just before its last poll, and its end just after.
                Some(_) if !operation.ready => {
                    operation.over = Some(at);
                    self.over.push((*span, at));
                }
                id => {
                    ended.extend(id.map(|id| (at, id)));
                    self.spans.end(*span);
                }
            }
        }
        ended.sort_unstable();
        events.extend(ended.into_iter().map(|(at, id)| Event::AwaitEnd { id, at }));
        self.resources.follow(resources, texts, times, &mut events);
        events
    }

    /// All of an update was told: polls of the next one are other polls. `is_complete` says that the program had no polls
    /// from before in its buffer any more. Gives the ends of awaits of which this is the last that will be heard.
    ///
    /// That an operation is over is read where it stands, but its polls come through a buffer, which is emptied before
    /// that: the poll at which it was ready may come with the next update only.
    pub fn finish(&mut self, is_complete: bool) -> Vec<Event> {
        let mut events = Vec::new();
        for span in std::mem::take(&mut self.ready) {
            let Some(operation) = self.spans.live_mut(span).filter(|operation| !operation.ready) else { continue };
            operation.ready = true;
            events.extend(operation.polled());
        }
        let mut due = std::mem::replace(&mut self.over_before, std::mem::take(&mut self.over));
        self.over_before.retain(|over| {
            let is_ready = self.spans.get(over.0).is_some_and(|operation| operation.ready);
            due.extend(is_ready.then_some(*over));
            !is_ready
        });
        due.sort_unstable_by_key(|(span, at)| (*at, *span));
        for (span, at) in due {
            // Its id may mean another by now.
            let Some(operation) = self.spans.live_mut(span).filter(|operation| operation.over == Some(at)) else {
                continue;
            };
            let is_untold = !operation.ready && (!is_complete || operation.start < self.untold_until);
            events.extend(operation.id.filter(|_| is_untold).map(|id| Event::AwaitUntold { id }));
            events.extend(operation.id.map(|id| Event::AwaitEnd { id, at }));
            self.spans.end(span);
        }
        events
    }

    /// No update will come any more: tells what would have waited for the next.
    pub fn close(&mut self, is_complete: bool) -> Vec<Event> {
        let mut events = self.finish(is_complete);
        events.extend(self.finish(is_complete));
        events
    }

    fn meet(
        &mut self,
        told: &AsyncOp,
        update: &AsyncOpUpdate,
        texts: &mut Texts,
        times: &impl Times,
        events: &mut Vec<Event>,
    ) {
        let (Some(span), Some(resource)) = (&told.id, &told.resource_id) else { return };
        self.resources.operate(resource.id);
        let created = update.stats_update.get(&span.id).and_then(|stats| stats.created_at);
        // An operation on a part of a resource, within one on the whole: that is how tokio does the one that is awaited.
        let is_inner = told.parent_async_op_id.as_ref().is_some_and(|outer| self.spans.get(outer.id).is_some());
        if self.spans.is_known(span.id, Stamp::of(created)) || (is_inner && self.resources.is_part(resource.id)) {
            return;
        }
        if self.spans.live() >= OPERATIONS_MAX {
            self.unshown += 1;
            return;
        }
        let resource = self.resources.get(resource.id);
        let kind = resource.map_or(AwaitKind::Other, |resource| resource.kind);
        let location = resource.and_then(|resource| resource.location.clone());
        let site = Site { kind, source: texts.keep(&told.source, NAME_BYTES_MAX), location };
        let resource = resource.and_then(|resource| resource.id);
        let operation =
            Operation { site, resource, id: None, start: times.at(created), polls: 0, ready: false, over: None };
        let replaced = self.spans.meet(span.id, Stamp::of(created), operation);
        // Its end went untold, but its id is another's now.
        let ended = replaced.and_then(|operation| Some((operation.id?, operation.over)));
        events.extend(ended.map(|(id, over)| Event::AwaitEnd { id, at: over.unwrap_or_else(|| times.at(created)) }));
    }

    fn begin(
        &mut self,
        operations: &AsyncOpUpdate,
        task: impl Fn(u64) -> Option<TaskId>,
        times: &impl Times,
        events: &mut Vec<Event>,
    ) {
        let mut begins = Vec::new();
        for (span, stats) in &operations.stats_update {
            let is_new = self.spans.live_mut(*span).is_some_and(|operation| operation.id.is_none());
            let task = stats.task_id.as_ref().filter(|_| is_new).and_then(|id| task(id.id));
            begins.extend(task.map(|task| Begin { operation: *span, task, at: times.at(stats.created_at) }));
        }
        begins.sort_unstable_by_key(|begin| (begin.at, begin.operation));
        for begin in begins {
            let Some(operation) = self.spans.live_mut(begin.operation) else { continue };
            if self.awaits >= AWAITS_MAX {
                self.unshown += 1;
                continue;
            }
            let id = AwaitId::from_index(self.awaits);
            self.awaits += 1;
            operation.id = Some(id);
            let next_site = SiteId::from_index(self.sites.len());
            let mut described = operation.site.clone();
            if self.sites.len() >= SITES_MAX && !self.sites.contains_key(&described) {
                described = Site { kind: AwaitKind::Other, source: "".into(), location: None };
            }
            let site = *self.sites.entry(described.clone()).or_insert(next_site);
            if site == next_site {
                events.push(Event::Site { site, described: Box::new(described) });
            }
            events.push(Event::AwaitStart { id, task: begin.task, at: begin.at, site });
            events.extend(operation.resource.map(|resource| Event::AwaitOf { id, resource }));
        }
    }
}
