//! Lint `panic`: the app printed a panic message.
//!
//! *Detects* the messages of Rust's panic hook on the standard error of an app that loopscope started. The runtime reports
//! a task that panicked like one that returned. Which task it was is a guess: the one that ended in the poll during which
//! the message came.
//! *Problem*: the work of the task is not done, and a task that nothing awaits fails silently.
//! *Fix*: fix the cause; await the task and handle the error of its join handle.

use super::super::panic_messages::{PanicMessage, find_panics};
use super::{Diagnostic, Lint, LintContext, Severity, whole_trace};
use crate::trace::{Nanos, Task};

pub const LINT: Lint = Lint {
    name: "panic",
    severity: Severity::Error,
    summary: "the app printed a panic message",
    advice: "fix the cause, await the task and handle its error",
    new_pass: || whole_trace(check),
};

/// Maximum time between a panic and the arrival of its message.
const ARRIVAL_NS_MAX: u64 = 100_000_000;

fn check(cx: &LintContext) -> Vec<Diagnostic> {
    find_panics(cx.trace).iter().map(|panic| diagnose(cx, panic)).collect()
}

fn diagnose(cx: &LintContext, panic: &PanicMessage) -> Diagnostic {
    let candidates: Vec<&Task> = cx.trace.tasks().iter().filter(|task| ended_in_panic(task, panic.at)).collect();
    let is_same_file = |task: &&&Task| {
        let spawned_in = task.meta.location.as_ref().map(|location| &location.file);
        spawned_in.is_some() && spawned_in == panic.location.as_ref().map(|location| &location.file)
    };
    // A task that was spawned in the file that panicked is more likely, then the one with the fewest others.
    let likely: Vec<&&Task> = candidates.iter().filter(is_same_file).collect();
    let task = match (likely.as_slice(), candidates.as_slice()) {
        ([only], _) => Some(**only),
        ([], [only]) => Some(*only),
        _ => None,
    };
    let place = panic.location.as_ref().map_or_else(String::new, |location| format!(" at {location}"));
    let problem = match task {
        Some(task) => format!("{} panicked{place}", task.name()),
        None => format!("thread `{}` panicked{place}", panic.thread),
    };
    let evidence = format!("thread `{}` printed: {}", panic.thread, panic.message);
    let group = panic.location.as_ref().map(|location| format!("{location} {}", panic.message));
    Diagnostic::new(task.map(|task| task.id), panic.at, problem, evidence)
        .at(panic.location.as_ref())
        .grouped(group, 0)
        .doubted(task.map(|_| "which task panicked is a guess"))
}

/// Whether the task ended in a poll during which a panic message arrived, or just before.
fn ended_in_panic(task: &Task, at: Nanos) -> bool {
    let (Some(ended), Some(last)) = (task.lane.ended_at(), task.lane.last()) else { return false };
    let is_last_poll = last.end().is_none_or(|end| end.max(last.start) + ARRIVAL_NS_MAX >= ended);
    is_last_poll && !task.is_off_loop() && last.start <= at && ended.saturating_add(ARRIVAL_NS_MAX) >= at
}
