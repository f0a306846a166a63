//! Lint `panic`: the app printed a panic message.
//!
//! *Detects* the messages of Rust's panic hook on the standard error of an app that loopscope started. The runtime reports
//! a task that panicked like one that returned. Which task it was is a guess: the one that ended in the poll during which
//! the message came.
//! *Problem*: the work of the task is not done, and a task that nothing awaits fails silently.
//! *Fix*: fix the cause; await the task and handle the error of its join handle.

use super::super::panic_messages::{PanicMessage, find_panics};
use super::{Diagnostic, Lint, LintContext, Severity, whole_trace};
use crate::trace::{Nanos, Task, TaskId};

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
    let task = candidates.into_iter().max_by_key(|task| likelihood(task, panic));
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

/// Ranks a candidate. The hook prints before the future is dropped, so a task that ended after the message is more likely,
/// and then one that was spawned shortly before the line that panicked.
fn likelihood(task: &Task, panic: &PanicMessage) -> (bool, bool, std::cmp::Reverse<u32>, std::cmp::Reverse<TaskId>) {
    let ended_after = task.lane.ended_at().is_some_and(|ended| ended >= panic.at);
    let (spawned, panicked) = (task.meta.location.as_ref(), panic.location.as_ref());
    let lines = spawned.zip(panicked).filter(|(spawned, panicked)| spawned.file == panicked.file);
    let distance = lines.and_then(|(spawned, panicked)| panicked.line.checked_sub(spawned.line));
    let near = std::cmp::Reverse(distance.unwrap_or(u32::MAX));
    (ended_after, distance.is_some(), near, std::cmp::Reverse(task.id))
}

/// Whether the task ended in a poll during which a panic message arrived, or just before.
fn ended_in_panic(task: &Task, at: Nanos) -> bool {
    let (Some(ended), Some(last)) = (task.lane.ended_at(), task.lane.last()) else { return false };
    let is_last_poll = last.end().is_none_or(|end| end.max(last.start) + ARRIVAL_NS_MAX >= ended);
    is_last_poll && !task.is_off_loop() && last.start <= at && ended.saturating_add(ARRIVAL_NS_MAX) >= at
}
