//! A deadlock: tasks wait in a circle, each for what the next one holds.
//!
//! *Sees* a wait for a lock that came to nothing, and follows it at its last moment: who holds the lock, what that task
//! waits for, who holds that. Where the way leads back, every task on it is stuck; it is one finding, whoever is looked
//! at first. A task that waits for what it holds itself is a circle of one.
//! Of a program that is not ours nobody tells who holds a lock. There the holder of one that says that it is locked is
//! the task whose call got it last, and a circle counts once every wait in it has lasted for a second. A guard that came
//! by `try_lock`, or went to another task, is not seen; the evidence says on what it rests.
//! *Bad*, because none of them can ever go on, nor can anybody who waits for them.
//! *To do*: acquire locks in the same order everywhere, or hold one at a time.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::super::case::is_unmet;
use super::super::units::human_ns;
use super::{Case, Lint, Severity, Sighting, last};
use crate::trace::{Attribute, Await, Ending, Holding, Nanos, ResourceId, ResourceKind, TaskId};

pub const LINT: Lint = Lint {
    name: "deadlock",
    severity: Severity::Error,
    advice: "acquire locks in the same order everywhere, or hold one at a time",
    look: || last(look),
};

/// Tasks of the longest circle that is followed.
const CIRCLE_MAX: usize = 64;

/// Waits that are followed.
const FOLLOWED_MAX: usize = 10_000;

/// Holdings of one resource, and waits of one task, that a look-up goes back through.
const LOOK_BACK: usize = 256;

/// A wait in a foreign program is no sign of anything before it has lasted for so long.
const SETTLED_NS: u64 = 1_000_000_000;

/// What tokio's mutex and its lock for readers and a writer say while one task has them alone.
const EXCLUSIVE: [&str; 2] = ["locked", "write_locked"];

/// Who holds and who awaits what, to be asked for any time.
struct Graph<'a> {
    case: &'a Case<'a>,
    holdings: FxHashMap<ResourceId, Vec<&'a Holding>>,
    waits: FxHashMap<TaskId, Vec<&'a Await>>,
}

fn look(case: &Case) -> Vec<Sighting> {
    let mut holdings: FxHashMap<ResourceId, Vec<&Holding>> = FxHashMap::default();
    let likely = likely_holdings(case);
    for holding in case.trace.resources().holdings().chain(&likely) {
        holdings.entry(holding.resource).or_default().push(holding);
    }
    let mut waits: FxHashMap<TaskId, Vec<&Await>> = FxHashMap::default();
    let held = case.known.awaited.iter().filter(|(resource, _)| holdings.contains_key(resource));
    let mut unmet: Vec<&Await> = Vec::new();
    for wait in held.flat_map(|(_, awaits)| awaits) {
        let lasts = wait.end().unwrap_or(case.trace.now()).saturating_sub(wait.start);
        if case.trace.is_foreign() && (wait.end().is_some() || lasts < SETTLED_NS) {
            continue;
        }
        waits.entry(wait.task).or_default().push(wait);
        if is_unmet(wait) {
            unmet.push(wait);
        }
    }
    waits.values_mut().for_each(|waits| waits.sort_by_key(|wait| wait.start));
    unmet.sort_by_key(|wait| (wait.start, wait.task));
    let graph = Graph { case, holdings, waits };
    let mut known: BTreeSet<BTreeSet<TaskId>> = BTreeSet::new();
    let mut seen = Vec::new();
    for wait in unmet.into_iter().take(FOLLOWED_MAX) {
        let at = match wait.end() {
            Some(end) if !graph.went_with_task(wait.task, end) => end.saturating_sub(1).max(wait.start),
            Some(end) => end,
            None => case.trace.now(),
        };
        let Some(circle) = graph.circle(wait, at) else { continue };
        if known.insert(circle.iter().map(|wait| wait.task).collect()) {
            seen.push(sighting(case, &circle, at));
        }
    }
    seen
}

