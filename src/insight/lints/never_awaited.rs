//! Lint `never-awaited`: a coroutine was created and never run.
//!
//! *Detects* coroutines that the workload's host reports after main has ended. Coroutines of tasks that failed or were
//! cancelled are left out: the task may have been about to await them.
//! *Problem*: calling a coroutine function runs none of its body; the work is silently not done.
//! *Fix*: await it, or spawn it as a task.

use super::super::lint_context::with_location;
use super::{Diagnostic, Lint, LintContext, Severity, whole_trace};
use crate::trace::TaskOutcome;

pub const LINT: Lint = Lint {
    name: "never-awaited",
    severity: Severity::Warn,
    advice: "await it, or spawn it as a task",
    new_pass: || whole_trace(check),
};

fn check(cx: &LintContext) -> Vec<Diagnostic> {
    let was_cut_short = |task| {
        let outcome = cx.trace.task(task).and_then(|task| task.outcome.as_ref());
        matches!(outcome, Some(TaskOutcome::Failed(_) | TaskOutcome::Cancelled))
    };
    let unawaited = cx.trace.resources().unawaited_coroutines().iter();
    unawaited
        .filter(|(task, ..)| !task.is_some_and(was_cut_short))
        .map(|(task, at_ns, coroutine)| Diagnostic {
            task: *task,
            at_ns: *at_ns,
            problem: format!("coroutine `{}` was created but never run", coroutine.name),
            evidence: match task {
                Some(task) => {
                    format!("{} by {}", with_location("created", coroutine.location.as_ref()), cx.task_name(*task))
                }
                None => with_location("created", coroutine.location.as_ref()),
            },
        })
        .collect()
}
