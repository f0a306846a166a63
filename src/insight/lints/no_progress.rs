//! Lint `no-progress`: no task has been polled for some time, although tasks wait.
//!
//! *Detects* a program in which no task was polled for the time of the threshold, and in which no timer is pending and no
//! blocking call runs. An idle service looks the same: it waits for a socket, a signal or its input, which the runtime
//! does not report. So an external app is reported only if it has none of these, which is known only of an app that
//! loopscope started or whose process it can examine, or for tasks that wait for a lock. Once main has ended, the tasks
//! are judged by what they did before that.
//! *Problem*: the tasks wait for each other, or for a signal that was sent before they began to wait.
//! *Fix*: check which task should have sent the signal, and whether it was sent too early.

use std::collections::BTreeMap;

use super::super::lint_context::spawned_at;
use super::super::units::{human_ns, pluralize};
use super::{Diagnostic, Lint, LintContext, LintPass, Severity};
use crate::trace::{Await, AwaitKind, Nanos, ResourceEntry, ResourceKind, Task, TaskId, TaskKind, TaskState};

pub const LINT: Lint = Lint {
    name: "no-progress",
    severity: Severity::Warn,
    summary: "no task has been polled for some time, although tasks wait",
    advice: "find out which task should have woken them, and whether it did so before they began to wait",
    new_pass: || Box::new(NoProgressPass::default()),
};

/// Maximum number of waits that the evidence describes.
const DESCRIBED_MAX: usize = 5;

/// Maximum number of awaits of a task that has ended, the newest first, among which those are searched that were open
/// before.
const LOOK_BACK_MAX: usize = 64;

#[derive(Default)]
struct NoProgressPass {
    /// Start of the last poll of main, if the run has ended. The tasks are judged by what they did until then.
    main_woken_at: Option<Nanos>,
    last_activity: Nanos,
    /// Something will happen by itself: a task can run, a timer is pending, or a blocking call runs.
    can_move: bool,
    /// Tasks that wait, and for what.
    waiting: Vec<StuckTask>,
}

/// A task that waits.
struct StuckTask {
    task: TaskId,
    has_lock: bool,
    wait: String,
}

impl LintPass for NoProgressPass {
    fn visits_background_tasks(&self) -> bool {
        true
    }

    fn begin_tasks(&mut self, cx: &LintContext) {
        self.main_woken_at = cx.last_poll_of_main();
    }

    fn visit_task(&mut self, cx: &LintContext, task: &Task) {
        if task.meta.kind.is_runtime() || self.main_woken_at.is_some_and(|at| task.lane.spawned_at() >= at) {
            return;
        }
        let is_main = task.meta.kind == TaskKind::BlockOn;
        self.note_activity(task, is_main);
        let had_ended = |at| task.lane.ended_at().is_some_and(|ended| ended < at);
        if self.main_woken_at.map_or(task.outcome.is_some(), had_ended) {
            return;
        }
        let state = match self.main_woken_at {
            // The last wake of main is the end of the program.
            Some(_) if is_main => Some(TaskState::Waiting(None, AwaitKind::Other)),
            Some(at) => cx.trace.state_at(task.id, at.saturating_sub(1)),
            None => cx.trace.state(task.id),
        };
        let is_unfinished = || cx.trace.recording_stats().is_some_and(|stats| stats.is_unfinished);
        if is_main && state == Some(TaskState::Running) && is_unfinished() {
            return;
        }
        if task.is_off_loop() || !matches!(state, Some(TaskState::Waiting(..))) {
            self.can_move = true;
            return;
        }
        let awaits = self.open_awaits(cx, task);
        let sites = awaits.iter().filter_map(|found| cx.site(found));
        let waits_for_outside = |kind| matches!(kind, AwaitKind::Timer | AwaitKind::Io | AwaitKind::BlockingCall);
        self.can_move |= { sites }.any(|site| waits_for_outside(site.kind));
        if task.meta.kind.is_task() {
            let lock = |found: &Await| cx.trace.resources().get(found.resource()?);
            let is_lock = |found: &Await| lock(found).is_some_and(|resource| resource.kind == ResourceKind::Lock);
            let has_lock = awaits.iter().any(is_lock);
            self.waiting.push(StuckTask { task: task.id, has_lock, wait: describe_wait(cx, task, awaits.first()) });
        }
    }

