//! Lint `blocked-loop`: a long poll that does something other than computation.
//!
//! *Detects* polls over the threshold, after subtracting the time that the program declares as computation (`work` in a
//! script; other programs declare none). What remains are calls that block, such as a blocking
//! sleep, file access or an OS lock. Either the blocking call is known, or another task was delayed by the poll: it was
//! scheduled meanwhile, or a timer or I/O woke it only when the poll had ended. If other workers took all of its tasks, and
//! the worker is known, the finding is uncertain. A poll in `block_in_place` is not reported,
//! because another thread continues the worker's tasks. The time for which an app may have waited for a processor is
//! subtracted: the machine was busy. If that is a notable part of the poll, and the blocking call is not known, the finding
//! is uncertain.
//! Where the program samples its stack during a long poll, as Python does, the last sample says where it was.
//! *Problem*: no other task on the loop runs meanwhile, although the thread is idle. On a multi-threaded runtime the
//! other workers go on, but the timers and sockets of all of them may wait for the blocked one. So do the tasks in its
//! queue that no other worker takes: where the worker of each poll is known, those that it polled next.
//! *Fix*: await instead of blocking, or move the call to the blocking pool. Long computation is a different problem:
//! `never-yields`.

use std::collections::BTreeSet;

use super::super::long_poll::LongPoll;
use super::super::units::{human_ns, pluralize};
use super::{Diagnostic, Lint, LintContext, Severity, per_task};
use crate::trace::{Cycle, Fidelity, Nanos, StackFrame, StackSample, Task, TaskId, TaskKind, TaskState, WakeSource};

pub const LINT: Lint = Lint {
    name: "blocked-loop",
    severity: Severity::Warn,
    summary: "a poll blocks its thread, so that other tasks cannot run",
    advice: "await instead of blocking, or move the call to the blocking pool",
    new_pass: || per_task(check_task),
};

/// Maximum number of tasks that are checked for having been delayed.
const TASKS_CHECKED_MAX: usize = 1_000;

/// Maximum number of polls, the longest first, for which delayed tasks are searched.
const POLLS_CHECKED_MAX: usize = 8;

/// Maximum number of cycles of a worker, from the start of a poll on, among which that poll is searched.
const CYCLES_CHECKED_MAX: usize = 4;

/// Maximum time from the end of a poll to a wake that it delayed.
const LATE_WAKE_NS_MAX: u64 = 2_000_000;

/// Minimum delay of a scheduled task on a multi-threaded runtime, where another worker could take it.
const DELAY_NS_MIN: u64 = 10_000_000;

/// Minimum share of a poll, in percent, in which threads waited for a processor on a machine that is busy.
const WAITED_PERCENT_MIN: u64 = 10;

/// Tasks that a poll delayed.
#[derive(Default)]
struct DelayedTasks {
    tasks: Vec<TaskId>,
    /// The longest known delay, and the task.
    longest: Option<(u64, TaskId)>,
}

