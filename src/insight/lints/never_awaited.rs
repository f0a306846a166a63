//! A coroutine that was never awaited: it was made, and the program ended before anything began it.
//!
//! *Sees* coroutines that the host of the program told of once main was over. Those of a task that failed or was
//! cancelled are left out: it may have been on its way to them.
//! *Bad*, because calling a coroutine function runs none of it: the work was silently not done.
//! *To do*: await it, or make it a task.

use super::super::case::at_place;
use super::{Case, Lint, Severity, Sighting, last};
use crate::trace::Ending;

pub const LINT: Lint = Lint {
    name: "never-awaited",
    severity: Severity::Warn,
    advice: "await it, or make it a task",
    look: || last(look),
};

fn look(case: &Case) -> Vec<Sighting> {
    let cut_short = |task| {
        let ending = case.trace.task(task).and_then(|task| task.ending.as_ref());
        matches!(ending, Some(Ending::Failed(_) | Ending::Cancelled))
    };
    let forgotten = case.trace.resources().unawaited().iter();
    forgotten
        .filter(|(task, ..)| !task.is_some_and(cut_short))
        .map(|(task, at_ns, coroutine)| Sighting {
            task: *task,
            at_ns: *at_ns,
            seen: format!("a coroutine of {} was made and never ran", coroutine.name),
            evidence: match task {
                Some(task) => format!("{} by {}", at_place("made", coroutine.location.as_ref()), case.name(*task)),
                None => at_place("made", coroutine.location.as_ref()),
            },
        })
        .collect()
}
