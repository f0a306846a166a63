//! Lint `never-awaited`: a coroutine, or another awaitable such as a sleep, was created and never awaited.
//!
//! *Detects* awaitables that the workload's host reports after main has ended, and coroutines of which Python reports that
//! they were deleted. Those of tasks that failed or were cancelled are left out: the task may have been about to await them.
//! *Problem*: calling such a function does none of its body; the work is silently not done.
//! *Fix*: await it, or spawn it as a task.

use super::super::lint_context::with_location;
use super::{Diagnostic, Lint, LintContext, Severity, whole_trace};
use crate::trace::TaskOutcome;

pub const LINT: Lint = Lint {
    name: "never-awaited",
    severity: Severity::Warn,
    summary: "something awaitable was created and never awaited",
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
        .map(|(task, at_ns, coroutine)| {
            let problem = if coroutine.name.contains('(') {
                format!("`{}` was called but never awaited", coroutine.name)
            } else {
                format!("coroutine `{}` was created but never run", coroutine.name)
            };
            let location = coroutine.location.as_ref();
            let by = task.map_or_else(String::new, |task| format!(" by {}", cx.task_name(task)));
            let evidence = format!("{}{by}", with_location("created", location));
            let group = location.map(|location| format!("{location} {}", coroutine.name));
            Diagnostic::new(*task, *at_ns, problem, evidence).at(location).grouped(group, 0)
        })
        .collect()
}
