//! Starvation: a task was ready all the while, and another one kept the loop without ever yielding.
//!
//! *Sees* a task that stays scheduled for long during one single poll of a task that never yields. Waiting for one's
//! turn among many is no starvation, nor is waiting behind a blocking call: that is `blocked-loop`.
//! *Bad*, because timers fire late and requests go unanswered though the task has nothing left to wait for.
//! *To do*: make the greedy task yield; the finding names it.

use super::super::case::from_to;
use super::super::units::human_ns;
use super::{Case, Lint, Severity, Sighting, each};
use crate::trace::{Nanos, Task};

pub const LINT: Lint = Lint {
    name: "starvation",
    severity: Severity::Warn,
    advice: "make the greedy one give turns away",
    look: || each(of_task),
};

fn of_task(case: &Case, task: &Task) -> Option<Sighting> {
    if case.known.greedy.is_empty() {
        return None;
    }
    let mut worst: Option<(u64, Nanos, usize)> = None;
    for (from, to) in ready_stretches(case, task) {
        let first = case.known.greedy.partition_point(|poll| poll.to <= from);
        for (index, poll) in case.known.greedy.iter().enumerate().skip(first).take_while(|(_, poll)| poll.from < to) {
            let shared_ns = poll.to.min(to).saturating_sub(poll.from.max(from));
            let longer = worst.is_none_or(|(longest, ..)| shared_ns > longest);
            if poll.task != task.id && shared_ns > case.limits.starvation_ns && longer {
                worst = Some((shared_ns, poll.from.max(from), index));
            }
        }
    }
    let (starved_ns, at_ns, greedy) = worst?;
    let greedy = case.known.greedy[greedy];
    Some(Sighting {
        task: Some(task.id),
        at_ns,
        seen: format!("{} was ready for {} while {} ran on", task.name(), human_ns(starved_ns), case.name(greedy.task)),
        evidence: format!(
            "one poll of {} (task {}) {}",
            case.name(greedy.task),
            greedy.task,
            from_to(greedy.from, greedy.to)
        ),
    })
}

/// When the task was ready and did not run.
fn ready_stretches<'a>(case: &Case, task: &'a Task) -> impl Iterator<Item = (Nanos, Nanos)> + 'a {
    let end = task.lane.ended().unwrap_or(case.trace.now());
    let born = task.lane.cycles().next().map_or(end, |first| first.start);
    let next_starts = task.lane.cycles().skip(1).map(|next| next.start).chain([end]);
    let woken = task.lane.cycles().zip(next_starts).filter_map(|(cycle, next)| Some((cycle.woken()?, next)));
    std::iter::once((task.lane.spawned(), born)).chain(woken).filter(|(from, to)| from < to)
}
