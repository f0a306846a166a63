//! Lint `convoy`: tasks queue for a lock, and the queue never drains.
//!
//! *Detects* locks that are handed over many times with at least one waiter throughout, to tasks that return to the
//! queue before it is empty. A queue in which each task waits once drains, and is not reported. Nor is a lock whose
//! owner waits for a message meanwhile: workers that share a receiver queue because there is no work. So most of the
//! time for which the lock is held must be spent computing, sleeping, or on another wait that is known. On a busy machine,
//! computing takes longer, so waits for a processor do not count; a lock that is always held across a long wait is still
//! reported.
//! *Problem*: the tasks run one at a time, at the pace of the lock, and each handover costs a wake and a poll.
//! *Fix*: hold the lock for less time (never across a long await), or share less data.

use std::collections::{BTreeMap, BTreeSet};

use super::super::lint_context::human_interval;
use super::super::units::{human_ns, human_number, pluralize};
use super::{Diagnostic, Lint, LintContext, Severity, whole_trace};
use crate::trace::{
    Await, AwaitKind, AwaitOutcome, AwaitSite, Nanos, ResourceId, ResourceKind, Task, TaskId, WakeSource,
};

pub const LINT: Lint = Lint {
    name: "convoy",
    severity: Severity::Warn,
    summary: "tasks queue for a lock that is held for a long time, and the queue never drains",
    advice: "hold the lock for less time, never across a long await, or share less data",
    new_pass: || whole_trace(check),
};

/// Maximum number of handovers of one queue that are examined.
const HANDOVERS_MAX: usize = 10_000;

/// Minimum wait in each hold that is reported on a busy machine, where even short sleeps end late.
const BUSY_WAIT_NS_MIN: u64 = 5_000_000;

/// An interval with at least one waiter throughout.
#[derive(Clone)]
struct LockQueue {
    from: Nanos,
    to: Nanos,
    handovers: u64,
    tasks: BTreeSet<TaskId>,
    longest_wait_ns: u64,
}

/// An interval for which one task held the lock.
#[derive(Clone, Copy)]
struct LockHold {
    from: Nanos,
    to: Nanos,
    /// Time that the owner spent computing.
    busy_ns: u64,
    /// Time that the owner spent on waits other than for a message.
    waited_ns: u64,
}

/// How waits for a processor are accounted for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WaitDeduction {
    /// They shorten all that the owner did.
    Everything,
    /// They shorten what it computed.
    Computing,
}

fn check(cx: &LintContext) -> Vec<Diagnostic> {
    if cx.lacks_awaits() {
        return Vec::new();
    }
    let locks = cx.awaits_by_kind(ResourceKind::Lock);
    locks.into_iter().filter_map(|(lock, awaits)| check_lock(cx, lock, awaits)).collect()
}

