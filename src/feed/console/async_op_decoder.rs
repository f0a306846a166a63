//! Decodes awaits from the wire alone: async operations with exact starts and ends, on resources that carry kind and
//! location.

use console_api::async_ops::{AsyncOp, AsyncOpUpdate};
use console_api::resources::ResourceUpdate;
use rustc_hash::{FxHashMap, FxHashSet};

use super::resource_decoder::ResourceDecoder;
use super::span_map::SpanMap;
use super::task_stats::number_attribute;
use super::text_interner::{NAME_BYTES_MAX, TextInterner};
use super::wire_clock::{ToLoopTime, WireTimestamp};
use crate::feed::await_resolver::{AwaitTarget, Readiness, ReportedSpan};
use crate::trace::{AwaitId, AwaitKind, AwaitSite, Event, Nanos, ResourceId, SiteId, TaskId};

/// Open operations that are shown; further ones are only counted.
const OPERATIONS_MAX: usize = 1 << 20;

/// Distinct await sites; awaits at further ones share a site without source and location.
const SITES_MAX: usize = 1 << 16;

/// Operations that ended while their outcome is undecided; further ones are decided with what is known.
const UNDECIDED_MAX: usize = 1 << 16;

/// Awaits of one session. Trace ids allow four times this.
const AWAITS_MAX: usize = 1 << 30;

/// Decodes resources and async operations into awaits, by span id.
#[derive(Debug, Default)]
pub struct AsyncOpDecoder {
    resources: ResourceDecoder,
    spans: SpanMap<AsyncOpEntry>,
    sites: FxHashMap<AwaitSite, SiteId>,
    awaits: usize,
    hidden: u64,
    /// Polls before this loop time may not have been reported.
    unreported_until: Nanos,
    /// Operations that returned ready in this update.
    ready: FxHashSet<u64>,
    /// Operations that ended without a reported ready poll, with the time of their end: those of this update, and those
    /// of the one before.
    ended: Vec<(u64, Nanos)>,
    ended_before: Vec<(u64, Nanos)>,
}

#[derive(Debug)]
struct AsyncOpEntry {
    site: AwaitSite,
    resource: Option<ResourceId>,
    /// It is a part of another operation.
    is_inner: bool,
    /// Span id of the operation that is a part of this one.
    part: Option<u64>,
    /// Permits that it requested and obtained.
    permits: Option<(u64, u64)>,
    /// Span id of the task that polled it last.
    owner: Option<u64>,
    /// The await, once its task is known.
    id: Option<AwaitId>,
    start: Nanos,
    polls: u64,
    is_ready: bool,
    /// It was dropped, and some of its polls may not have been reported.
    is_unknown: bool,
    /// The end of the operation, while its outcome is undecided.
    ended: Option<Nanos>,
}

impl AsyncOpEntry {
    /// Returns the event with its poll count, if its task is known.
    fn poll_event(&self) -> Option<Event> {
        let polls = u32::try_from(self.polls).unwrap_or(u32::MAX);
        self.id.map(|id| Event::AwaitPollCount { id, polls, is_ready: self.is_ready })
    }
}

/// An await that starts with this update.
struct AwaitBeginning {
    operation: u64,
    task: TaskId,
    at: Nanos,
    /// The same time on the wire. A virtual clock stands still while many awaits start.
    created: Option<WireTimestamp>,
}

impl AsyncOpDecoder {
    /// Creates a decoder of awaits. With `emits_resources` it also emits the resources that they wait for.
    pub fn new(emits_resources: bool) -> Self {
        Self { resources: ResourceDecoder::new(emits_resources), ..Self::default() }
    }

    /// Returns how many resources and operations are not shown because a limit is reached.
    pub fn hidden(&self) -> u64 {
        self.hidden + self.resources.hidden()
    }

