//! Tracks awaits in a recording, where the console wire describes the spans.
//!
//! The wire names the task that polls an operation, and whether it returned ready. The recording has the times of its
//! polls, in order with those of its task. Since tokio 1.53 a sleep has no operation on the wire; [`PollEvidence`]
//! shows which task polls it. What cannot be attributed to a task is counted.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::open_await::{OpenAwait, PolledAwaits};
use super::poll_evidence::{PollEvidence, PolledTask};
use super::resolve_queue::ResolveQueue;
use super::undecided_awaits::UndecidedAwaits;
use crate::feed::await_resolver::{AwaitResolver, AwaitTarget, Readiness, ReportedSpan};
use crate::trace::{AwaitId, AwaitSite, Event, Nanos, SiteId, TaskId};

/// Distinct await sites; awaits at further ones are not emitted.
const SITES_MAX: usize = 1 << 16;

/// Tracked spans; further ones are only counted.
const TRACKED_MAX: usize = 1 << 20;

/// Awaits of one recording. Trace ids allow four times this.
const AWAITS_MAX: usize = 1 << 30;

/// Unresolved spans that are resolved again per call, and undecided awaits that are checked.
const RESOLVES_PER_CALL: usize = 512;

/// Queued spans from which on those that are resolved are removed: at least half of them.
const RESOLVE_QUEUE_MAX: usize = 2 * TRACKED_MAX;

/// A span that is no task's.
#[derive(Debug)]
enum TrackedSpan {
    /// Its await has started.
    Open(OpenAwait),
    /// Not described yet, not polled yet, or polled by an unknown task.
    Unresolved(UnresolvedSpan),
}

#[derive(Debug, Default)]
struct UnresolvedSpan {
    evidence: PollEvidence,
    /// When it was last exited.
    exited_at: Nanos,
    /// When it was closed.
    closed_at: Option<Nanos>,
    /// It is in the queue of spans that are resolved again.
    is_queued: bool,
}

/// Awaits and unresolved spans of one recording.
#[derive(Debug, Default)]
pub struct AwaitTracker {
    spans: FxHashMap<u64, TrackedSpan>,
    /// Spans to be resolved again; may hold removed ones.
    resolve_queue: ResolveQueue,
    /// Unresolved spans that are entered now, while several tasks are polled.
    ambiguous: Vec<u64>,
    /// Spans that a task seems to poll, to be started when its poll ends. One that is closed before, within the poll that
    /// entered it first, need not have cloned a waker, so that clone may be of another task.
    evident: Vec<(TaskId, u64)>,
    /// Ended awaits whose outcome is not reported yet, by span.
    undecided: UndecidedAwaits,
    /// What each task polls.
    polled: FxHashMap<TaskId, PolledAwaits>,
    sites: FxHashMap<AwaitSite, SiteId>,
    await_count: usize,
    /// Interval of loop time in which every ready poll has been reported.
    reported: Range<Nanos>,
}

impl AwaitTracker {
    /// Sets the interval of loop time in which every ready poll has been reported.
    pub fn set_reported_interval(&mut self, from: Nanos, until: Nanos) {
        self.reported = from..until;
    }

    /// Handles the enter of a span while the tasks in `polled` are being polled.
    pub fn enter(
        &mut self,
        (span, at): (u64, Nanos),
        polled: &[PolledTask],
        resolver: &impl AwaitResolver,
        out: &mut impl FnMut(Event),
    ) {
        if let Some(TrackedSpan::Open(open)) = self.spans.get_mut(&span) {
            if polled.iter().any(|polled| polled.task == open.task) {
                open.add_poll(at, out);
                if !std::mem::replace(&mut open.is_just_polled, true) {
                    self.polled.entry(open.task).or_default().current.push(span);
                }
            } else {
                open.is_polled_elsewhere = true;
            }
            return;
        }
        let reported = resolver.reported(span);
        if reported == ReportedSpan::NotAwaited {
            self.spans.remove(&span);
            return;
        }
        if self.spans.len() >= TRACKED_MAX && !self.spans.contains_key(&span) {
            return out(Event::AwaitsUnattributed { count: 1 });
        }
        let entry = self.spans.entry(span).or_insert_with(|| TrackedSpan::Unresolved(UnresolvedSpan::default()));
        let TrackedSpan::Unresolved(unresolved) = entry else { return };
        unresolved.evidence.enter(at, polled);
        if polled.len() > 1 {
            self.ambiguous.push(span);
        }
        self.try_start(span, resolver, reported, None, out);
    }

