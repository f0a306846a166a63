//! Lint `overlapping-work`: one actor does several pieces of its own work at once.
//!
//! *Detects* overlapping awaits that the program assigns to one actor (`sleep(d, {actor = "player"})`). Waits without
//! an actor are ignored.
//! *Problem*: the simulated schedule is faster than possible: a player who thinks at one board cannot think at another.
//! *Fix*: do the actor's work without awaiting it, or guard it with a lock that stands for the actor.

use std::collections::BTreeSet;

use super::super::units::{human_ns, pluralize};
use super::{Diagnostic, Lint, LintContext, Severity, whole_trace};
use crate::trace::{Await, Nanos, ResourceId, ResourceKind, TaskId};

pub const LINT: Lint = Lint {
    name: "overlapping-work",
    severity: Severity::Warn,
    summary: "one actor does several pieces of its own work at once",
    advice: "do this work one piece at a time: use `work`, or hold a lock during the await",
    new_pass: || whole_trace(check),
};

fn check(cx: &LintContext) -> Vec<Diagnostic> {
    let actors = cx.awaits_by_kind(ResourceKind::Actor);
    actors.into_iter().filter_map(|(actor, awaits)| check_actor(cx, actor, awaits)).collect()
}

fn check_actor(cx: &LintContext, actor: ResourceId, awaits: &[Await]) -> Option<Diagnostic> {
    // A start adds one concurrent piece of work, an end removes one; at the same time ends sort first.
    let mut edges: Vec<(Nanos, i32, TaskId)> = Vec::with_capacity(awaits.len() * 2);
    let mut work_ns: u64 = 0;
    for found in awaits.iter().filter(|found| cx.duration_ns(found) > 0) {
        work_ns = work_ns.saturating_add(cx.duration_ns(found));
        edges.push((found.start, 1, found.task));
        edges.push((cx.end_of(found), -1, found.task));
    }
    edges.sort_unstable();
    let (mut concurrent, mut peak, mut peak_at) = (0, 0, 0);
    let (mut elapsed_ns, mut overlap_ns, mut previous_at) = (0, 0, 0);
    let mut first: Option<(Nanos, TaskId)> = None;
    let mut tasks = BTreeSet::new();
    for (at, change, task) in edges {
        elapsed_ns += if concurrent > 0 { at - previous_at } else { 0 };
        overlap_ns += if concurrent > 1 { at - previous_at } else { 0 };
        previous_at = at;
        concurrent += change;
        tasks.insert(task);
        if concurrent > 1 {
            first.get_or_insert((at, task));
        }
        if concurrent > peak {
            (peak, peak_at) = (concurrent, at);
        }
    }
    let (at_ns, task) = first.filter(|_| overlap_ns > cx.thresholds.overlapping_work_ns)?;
    let name = cx.resource_name(actor);
    let location = awaits.first().map_or_else(String::new, |found| cx.describe_await(found));
    let problem = format!("{name} did {peak} pieces of work at once, but can only do one");
    let evidence = format!(
        "{} of work in {}, by {}; {peak} at once at {}: {location}",
        human_ns(work_ns),
        human_ns(elapsed_ns),
        pluralize(tasks.len() as u64, "task"),
        human_ns(peak_at),
    );
    let diagnostic = Diagnostic::new(Some(task), at_ns, problem, evidence);
    Some(diagnostic.at(awaits.first().and_then(|found| cx.location_of(found))))
}