    fn finish(&mut self, cx: &LintContext) -> Vec<Diagnostic> {
        let waiting = std::mem::take(&mut self.waiting);
        let until = self.main_woken_at.unwrap_or(cx.trace.now());
        let idle_ns = until.saturating_sub(self.last_activity);
        let is_idle = cx.observed_ns(self.last_activity, until) >= cx.thresholds.no_progress_ns;
        if self.can_move || !is_idle || has_pending_timer(cx, self.main_woken_at) {
            return Vec::new();
        }
        let is_external = cx.trace.is_external();
        let may_be_idle = is_external && cx.trace.outside_input() != Some(false);
        let stuck: Vec<StuckTask> = waiting.into_iter().filter(|stuck| stuck.has_lock || !may_be_idle).collect();
        let Some(first) = stuck.first().map(|stuck| stuck.task) else { return Vec::new() };
        let mut described: BTreeMap<&str, u64> = BTreeMap::new();
        stuck.iter().for_each(|stuck| *described.entry(&stuck.wait).or_default() += 1);
        let waits: Vec<String> = described
            .iter()
            .take(DESCRIBED_MAX)
            .map(|(wait, count)| format!("{} on {wait}", pluralize(*count, "task")))
            .collect();
        let (moved, verbs) = match self.main_woken_at {
            Some(_) => ("nothing moved", ["waited until the end of the run"; 2]),
            None => ("nothing has moved", ["waits", "wait"]),
        };
        let problem = format!(
            "{moved} for {}, although {} {}",
            human_ns(idle_ns),
            pluralize(stuck.len() as u64, "task"),
            verbs[usize::from(stuck.len() > 1)],
        );
        let evidence =
            format!("no poll since {}, and no pending timer; {}", human_ns(self.last_activity), waits.join("; "));
        let location = cx.spawn_location(first);
        let doubt = if may_be_idle {
            Some("the owner of the lock may wait for I/O")
        } else if is_external {
            Some("another thread of the app could still wake them")
        } else {
            None
        };
        let diagnostic = Diagnostic::new(Some(first), self.last_activity, problem, evidence).at(location);
        vec![diagnostic.counting(stuck.len() as u64).doubted(doubt)]
    }
}

impl NoProgressPass {
    /// Notes when the task was polled or woken last, or ended, before main was woken for the last time.
    fn note_activity(&mut self, task: &Task, is_main: bool) {
        let until = self.main_woken_at.unwrap_or(Nanos::MAX);
        let mut polls = task.lane.cycles().rev().filter(|poll| poll.start < until);
        // While main runs, its last poll may only be the end of the program.
        let last = polls.nth(usize::from(is_main && self.main_woken_at.is_none()));
        let last = last.map_or(task.lane.spawned_at(), |poll| poll.end().unwrap_or(poll.start).min(until));
        let ended = task.lane.ended_at().filter(|ended| !is_main && *ended < until).unwrap_or_default();
        let woken = task.sampled_wake().filter(|woken| !is_main && *woken < until).unwrap_or_default();
        self.last_activity = self.last_activity.max(last).max(woken).max(ended);
    }

    /// Returns the awaits at which the task waits, or waited before main was woken for the last time; the newest first.
    fn open_awaits(&self, cx: &LintContext, task: &Task) -> Vec<Await> {
        let get = |id| cx.trace.awaits().get(id);
        let Some(at) = self.main_woken_at else { return task.open_awaits().rev().filter_map(get).collect() };
        let was_open = |found: &Await| found.start < at && found.end().is_none_or(|end| end >= at);
        task.awaits().rev().take(LOOK_BACK_MAX).filter_map(get).filter(was_open).collect()
    }
}

/// Whether a timer exists that may still fire, or existed when main was woken for the last time.
fn has_pending_timer(cx: &LintContext, main_woken_at: Option<Nanos>) -> bool {
    let is_timer = |kind| matches!(kind, ResourceKind::Timer | ResourceKind::Interval);
    let is_pending = |entry: &ResourceEntry| match main_woken_at {
        Some(at) => entry.created_at < at && entry.dropped_at().is_none_or(|dropped| dropped >= at),
        None => entry.dropped_at().is_none(),
    };
    cx.trace.is_external()
        && cx.trace.resources().iter().any(|(_, entry)| is_timer(entry.resource.kind) && is_pending(entry))
}

/// Describes what a task waits for: `Mutex::lock at src/main.rs:9`.
fn describe_wait(cx: &LintContext, task: &Task, found: Option<&Await>) -> String {
    match found {
        Some(found) => cx.describe_await(found),
        None => format!("an await that is not reported{}", spawned_at(task.meta.location.as_ref())),
    }
}