    /// Handles the exit of a span.
    pub fn exit(&mut self, (span, at): (u64, Nanos), resolver: &impl AwaitResolver, out: &mut impl FnMut(Event)) {
        let unresolved = match self.spans.get_mut(&span) {
            None => return,
            Some(TrackedSpan::Open(open)) => {
                open.last_exited_at = at;
                return;
            }
            Some(TrackedSpan::Unresolved(unresolved)) => unresolved,
        };
        unresolved.exited_at = at;
        unresolved.evidence.exit();
        let evident = unresolved.evidence.likely_poller();
        self.ambiguous.retain(|ambiguous| *ambiguous != span);
        match evident {
            Some(task) => self.evident.push((task, span)),
            None => self.try_start(span, resolver, resolver.reported(span), None, out),
        }
        if let Some(TrackedSpan::Unresolved(unresolved)) = self.spans.get_mut(&span)
            && !std::mem::replace(&mut unresolved.is_queued, true)
        {
            self.resolve_queue.push(span, RESOLVE_QUEUE_MAX, |span| is_unresolved(&self.spans, span));
        }
    }

    /// Handles a clone of the waker of the task with this span id.
    pub fn waker_cloned(&mut self, task: u64) {
        for span in &self.ambiguous {
            if let Some(TrackedSpan::Unresolved(unresolved)) = self.spans.get_mut(span) {
                unresolved.evidence.waker_cloned(task);
            }
        }
    }

    /// Handles the end of a poll of `task`.
    pub fn poll_ended(&mut self, task: TaskId, resolver: &impl AwaitResolver, out: &mut impl FnMut(Event)) {
        for (_, span) in self.evident.extract_if(.., |(poller, _)| *poller == task).collect::<Vec<_>>() {
            self.try_start(span, resolver, resolver.reported(span), None, out);
        }
        let Some(polled) = self.polled.get_mut(&task) else { return };
        for span in polled.last.drain(..) {
            if let Some(TrackedSpan::Open(open)) = self.spans.get(&span)
                && open.task == task
                && !open.is_just_polled
            {
                out(Event::AwaitUnpolled { id: open.id });
            }
        }
        std::mem::swap(&mut polled.last, &mut polled.current);
        polled.last.retain(|span| match self.spans.get_mut(span) {
            Some(TrackedSpan::Open(open)) if open.task == task => std::mem::take(&mut open.is_just_polled),
            _ => false,
        });
        if polled.last.is_empty() {
            self.polled.remove(&task);
        }
    }

    /// Handles the end of `task`.
    pub fn task_ended(&mut self, task: TaskId) {
        self.polled.remove(&task);
        self.evident.retain(|(poller, _)| *poller != task);
    }

    /// Handles missing lines: the exits of entered spans and the ends of polls may be among them.
    pub fn lines_missing(&mut self) {
        self.ambiguous.clear();
        self.evident.clear();
    }

    /// Handles the close of a span.
    pub fn close(&mut self, (span, at): (u64, Nanos), resolver: &impl AwaitResolver, out: &mut impl FnMut(Event)) {
        match self.spans.get_mut(&span) {
            None => {}
            Some(TrackedSpan::Open(open)) => {
                let open = *open;
                self.spans.remove(&span);
                self.end_await((span, at), &open, resolver.reported(span), out);
            }
            Some(TrackedSpan::Unresolved(unresolved)) => {
                unresolved.closed_at = Some(at);
                if unresolved.evidence.likely_poller().is_some() {
                    self.evident.retain(|(_, evident)| *evident != span);
                    unresolved.evidence.reject_likely_poller();
                }
                self.resolve_closed(span, resolver, false, out);
            }
        }
    }

