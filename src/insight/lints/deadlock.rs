//! Lint `deadlock`: tasks wait in a cycle, each for a resource that the next one holds.
//!
//! *Detects* waits that never completed. From each it follows the wait-for graph at the last moment of the wait: the
//! holders of the resource, what they wait for, and so on. If every path leads back, all tasks on it are stuck. A cycle
//! is one finding, whichever task it is found from. A task that waits for what it holds itself is a cycle of one.
//!
//! An external app does not report lock owners. Its owners are inferred: the owner of a lock that reports itself as
//! locked is the task whose call acquired it last. A cycle counts once each of its waits has lasted one second. Guards
//! from `try_lock`, and guards that were moved to another task, are not visible; the evidence names the assumption.
//!
//! *Problem*: none of the tasks can continue, nor can any task that waits for them.
//! *Fix*: acquire locks in the same order everywhere, or hold one at a time.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::super::lint_context::is_unresolved;
use super::super::units::human_ns;
use super::{Diagnostic, Lint, LintContext, Severity, whole_trace};
use crate::trace::{Acquisition, Await, Nanos, ResourceAttribute, ResourceId, ResourceKind, TaskId, TaskOutcome};

pub const LINT: Lint = Lint {
    name: "deadlock",
    severity: Severity::Error,
    advice: "acquire locks in the same order everywhere, or hold one at a time",
    new_pass: || whole_trace(check),
};

/// Maximum number of tasks in a cycle.
const CYCLE_TASKS_MAX: usize = 64;

/// Maximum number of waits from which a cycle is searched.
const START_WAITS_MAX: usize = 10_000;

/// Maximum number of holdings of a resource, and of waits of a task, that one look-up searches backwards.
const LOOK_BACK_MAX: usize = 256;

/// Minimum duration of a wait in an external app before it can be part of a deadlock.
const EXTERNAL_WAIT_MIN_NS: u64 = 1_000_000_000;

/// Attributes with which tokio's `Mutex` and `RwLock` report exclusive ownership.
const EXCLUSIVE_ATTRIBUTES: [&str; 2] = ["locked", "write_locked"];

/// Holdings and waits of the run; answers who held and who awaited what at any time.
struct WaitForGraph<'a> {
    cx: &'a LintContext<'a>,
    holdings: FxHashMap<ResourceId, Vec<&'a Acquisition>>,
    waits: FxHashMap<TaskId, Vec<&'a Await>>,
}

fn check(cx: &LintContext) -> Vec<Diagnostic> {
    let mut holdings: FxHashMap<ResourceId, Vec<&Acquisition>> = FxHashMap::default();
    let inferred = infer_holdings(cx);
    for holding in cx.trace.resources().acquisitions().chain(&inferred) {
        holdings.entry(holding.resource).or_default().push(holding);
    }
    let mut waits: FxHashMap<TaskId, Vec<&Await>> = FxHashMap::default();
    let held = cx.index.awaits_by_resource.iter().filter(|(resource, _)| holdings.contains_key(resource));
    let mut unresolved: Vec<&Await> = Vec::new();
    for wait in held.flat_map(|(_, awaits)| awaits) {
        let duration_ns = wait.end().unwrap_or(cx.trace.now()).saturating_sub(wait.start);
        if cx.trace.is_external() && (wait.end().is_some() || duration_ns < EXTERNAL_WAIT_MIN_NS) {
            continue;
        }
        waits.entry(wait.task).or_default().push(wait);
        if is_unresolved(wait) {
            unresolved.push(wait);
        }
    }
    waits.values_mut().for_each(|waits| waits.sort_by_key(|wait| wait.start));
    unresolved.sort_by_key(|wait| (wait.start, wait.task));
    let graph = WaitForGraph { cx, holdings, waits };
    let mut reported: BTreeSet<BTreeSet<TaskId>> = BTreeSet::new();
    let mut diagnostics = Vec::new();
    for wait in unresolved.into_iter().take(START_WAITS_MAX) {
        let at = match wait.end() {
            Some(end) if !graph.was_task_cancelled_at(wait.task, end) => end.saturating_sub(1).max(wait.start),
            Some(end) => end,
            None => cx.trace.now(),
        };
        let Some(cycle) = graph.find_cycle(wait, at) else { continue };
        if reported.insert(cycle.iter().map(|wait| wait.task).collect()) {
            diagnostics.push(diagnose(cx, &cycle, at));
        }
    }
    diagnostics
}

