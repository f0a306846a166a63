//! Lint `never-retrieved`: a task ended with an exception that nothing retrieved.
//!
//! *Detects* what asyncio reports when such a task is deleted: `Task exception was never retrieved`. A task that is still
//! referred to when the program ends is not reported; `failed-task` reports it like all others.
//! *Problem*: nothing has noticed that the work of the task is not done.
//! *Fix*: await the task, run it in a task group, or add a callback that checks its exception.

use super::super::lint_context::spawned_at;
use super::{Diagnostic, Lint, LintContext, Severity, whole_trace};

pub const LINT: Lint = Lint {
    name: "never-retrieved",
    severity: Severity::Error,
    summary: "a task ended with an exception that nothing retrieved",
    advice: "await the task, or run it in a task group",
    new_pass: || whole_trace(check),
};

fn check(cx: &LintContext) -> Vec<Diagnostic> {
    let unretrieved = cx.trace.notices().unretrieved().iter();
    let diagnose = |exception: &crate::trace::UnretrievedException| {
        let task = exception.task.and_then(|id| cx.trace.task(id));
        let name = exception.task.map_or_else(|| "a task".to_owned(), |id| cx.task_name(id));
        let location = task.and_then(|task| task.meta.location.as_ref());
        let problem = format!("the exception of {name} was never retrieved");
        let evidence = format!("{}{}", exception.error, spawned_at(location));
        let group = location.map(|location| format!("{location} {}", exception.error));
        Diagnostic::new(exception.task, exception.at, problem, evidence).at(location).grouped(group, 0)
    };
    unretrieved.map(diagnose).collect()
}