    /// Returns what is reported of `span`: an operation, or a sleep, which since tokio 1.53 has none.
    pub fn reported(&self, span: u64) -> ReportedSpan {
        let Some(operation) = self.spans.get(span) else { return self.resources.reported(span) };
        if operation.is_inner {
            return ReportedSpan::NotAwaited;
        }
        let readiness = match (operation.is_ready, self.spans.is_closed(span)) {
            (true, _) => Readiness::Ready,
            (false, false) => Readiness::Undecided,
            (false, true) => match self.permits(span) {
                Some((requested, obtained)) if obtained < requested => Readiness::NotReady,
                Some(_) => Readiness::Assigned,
                None if operation.is_unknown => Readiness::Unknown,
                None => Readiness::NotReady,
            },
        };
        ReportedSpan::Operation { owner: operation.owner, enters: operation.polls, readiness }
    }

    /// Returns how many permits an operation requested from its semaphore and obtained, once it has ended.
    fn permits(&self, span: u64) -> Option<(u64, u64)> {
        let operation = self.spans.get(span)?;
        // tokio's locks acquire permits of a semaphore inside.
        let inner = operation.part.and_then(|part| self.spans.get(part).filter(|_| self.spans.is_closed(part)));
        inner.unwrap_or(operation).permits
    }

    /// Returns what is awaited where `span` is entered in a poll.
    pub fn await_target(&self, span: u64) -> Option<AwaitTarget> {
        if let Some(operation) = self.spans.get(span) {
            return Some(AwaitTarget { site: operation.site.clone(), resource: operation.resource });
        }
        let sleep = self.resources.sleep(span)?;
        let site =
            AwaitSite { kind: AwaitKind::Timer, source: "sleep".into(), location: sleep.location.clone(), chain: None };
        Some(AwaitTarget { site, resource: sleep.id })
    }

    /// Marks polls before `until` as possibly unreported: there was no connection, or the program's buffer was full.
    pub fn mark_unreported_until(&mut self, until: Nanos) {
        self.unreported_until = self.unreported_until.max(until);
    }

    /// Returns the loop time before which polls may not have been reported.
    pub fn unreported_until(&self) -> Nanos {
        self.unreported_until
    }

    /// Decodes the resources and operations of an update: starts in order of time, then polls, then ends. `task` maps
    /// a span id to its task.
    pub fn decode(
        &mut self,
        resources: &ResourceUpdate,
        operations: &AsyncOpUpdate,
        task: impl Fn(u64) -> Option<TaskId>,
        interner: &mut TextInterner,
        times: &impl ToLoopTime,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        self.resources.decode_new(resources, interner, times, &mut events);
        // Outer operations first: whether one is inner depends on its parent being known.
        let (inner, outer): (Vec<_>, Vec<_>) =
            operations.new_async_ops.iter().partition(|operation| operation.parent_async_op_id.is_some());
        for operation in outer.into_iter().chain(inner) {
            self.add_async_op(operation, operations, interner, times, &mut events);
        }
        let ready = resources.new_poll_ops.iter().filter(|poll| poll.is_ready);
        self.ready.extend(ready.filter_map(|poll| Some(poll.async_op_id.as_ref()?.id)));
        self.start_awaits(operations, task, times, &mut events);
        let mut ended = Vec::new();
        for (span, stats) in &operations.stats_update {
            let Some(operation) = self.spans.open_mut(*span) else { continue };
            operation.permits = reported_permits(&stats.attributes).or(operation.permits);
            operation.owner = stats.task_id.as_ref().map(|id| id.id).or(operation.owner);
            let was_ready = operation.is_ready;
            operation.is_ready |= self.ready.contains(span);
            let polls = stats.poll_stats.as_ref().map_or(0, |stats| stats.polls);
            if polls > operation.polls || operation.is_ready != was_ready {
                operation.polls = polls.max(operation.polls);
                events.extend(operation.poll_event());
            }
            if stats.dropped_at.is_none() || operation.ended.is_some() {
                continue;
            }
            let at = times.loop_time(stats.dropped_at);
            // The other statistics may have been read just before its last poll, and its end just after.
            if operation.owner.is_some() && !operation.is_ready && !operation.is_inner {
                operation.ended = Some(at);
                self.ended.push((*span, at));
            } else {
                ended.extend(operation.id.map(|id| (at, id)));
                self.spans.close(*span);
            }
        }
        ended.sort_unstable();
        events.extend(ended.into_iter().map(|(at, id)| Event::AwaitEnd { id, at }));
        self.resources.decode_changes(resources, interner, times, &mut events);
        events
    }

