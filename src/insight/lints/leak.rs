//! Lint `leak`: tasks are spawned at one location again and again, and hardly any of them ends.
//!
//! *Detects* tasks that are spawned at one location at several times, and that are still there at the end of the run.
//! Many tasks spawned at once are not a leak, nor is a number that has stopped growing: they may be meant to stay.
//! *Problem*: each task keeps its memory and its wakers, so memory grows without bound.
//! *Fix*: keep the handles and await or cancel the tasks, or limit their number.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::units::{human_ns, human_number, pluralize};
use super::{Diagnostic, Lint, LintContext, LintPass, Severity};
use crate::trace::{Location, Nanos, Task, TaskId};

pub const LINT: Lint = Lint {
    name: "leak",
    severity: Severity::Warn,
    summary: "tasks are spawned at one location again and again, and hardly any of them ends",
    advice: "keep the handles and await or cancel the tasks, or limit their number",
    new_pass: || Box::new(LeakPass::default()),
};

/// Minimum number of spawn bursts for a leak.
const BURSTS_MIN: u64 = 5;

/// Spawns closer together than this belong to one burst: on a real clock a burst takes time.
const BURST_GAP_NS: u64 = 10_000_000;

/// Maximum duration of a burst; spawns after that start a new one.
const BURST_NS_MAX: u64 = 2_000_000_000;

/// A number of tasks has stopped growing once nothing was spawned for this many times the duration of the growth, and
/// for [`STOPPED_NS_MIN`].
const STOPPED_FACTOR: u64 = 4;

/// Minimum time without a spawn after which a number of tasks has stopped growing.
const STOPPED_NS_MIN: u64 = 5_000_000_000;

/// Tasks that were spawned at one location.
struct LeakSite {
    first: TaskId,
    first_spawn: Nanos,
    last_spawn: Nanos,
    spawned: u64,
    ended: u64,
    /// Number of bursts in which tasks were spawned.
    bursts: u64,
    /// Start of the latest burst.
    burst_start: Nanos,
    /// When the number of live tasks reached the threshold.
    reached_limit_at: Option<Nanos>,
}

/// Spawn locations by file and line.
#[derive(Default)]
struct LeakPass(BTreeMap<(Arc<str>, u32), LeakSite>);

impl LintPass for LeakPass {
    fn visit_task(&mut self, cx: &LintContext, task: &Task) {
        let Some(location) = task.meta.location.as_ref().filter(|_| !task.meta.kind.is_runtime()) else { return };
        let key = (Arc::clone(&location.file), location.line);
        let at = task.lane.spawned_at();
        let site = self.0.entry(key).or_insert(LeakSite {
            first: task.id,
            first_spawn: at,
            last_spawn: 0,
            spawned: 0,
            ended: 0,
            bursts: 0,
            burst_start: 0,
            reached_limit_at: None,
        });
        site.spawned += 1;
        site.ended += u64::from(!cx.has_outlived_run(task));
        let is_same_burst =
            at.saturating_sub(site.last_spawn) < BURST_GAP_NS && at.saturating_sub(site.burst_start) < BURST_NS_MAX;
        if site.bursts == 0 || !is_same_burst {
            site.bursts += 1;
            site.burst_start = at;
        }
        // The clocks of two threads differ a little, so a task may have been spawned before the one with the previous id.
        (site.first_spawn, site.last_spawn) = (site.first_spawn.min(at), site.last_spawn.max(at));
        if site.spawned - site.ended >= cx.thresholds.leak_tasks {
            site.reached_limit_at.get_or_insert(at);
        }
    }

    fn finish(&mut self, cx: &LintContext) -> Vec<Diagnostic> {
        // Evicted tasks had ended, and may belong to any location.
        let evicted = cx.trace.evicted().count;
        let mut diagnostics = Vec::new();
        for ((file, line), site) in std::mem::take(&mut self.0) {
            let growth_ns = site.last_spawn - site.first_spawn;
            let quiet_ns = cx.run_end().saturating_sub(site.last_spawn);
            let has_stopped = quiet_ns >= STOPPED_NS_MIN && quiet_ns / STOPPED_FACTOR >= growth_ns;
            let is_growing = site.bursts >= BURSTS_MIN && !has_stopped;
            let percent = cx.thresholds.leak_ended_percent.max(1);
            let most_end = (site.ended + evicted).saturating_mul(100) >= (site.spawned + evicted) * percent;
            let Some(at_ns) = site.reached_limit_at.filter(|_| is_growing && !most_end) else { continue };
            let alive = site.spawned - site.ended;
            let problem =
                format!("{} like {} did not end during the run", pluralize(alive, "task"), cx.task_name(site.first));
            let evidence = format!(
                "{} spawned at {file}:{line} from {} to {}; {} of them ended during the run",
                human_number(site.spawned),
                human_ns(site.first_spawn),
                human_ns(site.last_spawn),
                human_number(site.ended),
            );
            let location = Location { file, line };
            let diagnostic = Diagnostic::new(Some(site.first), at_ns, problem, evidence);
            diagnostics.push(diagnostic.at(Some(&location)).counting(alive));
        }
        diagnostics
    }
}
