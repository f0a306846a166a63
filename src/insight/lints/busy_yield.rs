//! Lint `busy-yield`: a task yields again and again without doing any work.
//!
//! *Detects* many consecutive polls that took next to no time and ended with a yield (`yield_now`) or a self-wake. A
//! task that computes between its yields is correct and not reported.
//! *Problem*: the loop never parks; a whole core is spent on checking whether something has happened.
//! *Fix*: await the event: a notify, a channel, a timer.

use super::super::units::{human_ns, human_number, pluralize};
use super::{Diagnostic, Lint, LintContext, Severity, per_task};
use crate::trace::{AwaitKind, Cycle, Nanos, Task};

pub const LINT: Lint = Lint {
    name: "busy-yield",
    severity: Severity::Warn,
    summary: "a task is polled again and again without doing any work",
    advice: "await the event instead of checking for it in a loop",
    new_pass: || per_task(check_task),
};

fn check_task(cx: &LintContext, task: &Task) -> Option<Diagnostic> {
    let thresholds = cx.thresholds;
    if task.counts.polls < thresholds.busy_yield_turns {
        return None;
    }
    let wakes_itself =
        task.counts.self_wakes >= thresholds.busy_yield_turns && task.counts.self_wakes * 2 > task.counts.wakes;
    let is_spin = |cycle: &Cycle| {
        let Some(end) = cycle.end() else { return false };
        let yielded = cycle.waiting_on().1 == AwaitKind::Yield;
        let woke_itself = wakes_itself && cycle.scheduled_at() == Some(end);
        end - cycle.start <= thresholds.busy_yield_poll_ns && (yielded || woke_itself)
    };
    let (mut spins, mut began): (u64, Nanos) = (0, 0);
    let mut longest: (u64, Nanos, Nanos) = (0, 0, 0);
    for cycle in task.lane.cycles() {
        if !is_spin(&cycle) {
            spins = 0;
            continue;
        }
        began = if spins == 0 { cycle.start } else { began };
        spins += 1;
        if spins > longest.0 {
            longest = (spins, began, cycle.start);
        }
    }
    let (spins, from, to) = longest;
    (spins >= thresholds.busy_yield_turns).then(|| {
        let problem = format!("{} yielded {} times in a row without doing any work", task.name(), human_number(spins));
        let evidence = format!(
            "{} in {}, starting at {}; {} in total, {} of them self-wakes",
            pluralize(spins, "poll"),
            human_ns(to - from),
            human_ns(from),
            pluralize(task.counts.wakes, "wake"),
            human_number(task.counts.self_wakes),
        );
        Diagnostic::new(Some(task.id), from, problem, evidence)
            .at(task.meta.location.as_ref())
            .grouped(cx.cause_of(task, ""), spins)
    })
}
