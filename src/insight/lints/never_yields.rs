//! Lint `never-yields`: a task computes for a long time in one poll.
//!
//! *Detects* polls with very long computations, or with many calls of `work` and no yield between them. A poll that
//! computes once and then awaits is cooperative, however long the others wait.
//! *Problem*: other tasks could run between two calls of `work`, but cannot.
//! *Fix*: call `yield_now` between the pieces, or move the computation to the blocking pool.

use super::super::units::{human_ns, pluralize};
use super::{Diagnostic, Lint, LintContext, Severity, whole_trace};

pub const LINT: Lint = Lint {
    name: "never-yields",
    severity: Severity::Warn,
    summary: "a task computes for a long time in one poll",
    advice: "yield between the pieces of work, or move the computation off the loop",
    new_pass: || whole_trace(check),
};

fn check(cx: &LintContext) -> Vec<Diagnostic> {
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    let mut tasks: Vec<_> = cx.index.greedy_polls.iter().map(|poll| poll.task).collect();
    tasks.sort_unstable();
    tasks.dedup();
    for task in tasks.into_iter().filter_map(|id| cx.trace.task(id)) {
        let polls: Vec<_> = cx.long_polls(task).collect();
        let is_greedy =
            |from| cx.index.greedy_polls.binary_search_by_key(&(from, task.id), |poll| (poll.from, poll.task)).is_ok();
        let count = polls.iter().filter(|poll| is_greedy(poll.from)).count();
        let Some(first) = polls.iter().find(|poll| is_greedy(poll.from)) else { continue };
        let Some(worst) = polls.iter().max_by_key(|poll| (poll.computing_ns, std::cmp::Reverse(poll.from))) else {
            continue;
        };
        let problem = format!("{} computed for {} without yielding", task.name(), human_ns(worst.computing_ns));
        // Blocking is a different problem (`blocked-loop`) with a different fix.
        let blocking = match worst.blocked_ns() {
            ns if ns == 0 || worst.blocking_calls == 0 => String::new(),
            ns => format!("; not counted: {} of blocking", human_ns(ns)),
        };
        let evidence = format!(
            "{}; the longest at {}, with {}{blocking}",
            pluralize(count as u64, "such poll"),
            human_ns(worst.from),
            pluralize(worst.computing_calls, "`work` call"),
        );
        let diagnostic = Diagnostic::new(Some(task.id), first.from, problem, evidence);
        let location = task.meta.location.as_ref();
        diagnostics.push(diagnostic.at(location).grouped(cx.cause_of(task, ""), worst.computing_ns));
    }
    diagnostics
}
