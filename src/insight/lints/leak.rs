//! A leak: tasks of one place are spawned again and again, and next to none ever ends.
//!
//! *Sees* the tasks that one parent spawns at one place, at several times, and that are still there when the run ends.
//! Many spawned at once are no leak: they may all have been meant to stay.
//! *Bad*, because each keeps its memory and its wakers, and one day the loop does nothing but carry them.
//! *To do*: keep their handles and await or cancel them, or bound how many there are.

use std::collections::BTreeMap;

use super::super::units::{how_many, human_ns, human_number};
use super::{Case, Lint, Severity, Sighting};
use crate::trace::{Nanos, Task, TaskId};

pub const LINT: Lint = Lint {
    name: "leak",
    severity: Severity::Warn,
    advice: "keep their handles and await or cancel them, or bound how many there are",
    look,
};

/// Fewer moments than these are a burst, not a growth.
const MOMENTS_MIN: u64 = 5;

/// What is spawned so soon after the one before is of the same moment: on a real clock a burst takes its time.
const SAME_MOMENT_NS: u64 = 10_000_000;

/// A moment that goes on for so long is followed by another: nobody starts for ever.
const MOMENT_NS_MAX: u64 = 2_000_000_000;

struct Place<'a> {
    first: &'a Task,
    spawned: u64,
    ended: u64,
    /// Different times at which tasks were spawned.
    moments: u64,
    last_spawn: Nanos,
    /// When the moment began that the last one is of.
    moment: Nanos,
    /// When as many were there as make a leak.
    at_limit: Option<Nanos>,
}

fn look(case: &Case) -> Vec<Sighting> {
    let limits = case.limits;
    let mut places: BTreeMap<(Option<TaskId>, &str, u32), Place> = BTreeMap::new();
    for task in case.trace.tasks() {
        let Some(location) = &task.spawned.location else { continue };
        let place = places.entry((task.spawned.parent, &location.file, location.line)).or_insert(Place {
            first: task,
            spawned: 0,
            ended: 0,
            moments: 0,
            last_spawn: 0,
            moment: 0,
            at_limit: None,
        });
        let at = task.lane.spawned();
        place.spawned += 1;
        place.ended += u64::from(!case.never_ended(task));
        let is_same =
            at.saturating_sub(place.last_spawn) < SAME_MOMENT_NS && at.saturating_sub(place.moment) < MOMENT_NS_MAX;
        if place.moments == 0 || !is_same {
            place.moments += 1;
            place.moment = at;
        }
        place.last_spawn = at;
        if place.spawned - place.ended >= limits.leak_tasks {
            place.at_limit.get_or_insert(at);
        }
    }
    let mut seen = Vec::new();
    for ((_, file, line), place) in places {
        let grows = place.moments >= MOMENTS_MIN;
        let ends = place.ended * 100 >= place.spawned * limits.leak_ended_percent.max(1);
        let Some(at_ns) = place.at_limit.filter(|_| grows && !ends) else { continue };
        let left = place.spawned - place.ended;
        seen.push(Sighting {
            task: Some(place.first.id),
            at_ns,
            seen: format!("{} like {} never ended", how_many(left, "task"), place.first.name()),
            evidence: format!(
                "{} spawned at {file}:{line} from {} to {}, of which {} ended",
                human_number(place.spawned),
                human_ns(place.first.lane.spawned()),
                human_ns(place.last_spawn),
                human_number(place.ended),
            ),
        });
    }
    seen
}
