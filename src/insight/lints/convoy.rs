//! Lint `convoy`: tasks queue for a lock, and the queue never drains.
//!
//! *Detects* locks that are handed over many times with at least one waiter throughout, to tasks that return to the
//! queue before it is empty. A queue in which each task waits once drains, and is not reported.
//! *Problem*: the tasks run one at a time, at the pace of the lock, and each handover costs a wake and a poll.
//! *Fix*: hold the lock for less time (never across a long await), or share less data.

use std::collections::BTreeSet;

use super::super::lint_context::human_interval;
use super::super::units::{human_ns, human_number, pluralize};
use super::{Diagnostic, Lint, LintContext, Severity, whole_trace};
use crate::trace::{Await, AwaitOutcome, Nanos, ResourceId, ResourceKind, TaskId};

pub const LINT: Lint = Lint {
    name: "convoy",
    severity: Severity::Warn,
    advice: "hold the lock for less time, never across a long await, or share less data",
    new_pass: || whole_trace(check),
};

/// An interval with at least one waiter throughout.
#[derive(Clone)]
struct LockQueue {
    from: Nanos,
    to: Nanos,
    handovers: u64,
    tasks: BTreeSet<TaskId>,
    longest_wait_ns: u64,
}

fn check(cx: &LintContext) -> Vec<Diagnostic> {
    let locks = cx.awaits_by_kind(ResourceKind::Lock);
    locks.into_iter().filter_map(|(lock, awaits)| check_lock(cx, lock, awaits)).collect()
}

fn check_lock(cx: &LintContext, lock: ResourceId, awaits: &[Await]) -> Option<Diagnostic> {
    let thresholds = cx.thresholds;
    let mut queues: Vec<LockQueue> = Vec::new();
    // Awaits are in order of their start.
    for found in awaits.iter().filter(|found| cx.duration_ns(found) > 0) {
        let (start, end) = (found.start, cx.end_of(found));
        if queues.last().is_none_or(|queue| start >= queue.to) {
            queues.push(LockQueue { from: start, to: end, handovers: 0, tasks: BTreeSet::new(), longest_wait_ns: 0 });
        }
        let Some(queue) = queues.last_mut() else { continue };
        queue.to = queue.to.max(end);
        queue.handovers += u64::from(found.outcome() == AwaitOutcome::Ready);
        queue.tasks.insert(found.task);
        queue.longest_wait_ns = queue.longest_wait_ns.max(end - start);
    }
    let is_convoy = |queue: &&LockQueue| {
        let tasks = queue.tasks.len() as u64;
        tasks >= thresholds.convoy_tasks && queue.handovers >= thresholds.convoy_turns && queue.handovers >= tasks * 2
    };
    let convoys: Vec<_> = queues.iter().filter(is_convoy).collect();
    let first = convoys.first()?;
    let worst = convoys.iter().max_by_key(|queue| (queue.handovers, std::cmp::Reverse(queue.from)))?;
    let location = awaits.first().map_or_else(String::new, |found| cx.describe_await(found));
    Some(Diagnostic {
        task: None,
        at_ns: first.from,
        problem: format!(
            "{} tasks queued for {}, which was handed over {} times before its queue was empty",
            human_number(worst.tasks.len() as u64),
            cx.resource_name(lock),
            human_number(worst.handovers),
        ),
        evidence: format!(
            "{}; the longest {}; longest wait {}: {location}",
            pluralize(convoys.len() as u64, "convoy"),
            human_interval(worst.from, worst.to),
            human_ns(worst.longest_wait_ns),
        ),
    })
}