fn check_lock(cx: &LintContext, lock: ResourceId, awaits: &[Await]) -> Option<Diagnostic> {
    let thresholds = cx.thresholds;
    let mut queues: Vec<LockQueue> = Vec::new();
    // Awaits are in order of their start.
    for found in awaits.iter().filter(|found| cx.duration_ns(found) > 0) {
        let (start, end) = (found.start, cx.end_of(found));
        if queues.last().is_none_or(|queue| start >= queue.to) {
            queues.push(LockQueue { from: start, to: end, handovers: 0, tasks: BTreeSet::new(), longest_wait_ns: 0 });
        }
        let Some(queue) = queues.last_mut() else { continue };
        queue.to = queue.to.max(end);
        queue.handovers += u64::from(found.outcome() == AwaitOutcome::Ready);
        queue.tasks.insert(found.task);
        queue.longest_wait_ns = queue.longest_wait_ns.max(end - start);
    }
    let is_convoy = |queue: &&LockQueue| {
        let tasks = queue.tasks.len() as u64;
        tasks >= thresholds.convoy_tasks && queue.handovers >= thresholds.convoy_turns && queue.handovers >= tasks * 2
    };
    let convoys: Vec<_> = queues.iter().filter(is_convoy).collect();
    let first = convoys.first()?;
    let worst = convoys.iter().max_by_key(|queue| (queue.handovers, std::cmp::Reverse(queue.from)))?;
    let mut holds = LockHolds::of(cx, lock, awaits, worst);
    let limit_percent = thresholds.convoy_held_percent;
    let mut occupied_percent = holds.occupied_percent(cx, WaitDeduction::Everything);
    let mut doubt = None;
    if occupied_percent < limit_percent && holds.shortest_wait_ns() >= BUSY_WAIT_NS_MIN {
        occupied_percent = holds.occupied_percent(cx, WaitDeduction::Computing);
        doubt = Some("the machine was busy, which makes waits longer");
    }
    if occupied_percent < limit_percent {
        holds.add_unnamed_waits(cx);
        occupied_percent = holds.occupied_percent(cx, WaitDeduction::Everything);
        doubt = cx.trace.multi_threaded_since().map(|_| "on several threads it is a guess what woke the owners");
    }
    if occupied_percent < limit_percent {
        return None;
    }
    let across =
        holds.longest.map_or_else(String::new, |found| format!(", most of it across {}", cx.describe_await(&found)));
    let name = cx.resource_name(lock);
    let queued = human_number(worst.tasks.len() as u64);
    let handovers = human_number(worst.handovers);
    let problem =
        format!("{queued} tasks queued for {name}, which was handed over {handovers} times before its queue was empty");
    let location = awaits.first().and_then(|found| cx.location_of(found));
    let evidence = format!(
        "{}; the longest {}; longest wait {}; in use for {} % of the time{across}: {}; used by {}",
        pluralize(convoys.len() as u64, "convoy"),
        human_interval(worst.from, worst.to),
        human_ns(worst.longest_wait_ns),
        occupied_percent,
        awaits.first().map_or_else(String::new, |found| cx.describe_await(found)),
        cx.describe_tasks(&worst.tasks),
    );
    let diagnostic = Diagnostic::new(None, first.from, problem, evidence).at(location);
    Some(diagnostic.counting(convoys.len() as u64).doubted(doubt).doubted(cx.missing_awaits()))
}

/// What the owners of a lock did while they held it.
struct LockHolds {
    /// In order of time.
    by_owner: BTreeMap<TaskId, Vec<LockHold>>,
    /// The longest wait of an owner.
    longest: Option<Await>,
}

impl LockHolds {
    /// Examines each hold in `queue`: from one completed lock call to the wake of the next owner.
    fn of(cx: &LintContext, lock: ResourceId, awaits: &[Await], queue: &LockQueue) -> Self {
        let acquired = awaits.iter().filter(|found| found.outcome() == AwaitOutcome::Ready);
        let mut acquired: Vec<(Nanos, TaskId)> =
            acquired.filter_map(|found| Some((found.end()?, found.task))).collect();
        acquired.sort_unstable();
        let first = acquired.partition_point(|(at, _)| *at < queue.from);
        let last = acquired.partition_point(|(at, _)| *at <= queue.to);
        let acquired = &acquired[first..last.min(first + HANDOVERS_MAX)];
        let mut holds = Self { by_owner: BTreeMap::new(), longest: None };
        for pair in acquired.windows(2) {
            let to = released_at(cx, pair[1]).clamp(pair[0].0, pair[1].0);
            let hold = LockHold { from: pair[0].0, to, busy_ns: 0, waited_ns: 0 };
            holds.by_owner.entry(pair[0].1).or_default().push(hold);
        }
        let mut longest_ns = 0;
        for (task, holds_of_task) in &mut holds.by_owner {
            let Some(task) = cx.trace.task(*task) else { continue };
            add_computing(task, holds_of_task);
            for found in task.awaits().filter_map(|id| cx.trace.awaits().get(id)) {
                if found.resource() == Some(lock) || !cx.site(&found).is_some_and(is_occupying) {
                    continue;
                }
                let overlap_ns = add_overlap(holds_of_task, found.start, cx.end_of(&found));
                if overlap_ns > longest_ns {
                    (longest_ns, holds.longest) = (overlap_ns, Some(found));
                }
            }
        }
        holds
    }

