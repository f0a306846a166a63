//! Lint `busy-yield`: a task yields again and again without doing any work.
//!
//! *Detects* many consecutive polls that took next to no time and ended with a yield (`yield_now`) or a self-wake. A
//! task that computes between its yields is correct and not reported.
//!
//! An external app does not name its yields: the runtime wakes the task right after the poll, without an await in
//! between. Most polls of such a task are woken by no task and after about the same moment, unlike those of a task that
//! waits for data. Enough wakes must come before any other task is polled: the runtime wakes a task that awaits another
//! one after the poll of that one. Or the task must be polled more than twice as often as all others together. If single
//! polls are not reported, the counts must show self-wakes, or as many polls per second as a loop makes, and again more
//! than twice as many as all other tasks together.
//! *Problem*: the loop never parks; a whole core is spent on checking whether something has happened.
//! *Fix*: await the event: a notify, a channel, a timer.

use super::super::units::{human_ns, human_number, pluralize};
use super::{Diagnostic, Lint, LintContext, Severity, per_task};
use crate::trace::{AwaitKind, Cycle, Fidelity, Nanos, Task, TaskCounts, WakeSource};

pub const LINT: Lint = Lint {
    name: "busy-yield",
    severity: Severity::Warn,
    summary: "a task is polled again and again without doing any work",
    advice: "await the event instead of checking for it in a loop",
    new_pass: || per_task(check_task),
};

/// Maximum time from the end of a poll to the wake of a task that yielded.
const YIELD_WAKE_NS_MAX: u64 = 200_000;

/// Minimum share of a task's polls that are spins where the app does not name its yields, in percent.
const SPIN_PERCENT_MIN: u64 = 50;

/// Minimum time that polls are counted before they count as a rate.
const RATE_NS_MIN: u64 = 1_000_000_000;

fn check_task(cx: &LintContext, task: &Task) -> Option<Diagnostic> {
    let is_polled_often = task.counts.polls >= cx.thresholds.busy_yield_turns;
    if !is_polled_often || !task.meta.kind.is_task() {
        return None;
    }
    if cx.trace.fidelity() == Fidelity::Sampled {
        return check_counts(cx, task);
    }
    check_named_yields(cx, task).or_else(|| if cx.trace.is_external() { check_unnamed_yields(cx, task) } else { None })
}

/// Checks the counts of a task whose single polls are not reported.
fn check_counts(cx: &LintContext, task: &Task) -> Option<Diagnostic> {
    let now = task.lane.ended_at().unwrap_or(cx.trace.now());
    let first = task.lane.stats_from().unwrap_or(task.lane.spawned_at());
    let totals = task.lane.totals_at(now).since(&task.lane.totals_at(first));
    let elapsed_ns = now.saturating_sub(first);
    let TaskCounts { polls, wakes, self_wakes, awaits } = task.counts;
    if elapsed_ns < RATE_NS_MIN || totals.polls == 0 {
        return None;
    }
    let per_second =
        u64::try_from(u128::from(totals.polls) * 1_000_000_000 / u128::from(elapsed_ns)).unwrap_or(u64::MAX);
    let wakes_itself = self_wakes > wakes / 10 * 9 && self_wakes >= cx.thresholds.busy_yield_turns;
    let others = cx.trace.counts().polls.saturating_sub(polls);
    let is_alone = awaits == 0 && polls / 2 > others && per_second >= cx.thresholds.busy_yield_per_second;
    let is_idle = totals.busy_ns / totals.polls <= cx.thresholds.busy_yield_poll_ns.saturating_mul(2);
    // A task that wakes itself now and then is not a loop.
    let is_loop = per_second >= cx.thresholds.busy_yield_per_second / 10;
    if !(is_loop && is_idle && (wakes_itself || is_alone)) {
        return None;
    }
    let problem =
        format!("{} was polled {} times per second without doing any work", task.name(), human_number(per_second));
    let evidence = format!(
        "{} of {} each on average; {} in total, {} of them self-wakes",
        pluralize(totals.polls, "poll"),
        human_ns(totals.busy_ns / totals.polls),
        pluralize(wakes, "wake"),
        human_number(self_wakes),
    );
    let doubt = if wakes_itself { None } else { Some("yields are not reported; it may also wait for data") };
    Some(
        Diagnostic::new(Some(task.id), task.lane.spawned_at(), problem, evidence)
            .at(task.meta.location.as_ref())
            .grouped(cx.cause_of(task, ""), per_second)
            .doubted(doubt),
    )
}

