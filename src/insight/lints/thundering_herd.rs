//! Lint `thundering-herd`: many tasks are woken at once, but only few of them can proceed.
//!
//! *Detects* groups of tasks that one task wakes at one time, of which some proceed and most make no progress. A task
//! makes no progress if it is back at the same await, or in the queue of a lock, without having done anything: no time
//! spent, nothing printed, nothing else awaited. If all or none of them proceed, the group is not reported: the wake
//! treated all of them alike.
//! *Problem*: each wake costs a poll; the more tasks wait, the more polls are wasted.
//! *Fix*: wake one task (`notify_one`, a semaphore with a permit each) instead of all.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::super::units::{human_ns, human_number, pluralize};
use super::{Diagnostic, Lint, LintContext, LintPass, Severity};
use crate::trace::{AwaitId, AwaitKind, Cycle, Nanos, SiteId, Task, TaskId, WakeSource};

pub const LINT: Lint = Lint {
    name: "thundering-herd",
    severity: Severity::Warn,
    summary: "many tasks are woken at once, but only few of them can proceed",
    advice: "wake only as many tasks as can proceed",
    new_pass: || Box::new(ThunderingHerdPass::default()),
};

/// Tasks that one task woke at one time.
#[derive(Default)]
struct WakeGroup {
    woken: u64,
    /// Tasks that made no progress.
    wasted: u64,
    /// What a task without progress waited for.
    example: Option<AwaitId>,
}

/// Wake groups of one waking task that count as a thundering herd.
struct WakerStats {
    first_at: Nanos,
    largest_at: Nanos,
    largest: WakeGroup,
    groups: u64,
    wasted: u64,
}

#[derive(Default)]
struct ThunderingHerdPass {
    /// By waking task and time.
    groups: FxHashMap<(TaskId, Nanos), WakeGroup>,
    /// Tasks and times of printed output.
    printed: FxHashSet<(TaskId, Nanos)>,
    /// Times at which each task acquired a resource.
    acquired: FxHashMap<TaskId, Vec<Nanos>>,
    /// When `printed` and `acquired` were collected. Polls that end later are not judged.
    collected_at: Nanos,
}

impl LintPass for ThunderingHerdPass {
    fn begin_tasks(&mut self, cx: &LintContext) {
        self.collected_at = cx.trace.now();
        self.printed = cx.trace.output().lines().iter().filter_map(|line| Some((line.task?, line.at))).collect();
        for holding in cx.trace.resources().acquisitions() {
            self.acquired.entry(holding.task).or_default().push(holding.start);
        }
    }

    fn visit_task(&mut self, cx: &LintContext, task: &Task) {
        let wakes = wakes_by_tasks(cx, task);
        let awaits: Vec<AwaitId> = if wakes.is_empty() { Vec::new() } else { task.awaits().collect() };
        let acquired = self.acquired.get(&task.id).map_or(&[][..], Vec::as_slice);
        let history = TaskHistory { cx, task, awaits: &awaits, acquired };
        for (waker, at, before, after) in wakes {
            if after.end().unwrap_or(after.start) > self.collected_at {
                continue;
            }
            let group = self.groups.entry((waker, at)).or_default();
            group.woken += 1;
            if history.is_wasted_poll(&before, &after) && !self.printed.contains(&(task.id, after.start)) {
                group.wasted += 1;
                group.example = group.example.or(before.waiting_on().0);
            }
        }
    }

    fn finish(&mut self, cx: &LintContext) -> Vec<Diagnostic> {
        diagnose(cx, std::mem::take(&mut self.groups))
    }
}

