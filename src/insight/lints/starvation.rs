//! Lint `starvation`: a task was scheduled for a long time while another one ran without yielding.
//!
//! *Detects* tasks that stay scheduled for a long time during a single greedy poll of another task. Waiting in the
//! ready queue behind many tasks is not starvation, nor is waiting behind a blocking call: that is `blocked-loop`.
//! *Problem*: timers fire late and requests are delayed although the task has nothing to wait for.
//! *Fix*: make the greedy task yield; the finding names it.

use super::super::lint_context::human_interval;
use super::super::units::human_ns;
use super::{Diagnostic, Lint, LintContext, Severity, per_task};
use crate::trace::{Nanos, Task};

pub const LINT: Lint = Lint {
    name: "starvation",
    severity: Severity::Warn,
    summary: "a task was scheduled for a long time while another one ran without yielding",
    advice: "make the running task yield",
    new_pass: || per_task(check_task),
};

fn check_task(cx: &LintContext, task: &Task) -> Option<Diagnostic> {
    if cx.index.greedy_polls.is_empty() {
        return None;
    }
    let mut worst: Option<(u64, Nanos, usize)> = None;
    for (from, to) in ready_intervals(cx, task) {
        let first = cx.index.greedy_polls.partition_point(|poll| poll.to <= from);
        let polls = cx.index.greedy_polls.iter().enumerate().skip(first);
        for (index, poll) in polls.take_while(|(_, poll)| poll.from < to) {
            let overlap_ns = poll.to.min(to).saturating_sub(poll.from.max(from));
            let is_longer = worst.is_none_or(|(longest, ..)| overlap_ns > longest);
            if poll.task != task.id && overlap_ns > cx.thresholds.starvation_ns && is_longer {
                worst = Some((overlap_ns, poll.from.max(from), index));
            }
        }
    }
    let (starved_ns, at_ns, index) = worst?;
    let poll = cx.index.greedy_polls[index];
    let greedy = cx.task_name(poll.task);
    let starved = human_ns(starved_ns);
    let problem = format!("{} was scheduled for {starved} while {greedy} ran without yielding", task.name());
    let evidence = format!("one poll of {greedy} (task {}) {}", poll.task, human_interval(poll.from, poll.to));
    // The cause is the greedy task, whichever tasks it starves.
    let diagnostic = Diagnostic::new(Some(task.id), at_ns, problem, evidence);
    let location = cx.spawn_location(poll.task);
    let group = location.map(|location| format!("{location} {greedy}"));
    Some(diagnostic.at(location).grouped(group, starved_ns))
}

/// Intervals in which the task was scheduled but not running.
fn ready_intervals<'a>(cx: &LintContext, task: &'a Task) -> impl Iterator<Item = (Nanos, Nanos)> + 'a {
    let end = task.lane.ended_at().unwrap_or(cx.trace.now());
    let first_poll = task.lane.cycles().next().map_or(end, |first| first.start);
    let next_polls = task.lane.cycles().skip(1).map(|next| next.start).chain([end]);
    let woken = task.lane.cycles().zip(next_polls).filter_map(|(cycle, next)| Some((cycle.scheduled_at()?, next)));
    std::iter::once((task.lane.spawned_at(), first_poll)).chain(woken).filter(|(from, to)| from < to)
}
