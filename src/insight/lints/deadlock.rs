//! Lint `deadlock`: tasks wait in a cycle, each for a resource that the next one holds.
//!
//! *Detects* waits that never completed. From each it follows the wait-for graph at the last moment of the wait: the
//! holders of the resource, what they wait for, and so on. If every path leads back, all tasks on it are stuck. A cycle
//! is one finding, whichever task it is found from. A task that waits for what it holds itself is a cycle of one.
//!
//! A guard or permit can be released by any task that has it. So a cycle is an error only if no other task could run.
//! Otherwise it is a warning, and only for locks that no other task has released so far: a semaphore may be a gate that
//! another task opens. Such a cycle counts once it has lasted one second, and so does one that a timeout ends.
//!
//! In an external app, a cycle counts once each of its waits has lasted one second, without the time in which no data
//! arrived. An app with the probe reports the owners of its locks. Of any other app they are inferred: the owner of a lock
//! is the task whose call acquired it last. Guards from `try_lock`, and guards that were moved to another task, are not visible; the evidence names the
//! assumption. A task that seems to wait for itself may have released the lock unseen, so such a cycle counts only if
//! nothing is missing since it acquired the lock.
//!
//! *Problem*: none of the tasks can continue, nor can any task that waits for them.
//! *Fix*: acquire locks in the same order everywhere, or hold one at a time.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::super::lint_context::is_unresolved;
use super::super::units::{human_ns, pluralize};
use super::{Diagnostic, Lint, LintContext, Severity, whole_trace};
use crate::trace::{
    Acquisition, Await, AwaitKind, AwaitOutcome, Nanos, ResourceId, ResourceKind, Task, TaskId, TaskOutcome, TaskState,
};

pub const LINT: Lint = Lint {
    name: "deadlock",
    severity: Severity::Error,
    summary: "tasks wait in a cycle, each for a lock that the next one holds",
    advice: "acquire locks in the same order everywhere, or hold one at a time",
    new_pass: || whole_trace(check),
};

/// Maximum number of tasks in a cycle.
const CYCLE_TASKS_MAX: usize = 64;

/// Maximum number of waits from which a cycle is searched.
const START_WAITS_MAX: usize = 10_000;

/// Maximum number of holdings of a resource, and of waits of a task, that one look-up searches backwards.
const LOOK_BACK_MAX: usize = 256;

/// Minimum duration of a cycle that another task or a timeout could still break.
const WAIT_MIN_NS: u64 = 1_000_000_000;

/// Maximum time between the drop of a wait and the end of its task, which is dropped with it.
const DROP_NS_MAX: u64 = 100_000_000;

/// Holdings and waits of the run; answers who held and who awaited what at any time.
struct WaitForGraph<'a> {
    cx: &'a LintContext<'a>,
    holdings: FxHashMap<ResourceId, Vec<&'a Acquisition>>,
    /// Of an external app: when each lock was acquired, in order of time.
    acquired: FxHashMap<ResourceId, Vec<LockCall>>,
    waits: FxHashMap<TaskId, Vec<&'a Await>>,
}

/// A lock call of an external app that ended, and may have acquired the lock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct LockCall {
    at: Nanos,
    task: TaskId,
    /// Its outcome is known: it acquired the lock.
    is_known: bool,
}

/// What could still break a cycle.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CycleEnd {
    /// Nothing: no other task could run.
    Never,
    /// The timeout of one of its waits.
    Timeout,
    /// Another task.
    OtherTask,
}

