//! Lint `failed-task`: a task returned an error, panicked or ended with an exception.
//!
//! *Detects* every failed task, whether or not its result was awaited.
//! *Problem*: its work is not done, and a task that nothing awaits fails silently.
//! *Fix*: read the error; await the task and handle its errors.

use super::{Diagnostic, Lint, LintContext, Severity, per_task};
use crate::trace::{Task, TaskOutcome};

pub const LINT: Lint = Lint {
    name: "failed-task",
    severity: Severity::Error,
    summary: "a task returned an error, panicked or ended with an exception",
    advice: "fix the error, or catch it where it is expected",
    new_pass: || per_task(check_task),
};

/// How the message of a task begins that ended with an exception of Python.
const EXCEPTION: &str = "exception: ";

fn check_task(cx: &LintContext, task: &Task) -> Option<Diagnostic> {
    let Some(TaskOutcome::Failed(error)) = &task.outcome else { return None };
    let (verb, error) = match error.strip_prefix(EXCEPTION) {
        Some(exception) => ("ended with an exception", exception),
        None if error.starts_with("panicked: ") => ("panicked", &**error),
        None => ("failed", &**error),
    };
    let location = task.meta.location.as_ref();
    let spawned_at = location.map_or_else(String::new, |location| format!("; spawned at {location}"));
    let at_ns = task.lane.ended_at().unwrap_or(task.lane.spawned_at());
    let reason = error.lines().next().unwrap_or_default();
    let (problem, evidence) = (format!("{} {verb}", task.name()), format!("{reason}{spawned_at}"));
    let diagnostic = Diagnostic::new(Some(task.id), at_ns, problem, evidence);
    Some(diagnostic.at(location).grouped(cx.cause_of(task, reason), 0))
}