    /// Completes an update. `is_complete` states that the program's event buffer was empty after it. Returns the ends
    /// of awaits whose outcome is decided now.
    ///
    /// The end of an operation is read directly, but its polls pass through a buffer that is drained before. So the
    /// poll that returned ready may only arrive with the next update.
    pub fn finish_update(&mut self, is_complete: bool) -> Vec<Event> {
        self.decide_ended(is_complete, Nanos::MAX)
    }

    /// Completes an update whose awaits another feed ends. Outcomes of those that ended after `complete_until` stay
    /// undecided: their last polls may be outstanding.
    pub fn finish_update_patiently(&mut self, complete_until: Nanos) {
        self.decide_ended(true, complete_until);
    }

    /// Decides the outcomes of the operations that ended before `complete_until`, and before this update.
    fn decide_ended(&mut self, is_complete: bool, complete_until: Nanos) -> Vec<Event> {
        let mut events = Vec::new();
        for span in std::mem::take(&mut self.ready) {
            let Some(operation) = self.spans.open_mut(span).filter(|operation| !operation.is_ready) else { continue };
            operation.is_ready = true;
            events.extend(operation.poll_event());
        }
        let mut due = std::mem::take(&mut self.ended_before);
        self.ended_before = std::mem::take(&mut self.ended);
        if self.ended_before.len() + due.len() < UNDECIDED_MAX {
            self.ended_before.extend(due.extract_if(.., |(_, at)| *at >= complete_until));
        }
        self.ended_before.retain(|pending| {
            let is_ready = self.spans.get(pending.0).is_some_and(|operation| operation.is_ready);
            due.extend(is_ready.then_some(*pending));
            !is_ready
        });
        due.sort_unstable_by_key(|(span, at)| (*at, *span));
        for (span, at) in due {
            // The span id may have been reused.
            let Some(operation) = self.spans.open_mut(span).filter(|operation| operation.ended == Some(at)) else {
                continue;
            };
            let is_unknown = !operation.is_ready && (!is_complete || operation.start < self.unreported_until);
            operation.is_unknown = is_unknown;
            events.extend(operation.id.filter(|_| is_unknown).map(|id| Event::AwaitPollsMissed { id }));
            events.extend(operation.id.map(|id| Event::AwaitEnd { id, at }));
            self.spans.close(span);
        }
        events
    }

    /// Completes the last update: decides everything that would have waited for the next one.
    pub fn close(&mut self, is_complete: bool) -> Vec<Event> {
        let mut events = self.finish_update(is_complete);
        events.extend(self.finish_update(is_complete));
        events
    }

