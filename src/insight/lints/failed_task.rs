//! A failed task: it ended with an error, or panicked.
//!
//! *Sees* every task that failed, whether somebody took its result or not.
//! *Bad*, because what it was to do is not done; and a task that nobody awaits fails without a word.
//! *To do*: read its error; await the task and deal with what it raises.

use super::{Case, Lint, Severity, Sighting, each};
use crate::trace::{Ending, Task};

pub const LINT: Lint = Lint {
    name: "failed-task",
    severity: Severity::Error,
    advice: "mend what its error names, or catch it where it is expected",
    look: || each(of_task),
};

fn of_task(_: &Case, task: &Task) -> Option<Sighting> {
    let Some(Ending::Failed(error)) = &task.ending else { return None };
    let how = if error.starts_with("panicked: ") { "panicked" } else { "failed" };
    let spawned = task.spawned.location.as_ref();
    let whence = spawned.map_or_else(String::new, |location| format!("; spawned at {location}"));
    Some(Sighting {
        task: Some(task.id),
        at_ns: task.lane.ended().unwrap_or(task.lane.spawned()),
        seen: format!("{} {how}", task.name()),
        evidence: format!("{}{whence}", error.lines().next().unwrap_or_default()),
    })
}
