//! Overlapping work: one actor's own work goes on in several places at once.
//!
//! *Sees* awaits that the program itself ascribes to one actor (`sleep(d, {actor = "player"})`) and that overlap. A wait
//! without an actor may be anybody's, and is left alone.
//! *Bad*, because the plan is faster than it can be: whoever thinks at one board cannot think at another meanwhile.
//! *To do*: do the actor's own work without awaiting it, or let a lock stand for the actor.

use std::collections::BTreeSet;

use super::super::units::{how_many, human_ns};
use super::{Case, Lint, Severity, Sighting, last};
use crate::trace::{Await, Nanos, ResourceId, ResourceKind, TaskId};

pub const LINT: Lint = Lint {
    name: "overlapping-work",
    severity: Severity::Warn,
    advice: "do this work one piece at a time: without awaiting it, or under a lock",
    look: || last(look),
};

fn look(case: &Case) -> Vec<Sighting> {
    let actors = case.awaits_of(ResourceKind::Actor);
    actors.into_iter().filter_map(|(actor, awaits)| of_actor(case, actor, awaits)).collect()
}

fn of_actor(case: &Case, actor: ResourceId, awaits: &[Await]) -> Option<Sighting> {
    // A start weighs one place more and an end one less; at the same instant ends come first.
    let mut edges: Vec<(Nanos, i32, TaskId)> = Vec::with_capacity(awaits.len() * 2);
    let mut work_ns: u64 = 0;
    for found in awaits.iter().filter(|found| case.length_ns(found) > 0) {
        work_ns = work_ns.saturating_add(case.length_ns(found));
        edges.push((found.start, 1, found.task));
        edges.push((case.end(found), -1, found.task));
    }
    edges.sort_unstable();
    let (mut places, mut most, mut most_at) = (0, 0, 0);
    let (mut passed_ns, mut overlap_ns, mut before) = (0, 0, 0);
    let mut first: Option<(Nanos, TaskId)> = None;
    let mut tasks = BTreeSet::new();
    for (at, weight, task) in edges {
        passed_ns += if places > 0 { at - before } else { 0 };
        overlap_ns += if places > 1 { at - before } else { 0 };
        before = at;
        places += weight;
        tasks.insert(task);
        if places > 1 {
            first.get_or_insert((at, task));
        }
        if places > most {
            (most, most_at) = (places, at);
        }
    }
    let (at_ns, task) = first.filter(|_| overlap_ns > case.limits.overlapping_work_ns)?;
    let name = case.resource_name(actor);
    let place = awaits.first().map_or_else(String::new, |found| case.place(found));
    Some(Sighting {
        task: Some(task),
        at_ns,
        seen: format!("{name} was at work in {most} places at once, and can be only in one"),
        evidence: format!(
            "{} of work in {} of time, by {}; {most} at once at {}: {place}",
            human_ns(work_ns),
            human_ns(passed_ns),
            how_many(tasks.len() as u64, "task"),
            human_ns(most_at),
        ),
    })
}
