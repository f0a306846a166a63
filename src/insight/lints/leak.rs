//! A leak: tasks of one place are spawned again and again, and next to none ever ends.
//!
//! *Sees* the tasks that one parent spawns at one place, at several times, and that are still there when the run ends.
//! Many spawned at once are no leak: they may all have been meant to stay.
//! *Bad*, because each keeps its memory and its wakers, and one day the loop does nothing but carry them.
//! *To do*: keep their handles and await or cancel them, or bound how many there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::units::{how_many, human_ns, human_number};
use super::{Case, Lint, Looking, Severity, Sighting};
use crate::trace::{Nanos, Task, TaskId};

pub const LINT: Lint = Lint {
    name: "leak",
    severity: Severity::Warn,
    advice: "keep their handles and await or cancel them, or bound how many there are",
    look: || Box::new(Places::default()),
};

/// Fewer moments than these are a burst, not a growth.
const MOMENTS_MIN: u64 = 5;

/// What is spawned so soon after the one before is of the same moment: on a real clock a burst takes its time.
const SAME_MOMENT_NS: u64 = 10_000_000;

/// A moment that goes on for so long is followed by another: nobody starts for ever.
const MOMENT_NS_MAX: u64 = 2_000_000_000;

struct Place {
    first: TaskId,
    first_spawn: Nanos,
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

/// By parent, file and line.
#[derive(Default)]
struct Places(BTreeMap<(Option<TaskId>, Arc<str>, u32), Place>);

impl Looking for Places {
    fn task(&mut self, case: &Case, task: &Task) {
        let Some(location) = &task.spawned.location else { return };
        let place = (task.spawned.parent, Arc::clone(&location.file), location.line);
        let at = task.lane.spawned();
        let place = self.0.entry(place).or_insert(Place {
            first: task.id,
            first_spawn: at,
            spawned: 0,
            ended: 0,
            moments: 0,
            last_spawn: 0,
            moment: 0,
            at_limit: None,
        });
        place.spawned += 1;
        place.ended += u64::from(!case.never_ended(task));
        let is_same =
            at.saturating_sub(place.last_spawn) < SAME_MOMENT_NS && at.saturating_sub(place.moment) < MOMENT_NS_MAX;
        if place.moments == 0 || !is_same {
            place.moments += 1;
            place.moment = at;
        }
        place.last_spawn = at;
        if place.spawned - place.ended >= case.limits.leak_tasks {
            place.at_limit.get_or_insert(at);
        }
    }

    fn last_word(&mut self, case: &Case) -> Vec<Sighting> {
        // Those that are forgotten had ended, and may have been of any place.
        let forgotten = case.trace.forgotten().tasks;
        let mut seen = Vec::new();
        for ((_, file, line), place) in std::mem::take(&mut self.0) {
            let grows = place.moments >= MOMENTS_MIN;
            let percent = case.limits.leak_ended_percent.max(1);
            let ends = (place.ended + forgotten).saturating_mul(100) >= (place.spawned + forgotten) * percent;
            let Some(at_ns) = place.at_limit.filter(|_| grows && !ends) else { continue };
            let left = place.spawned - place.ended;
            seen.push(Sighting {
                task: Some(place.first),
                at_ns,
                seen: format!("{} like {} never ended", how_many(left, "task"), case.name(place.first)),
                evidence: format!(
                    "{} spawned at {file}:{line} from {} to {}, of which {} ended",
                    human_number(place.spawned),
                    human_ns(place.first_spawn),
                    human_ns(place.last_spawn),
                    human_number(place.ended),
                ),
            });
        }
        seen
    }
}
