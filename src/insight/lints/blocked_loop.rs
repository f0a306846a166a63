//! Lint `blocked-loop`: a long poll that does something other than computing.
//!
//! *Detects* polls over the threshold, after subtracting the time that the program declares as computing (`work` in a
//! script; code that declares nothing has no computing time). What remains are calls that block, such as a blocking
//! sleep, file access or an OS lock.
//! *Problem*: no other task on the loop runs meanwhile, although the thread is idle.
//! *Fix*: await instead of blocking, or move the call to the blocking pool. Long computing is a different problem:
//! `never-yields`.

use super::super::lint_context::LongPoll;
use super::super::units::{human_ns, pluralize};
use super::{Diagnostic, Lint, LintContext, Severity, per_task};
use crate::trace::{Nanos, Task, TaskState};

pub const LINT: Lint = Lint {
    name: "blocked-loop",
    severity: Severity::Warn,
    advice: "await instead of blocking, or move the call to the blocking pool",
    new_pass: || per_task(check_task),
};

/// Maximum number of tasks that are checked for having been ready meanwhile.
const TASKS_CHECKED_MAX: usize = 1_000;

fn check_task(cx: &LintContext, task: &Task) -> Option<Diagnostic> {
    let is_blocked = |poll: &LongPoll| poll.blocked_ns() > cx.thresholds.blocked_loop_ns;
    let (mut polls, mut calls, mut total_ns) = (0, 0, 0);
    let mut first: Option<Nanos> = None;
    let mut worst: Option<LongPoll> = None;
    for poll in cx.long_polls(task).filter(is_blocked) {
        first.get_or_insert(poll.from);
        polls += 1;
        calls += poll.blocking_calls;
        total_ns += poll.blocked_ns();
        if worst.is_none_or(|worst| poll.blocked_ns() > worst.blocked_ns()) {
            worst = Some(poll);
        }
    }
    let worst = worst?;
    let call = match worst.longest_call {
        Some(call) => {
            let (location, longest) = (cx.describe_await(&call), human_ns(cx.duration_ns(&call)));
            format!("{}, the longest {longest}: {location}", pluralize(calls, "blocking call"))
        }
        None => "blocking call unknown".to_owned(),
    };
    let ready = count_ready_tasks(cx, task, &worst);
    // Computing is a different problem (`never-yields`) with a different fix.
    let computing = match worst.computing_ns {
        0 => String::new(),
        ns => format!("; not counted: {} of computing", human_ns(ns)),
    };
    Some(Diagnostic {
        task: Some(task.id),
        at_ns: first?,
        problem: format!("{} blocked the loop for {} in one poll", task.name(), human_ns(worst.blocked_ns())),
        evidence: format!(
            "{} over {} since {}, {} in total; {call}{computing}; {} ready meanwhile",
            pluralize(polls, "poll"),
            human_ns(cx.thresholds.blocked_loop_ns),
            human_ns(first?),
            human_ns(total_ns),
            pluralize(ready, "other task"),
        ),
    })
}

/// Counts the other tasks that were ready at the end of the worst poll, among the first [`TASKS_CHECKED_MAX`].
fn count_ready_tasks(cx: &LintContext, task: &Task, worst: &LongPoll) -> u64 {
    let is_ready = |other: &&Task| {
        other.id != task.id && cx.trace.state_at(other.id, worst.to.saturating_sub(1)) == Some(TaskState::Scheduled)
    };
    cx.trace.tasks().iter().take(TASKS_CHECKED_MAX).filter(is_ready).count() as u64
}
