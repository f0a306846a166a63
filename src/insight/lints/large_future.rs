//! A large future: a task's own state takes more memory than it should.
//!
//! *Sees* the tasks of one place whose future, as it was spawned, has at least so many bytes, and those that the runtime
//! put into a box of their own because it found them too large. It is silent where sizes are not told.
//! *Bad*, because a future is moved and zeroed as a whole, each task keeps all of it from its first poll to its end, and
//! what calls it carries it inside its own; where the runtime boxes it, each spawn costs one more allocation.
//! *To do*: put large buffers into a `Vec` or a `Box`, let go of them before the next await, and box the calls to large
//! async functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::units::{human_bytes, human_number};
use super::{Case, Lint, Looking, Severity, Sighting};
use crate::trace::{Location, Task, TaskId};

pub const LINT: Lint = Lint {
    name: "large-future",
    severity: Severity::Note,
    advice: "put large buffers into a Vec or a Box, and let go of them before the next await",
    look: || Box::new(Places::default()),
};

/// Where tasks are spawned: file and line; and, where nothing tells that, what they are called.
type Whence = (Option<(Arc<str>, u32)>, Arc<str>);

/// The tasks of one place.
struct Place {
    /// The first of those with the largest future, and how large it is.
    largest: TaskId,
    bytes: u64,
    tasks: u64,
    boxed: u64,
}

/// Bytes of a task's future as its program wrote it, and whether the runtime boxed it.
fn size_of(task: &Task) -> Option<(u64, bool)> {
    match (task.spawned.boxed_from_bytes, task.spawned.size_bytes) {
        (Some(bytes), _) => Some((bytes, true)),
        (None, Some(bytes)) => Some((bytes, false)),
        (None, None) => None,
    }
}

#[derive(Default)]
struct Places(BTreeMap<Whence, Place>);

impl Looking for Places {
    fn task(&mut self, case: &Case, task: &Task) {
        let Some((bytes, is_boxed)) = size_of(task) else { return };
        if bytes < case.limits.large_future_bytes && !is_boxed {
            return;
        }
        let at = task.spawned.location.as_ref().map(|Location { file, line }| (Arc::clone(file), *line));
        let name = if at.is_some() { "".into() } else { Arc::clone(&task.spawned.name) };
        let place = self.0.entry((at, name)).or_insert(Place { largest: task.id, bytes, tasks: 0, boxed: 0 });
        place.tasks += 1;
        place.boxed += u64::from(is_boxed);
        if bytes > place.bytes {
            (place.largest, place.bytes) = (task.id, bytes);
        }
    }

    fn last_word(&mut self, case: &Case) -> Vec<Sighting> {
        let sighting = |((at, _), place): (Whence, Place)| {
            let whence = at.map_or_else(String::new, |(file, line)| format!(" spawned at {file}:{line}"));
            let boxed = match place.boxed {
                0 => String::new(),
                boxed => format!(", of which the runtime boxed {}", human_number(boxed)),
            };
            Sighting {
                task: Some(place.largest),
                at_ns: case.trace.task(place.largest).map_or(0, |task| task.lane.spawned()),
                seen: format!("the future of {} has {}", case.name(place.largest), human_bytes(place.bytes)),
                evidence: format!(
                    "{} such {}{whence}{boxed}",
                    human_number(place.tasks),
                    if place.tasks == 1 { "task" } else { "tasks" }
                ),
            }
        };
        std::mem::take(&mut self.0).into_iter().map(sighting).collect()
    }
}