fn check_task(cx: &LintContext, task: &Task) -> Option<Diagnostic> {
    if task.meta.kind == TaskKind::Worker || cx.is_beside_workers(task) {
        return None;
    }
    // Printing a panic message takes time, but is not the problem.
    let panicked = |poll: &LongPoll| {
        let is_last = task.outcome.is_some() && task.lane.last().is_some_and(|last| last.start == poll.from);
        is_last && cx.index.has_panic(poll.from, poll.to)
    };
    let is_blocked = |poll: &LongPoll| {
        poll.blocked_ns() > cx.thresholds.blocked_loop_ns && !is_taken_over(cx, task, poll) && !panicked(poll)
    };
    let mut polls: Vec<LongPoll> = cx.long_polls(task).filter(is_blocked).collect();
    let first = polls.iter().map(|poll| poll.from).min()?;
    let total_ns = polls.iter().fold(0_u64, |sum, poll| sum.saturating_add(poll.blocked_ns()));
    let calls = polls.iter().map(|poll| poll.blocking_calls).sum();
    polls.sort_by_key(|poll| (std::cmp::Reverse(poll.blocked_ns()), poll.from));
    let delayed = polls.iter().take(POLLS_CHECKED_MAX).map(|poll| (poll, delayed_tasks(cx, task, poll)));
    let (poll, delayed) =
        { delayed }.find(|(_, delayed)| !delayed.tasks.is_empty()).unwrap_or((&polls[0], DelayedTasks::default()));
    let call = poll.longest_call.map(|call| {
        let (location, longest) = (cx.describe_await(&call), human_ns(cx.duration_ns(&call)));
        format!("{}, the longest {longest}: {location}", pluralize(calls, "blocking call"))
    });
    let is_running = poll.to == cx.trace.now() && task.outcome.is_none();
    let doubt = if cx.trace.fidelity() == Fidelity::Sampled && cx.index.has_late_worker() {
        Some("the app uses `block_in_place`, and single starts of workers may be reported late")
    } else if is_running && poll.waited_ns > 0 {
        Some("the poll has not ended, and its thread may wait for a processor")
    } else if is_machine_busy(poll) && call.is_none() {
        Some("the machine was busy: the thread may have waited for another one that had no processor")
    } else if !delayed.tasks.is_empty() || call.is_some() {
        None
    } else if cx.trace.fidelity() == Fidelity::Sampled {
        Some("single wakes are not reported, so it is not known whether another task was delayed")
    } else if is_running && !has_unrecorded_end(cx) {
        Some("the trace ends with this poll, so it is not known yet whether another task was delayed")
    } else if cx.trace.is_external() && cx.workers() > 1 && poll.worker.is_some() {
        Some("no task is known to have waited for this worker; others may have taken its tasks")
    } else {
        return None;
    };
    let what = match (cx.workers(), poll.worker) {
        (1, _) => "the only worker".to_owned(),
        (workers, Some(worker)) => format!("worker {} of {workers}", worker.index()),
        (0, None) if cx.trace.multi_threaded_since().is_some() => "one of several threads".to_owned(),
        (0, None) => "the loop".to_owned(),
        (workers, None) => format!("one of {workers} workers"),
    };
    let problem = format!("{} blocked {what} for {} in one poll", task.name(), human_ns(poll.blocked_ns()));
    let which = if cx.workers() > 1 && poll.worker.is_none() { "; which worker is not reported" } else { "" };
    let delayed = describe_delayed(cx, poll, &delayed);
    let sample = cx.trace.notices().sample(task.id, poll.from, poll.to);
    let not_counted = not_counted(poll);
    let evidence = format!(
        "{} longer than {}, first at {}, {} in total; {}{not_counted}{delayed}{which}",
        pluralize(polls.len() as u64, "poll"),
        human_ns(cx.thresholds.blocked_loop_ns),
        human_ns(first),
        human_ns(total_ns),
        call.unwrap_or_else(|| describe_sample(sample)),
    );
    let called_at = poll.longest_call.and_then(|call| cx.location_of(&call));
    let called_at = called_at.or_else(|| sample?.frame.location.as_ref());
    let diagnostic =
        Diagnostic::new(Some(task.id), first, problem, evidence).at(called_at.or(task.meta.location.as_ref()));
    Some(diagnostic.grouped(cx.cause_of(task, ""), poll.blocked_ns()).doubted(doubt))
}

/// Describes where the program was during a poll of which the blocking call is unknown.
fn describe_sample(sample: Option<&StackSample>) -> String {
    let Some(StackFrame { function, location }) = sample.map(|sample| &sample.frame) else {
        return "blocking call unknown".to_owned();
    };
    let at = location.as_ref().map_or_else(String::new, |location| format!(" at {location}"));
    format!("sampled{at} in {function}")
}

/// Returns whether another thread took over the worker of a poll before the limit: the poll called `block_in_place`.
fn is_taken_over(cx: &LintContext, task: &Task, poll: &LongPoll) -> bool {
    let Some(worker) = poll.worker.and_then(|id| cx.trace.worker(id)) else {
        return cx.index.starts_worker(poll.from, poll.to);
    };
    // The clocks of two threads may differ a little, so the worker may still run its previous poll at that time.
    let cycles = worker.cycle_at(poll.from).into_iter().chain(worker.cycles_from(poll.from).take(CYCLES_CHECKED_MAX));
    let is_poll =
        |cycle: &Cycle| cycle.polled_task() == Some(task.id) && cycle.scheduled_at().is_none_or(|end| end > poll.from);
    let until = { cycles }.find(is_poll).and_then(|cycle| cycle.end()).unwrap_or(poll.to);
    until < poll.to && until.saturating_sub(poll.from) <= cx.thresholds.blocked_loop_ns
}

/// Describes the tasks that a poll delayed. Names those that waited behind a known worker.
fn describe_delayed(cx: &LintContext, poll: &LongPoll, delayed: &DelayedTasks) -> String {
    let Some((ns, longest)) = delayed.longest else { return String::new() };
    let (count, name) = (pluralize(delayed.tasks.len() as u64, "other task"), cx.task_name(longest));
    let longest = format!("{name} for {}", human_ns(ns));
    match (poll.worker, &delayed.tasks[..]) {
        (Some(_), [_]) => format!("; behind it waited {longest}"),
        (Some(_), tasks) => format!("; behind it waited {count} ({}), {longest}", cx.list_names(tasks)),
        (None, _) => format!("; delayed {count}, {longest}"),
    }
}