/// Infers the owners of locked locks in an external app: the task whose lock call completed last.
fn infer_holdings(cx: &LintContext) -> Vec<Acquisition> {
    if !cx.trace.is_external() {
        return Vec::new();
    }
    let is_locked_lock = |resource: &ResourceId| {
        cx.trace.resources().entry(*resource).is_some_and(|entry| {
            let is_locked = |attribute: &ResourceAttribute| {
                EXCLUSIVE_ATTRIBUTES.contains(&&*attribute.name) && &*attribute.value == "true"
            };
            entry.resource.kind == ResourceKind::Lock && entry.attributes().iter().any(is_locked)
        })
    };
    let is_acquired = |wait: &&Await| !is_unresolved(wait) && wait.end().is_some();
    let last_acquired = |awaits: &[Await]| awaits.iter().filter(is_acquired).max_by_key(|wait| wait.end()).copied();
    let mut inferred = Vec::new();
    for (resource, awaits) in cx.index.awaits_by_resource.iter().filter(|(resource, _)| is_locked_lock(resource)) {
        let acquired = last_acquired(awaits);
        inferred.extend(acquired.map(|wait| Acquisition::open(*resource, wait.task, wait.end().unwrap_or(wait.start))));
    }
    inferred
}

impl<'a> WaitForGraph<'a> {
    /// The waits that lead from `wait` back to its task at time `at`.
    fn find_cycle(&self, wait: &'a Await, at: Nanos) -> Option<Vec<&'a Await>> {
        let mut path = vec![wait];
        self.extend_cycle(wait, at, &mut path).then_some(path)
    }

    /// Whether every holder of what `wait` is for waits in this cycle. A holder outside of it could still release it.
    fn extend_cycle(&self, wait: &'a Await, at: Nanos, path: &mut Vec<&'a Await>) -> bool {
        let Some(resource) = wait.resource() else { return false };
        let holders = self.holders_at(resource, at);
        let start = path[0].task;
        let mut is_closed = false;
        for holder in &holders {
            if *holder == start {
                is_closed = true;
                continue;
            }
            if path.iter().any(|wait| wait.task == *holder) {
                continue;
            }
            let Some(next) = self.wait_at(*holder, at).filter(|_| path.len() < CYCLE_TASKS_MAX) else { return false };
            path.push(next);
            if !self.extend_cycle(next, at, path) {
                return false;
            }
            is_closed = true;
        }
        is_closed
    }

    /// Tasks that held `resource` at time `at`.
    fn holders_at(&self, resource: ResourceId, at: Nanos) -> Vec<TaskId> {
        let Some(holdings) = self.holdings.get(&resource) else { return Vec::new() };
        let begun = holdings.partition_point(|holding| holding.start <= at);
        let recent = holdings[begun.saturating_sub(LOOK_BACK_MAX)..begun].iter();
        recent
            .filter(|holding| holding.end().is_none_or(|to| self.lasted_until(holding.task, to, at)))
            .map(|holding| holding.task)
            .collect()
    }

    /// The latest wait of `task` that was open at time `at`.
    fn wait_at(&self, task: TaskId, at: Nanos) -> Option<&'a Await> {
        let waits = self.waits.get(&task)?;
        let begun = waits.partition_point(|wait| wait.start <= at);
        let recent = waits[begun.saturating_sub(LOOK_BACK_MAX)..begun].iter().rev();
        recent.copied().find(|wait| {
            wait.end().is_none_or(|end| end > at || (is_unresolved(wait) && self.lasted_until(task, end, at)))
        })
    }

    /// Whether a wait or holding of `task` that ended at `end` still lasted at time `at`. One that ended because its
    /// task was cancelled includes its last instant: a stuck run ends at the very time at which the cycle closes.
    fn lasted_until(&self, task: TaskId, end: Nanos, at: Nanos) -> bool {
        end > at || (end == at && self.was_task_cancelled_at(task, end))
    }

    fn was_task_cancelled_at(&self, task: TaskId, at: Nanos) -> bool {
        let task = self.cx.trace.task(task);
        task.is_some_and(|task| task.outcome == Some(TaskOutcome::Cancelled) && task.lane.ended_at() == Some(at))
    }
}

fn diagnose(cx: &LintContext, cycle: &[&Await], at: Nanos) -> Diagnostic {
    let closed_at = cycle.iter().map(|wait| wait.start).max().unwrap_or(at);
    let awaited = |wait: &Await| wait.resource().map_or_else(String::new, |id| cx.resource_name(id));
    let describe_wait = |wait: &&Await| {
        format!("{} waits for {} ({})", cx.task_name(wait.task), awaited(wait), cx.describe_await(wait))
    };
    let names: Vec<String> = cycle.iter().map(|wait| cx.task_name(wait.task)).collect();
    let problem = match names.as_slice() {
        [alone] => format!("{alone} waits for {}, which it holds itself", awaited(cycle[0])),
        [..] => format!("{} wait for each other in a cycle", names.join(", ")),
    };
    let waits: Vec<String> = cycle.iter().map(describe_wait).collect();
    Diagnostic {
        task: cycle.iter().map(|wait| wait.task).min(),
        at_ns: closed_at,
        problem,
        evidence: format!(
            "{}; each is held by the next task in the cycle{}; stuck from {} on",
            waits.join("; "),
            if cx.trace.is_external() { " (owner inferred from the last lock call)" } else { "" },
            human_ns(closed_at)
        ),
    }
}