/// Returns one diagnostic per waking task: its largest group, and the number of such groups.
fn diagnose(cx: &LintContext, groups: FxHashMap<(TaskId, Nanos), WakeGroup>) -> Vec<Diagnostic> {
    let thresholds = cx.thresholds;
    let is_thundering = |group: &WakeGroup| {
        let proceeded = group.woken - group.wasted;
        group.woken >= thresholds.thundering_herd_tasks
            && proceeded > 0
            && proceeded * 100 <= group.woken * thresholds.thundering_herd_percent
    };
    let mut by_waker: BTreeMap<TaskId, WakerStats> = BTreeMap::new();
    let mut large_groups: Vec<_> = groups.into_iter().filter(|(_, group)| is_thundering(group)).collect();
    large_groups.sort_unstable_by_key(|(key, _)| *key);
    for ((waker, at), group) in large_groups {
        let stats = by_waker.entry(waker).or_insert(WakerStats {
            first_at: at,
            largest_at: at,
            largest: WakeGroup::default(),
            groups: 0,
            wasted: 0,
        });
        stats.groups += 1;
        stats.wasted += group.wasted;
        if group.woken > stats.largest.woken {
            (stats.largest_at, stats.largest) = (at, group);
        }
    }
    by_waker
        .into_iter()
        .map(|(waker, stats)| {
            let example = stats.largest.example.and_then(|id| cx.trace.awaits().get(id));
            let location = example.map_or_else(String::new, |found| format!(": {}", cx.describe_await(&found)));
            let problem = format!(
                "{} woke {} at once, {} of them without progress",
                cx.task_name(waker),
                pluralize(stats.largest.woken, "task"),
                human_number(stats.largest.wasted),
            );
            let evidence = format!(
                "{}, {} in total; the largest at {}{location}",
                pluralize(stats.groups, "thundering herd"),
                pluralize(stats.wasted, "wasted wake"),
                human_ns(stats.largest_at),
            );
            // On several threads it is a guess which task called a waker.
            let doubt = cx.trace.multi_threaded_since().map(|_| "the app has several threads");
            Diagnostic::new(Some(waker), stats.first_at, problem, evidence)
                .at(example.as_ref().and_then(|found| cx.location_of(found)))
                .counting(stats.groups)
                .doubted(doubt)
        })
        .collect()
}

/// Returns each wake of `task` by another task that ended a wait: the waker, the time, the poll before and the poll
/// after.
fn wakes_by_tasks(cx: &LintContext, task: &Task) -> Vec<(TaskId, Nanos, Cycle, Cycle)> {
    let mut found = Vec::new();
    let mut wakes = task.wakes().peekable();
    let mut cycles = task.lane.cycles().peekable();
    while let Some(before) = cycles.next() {
        let (Some(after), Some(end), Some(woken)) = (cycles.peek(), before.end(), before.scheduled_at()) else {
            continue;
        };
        while wakes.peek().is_some_and(|(at, _)| *at < woken.max(end)) {
            wakes.next();
        }
        if let Some((at, source)) = wakes.next_if(|(at, _)| *at <= after.start)
            && let WakeSource::Task(waker) = source
            && cx.trace.task(waker).is_some()
        {
            found.push((waker, at, before, *after));
        }
    }
    found
}

/// Awaits and acquisitions of one task, collected once for all of its polls.
struct TaskHistory<'a> {
    cx: &'a LintContext<'a>,
    task: &'a Task,
    /// In order of creation.
    awaits: &'a [AwaitId],
    /// Times of acquisition, in order.
    acquired: &'a [Nanos],
}

impl TaskHistory<'_> {
    /// Whether the poll `after` a wake made no progress: the task waits where it waited `before`, or in a lock's queue.
    fn is_wasted_poll(&self, before: &Cycle, after: &Cycle) -> bool {
        let ((Some(old), old_kind), (Some(new), kind)) = (before.waiting_on(), after.waiting_on()) else {
            return false;
        };
        // A site has one kind. Comparing kinds first avoids most of the await look-ups, which dominate the cost.
        if old_kind != kind && kind != AwaitKind::Sync {
            return false;
        }
        let is_last = self.task.lane.last().is_some_and(|last| last.step == after.step);
        let has_ended = is_last && self.task.lane.ended_at().is_some_and(|ended| Some(ended) == after.end());
        let spent_ns = after.end().map_or(u64::MAX, |end| end - after.start);
        if has_ended || spent_ns > self.cx.thresholds.busy_yield_poll_ns {
            return false;
        }
        let site = |id| self.cx.trace.awaits().site_of(id);
        let (Some(old_site), Some(new_site)) = (site(old), site(new)) else { return false };
        if old_site == new_site {
            old == new || !self.has_awaited_elsewhere(old_site, old, new)
        } else {
            kind == AwaitKind::Sync && !self.has_acquired_in(after)
        }
    }

    /// Whether an await at a site other than `site` was created between `old` and `new`.
    fn has_awaited_elsewhere(&self, site: SiteId, old: AwaitId, new: AwaitId) -> bool {
        let later = self.awaits.get(self.awaits.partition_point(|id| *id <= old)..).unwrap_or_default();
        let mut between = later.iter().take_while(|id| **id < new);
        between.any(|id| self.cx.trace.awaits().site_of(*id) != Some(site))
    }

    fn has_acquired_in(&self, poll: &Cycle) -> bool {
        let first = self.acquired.partition_point(|at| *at < poll.start);
        self.acquired.get(first).is_some_and(|at| poll.end().is_none_or(|end| *at <= end))
    }
}