fn check(cx: &LintContext) -> Vec<Diagnostic> {
    let is_external = cx.trace.is_external();
    let mut holdings: FxHashMap<ResourceId, Vec<&Acquisition>> = FxHashMap::default();
    for holding in cx.trace.resources().acquisitions() {
        holdings.entry(holding.resource).or_default().push(holding);
    }
    let acquired = if cx.trace.are_owners_reported() { FxHashMap::default() } else { infer_acquisitions(cx) };
    let mut waits: FxHashMap<TaskId, Vec<&Await>> = FxHashMap::default();
    let is_held = |resource: &ResourceId| holdings.contains_key(resource) || acquired.contains_key(resource);
    let held = cx.index.awaits_by_resource.iter().filter(|(resource, _)| is_held(resource));
    let mut unresolved: Vec<&Await> = Vec::new();
    for wait in held.flat_map(|(_, awaits)| awaits) {
        if is_external && !is_stuck_in_external_app(cx, wait) {
            continue;
        }
        waits.entry(wait.task).or_default().push(wait);
        if is_unresolved(wait) {
            unresolved.push(wait);
        }
    }
    waits.values_mut().for_each(|waits| waits.sort_by_key(|wait| wait.start));
    unresolved.sort_by_key(|wait| (wait.start, wait.task));
    let graph = WaitForGraph { cx, holdings, acquired, waits };
    let mut reported: BTreeSet<BTreeSet<TaskId>> = BTreeSet::new();
    let mut diagnostics = Vec::new();
    for wait in unresolved.iter().take(START_WAITS_MAX) {
        let at = match wait.end() {
            Some(end) if is_external => end.saturating_sub(1),
            Some(end) if !graph.was_task_cancelled_at(wait.task, end) => end.saturating_sub(1).max(wait.start),
            Some(end) => end,
            None => cx.trace.now(),
        };
        let Some(cycle) = graph.find_cycle(wait, at) else { continue };
        let tasks: BTreeSet<TaskId> = cycle.iter().map(|wait| wait.task).collect();
        let is_sure = || {
            // An event that was taken too late may have made the wrong task the owner.
            let is_complete = !cx.lacks_events() && !cx.trace.is_order_doubtful();
            if cx.trace.are_owners_reported() { is_complete } else { graph.is_surely_held(wait, at) }
        };
        if reported.contains(&tasks) || (is_external && cycle.len() == 1 && !is_sure()) {
            continue;
        }
        let Some(end) = graph.end_of_cycle(&cycle, &tasks, at) else { continue };
        let is_behind = |other: &&&Await| {
            let is_open = other.start <= at && other.end().is_none_or(|end| end >= at);
            is_open && !tasks.contains(&other.task) && cycle.iter().any(|wait| wait.resource() == other.resource())
        };
        let behind = unresolved.iter().filter(is_behind).count();
        diagnostics.push(diagnose(cx, &cycle, at, end, behind as u64));
        reported.insert(tasks);
    }
    diagnostics
}

/// Whether a wait of an external app has lasted long enough, and is open or ended only because its task ended.
fn is_stuck_in_external_app(cx: &LintContext, wait: &Await) -> bool {
    let is_last = match wait.end() {
        None => true,
        Some(end) => {
            // The end of a task that is dropped at the end of the app may not be recorded.
            let ended = cx.trace.task(wait.task).and_then(|task| task.lane.ended_at()).unwrap_or(cx.trace.now());
            let is_mutex = |id| cx.trace.resources().get(id).is_some_and(|resource| &*resource.name == "Mutex");
            // A lock that is waited for that long is held.
            is_unresolved(wait) && wait.resource().is_some_and(is_mutex) && ended.saturating_sub(end) <= DROP_NS_MAX
        }
    };
    // A busy machine makes no cycle, so waits for a processor count.
    let observed_ns = cx.duration_ns(wait).saturating_sub(cx.unobserved_ns(wait.start, cx.end_of(wait)));
    is_last && observed_ns >= WAIT_MIN_NS
}

