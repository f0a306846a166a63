//! Lint `lost-waker`: a task waits, and nothing has a waker of it.
//!
//! *Detects* waiting tasks of an external app whose clones of the waker have all been dropped. Reports nothing if the
//! app does not report wakers, or if the task has begun an await that tokio reports, since that await has its waker.
//! Not certain for the tasks that were polled first: where several threads clone their first wakers at the same moment,
//! console-subscriber 0.5.0 may not count one (`findings/tracing-event-comes-before-its-registration.sh`).
//! *Problem*: nothing can wake the task: it never continues.
//! *Fix*: a future that returns `Pending` must store the waker of its last poll. A future that is meant to wait for ever
//! is harmless.

use super::super::units::human_ns;
use super::{Diagnostic, Lint, LintContext, LintPass, Severity};
use crate::trace::{Nanos, Task, TaskState};

pub const LINT: Lint = Lint {
    name: "lost-waker",
    severity: Severity::Warn,
    summary: "a task waits, and nothing has a waker of it",
    advice: "store the waker of the last poll wherever a future returns `Pending`",
    new_pass: || Box::new(LostWakerPass::default()),
};

#[derive(Default)]
struct LostWakerPass {
    /// Whether the app reports wakers at all.
    has_wakers: bool,
    /// End of the first poll of a task of which wakers were counted.
    counted_from: Option<Nanos>,
    /// With the start of the task's first poll.
    found: Vec<(Nanos, Diagnostic)>,
}

impl LintPass for LostWakerPass {
    fn visit_task(&mut self, cx: &LintContext, task: &Task) {
        let Some((clones, drops)) = task.waker_counts() else { return };
        let first_poll = task.lane.cycles().next();
        if clones > 0 {
            self.has_wakers = true;
            let counted = first_poll.as_ref().and_then(|poll| poll.end());
            self.counted_from = [self.counted_from, counted].into_iter().flatten().min();
        }
        let Some(since) = waiting_since(task) else { return };
        // An await that is reported keeps the waker, so counts without one are incomplete.
        let has_await = task.outcome.is_none() && task.open_awaits().next().is_some();
        if clones > drops || has_await || !task.meta.kind.is_task() || !is_waiting(cx, task, clones) {
            return;
        }
        // Where polls and wakers come from two feeds, the wakers must have been counted for as long after the poll.
        let counted_until = match cx.trace.recording_stats() {
            Some(_) => cx.trace.console_complete_until().min(cx.run_end()),
            None => cx.run_end(),
        };
        if cx.observed_ns(since, counted_until) < cx.thresholds.lost_waker_ns {
            return;
        }
        let waited_ns = cx.run_end().saturating_sub(since);
        let problem = format!("{} waits, but nothing can wake it", task.name());
        let evidence =
            format!("waiting for {}; {clones} clones of its waker, all of them dropped", human_ns(waited_ns));
        let diagnostic = Diagnostic::new(Some(task.id), since, problem, evidence).at(task.meta.location.as_ref());
        let polled_from = first_poll.map_or(since, |poll| poll.start);
        self.found.push((polled_from, diagnostic.grouped(cx.cause_of(task, ""), waited_ns)));
    }

    fn finish(&mut self, _: &LintContext) -> Vec<Diagnostic> {
        let counted_from = self.counted_from.filter(|_| self.has_wakers).unwrap_or(Nanos::MAX);
        let found = std::mem::take(&mut self.found).into_iter().filter(|_| self.has_wakers);
        let doubted = |(polled_from, diagnostic): (Nanos, Diagnostic)| {
            let doubt = (polled_from < counted_from).then_some("the first wakers may not have been counted");
            diagnostic.doubted(doubt)
        };
        found.map(doubted).collect()
    }
}

/// Whether the task waits, or waited until the app dropped it at its end. The drop of a task drops its wakers too, so
/// afterwards only a task that never had one counts.
fn is_waiting(cx: &LintContext, task: &Task, clones: u64) -> bool {
    match &task.outcome {
        None => matches!(cx.trace.state(task.id), Some(TaskState::Waiting(..))),
        Some(_) => clones == 0 && cx.has_outlived_run(task),
    }
}

/// Returns the end of the last poll.
fn waiting_since(task: &Task) -> Option<Nanos> {
    task.lane.last()?.end()
}