/// Who has the locks of a foreign program that say that they are locked: tokio tells that, and whose call came through.
fn likely_holdings(case: &Case) -> Vec<Holding> {
    if !case.trace.is_foreign() {
        return Vec::new();
    }
    let locked = |resource: &ResourceId| {
        case.trace.resources().known(*resource).is_some_and(|known| {
            let is_locked = |told: &Attribute| EXCLUSIVE.contains(&&*told.name) && &*told.value == "true";
            known.resource.kind == ResourceKind::Lock && known.attributes().iter().any(is_locked)
        })
    };
    let got = |wait: &&Await| !is_unmet(wait) && wait.end().is_some();
    let last = |awaits: &[Await]| awaits.iter().filter(got).max_by_key(|wait| wait.end()).copied();
    let mut likely = Vec::new();
    for (resource, awaits) in case.known.awaited.iter().filter(|(resource, _)| locked(resource)) {
        likely.extend(last(awaits).map(|wait| Holding::open(*resource, wait.task, wait.end().unwrap_or(wait.start))));
    }
    likely
}

impl<'a> Graph<'a> {
    /// The waits that lead from `wait` back to its task, at that time.
    fn circle(&self, wait: &'a Await, at: Nanos) -> Option<Vec<&'a Await>> {
        let mut path = vec![wait];
        self.closes(wait, at, &mut path).then_some(path)
    }

    /// Whether every holder of what `wait` is for waits in this circle too. One who does not may still give it back.
    fn closes(&self, wait: &'a Await, at: Nanos, path: &mut Vec<&'a Await>) -> bool {
        let Some(resource) = wait.resource() else { return false };
        let holders = self.holders(resource, at);
        let start = path[0].task;
        let mut reached = false;
        for holder in &holders {
            if *holder == start {
                reached = true;
                continue;
            }
            if path.iter().any(|wait| wait.task == *holder) {
                continue;
            }
            let Some(next) = self.wait_of(*holder, at).filter(|_| path.len() < CIRCLE_MAX) else { return false };
            path.push(next);
            if !self.closes(next, at, path) {
                return false;
            }
            reached = true;
        }
        reached
    }

    fn holders(&self, resource: ResourceId, at: Nanos) -> Vec<TaskId> {
        let Some(holdings) = self.holdings.get(&resource) else { return Vec::new() };
        let begun = holdings.partition_point(|holding| holding.from <= at);
        let held = holdings[begun.saturating_sub(LOOK_BACK)..begun].iter();
        held.filter(|holding| holding.to().is_none_or(|to| self.lasts(holding.task, to, at)))
            .map(|holding| holding.task)
            .collect()
    }

    fn wait_of(&self, task: TaskId, at: Nanos) -> Option<&'a Await> {
        let waits = self.waits.get(&task)?;
        let begun = waits.partition_point(|wait| wait.start <= at);
        let begun = waits[begun.saturating_sub(LOOK_BACK)..begun].iter().rev();
        begun
            .copied()
            .find(|wait| wait.end().is_none_or(|end| end > at || (is_unmet(wait) && self.lasts(task, end, at))))
    }

    /// Something of `task` that ended at `end` was still so at `at`. What ended only because its task was cancelled lasted
    /// through that very moment: a run without anything left to do ends in the moment in which the circle closes.
    fn lasts(&self, task: TaskId, end: Nanos, at: Nanos) -> bool {
        end > at || (end == at && self.went_with_task(task, end))
    }

    fn went_with_task(&self, task: TaskId, end: Nanos) -> bool {
        let task = self.case.trace.task(task);
        task.is_some_and(|task| task.ending == Some(Ending::Cancelled) && task.lane.ended() == Some(end))
    }
}

fn sighting(case: &Case, circle: &[&Await], at: Nanos) -> Sighting {
    let closed = circle.iter().map(|wait| wait.start).max().unwrap_or(at);
    let lock = |wait: &Await| wait.resource().map_or_else(String::new, |id| case.resource_name(id));
    let each = |wait: &&Await| {
        let holder = |wait: &Await| format!("{} waits for {} ({})", case.name(wait.task), lock(wait), case.place(wait));
        holder(wait)
    };
    let names: Vec<String> = circle.iter().map(|wait| case.name(wait.task)).collect();
    let seen = match names.as_slice() {
        [alone] => format!("{alone} waits for {}, which it holds itself", lock(circle[0])),
        [..] => format!("{} wait for each other in a circle", names.join(", ")),
    };
    let steps: Vec<String> = circle.iter().map(each).collect();
    Sighting {
        task: circle.iter().map(|wait| wait.task).min(),
        at_ns: closed,
        seen,
        evidence: format!(
            "{}, each held by the next{}, since {}",
            steps.join("; "),
            if case.trace.is_foreign() { ", whose call got it last" } else { "" },
            human_ns(closed)
        ),
    }
}