    /// Adds waits of the owners that have no name and that a timer or I/O ended.
    fn add_unnamed_waits(&mut self, cx: &LintContext) {
        for (task, holds) in &mut self.by_owner {
            let cycles = cx.trace.task(*task).into_iter().flat_map(|task| task.lane.cycles());
            for cycle in cycles.filter(|cycle| cycle.waiting_on().0.is_none()) {
                if let (Some(end), Some((woken, WakeSource::Driver))) = (cycle.end(), cycle.first_wake()) {
                    add_overlap(holds, end, woken);
                }
            }
        }
    }

    /// Shortest time that an owner spent on waits other than for a message while it held the lock.
    fn shortest_wait_ns(&self) -> u64 {
        self.by_owner.values().flatten().map(|hold| hold.waited_ns).min().unwrap_or(0)
    }

    /// Share of the time for which the lock was held that the owners spent on something other than waiting for a message,
    /// in percent.
    fn occupied_percent(&self, cx: &LintContext, deduction: WaitDeduction) -> u64 {
        let (mut held_ns, mut occupied_ns) = (0_u64, 0_u64);
        // Holds of an evicted task do not count.
        for (_, holds) in self.by_owner.iter().filter(|(task, _)| cx.trace.task(**task).is_some()) {
            for hold in holds {
                // An owner that waits for a processor keeps the lock for longer.
                let mut observed_ns = cx.observed_ns(hold.from, hold.to);
                let mut hold_occupied_ns = hold.busy_ns.saturating_add(hold.waited_ns);
                if deduction == WaitDeduction::Computing {
                    let recorded_ns = (hold.to - hold.from).saturating_sub(cx.unobserved_ns(hold.from, hold.to));
                    let processor_wait_ns = recorded_ns.saturating_sub(observed_ns);
                    observed_ns = observed_ns.max(hold.waited_ns.min(recorded_ns));
                    hold_occupied_ns = hold.busy_ns.saturating_sub(processor_wait_ns).saturating_add(hold.waited_ns);
                }
                held_ns = held_ns.saturating_add(observed_ns);
                occupied_ns = occupied_ns.saturating_add(hold_occupied_ns.min(observed_ns));
            }
        }
        occupied_ns.saturating_mul(100) / held_ns.max(1)
    }
}

/// Returns when the lock was released for the task that acquired it at `acquired`: the release wakes the next owner, which
/// may be polled much later. This is the time of acquisition where single wakes are not recorded.
fn released_at(cx: &LintContext, acquired: (Nanos, TaskId)) -> Nanos {
    let (at, task) = acquired;
    let woken = cx.trace.task(task).and_then(|task| {
        let poll = task.lane.cycle_at(at)?;
        Some(task.lane.cycle_at(poll.start.checked_sub(1)?)?.first_wake()?.0)
    });
    woken.unwrap_or(at)
}

/// Whether a wait at `site` occupies the lock, unlike a wait for a message.
fn is_occupying(site: &AwaitSite) -> bool {
    let is_send = || site.source.split('(').next().is_some_and(|called| called.ends_with("send"));
    match site.kind {
        AwaitKind::Channel => is_send(),
        AwaitKind::Yield | AwaitKind::Other => false,
        AwaitKind::Timer | AwaitKind::Task | AwaitKind::Sync | AwaitKind::Io | AwaitKind::BlockingCall => true,
    }
}

/// Adds the polls of the owner, unless its polls were only sampled.
fn add_computing(task: &Task, holds: &mut [LockHold]) {
    if task.lane.is_sampled() {
        return;
    }
    for hold in holds {
        let busy_ns = |at| task.lane.totals_at(at).busy_ns;
        hold.busy_ns = busy_ns(hold.to).saturating_sub(busy_ns(hold.from));
    }
}

/// Adds the part of an interval that lies in each hold. Returns the longest part.
fn add_overlap(holds: &mut [LockHold], from: Nanos, to: Nanos) -> u64 {
    let first = holds.partition_point(|hold| hold.to <= from);
    let mut longest_ns = 0;
    for hold in holds[first..].iter_mut().take_while(|hold| hold.from < to) {
        let overlap_ns = hold.to.min(to).saturating_sub(hold.from.max(from));
        hold.waited_ns = hold.waited_ns.saturating_add(overlap_ns);
        longest_ns = longest_ns.max(overlap_ns);
    }
    longest_ns
}