    fn add_async_op(
        &mut self,
        async_op: &AsyncOp,
        update: &AsyncOpUpdate,
        interner: &mut TextInterner,
        times: &impl ToLoopTime,
        events: &mut Vec<Event>,
    ) {
        let (Some(span), Some(resource)) = (&async_op.id, &async_op.resource_id) else { return };
        self.resources.note_operation(resource.id);
        let created = update.stats_update.get(&span.id).and_then(|stats| stats.created_at);
        if self.spans.is_known(span.id, WireTimestamp::from_proto(created)) {
            return;
        }
        // An operation on a part of a resource, inside one on the whole: this is how tokio implements the awaited one.
        let is_nested = async_op.parent_async_op_id.as_ref().is_some_and(|outer| self.spans.get(outer.id).is_some());
        let is_inner = self.resources.is_implementation(resource.id, is_nested);
        if self.spans.open_count() >= OPERATIONS_MAX {
            self.hidden += 1;
            return;
        }
        let outer = async_op.parent_async_op_id.as_ref().filter(|_| is_inner);
        if let Some(outer) = outer.and_then(|outer| self.spans.open_mut(outer.id)) {
            outer.part = Some(span.id);
        }
        let resource = self.resources.get(resource.id);
        let kind = resource.map_or(AwaitKind::Other, |resource| resource.kind);
        let location = resource.and_then(|resource| resource.location.clone());
        let site = AwaitSite { kind, source: interner.intern(&async_op.source, NAME_BYTES_MAX), location, chain: None };
        let resource = resource.and_then(|resource| resource.id);
        let operation = AsyncOpEntry {
            site,
            resource,
            is_inner,
            part: None,
            permits: None,
            owner: None,
            id: None,
            start: times.loop_time(created),
            polls: 0,
            is_ready: false,
            is_unknown: false,
            ended: None,
        };
        let replaced = self.spans.insert(span.id, WireTimestamp::from_proto(created), operation);
        // The end of the replaced operation was not reported, but its id has been reused.
        let ended = replaced.and_then(|operation| Some((operation.id?, operation.ended)));
        events.extend(
            ended.map(|(id, ended)| Event::AwaitEnd { id, at: ended.unwrap_or_else(|| times.loop_time(created)) }),
        );
    }

    fn start_awaits(
        &mut self,
        operations: &AsyncOpUpdate,
        task: impl Fn(u64) -> Option<TaskId>,
        times: &impl ToLoopTime,
        events: &mut Vec<Event>,
    ) {
        let mut beginnings = Vec::new();
        for (span, stats) in &operations.stats_update {
            let is_new =
                self.spans.open_mut(*span).is_some_and(|operation| operation.id.is_none() && !operation.is_inner);
            let task = stats.task_id.as_ref().filter(|_| is_new).and_then(|id| task(id.id));
            beginnings.extend(task.map(|task| AwaitBeginning {
                operation: *span,
                task,
                at: times.loop_time(stats.created_at),
                created: WireTimestamp::from_proto(stats.created_at),
            }));
        }
        beginnings.sort_unstable_by_key(|begin| (begin.at, begin.created, begin.operation));
        for begin in beginnings {
            let Some(operation) = self.spans.open_mut(begin.operation) else { continue };
            if self.awaits >= AWAITS_MAX {
                self.hidden += 1;
                continue;
            }
            let id = AwaitId::from_index(self.awaits);
            self.awaits += 1;
            operation.id = Some(id);
            let next_site = SiteId::from_index(self.sites.len());
            let mut described = operation.site.clone();
            if self.sites.len() >= SITES_MAX && !self.sites.contains_key(&described) {
                described = AwaitSite { kind: AwaitKind::Other, source: "".into(), location: None, chain: None };
            }
            let site = *self.sites.entry(described.clone()).or_insert(next_site);
            if site == next_site {
                events.push(Event::NewAwaitSite { id: site, site: Box::new(described) });
            }
            events.push(Event::AwaitStart { id, task: begin.task, at: begin.at, site });
            events.extend(operation.resource.map(|resource| Event::AwaitResource { id, resource }));
            if operation.polls > 0 || operation.is_ready {
                // They were reported in an earlier update than the task.
                events.extend(operation.poll_event());
            }
        }
    }
}

/// Reads the attributes with which tokio's semaphores report the permits that an operation requests and has obtained.
fn reported_permits(attributes: &[console_api::Attribute]) -> Option<(u64, u64)> {
    let number = |name| number_attribute(attributes, name, None);
    Some((number("permits_requested")?, number("permits_obtained")?))
}
