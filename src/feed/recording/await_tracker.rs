//! Tracks awaits in a recording, with exact polls and ends, where the console wire describes the spans.
//!
//! An operation on a resource is an await of the task that polls it. Since tokio 1.53 a sleep has no operation on the
//! wire; a timer that is entered in a task's poll, outside of another await, is a sleep of that task. An await that
//! ends during the poll that last polled it was ready; one that ends at another time was dropped.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use crate::feed::await_resolver::{AwaitResolver, AwaitTarget};
use crate::trace::{AwaitId, AwaitSite, Event, Nanos, SiteId, TaskId};

/// Distinct await sites; awaits at further ones are not emitted.
const SITES_MAX: usize = 1 << 16;

/// Open awaits; further ones are not emitted.
const OPEN_MAX: usize = 1 << 20;

/// Awaits of one recording. Trace ids allow four times this.
const AWAITS_MAX: usize = 1 << 30;

/// Unresolved spans that are resolved again per call.
const RESOLVES_PER_CALL: usize = 512;

/// Nesting levels searched for the outermost span that can be resolved.
const NESTING_MAX: usize = 16;

#[derive(Clone, Copy, Debug)]
struct RecordedAwait {
    id: AwaitId,
    task: TaskId,
    /// Whether it was polled during the current poll of its task.
    was_just_polled: bool,
}

/// A span that could not be resolved so far.
#[derive(Clone, Copy, Debug)]
struct UnresolvedSpan {
    /// The task that entered it first, and when.
    task: TaskId,
    at: Nanos,
    /// The span that encloses it.
    outer: Option<u64>,
}

/// A span that was entered during a poll.
#[derive(Clone, Copy, Debug)]
pub struct SpanPoll {
    /// The task that is polled.
    pub task: TaskId,
    /// The span id.
    pub span: u64,
    /// The enclosing span, unless that is the task's.
    pub outer: Option<u64>,
    /// When it was entered.
    pub at: Nanos,
}

/// Open awaits and unresolved spans of one recording.
#[derive(Debug, Default)]
pub struct AwaitTracker {
    open: FxHashMap<u64, RecordedAwait>,
    /// Span ids of the awaits polled during the current poll.
    just_polled: Vec<u64>,
    /// Spans that may be resolved later.
    unresolved: FxHashMap<u64, UnresolvedSpan>,
    /// The order in which they are resolved again; may hold removed ones.
    resolve_queue: VecDeque<u64>,
    sites: FxHashMap<AwaitSite, SiteId>,
    await_count: usize,
}

impl AwaitTracker {
    /// Handles a span that was entered during a poll. Returns whether it is an await.
    pub fn span_polled(
        &mut self,
        polled: SpanPoll,
        resolver: &impl AwaitResolver,
        out: &mut impl FnMut(Event),
    ) -> bool {
        let SpanPoll { task, span, outer, at } = polled;
        if let Some(open) = self.open.get_mut(&span) {
            if std::mem::replace(&mut open.was_just_polled, true) {
                out(Event::AwaitPoll { id: open.id, is_ready: false });
            } else {
                self.just_polled.push(span);
            }
            return true;
        }
        let Some(target) = resolver.resolve(span) else {
            if self.resolve_queue.len() < OPEN_MAX
                && let Entry::Vacant(entry) = self.unresolved.entry(span)
            {
                entry.insert(UnresolvedSpan { task, at, outer });
                self.resolve_queue.push_back(span);
            }
            return false;
        };
        let first = self.unresolved.remove(&span).filter(|first| first.task == task);
        if self.start_await((task, span, first.map_or(at, |first| first.at)), target, out)
            && let Some(open) = self.open.get_mut(&span)
        {
            open.was_just_polled = true;
            self.just_polled.push(span);
        }
        true
    }

    /// Resolves some unresolved spans again. A task that waits forever never enters its span again.
    pub fn resolve_late_awaits(&mut self, resolver: &impl AwaitResolver, out: &mut impl FnMut(Event)) {
        for _ in 0..RESOLVES_PER_CALL.min(self.resolve_queue.len()) {
            let Some(span) = self.resolve_queue.pop_front() else { return };
            if !self.unresolved.contains_key(&span) {
                continue;
            }
            let Some((span, target)) = self.outermost(span, resolver) else {
                self.resolve_queue.push_back(span);
                continue;
            };
            let Some(UnresolvedSpan { task, at, .. }) = self.unresolved.remove(&span) else { continue };
            if let Some(target) = target
                && self.start_await((task, span, at), target, out)
                && let Some(open) = self.open.get(&span)
            {
                out(Event::AwaitPoll { id: open.id, is_ready: false });
            }
        }
    }

    /// Of the unresolved `span` and those that enclose it, returns the outermost that can be resolved now. The target
    /// is `None` if `span` is only a part of an open await.
    fn outermost(&self, span: u64, resolver: &impl AwaitResolver) -> Option<(u64, Option<AwaitTarget>)> {
        let mut found = None;
        let mut next = Some(span);
        for _ in 0..NESTING_MAX {
            let Some(here) = next else { break };
            if self.open.contains_key(&here) {
                return Some((span, None));
            }
            let Some(unresolved) = self.unresolved.get(&here) else { break };
            found = resolver.resolve(here).map(|target| (here, Some(target))).or(found);
            next = unresolved.outer;
        }
        found
    }

    /// Starts an await, unless a limit is reached. Returns whether it did.
    fn start_await(
        &mut self,
        (task, span, at): (TaskId, u64, Nanos),
        AwaitTarget { site: described, resource }: AwaitTarget,
        out: &mut impl FnMut(Event),
    ) -> bool {
        let next_site = SiteId::from_index(self.sites.len());
        let has_room = self.sites.len() < SITES_MAX || self.sites.contains_key(&described);
        if !has_room || self.open.len() >= OPEN_MAX || self.await_count >= AWAITS_MAX {
            return false;
        }
        let site = *self.sites.entry(described.clone()).or_insert(next_site);
        if site == next_site {
            out(Event::NewAwaitSite { id: site, site: Box::new(described) });
        }
        let id = AwaitId::from_index(self.await_count);
        self.await_count += 1;
        out(Event::AwaitStart { id, task, at, site });
        if let Some(resource) = resource {
            out(Event::AwaitResource { id, resource });
        }
        self.open.insert(span, RecordedAwait { id, task, was_just_polled: false });
        true
    }

    /// Handles the end of a poll of `task`.
    pub fn poll_ended(&mut self, task: TaskId, out: &mut impl FnMut(Event)) {
        self.just_polled.retain(|span| match self.open.get_mut(span) {
            Some(open) if open.task == task => {
                open.was_just_polled = false;
                out(Event::AwaitPoll { id: open.id, is_ready: false });
                false
            }
            other => other.is_some(),
        });
    }

    /// Handles the close of a span.
    pub fn span_closed(&mut self, span: u64, at: Nanos, out: &mut impl FnMut(Event)) {
        let Some(open) = self.open.remove(&span) else {
            self.unresolved.remove(&span);
            return;
        };
        if open.was_just_polled {
            self.just_polled.retain(|just_polled| *just_polled != span);
            out(Event::AwaitPoll { id: open.id, is_ready: true });
        }
        out(Event::AwaitEnd { id: open.id, at });
    }
}