    /// Resolves some unresolved spans again. A task that waits forever never enters its span again.
    pub fn resolve_late_awaits(
        &mut self,
        polled: &[PolledTask],
        resolver: &impl AwaitResolver,
        out: &mut impl FnMut(Event),
    ) {
        for span in self.resolve_queue.take(RESOLVES_PER_CALL, |span| is_unresolved(&self.spans, span)) {
            if self.resolve_again(span, (polled, false), resolver, out) {
                self.resolve_queue.push(span, RESOLVE_QUEUE_MAX, |span| is_unresolved(&self.spans, span));
            }
        }
        self.undecided.decide(RESOLVES_PER_CALL, resolver, out);
    }

    /// Resolves everything that can be resolved at the end of the recording, and counts the rest.
    pub fn finish(&mut self, resolver: &impl AwaitResolver, out: &mut impl FnMut(Event)) {
        for span in self.resolve_queue.take(usize::MAX, |span| is_unresolved(&self.spans, span)) {
            self.resolve_again(span, (&[], true), resolver, out);
        }
        self.undecided.decide(usize::MAX, resolver, out);
        let left = self.spans.drain().filter(|(span, tracked)| {
            let TrackedSpan::Unresolved(unresolved) = tracked else { return false };
            match resolver.reported(*span) {
                ReportedSpan::NotAwaited => false,
                ReportedSpan::Operation { owner, .. } => owner.is_some(),
                ReportedSpan::Sleep { .. } | ReportedSpan::Unreported => !unresolved.evidence.is_impossible(),
            }
        });
        let count = left.count() as u64;
        if count > 0 {
            out(Event::AwaitsUnattributed { count });
        }
    }

    /// Resolves an unresolved span again. Returns whether it is still unresolved.
    fn resolve_again(
        &mut self,
        span: u64,
        (polled, is_last): (&[PolledTask], bool),
        resolver: &impl AwaitResolver,
        out: &mut impl FnMut(Event),
    ) -> bool {
        let Some(TrackedSpan::Unresolved(unresolved)) = self.spans.get(&span) else { return false };
        if unresolved.closed_at.is_some() {
            self.resolve_closed(span, resolver, is_last, out);
        } else {
            self.try_start(span, resolver, resolver.reported(span), Some(polled), out);
        }
        is_unresolved(&self.spans, span)
    }

    /// Resolves a closed span: emits its await, counts it as unattributed, or keeps it until it is reported.
    fn resolve_closed(&mut self, span: u64, resolver: &impl AwaitResolver, is_last: bool, out: &mut impl FnMut(Event)) {
        let reported = resolver.reported(span);
        self.try_start(span, resolver, reported, Some(&[]), out);
        let (is_known, is_await) = match reported {
            ReportedSpan::Unreported => (false, true),
            ReportedSpan::NotAwaited => (true, false),
            ReportedSpan::Sleep { .. } => (true, true),
            // An operation that was never polled is not awaited.
            ReportedSpan::Operation { owner, readiness, .. } => (readiness != Readiness::Undecided, owner.is_some()),
        };
        let Some(TrackedSpan::Unresolved(unresolved)) = self.spans.get_mut(&span) else { return };
        if is_known || is_last || unresolved.evidence.is_impossible() {
            let is_missing = is_await && !unresolved.evidence.is_impossible();
            self.spans.remove(&span);
            if is_missing {
                out(Event::AwaitsUnattributed { count: 1 });
            }
        }
    }

