//! Busy yielding: a task gives its turn away again and again, having done nothing.
//!
//! *Sees* many polls in a row that took next to no time and ended in a turn given away (`yield_now`), or in a wake by the
//! task itself. A task that computes between its yields is doing it right, and is left alone.
//! *Bad*, because the loop never parks: a whole processor is spent on asking whether something has happened yet.
//! *To do*: await what is being asked for: a notify, a channel, a timer.

use super::super::units::{how_many, human_ns, human_number};
use super::{Case, Lint, Severity, Sighting, each};
use crate::trace::{AwaitKind, Cycle, Nanos, Task};

pub const LINT: Lint = Lint {
    name: "busy-yield",
    severity: Severity::Warn,
    advice: "await what it asks for again and again",
    look: || each(of_task),
};

fn of_task(case: &Case, task: &Task) -> Option<Sighting> {
    let limits = case.limits;
    if task.counts.polls < limits.busy_yield_turns {
        return None;
    }
    let wakes_itself =
        task.counts.self_wakes >= limits.busy_yield_turns && task.counts.self_wakes * 2 > task.counts.wakes;
    let spins = |cycle: &Cycle| {
        let Some(end) = cycle.end() else { return false };
        let gave_turn_away = cycle.waiting_on().1 == AwaitKind::Yield;
        let woke_itself = wakes_itself && cycle.woken() == Some(end);
        end - cycle.start <= limits.busy_yield_poll_ns && (gave_turn_away || woke_itself)
    };
    let (mut run, mut began): (u64, Nanos) = (0, 0);
    let mut longest: (u64, Nanos, Nanos) = (0, 0, 0);
    for cycle in task.lane.cycles() {
        if !spins(&cycle) {
            run = 0;
            continue;
        }
        began = if run == 0 { cycle.start } else { began };
        run += 1;
        if run > longest.0 {
            longest = (run, began, cycle.start);
        }
    }
    let (turns, from, to) = longest;
    (turns >= limits.busy_yield_turns).then(|| Sighting {
        task: Some(task.id),
        at_ns: from,
        seen: format!("{} gave its turn away {} times in a row and did nothing", task.name(), human_number(turns)),
        evidence: format!(
            "{} in {} from {} on; {} in all, {} by itself",
            how_many(turns, "poll"),
            human_ns(to - from),
            human_ns(from),
            how_many(task.counts.wakes, "wake"),
            human_number(task.counts.self_wakes),
        ),
    })
}
