//! Lint `no-progress`: no task has been polled for some time, although tasks wait.
//!
//! *Detects* a program in which no task was polled for the time of the threshold, and in which no timer is pending and no
//! blocking call runs. An idle service looks the same: it waits for a socket, a signal or its input, which the runtime
//! does not report. So an external app is reported only if it has none of these, which is known only of an app that
//! loopscope started, or for tasks that wait for a lock.
//! *Problem*: the tasks wait for each other, or for a signal that was sent before they began to wait.
//! *Fix*: check which task should have sent the signal, and whether it was sent too early.

use std::collections::BTreeMap;

use super::super::lint_context::spawned_at;
use super::super::units::{human_ns, pluralize};
use super::{Diagnostic, Lint, LintContext, LintPass, Severity};
use crate::trace::{AwaitKind, Nanos, ResourceKind, Task, TaskId, TaskKind, TaskState};

pub const LINT: Lint = Lint {
    name: "no-progress",
    severity: Severity::Warn,
    summary: "no task has been polled for some time, although tasks wait",
    advice: "find out which task should have woken them, and whether it did so before they began to wait",
    new_pass: || Box::new(NoProgressPass::default()),
};

/// Maximum number of waits that the evidence describes.
const DESCRIBED_MAX: usize = 5;

#[derive(Default)]
struct NoProgressPass {
    last_activity: Nanos,
    /// Something will happen by itself: a task can run, a timer is pending, or a blocking call runs.
    can_move: bool,
    /// Tasks that wait, and whether for a lock.
    waiting: Vec<(TaskId, bool)>,
}

impl LintPass for NoProgressPass {
    fn visits_background_tasks(&self) -> bool {
        true
    }

    fn visit_task(&mut self, cx: &LintContext, task: &Task) {
        if task.meta.kind == TaskKind::Worker {
            return;
        }
        // The last poll of main may only be the end of the program.
        let ignored = usize::from(task.meta.kind == TaskKind::BlockOn);
        let last = task.lane.cycles().rev().nth(ignored);
        let last = last.map_or(task.lane.spawned_at(), |cycle| cycle.end().unwrap_or(cycle.start));
        let ended = task.lane.ended_at().filter(|_| ignored == 0).unwrap_or_default();
        let woken = task.sampled_wake().filter(|_| ignored == 0).unwrap_or_default();
        self.last_activity = self.last_activity.max(last).max(woken).max(ended);
        if task.outcome.is_some() {
            return;
        }
        let state = cx.trace.state(task.id);
        let is_last_poll = ignored > 0 && cx.trace.recording_stats().is_some_and(|stats| stats.is_unfinished);
        if state == Some(TaskState::Running) && is_last_poll {
            return;
        }
        if !matches!(state, Some(TaskState::Waiting(..))) || task.is_off_loop() {
            self.can_move = true;
            return;
        }
        let sites = || task.open_awaits().filter_map(|id| cx.site(&cx.trace.awaits().get(id)?));
        let waits_for_outside = |kind| matches!(kind, AwaitKind::Timer | AwaitKind::Io | AwaitKind::BlockingCall);
        self.can_move |= sites().any(|site| waits_for_outside(site.kind));
        let is_lock = |id| {
            let resource = cx.trace.awaits().get(id).and_then(|found| cx.trace.resources().get(found.resource()?));
            resource.is_some_and(|resource| resource.kind == ResourceKind::Lock)
        };
        if task.meta.kind.is_task() {
            self.waiting.push((task.id, task.open_awaits().any(is_lock)));
        }
    }

    fn finish(&mut self, cx: &LintContext) -> Vec<Diagnostic> {
        let waiting = std::mem::take(&mut self.waiting);
        let idle_ns = cx.trace.now().saturating_sub(self.last_activity);
        let is_idle = cx.observed_ns(self.last_activity, cx.trace.now()) >= cx.thresholds.no_progress_ns;
        if self.can_move || !is_idle || has_pending_timer(cx) {
            return Vec::new();
        }
        let is_external = cx.trace.is_external();
        let may_be_idle = is_external && cx.trace.outside_input() != Some(false);
        let stuck: Vec<TaskId> =
            waiting.into_iter().filter(|(_, has_lock)| *has_lock || !may_be_idle).map(|(task, _)| task).collect();
        let Some(first) = stuck.first() else { return Vec::new() };
        let mut described: BTreeMap<String, u64> = BTreeMap::new();
        stuck.iter().for_each(|task| *described.entry(describe_wait(cx, *task)).or_default() += 1);
        let waits: Vec<String> = described
            .iter()
            .take(DESCRIBED_MAX)
            .map(|(wait, count)| format!("{} on {wait}", pluralize(*count, "task")))
            .collect();
        let problem = format!(
            "nothing has moved for {}, although {} {}",
            human_ns(idle_ns),
            pluralize(stuck.len() as u64, "task"),
            if stuck.len() == 1 { "waits" } else { "wait" }
        );
        let evidence =
            format!("no poll since {}, and no pending timer; {}", human_ns(self.last_activity), waits.join("; "));
        let location = cx.spawn_location(*first);
        let doubt = if may_be_idle {
            Some("the owner of the lock may wait for I/O")
        } else if is_external {
            Some("another thread of the app could still wake them")
        } else {
            None
        };
        let diagnostic = Diagnostic::new(Some(*first), self.last_activity, problem, evidence).at(location);
        vec![diagnostic.counting(stuck.len() as u64).doubted(doubt)]
    }
}

/// Whether a timer exists that may still fire.
fn has_pending_timer(cx: &LintContext) -> bool {
    let is_timer = |kind| matches!(kind, ResourceKind::Timer | ResourceKind::Interval);
    cx.trace.is_external()
        && cx.trace.resources().iter().any(|(_, entry)| is_timer(entry.resource.kind) && entry.dropped_at().is_none())
}

/// Describes what a task waits for: `Mutex::lock at src/main.rs:9`.
fn describe_wait(cx: &LintContext, task: TaskId) -> String {
    let open = cx.trace.task(task).and_then(|task| task.open_awaits().next_back());
    let found = open.and_then(|id| cx.trace.awaits().get(id));
    match found {
        Some(found) => cx.describe_await(&found),
        None => format!("an await that is not reported{}", spawned_at(cx.spawn_location(task))),
    }
}