/// Whether threads of the app waited for a processor during a notable part of a poll. A thread that sleeps until such a
/// one releases a lock, or that the system itself delays, is not counted as waiting.
fn is_machine_busy(poll: &LongPoll) -> bool {
    poll.waited_ns.saturating_mul(100) >= poll.duration_ns().saturating_mul(WAITED_PERCENT_MIN)
}

/// Describes the parts of a poll that are not counted. Computation is a different problem (`never-yields`) with a
/// different fix.
fn not_counted(poll: &LongPoll) -> String {
    let computation = match poll.computing_ns {
        0 => String::new(),
        ns => format!("; not counted: {} of computation", human_ns(ns)),
    };
    let wait = match poll.waited_ns {
        0 => String::new(),
        ns => format!("; not counted: at most {} of waiting for a processor", human_ns(ns)),
    };
    computation + &wait
}

/// Whether the app ended before its last events were recorded, such as the ends of the last polls.
fn has_unrecorded_end(cx: &LintContext) -> bool {
    cx.trace.recording_stats().is_some_and(|stats| stats.is_unfinished)
}

/// Finds the tasks that `poll` of `task` delayed, among the first [`TASKS_CHECKED_MAX`] and those that its worker polled
/// after it, until it parked.
fn delayed_tasks(cx: &LintContext, task: &Task, poll: &LongPoll) -> DelayedTasks {
    let next = poll.worker.and_then(|id| cx.trace.worker(id)).into_iter();
    let next = next.flat_map(|worker| worker.cycles_from(poll.to).map_while(|cycle| cycle.polled_task()));
    let first = cx.trace.tasks().iter().take(TASKS_CHECKED_MAX).map(|task| task.id);
    let candidates: BTreeSet<TaskId> = first.chain(next.take(TASKS_CHECKED_MAX)).collect();
    let mut delayed = DelayedTasks::default();
    for other in candidates.into_iter().filter_map(|id| cx.trace.task(id)) {
        if other.id == task.id || other.is_off_loop() {
            continue;
        }
        let Some(delay_ns) = delay_of(cx, other, poll) else { continue };
        delayed.tasks.push(other.id);
        if delayed.longest.is_none_or(|(longest_ns, _)| delay_ns > longest_ns) {
            delayed.longest = Some((delay_ns, other.id));
        }
    }
    delayed
}

/// Returns whether `other`, scheduled at the end of `poll`, waited for the worker of the poll: that worker polled it
/// next. `None` if that is not known.
fn is_behind(other: &Task, poll: &LongPoll) -> Option<bool> {
    let next = other.lane.cycles_from(poll.to).next()?.worker()?;
    Some(next == poll.worker?)
}

/// Returns by how much `poll` delayed `other`; for a late wake, at most by how much. `None` if it did not.
fn delay_of(cx: &LintContext, other: &Task, poll: &LongPoll) -> Option<u64> {
    let has_several_threads = cx.has_several_threads();
    let last = poll.to.saturating_sub(1);
    let cycle = other.lane.cycle_at(last);
    match cx.trace.state_at(other.id, last)? {
        TaskState::Scheduled => {
            let since = cycle.map_or(other.lane.spawned_at(), |cycle| cycle.scheduled_at().unwrap_or(poll.from));
            let since = since.max(poll.from).min(poll.to);
            let has_waited = || cx.observed_ns(since, poll.to) >= DELAY_NS_MIN;
            let is_delayed = is_behind(other, poll).unwrap_or_else(|| !has_several_threads || has_waited());
            is_delayed.then_some(poll.to - since)
        }
        // The driver runs only between polls: what it wakes right after this one was due during it.
        TaskState::Waiting(..) => {
            let cycle = cycle?;
            let (woken, source): (Nanos, WakeSource) = cycle.first_wake()?;
            let since = cycle.end()?.max(poll.from);
            let is_late = source == WakeSource::Driver && woken >= poll.to && woken - poll.to <= LATE_WAKE_NS_MAX;
            let delay_ns = poll.to.saturating_sub(since);
            let has_waited = || cx.observed_ns(since, poll.to).saturating_mul(2) >= poll.duration_ns();
            (is_late && delay_ns > 0 && (!has_several_threads || has_waited())).then_some(delay_ns)
        }
        _ => None,
    }
}