/// Infers when each lock of an external app was acquired: at the end of each lock call that completed, or whose outcome is
/// unknown. Locks that are free now and have no waiter that was stuck are left out.
fn infer_acquisitions(cx: &LintContext) -> FxHashMap<ResourceId, Vec<LockCall>> {
    let is_locked = |resource: &ResourceId, awaits: &[Await]| {
        cx.trace.resources().entry(*resource).is_some_and(|entry| {
            // Attributes are known only for now. At the end of the app, a lock is dropped with its guards.
            let is_over = |wait: &Await| wait.end().is_some() || entry.dropped_at().is_some();
            let was_stuck = || awaits.iter().any(|wait| is_over(wait) && is_stuck_in_external_app(cx, wait));
            entry.resource.kind == ResourceKind::Lock && (entry.is_owned_exclusively() || was_stuck())
        })
    };
    let locks = cx.index.awaits_by_resource.iter().filter(|(resource, awaits)| is_locked(resource, awaits));
    let acquired_by = |awaits: &[Await]| {
        let calls = awaits.iter().filter_map(|wait| {
            let is_known = match wait.outcome() {
                AwaitOutcome::Ready => true,
                AwaitOutcome::Unknown => false,
                _ => return None,
            };
            Some(LockCall { at: wait.end()?, task: wait.task, is_known })
        });
        let mut calls: Vec<LockCall> = calls.collect();
        calls.sort_unstable();
        calls
    };
    locks.map(|(resource, awaits)| (*resource, acquired_by(awaits))).collect()
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
        if self.acquired.contains_key(&resource) {
            return self.last_call(resource, at).map(|call| call.task).into_iter().collect();
        }
        let Some(holdings) = self.holdings.get(&resource) else { return Vec::new() };
        let begun = holdings.partition_point(|holding| holding.start <= at);
        let recent = holdings[begun.saturating_sub(LOOK_BACK_MAX)..begun].iter();
        recent
            .filter(|holding| holding.end().is_none_or(|to| self.lasted_until(holding.task, to, at)))
            .map(|holding| holding.task)
            .collect()
    }

    /// The call that acquired a lock of an external app last. After one that is known, a call whose outcome is unknown
    /// leaves open which of the two tasks holds the lock.
    fn last_call(&self, resource: ResourceId, at: Nanos) -> Option<LockCall> {
        let calls = self.acquired.get(&resource)?;
        let until = &calls[..calls.partition_point(|call| call.at <= at)];
        let last = until.last().copied()?;
        (last.is_known || !until.iter().any(|call| call.is_known)).then_some(last)
    }

    /// Whether the task of `wait`, in an external app, is known to hold what it waits for, and nothing is missing since
    /// it acquired it.
    fn is_surely_held(&self, wait: &Await, at: Nanos) -> bool {
        let call = wait.resource().and_then(|resource| self.last_call(resource, at));
        let is_complete = |from| self.cx.unobserved_ns(from, at) == 0 && !self.cx.lacks_events();
        call.is_some_and(|call| call.is_known && call.task == wait.task && is_complete(call.at))
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

    /// What could break the cycle at time `at`. `None` if the cycle is not a problem so far.
    fn end_of_cycle(&self, cycle: &[&Await], tasks: &BTreeSet<TaskId>, at: Nanos) -> Option<CycleEnd> {
        let resources: Vec<ResourceId> = cycle.iter().filter_map(|wait| wait.resource()).collect();
        // The waits of an external app have lasted long enough. If it does not report owners, who else has a guard is not
        // known.
        if self.cx.trace.is_external() {
            let is_private = resources.iter().all(|id| self.is_private_lock(*id));
            let is_closed = is_private || !self.cx.trace.are_owners_reported();
            return Some(if is_closed { CycleEnd::Never } else { CycleEnd::OtherTask });
        }
        let has_timeout = tasks.iter().any(|task| self.has_open_timer(*task, at));
        let others = self.cx.trace.tasks().iter().filter(|task| !tasks.contains(&task.id));
        let has_others = { others }.any(|task| self.could_run(task, at));
        if !has_timeout && !has_others {
            return Some(CycleEnd::Never);
        }
        let closed_at = cycle.iter().map(|wait| wait.start).max().unwrap_or(at);
        if at.saturating_sub(closed_at).saturating_add(1) < WAIT_MIN_NS {
            return None;
        }
        let is_private = resources.iter().all(|id| self.is_private_lock(*id));
        match (has_others && !is_private, has_timeout) {
            (true, _) => None,
            (false, true) => Some(CycleEnd::Timeout),
            (false, false) => Some(CycleEnd::OtherTask),
        }
    }

    /// Whether the resource is a lock that only its owners have released so far.
    fn is_private_lock(&self, id: ResourceId) -> bool {
        let resources = self.cx.trace.resources();
        let is_lock = resources.get(id).is_some_and(|resource| resource.kind == ResourceKind::Lock);
        // The guards of a task that ends are released with it. An external app reports the end of the task afterwards.
        let delay_ns = if self.cx.trace.is_external() { DROP_NS_MAX } else { 0 };
        let ended_at = |task: TaskId| self.cx.trace.task(task).and_then(|task| task.lane.ended_at());
        let mut releases = resources.releases_by_others().iter().filter(|(resource, ..)| *resource == id);
        is_lock
            && releases.all(|(_, owner, at)| ended_at(*owner).is_some_and(|ended| ended <= at.saturating_add(delay_ns)))
    }

    /// Whether the task waits for a timer too, such as the one of a timeout around its wait.
    fn has_open_timer(&self, task: TaskId, at: Nanos) -> bool {
        let Some(task) = self.cx.trace.task(task) else { return false };
        let recent = task.awaits().rev().take(LOOK_BACK_MAX).filter_map(|id| self.cx.trace.awaits().get(id));
        let is_timer = |wait: &Await| self.cx.site(wait).is_some_and(|site| site.kind == AwaitKind::Timer);
        let was_cancelled = self.was_task_cancelled_at(task.id, at);
        let is_open =
            |wait: &Await| wait.start <= at && wait.end().is_none_or(|end| end > at || (end == at && was_cancelled));
        { recent }.any(|wait| is_open(&wait) && is_timer(&wait))
    }

    /// Whether the task could run at `at`, or soon after, without another task. One that was cancelled at `at` is judged
    /// by what it waited for.
    fn could_run(&self, task: &Task, at: Nanos) -> bool {
        let is_cancelled_now = self.was_task_cancelled_at(task.id, at);
        let state = if is_cancelled_now {
            match task.lane.last().copied() {
                None => Some(TaskState::Scheduled),
                Some(cycle) => {
                    let (id, kind) = cycle.waiting_on();
                    Some(TaskState::Waiting(id, kind))
                }
            }
        } else {
            self.cx.trace.state_at(task.id, at)
        };
        match state {
            Some(TaskState::Running | TaskState::Scheduled | TaskState::Held) => true,
            Some(TaskState::Waiting(_, kind)) => matches!(
                kind,
                AwaitKind::Timer | AwaitKind::Io | AwaitKind::BlockingCall | AwaitKind::Yield | AwaitKind::Other
            ),
            // A task that completed at this time ran until then.
            Some(TaskState::Completed | TaskState::Ended) => task.lane.ended_at() == Some(at),
            Some(TaskState::Cancelled | TaskState::Failed) | None => false,
        }
    }

    fn was_task_cancelled_at(&self, task: TaskId, at: Nanos) -> bool {
        let task = self.cx.trace.task(task);
        task.is_some_and(|task| task.outcome == Some(TaskOutcome::Cancelled) && task.lane.ended_at() == Some(at))
    }
}

