//! Lint `large-future`: the future of a task takes a lot of memory.
//!
//! *Detects* tasks whose future, as spawned, has at least the threshold's size, and tasks whose future the runtime
//! boxed because of its size. Grouped by spawn location. Reports nothing if sizes are unknown.
//! *Problem*: a future is moved and zeroed as a whole. Each task keeps all of it from its first poll to its end, and a
//! caller contains it in its own future. If the runtime boxes it, each spawn costs another allocation.
//! *Fix*: put large buffers into a `Vec` or a `Box`, drop them before the next await, and box calls of large async
//! functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::units::{human_bytes, human_number};
use super::{Diagnostic, Lint, LintContext, LintPass, Severity};
use crate::trace::{Location, Task, TaskId};

pub const LINT: Lint = Lint {
    name: "large-future",
    severity: Severity::Note,
    summary: "the future of a task takes a lot of memory",
    advice: "put large buffers into a Vec or a Box, and drop them before the next await",
    new_pass: || Box::new(LargeFuturePass::default()),
};

/// File and line of the spawn; the task's name if the location is unknown.
type SpawnKey = (Option<(Arc<str>, u32)>, Arc<str>);

/// Tasks with large futures that were spawned at one location.
struct LargeFutureSite {
    /// The first task with the largest future.
    largest: TaskId,
    largest_bytes: u64,
    tasks: u64,
    boxed: u64,
}

/// Size of a task's future in bytes before boxing, and whether the runtime boxed it.
fn future_size(task: &Task) -> Option<(u64, bool)> {
    match (task.meta.original_size_bytes, task.meta.size_bytes) {
        (Some(bytes), _) => Some((bytes, true)),
        (None, Some(bytes)) => Some((bytes, false)),
        (None, None) => None,
    }
}

#[derive(Default)]
struct LargeFuturePass(BTreeMap<SpawnKey, LargeFutureSite>);

impl LintPass for LargeFuturePass {
    fn visit_task(&mut self, cx: &LintContext, task: &Task) {
        let Some((bytes, is_boxed)) = future_size(task) else { return };
        if bytes < cx.thresholds.large_future_bytes && !is_boxed {
            return;
        }
        let at = task.meta.location.as_ref().map(|Location { file, line }| (Arc::clone(file), *line));
        let name = if at.is_some() { "".into() } else { Arc::clone(&task.meta.name) };
        let site = self.0.entry((at, name)).or_insert(LargeFutureSite {
            largest: task.id,
            largest_bytes: bytes,
            tasks: 0,
            boxed: 0,
        });
        site.tasks += 1;
        site.boxed += u64::from(is_boxed);
        if bytes > site.largest_bytes {
            (site.largest, site.largest_bytes) = (task.id, bytes);
        }
    }

    fn finish(&mut self, cx: &LintContext) -> Vec<Diagnostic> {
        let diagnose = |((at, _), site): (SpawnKey, LargeFutureSite)| {
            let spawned_at = at.map_or_else(String::new, |(file, line)| format!(" spawned at {file}:{line}"));
            let boxed = match site.boxed {
                0 => String::new(),
                boxed => format!(", {} of them boxed by the runtime", human_number(boxed)),
            };
            let name = cx.task_name(site.largest);
            let problem = format!("the future of {name} takes {}", human_bytes(site.largest_bytes));
            let noun = if site.tasks == 1 { "task" } else { "tasks" };
            let evidence = format!("{} such {noun}{spawned_at}{boxed}", human_number(site.tasks));
            let at_ns = cx.trace.task(site.largest).map_or(0, |task| task.lane.spawned_at());
            let location = cx.spawn_location(site.largest);
            Diagnostic::new(Some(site.largest), at_ns, problem, evidence).at(location).counting(site.tasks)
        };
        std::mem::take(&mut self.0).into_iter().map(diagnose).collect()
    }
}
