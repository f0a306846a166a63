//! Lint `spawn-storm`: many short tasks are spawned at one location, second after second.
//!
//! *Detects* spawn locations with many tasks that ended soon and after few polls, in two consecutive seconds at least.
//! Many tasks at once are no storm, and neither are tasks that live longer. In an app with input from outside, such as
//! sockets, each task may serve a request. There, one task must spawn at least half of them.
//! *Problem*: this is what a retry without a delay looks like. Each task costs an allocation and a turn of the loop.
//! *Fix*: wait longer after each failure (exponential backoff), or do the work in one task.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::units::{human_ns, human_number};
use super::{Diagnostic, Lint, LintContext, LintPass, Severity};
use crate::trace::{Location, Nanos, Task, TaskId};

pub const LINT: Lint = Lint {
    name: "spawn-storm",
    severity: Severity::Note,
    summary: "many short tasks are spawned at one location, second after second",
    advice: "wait longer after each failure, or do the work in one task",
    new_pass: || Box::new(SpawnStormPass::default()),
};

/// Maximum number of polls of a short task.
const POLLS_MAX: u64 = 3;

const SECOND_NS: u64 = 1_000_000_000;

/// Short tasks that were spawned at one location.
struct StormSite {
    first: TaskId,
    /// Number of tasks spawned in each second, by the task that spawned them.
    by_second: BTreeMap<Nanos, BTreeMap<Option<TaskId>, u64>>,
    tasks: u64,
    life_ns: u64,
}

impl StormSite {
    /// Returns the number of tasks that were spawned in a second; 0 if no task spawned at least half of them, and
    /// `needs_spawner` is set.
    fn spawned_in(&self, second: Nanos, needs_spawner: bool) -> u64 {
        let Some(by_spawner) = self.by_second.get(&second) else { return 0 };
        let total = by_spawner.values().sum::<u64>();
        // Where spawners are not reported, there is one entry.
        let has_spawner = by_spawner.values().any(|count| count.saturating_mul(2) >= total);
        if has_spawner || !needs_spawner { total } else { 0 }
    }
}

/// Spawn locations by file and line.
#[derive(Default)]
struct SpawnStormPass(BTreeMap<(Arc<str>, u32), StormSite>);

impl LintPass for SpawnStormPass {
    fn visit_task(&mut self, cx: &LintContext, task: &Task) {
        let (Some(location), Some(ended)) = (&task.meta.location, task.lane.ended_at()) else { return };
        let (at, life_ns) = (task.lane.spawned_at(), ended.saturating_sub(task.lane.spawned_at()));
        let is_short = life_ns <= cx.thresholds.spawn_storm_life_ns && task.counts.polls <= POLLS_MAX;
        if !is_short || !task.meta.kind.is_task() {
            return;
        }
        let site = self.0.entry((Arc::clone(&location.file), location.line)).or_insert_with(|| StormSite {
            first: task.id,
            by_second: BTreeMap::new(),
            tasks: 0,
            life_ns: 0,
        });
        *site.by_second.entry(at / SECOND_NS).or_default().entry(task.meta.parent).or_default() += 1;
        site.tasks += 1;
        site.life_ns = site.life_ns.saturating_add(life_ns);
    }

    fn finish(&mut self, cx: &LintContext) -> Vec<Diagnostic> {
        let least = cx.thresholds.spawn_storm_tasks;
        let needs_spawner = cx.trace.is_external() && cx.trace.outside_input() != Some(false);
        let mut diagnostics = Vec::new();
        for ((file, line), site) in std::mem::take(&mut self.0) {
            let is_storm = |second: &&Nanos| {
                site.spawned_in(**second, needs_spawner) >= least
                    && site.spawned_in(**second + 1, needs_spawner) >= least
            };
            let Some(since) = site.by_second.keys().find(is_storm) else { continue };
            let most = site.by_second.keys().map(|second| site.spawned_in(*second, needs_spawner)).max().unwrap_or(0);
            let problem = format!(
                "up to {} short tasks like {} were spawned per second",
                human_number(most),
                cx.task_name(site.first)
            );
            let evidence = format!(
                "{} spawned at {file}:{line} ended within {}, after {} on average",
                human_number(site.tasks),
                human_ns(cx.thresholds.spawn_storm_life_ns),
                human_ns(site.life_ns / site.tasks.max(1)),
            );
            let location = Location { file, line };
            let diagnostic = Diagnostic::new(Some(site.first), since.saturating_mul(SECOND_NS), problem, evidence);
            diagnostics.push(diagnostic.at(Some(&location)).counting(site.tasks));
        }
        diagnostics
    }
}