/// Checks for polls of an external app that the runtime itself repeated.
fn check_unnamed_yields(cx: &LintContext, task: &Task) -> Option<Diagnostic> {
    let (mut delays_ns, mut busy_ns, mut first, mut unknown) = (Vec::new(), 0_u64, None, 0_u64);
    let mut undisturbed = 0_u64;
    for cycle in task.lane.cycles() {
        let (Some(end), Some((woken, source))) = (cycle.end(), cycle.first_wake()) else { continue };
        if !matches!(source, WakeSource::Driver | WakeSource::Unknown) {
            continue;
        }
        let (length_ns, delay_ns) = (end - cycle.start, woken.saturating_sub(end));
        if length_ns <= cx.thresholds.busy_yield_poll_ns.saturating_mul(2)
            && delay_ns <= YIELD_WAKE_NS_MAX
            && cycle.waiting_on().0.is_none()
        {
            first.get_or_insert(cycle.start);
            busy_ns += length_ns;
            unknown += u64::from(source == WakeSource::Unknown);
            let is_next = cycle.woken_step().is_some_and(|step| step == cycle.step + 1);
            undisturbed += u64::from(source == WakeSource::Driver && is_next);
            delays_ns.push(delay_ns);
        }
    }
    let spins = delays_ns.len() as u64;
    // Another task that was polled before the wake may have caused it.
    let is_by_no_task = undisturbed >= cx.thresholds.busy_yield_turns;
    let others = cx.trace.counts().polls.saturating_sub(task.counts.polls);
    let is_alone = spins >= cx.thresholds.busy_yield_turns && task.counts.polls / 2 > others;
    if !(is_by_no_task || is_alone) || spins.saturating_mul(100) < task.counts.polls.saturating_mul(SPIN_PERCENT_MIN) {
        return None;
    }
    delays_ns.sort_unstable();
    let (quarter, median, last_quarter) =
        (delays_ns[delays_ns.len() / 4], delays_ns[delays_ns.len() / 2], delays_ns[delays_ns.len() / 4 * 3]);
    if last_quarter > quarter.saturating_mul(2).max(quarter + 10_000) {
        return None;
    }
    let problem = format!("{} was polled {} times without doing any work", task.name(), human_number(spins));
    let evidence = format!(
        "{} that took {} in total; woken {} after the end of the poll, {}; {} of all its polls",
        pluralize(spins, "poll"),
        human_ns(busy_ns),
        human_ns(median),
        match unknown {
            0 => "by no task".to_owned(),
            unknown => format!("by no known task ({} unknown)", pluralize(unknown, "wake source")),
        },
        format_args!("{} %", spins * 100 / task.counts.polls.max(1)),
    );
    let diagnostic = Diagnostic::new(Some(task.id), first?, problem, evidence).at(task.meta.location.as_ref());
    let diagnostic = diagnostic.grouped(cx.cause_of(task, ""), spins);
    Some(diagnostic.doubted(Some("yields are not reported; it may also wait for data that comes at once")))
}

/// Checks for yields that the program reports, and for self-wakes.
fn check_named_yields(cx: &LintContext, task: &Task) -> Option<Diagnostic> {
    let thresholds = cx.thresholds;
    let wakes_itself = task.counts.self_wakes >= thresholds.busy_yield_turns
        && task.counts.self_wakes.saturating_mul(2) > task.counts.wakes;
    let is_spin = |cycle: &Cycle| {
        let Some(end) = cycle.end() else { return false };
        let yielded = cycle.waiting_on().1 == AwaitKind::Yield;
        let woke_itself = wakes_itself && cycle.scheduled_at() == Some(end);
        end - cycle.start <= thresholds.busy_yield_poll_ns && (yielded || woke_itself)
    };
    let (mut spins, mut began): (u64, Nanos) = (0, 0);
    let mut longest: (u64, Nanos, Nanos) = (0, 0, 0);
    for cycle in task.lane.cycles() {
        if !is_spin(&cycle) {
            spins = 0;
            continue;
        }
        began = if spins == 0 { cycle.start } else { began };
        spins += 1;
        if spins > longest.0 {
            longest = (spins, began, cycle.start);
        }
    }
    let (spins, from, to) = longest;
    (spins >= thresholds.busy_yield_turns).then(|| {
        let problem = format!("{} yielded {} times in a row without doing any work", task.name(), human_number(spins));
        let evidence = format!(
            "{} in {}, starting at {}; {} in total, {} of them self-wakes",
            pluralize(spins, "poll"),
            human_ns(to - from),
            human_ns(from),
            pluralize(task.counts.wakes, "wake"),
            human_number(task.counts.self_wakes),
        );
        Diagnostic::new(Some(task.id), from, problem, evidence)
            .at(task.meta.location.as_ref())
            .grouped(cx.cause_of(task, ""), spins)
    })
}