    /// Starts the await of an unresolved span if its task is known, and ends it if the span is closed. `polled`
    /// holds the tasks that are being polled, if the span is no longer entered.
    fn try_start(
        &mut self,
        span: u64,
        resolver: &impl AwaitResolver,
        reported: ReportedSpan,
        polled: Option<&[PolledTask]>,
        out: &mut impl FnMut(Event),
    ) {
        let Some(TrackedSpan::Unresolved(UnresolvedSpan { evidence, exited_at, closed_at, .. })) =
            self.spans.get(&span)
        else {
            return;
        };
        let started = match reported {
            ReportedSpan::NotAwaited => return drop(self.spans.remove(&span)),
            ReportedSpan::Unreported | ReportedSpan::Operation { owner: None, .. } => None,
            ReportedSpan::Sleep { .. } => evidence.poller().map(|task| (task, evidence.first_at)),
            ReportedSpan::Operation { owner: Some(owner), enters, .. } => {
                // An operation that was entered once, and polled, was not entered to create it.
                let first_poll = evidence.second.as_ref().or((enters == 1).then_some(&evidence.last));
                let polls = first_poll.into_iter().chain(evidence.second.as_ref().map(|_| &evidence.last));
                polls.into_iter().find_map(|enter| Some((enter.task(owner)?, enter.at)))
            }
        };
        let (last_at, exited_at, closed_at) = (evidence.last.at, *exited_at, *closed_at);
        let Some((task, at)) = started else { return };
        let Some(target) = resolver.target(span) else { return };
        let Some(mut open) = self.start_await(task, at, target, out) else { return };
        self.ambiguous.retain(|ambiguous| *ambiguous != span);
        open.add_poll(last_at, out);
        if exited_at >= last_at {
            open.last_exited_at = exited_at;
        }
        if let Some(closed_at) = closed_at {
            self.spans.remove(&span);
            self.end_await((span, closed_at), &open, reported, out);
            return;
        }
        let is_just_polled = polled.is_none_or(|polled| polled.iter().any(|polled| polled.task == task));
        open.is_just_polled = is_just_polled;
        let polled = self.polled.entry(task).or_default();
        if is_just_polled { &mut polled.current } else { &mut polled.last }.push(span);
        self.spans.insert(span, TrackedSpan::Open(open));
    }

    /// Starts an await, unless a limit is reached.
    fn start_await(
        &mut self,
        task: TaskId,
        at: Nanos,
        AwaitTarget { site: described, resource }: AwaitTarget,
        out: &mut impl FnMut(Event),
    ) -> Option<OpenAwait> {
        let next_site = SiteId::from_index(self.sites.len());
        let has_room = self.sites.len() < SITES_MAX || self.sites.contains_key(&described);
        if !has_room || self.await_count >= AWAITS_MAX {
            return None;
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
        Some(OpenAwait::new(id, task, at))
    }

    /// Ends an await with the outcome that is known.
    fn end_await(
        &mut self,
        (span, at): (u64, Nanos),
        open: &OpenAwait,
        reported: ReportedSpan,
        out: &mut impl FnMut(Event),
    ) {
        let readiness = match reported {
            // Its last poll would have been reported.
            ReportedSpan::Operation { readiness: Readiness::Undecided | Readiness::Unknown, .. }
                if !open.is_just_polled
                    && !open.is_polled_elsewhere
                    && [open.last_polled_at, open.last_exited_at].iter().all(|at| self.reported.contains(at)) =>
            {
                Readiness::NotReady
            }
            // It was ready if it was polled since its permits were assigned, which the poll in which it is dropped was.
            ReportedSpan::Operation { readiness: Readiness::Assigned, .. } if open.is_just_polled => Readiness::Ready,
            ReportedSpan::Operation { readiness: Readiness::Assigned, .. } => Readiness::Unknown,
            ReportedSpan::Operation { readiness, .. } => readiness,
            ReportedSpan::Sleep { duration_ns } => open.sleep_readiness(duration_ns),
            ReportedSpan::Unreported | ReportedSpan::NotAwaited => Readiness::Unknown,
        };
        match readiness {
            Readiness::Ready => out(open.ready_event()),
            Readiness::NotReady => {}
            Readiness::Undecided | Readiness::Unknown | Readiness::Assigned => {
                out(Event::AwaitPollsMissed { id: open.id });
            }
        }
        out(Event::AwaitEnd { id: open.id, at });
        if readiness == Readiness::Undecided {
            self.undecided.push(span, open.id);
        }
    }
}

fn is_unresolved(spans: &FxHashMap<u64, TrackedSpan>, span: u64) -> bool {
    matches!(spans.get(&span), Some(TrackedSpan::Unresolved(_)))
}

#[cfg(test)]
mod tests;