fn diagnose(cx: &LintContext, cycle: &[&Await], at: Nanos, end: CycleEnd, behind: u64) -> Diagnostic {
    let closed_at = cycle.iter().map(|wait| wait.start).max().unwrap_or(at);
    let awaited = |wait: &Await| wait.resource().map_or_else(String::new, |id| cx.resource_name(id));
    let describe_wait = |wait: &&Await| {
        format!("{} waits for {} ({})", cx.task_with_location(wait.task), awaited(wait), cx.describe_await(wait))
    };
    let names: Vec<String> = cycle.iter().map(|wait| cx.task_name(wait.task)).collect();
    let until = if end == CycleEnd::Timeout { ", until a timeout" } else { "" };
    let problem = match names.as_slice() {
        [alone] => format!("{alone} waits for {}, which it holds itself{until}", awaited(cycle[0])),
        [..] => format!("{} wait for each other in a cycle{until}", names.join(", ")),
    };
    let waits: Vec<String> = cycle.iter().map(describe_wait).collect();
    let behind = match behind {
        0 => String::new(),
        behind => format!("; {} behind them", pluralize(behind, "more wait")),
    };
    let evidence = format!(
        "{}; each is held by the next task in the cycle{behind}; stuck from {} on",
        waits.join("; "),
        human_ns(closed_at)
    );
    let first = cycle.iter().min_by_key(|wait| wait.task);
    let diagnostic = Diagnostic::new(first.map(|wait| wait.task), closed_at, problem, evidence)
        .at(first.and_then(|wait| cx.location_of(wait)));
    match end {
        CycleEnd::Never if !cx.trace.are_owners_reported() => {
            diagnostic.doubted(Some("owners inferred from the last lock calls"))
        }
        CycleEnd::Never => diagnostic,
        CycleEnd::Timeout => diagnostic.with_severity(Severity::Warn),
        CycleEnd::OtherTask => {
            diagnostic.with_severity(Severity::Warn).doubted(Some("another task could still release a lock"))
        }
    }
}
