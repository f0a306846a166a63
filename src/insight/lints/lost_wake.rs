//! Lint `lost-wake`: a task waits for a signal that was sent before it began to wait.
//!
//! *Detects* waits that never completed (given up, cancelled, or still open) for a resource whose signal was sent
//! earlier, reached no waiter, and was not stored. It needs the report of such a signal: a long wait alone is not
//! reported.
//! *Problem*: the waiter sleeps forever, and only sometimes: it depends on the order of two tasks.
//! *Fix*: create the waiting future before checking the condition, use a signal that is stored (a permit, a channel, an
//! event that stays set), and check the condition again after each wake.

use super::super::lint_context::is_unresolved;
use super::super::units::human_ns;
use super::{Diagnostic, Lint, LintContext, Severity, whole_trace};
use crate::trace::{Nanos, ResourceId};

pub const LINT: Lint = Lint {
    name: "lost-wake",
    severity: Severity::Error,
    summary: "a task waits for a signal that was sent before it began to wait",
    advice: "begin to wait before checking the condition, or use a signal that is stored for later waiters",
    new_pass: || whole_trace(check),
};

fn check(cx: &LintContext) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut signals: Vec<(ResourceId, Nanos)> =
        cx.trace.resources().lost_notifications().iter().map(|signal| (signal.resource, signal.at)).collect();
    signals.sort_unstable();
    let mut resources: Vec<ResourceId> = signals.iter().map(|(resource, _)| *resource).collect();
    resources.dedup();
    for resource in resources {
        let waits = cx.index.awaits_by_resource.get(&resource).into_iter().flatten();
        for wait in waits.filter(|wait| is_unresolved(wait)) {
            // The latest signal that was sent before this wait began.
            let earlier = signals.partition_point(|signal| *signal <= (resource, wait.start));
            let Some((_, sent_at)) = earlier.checked_sub(1).map(|last| signals[last]).filter(|(id, _)| *id == resource)
            else {
                continue;
            };
            if cx.duration_ns(wait) <= cx.thresholds.lost_wake_ns {
                continue;
            }
            let name = cx.resource_name(resource);
            let end = if wait.end().is_some() { "given up" } else { "still waiting" };
            let waiter = cx.task_name(wait.task);
            let problem = format!("{waiter} began to wait for {name} after its signal was sent and lost");
            let evidence = format!(
                "signal sent at {} without a waiter; waited from {} for {}, {end}: {}",
                human_ns(sent_at),
                human_ns(wait.start),
                human_ns(cx.duration_ns(wait)),
                cx.describe_await(wait),
            );
            let diagnostic = Diagnostic::new(Some(wait.task), wait.start, problem, evidence);
            let location = cx.location_of(wait);
            let group = location.map(|location| format!("{location} {resource}"));
            diagnostics.push(diagnostic.at(location).grouped(group, cx.duration_ns(wait)));
        }
    }
    diagnostics
}
