//! A convoy: tasks queue for one lock, and the queue never drains.
//!
//! *Sees* a lock that is handed on again and again while somebody waits for it all along, to tasks that come back for it
//! before the others have had it. Each task once behind the other is a queue, and it drains.
//! *Bad*, because the tasks run one at a time, at the pace of the lock, and each turn costs a wake and a poll.
//! *To do*: hold the lock for less (never across an await that takes long), or share less.

use std::collections::BTreeSet;

use super::super::case::from_to;
use super::super::units::{how_many, human_ns, human_number};
use super::{Case, Lint, Severity, Sighting, last};
use crate::trace::{Await, Nanos, Outcome, ResourceId, ResourceKind, TaskId};

pub const LINT: Lint = Lint {
    name: "convoy",
    severity: Severity::Warn,
    advice: "hold the lock for less, never across a long await, or share less",
    look: || last(look),
};

/// A stretch of time in which somebody waited all along.
#[derive(Clone)]
struct Queue {
    from: Nanos,
    to: Nanos,
    handed_on: u64,
    tasks: BTreeSet<TaskId>,
    longest_ns: u64,
}

fn look(case: &Case) -> Vec<Sighting> {
    let locks = case.awaits_of(ResourceKind::Lock);
    locks.into_iter().filter_map(|(lock, awaits)| of_lock(case, lock, awaits)).collect()
}

fn of_lock(case: &Case, lock: ResourceId, awaits: &[Await]) -> Option<Sighting> {
    let limits = case.limits;
    let mut queues: Vec<Queue> = Vec::new();
    // Awaits are told in order of their start.
    for found in awaits.iter().filter(|found| case.length_ns(found) > 0) {
        let (start, end) = (found.start, case.end(found));
        if queues.last().is_none_or(|queue| start >= queue.to) {
            queues.push(Queue { from: start, to: end, handed_on: 0, tasks: BTreeSet::new(), longest_ns: 0 });
        }
        let Some(queue) = queues.last_mut() else { continue };
        queue.to = queue.to.max(end);
        queue.handed_on += u64::from(found.outcome() == Outcome::Ready);
        queue.tasks.insert(found.task);
        queue.longest_ns = queue.longest_ns.max(end - start);
    }
    let is_convoy = |queue: &&Queue| {
        let tasks = queue.tasks.len() as u64;
        tasks >= limits.convoy_tasks && queue.handed_on >= limits.convoy_turns && queue.handed_on >= tasks * 2
    };
    let convoys: Vec<_> = queues.iter().filter(is_convoy).collect();
    let first = convoys.first()?;
    let worst = convoys.iter().max_by_key(|queue| (queue.handed_on, std::cmp::Reverse(queue.from)))?;
    let place = awaits.first().map_or_else(String::new, |found| case.place(found));
    Some(Sighting {
        task: None,
        at_ns: first.from,
        seen: format!(
            "{} tasks queued for {}, which was handed on {} times before its queue was empty",
            human_number(worst.tasks.len() as u64),
            case.resource_name(lock),
            human_number(worst.handed_on),
        ),
        evidence: format!(
            "{} like this; the longest {}; the longest wait {}: {place}",
            how_many(convoys.len() as u64, "queue"),
            from_to(worst.from, worst.to),
            human_ns(worst.longest_ns),
        ),
    })
}
