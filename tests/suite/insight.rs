//! Tests of the lints: each on a trace with the problem, and on a similar trace without it.

use loopscope::insight::{FINDINGS_MAX, LINTS, LintRunner, RunSummary, Severity, Thresholds, run_lints};
use loopscope::trace::{
    AwaitKind, Event, Location, RecordingStats, ResourceAttribute, ResourceId, ResourceKind, TaskActivity, TaskCounts,
    TaskId, TaskKind, TaskOutcome, TaskStats, UnawaitedCoroutine, WakeSource,
};

use crate::trace_builder::{MILLISECOND, SECOND, TraceBuilder};

const NO_FINDINGS: [&str; 0] = [];

#[test]
fn blocked_loop_reports_long_polls() {
    let polls_of = |source: &str, length_ns: u64| {
        let mut builder = TraceBuilder::default();
        let (main, other) = (builder.spawn("main"), builder.spawn("other"));
        builder.poll_with_call(main, source, length_ns);
        builder.start_poll(other);
        builder.end_poll(other);
        builder
    };
    let limit_ns = Thresholds::default().blocked_loop_ns;
    let blocked = polls_of("block", limit_ns + MILLISECOND).only_finding();
    assert!(blocked.contains("main blocked the loop for 101 ms"), "{blocked}");
    assert!(blocked.contains("block at story.lua:5; delayed 1 other task, other for 101 ms"), "{blocked}");
    assert_eq!(polls_of("block", limit_ns).lint_names(), NO_FINDINGS);
    assert_eq!(polls_of("work", 10 * limit_ns).lint_names(), NO_FINDINGS, "declared computing");
    let mut silent = TraceBuilder::default();
    let task = silent.spawn("main");
    silent.start_poll(task);
    silent.advance_to(SECOND);
    assert_eq!(silent.lint_names(), ["blocked-loop"], "a poll in progress counts up to now");
}

/// Times from an external app or a file are untrusted: sums saturate, and nothing panics.
#[test]
fn extreme_times_saturate() {
    let mut builder = TraceBuilder::default();
    let actor = builder.new_resource(ResourceKind::Actor, "player", 1);
    let tasks = [builder.spawn("main"), builder.spawn("other")];
    for task in tasks {
        builder.start_poll(task);
        for (kind, source, of) in [
            (AwaitKind::BlockingCall, "work", None),
            (AwaitKind::Channel, "send", None),
            (AwaitKind::Timer, "sleep", Some(actor)),
        ] {
            for _ in 0..2 {
                builder.start_await(task, kind, source, of);
            }
        }
    }
    builder.advance_to(u64::MAX - 1);
    assert_eq!(RunSummary::of(&builder.trace).busy_ns, u64::MAX);
    assert!(builder.lint_names().contains(&"overlapping-work"));
    tasks.into_iter().for_each(|task| builder.end_poll(task));
    assert_eq!(RunSummary::of(&builder.trace).busy_ns, u64::MAX);
    assert!(builder.lint_names().contains(&"overlapping-work"));
}

#[test]
fn sampled_poll_lasts_until_last_seen() {
    let limit_ns = Thresholds::default().blocked_loop_ns;
    let found = |observed_ns: u64, ended: Option<u64>| {
        let mut builder = TraceBuilder::default();
        builder.trace.set_sampled();
        builder.trace.set_external();
        let task = builder.spawn("main");
        let mut update = |at: u64, busy_ns: u64, polls: u64, doing: TaskActivity, polled: (u64, Option<u64>)| {
            let measured =
                TaskStats { polls, busy_ns, scheduled_ns: 0, activity: doing, waker_clones: 0, waker_drops: 0 };
            builder.apply(Event::TaskStats { task, at, stats: Box::new(measured) });
            builder.apply(Event::Sample { task, last_poll: Some(polled), last_wake: None });
        };
        update(SECOND + observed_ns, observed_ns, 1, TaskActivity::Running, (SECOND, None));
        match ended {
            Some(ended) => builder.apply(Event::TaskEnd { task, at: ended, outcome: TaskOutcome::Completed }),
            None => update(9 * SECOND, 2 * observed_ns, 7, TaskActivity::Waiting, (8 * SECOND, Some(8 * SECOND + 1))),
        }
        builder.advance_to(9 * SECOND);
        builder.lint_names()
    };
    assert_eq!(found(limit_ns + 1, None), ["blocked-loop"]);
    assert_eq!(found(limit_ns - 1, None), NO_FINDINGS, "no data for seconds, apart from a later poll");
    assert_eq!(found(limit_ns - 1, Some(SECOND + limit_ns)), NO_FINDINGS, "the poll ended with its task");
}

#[test]
fn never_yields_and_starvation() {
    let computing = |pieces: u64, turns: bool| {
        let mut builder = TraceBuilder::default();
        let (main, other) = (builder.spawn("main"), builder.spawn("other"));
        builder.start_poll(main);
        for _ in 0..pieces {
            builder.blocking_call(main, "work", 200 * MILLISECOND);
            if turns {
                let turn = builder.start_await(main, AwaitKind::Yield, "yield_now", None);
                builder.wake(main, WakeSource::Driver);
                builder.end_poll(main);
                builder.start_poll(main);
                builder.end_await_ready(turn);
            }
        }
        builder.end_poll(main);
        builder.start_poll(other);
        builder.end_poll(other);
        builder
    };
    let pieces = Thresholds::default().never_yields_pieces;
    assert_eq!(computing(pieces, false).lint_names(), ["never-yields", "starvation"]);
    assert_eq!(computing(pieces - 1, false).lint_names(), NO_FINDINGS);
    assert_eq!(computing(pieces, true).lint_names(), NO_FINDINGS, "yields in between");
    let mut long = TraceBuilder::default();
    let main = long.spawn("main");
    long.poll_with_call(main, "work", Thresholds::default().never_yields_ns + 1);
    assert!(long.only_finding().contains("main computed for 10 s without yielding"), "{}", long.only_finding());
}

#[test]
fn busy_yield_reports_idle_yields() {
    let yields = |turns: u64, length_ns: u64, source: WakeSource, kind: AwaitKind| {
        let mut builder = TraceBuilder::default();
        let main = builder.spawn("main");
        for _ in 0..turns {
            builder.start_poll(main);
            let turn = builder.start_await(main, kind, "yield_now", None);
            builder.advance_to(builder.now + length_ns);
            builder.wake(main, source);
            builder.end_poll(main);
            builder.end_await_ready(turn);
        }
        builder.advance_to(builder.now + SECOND);
        builder.lint_names()
    };
    let turns = Thresholds::default().busy_yield_turns;
    assert_eq!(yields(turns, 0, WakeSource::Driver, AwaitKind::Yield), ["busy-yield"]);
    assert_eq!(yields(turns, 0, WakeSource::SelfWake, AwaitKind::Other), ["busy-yield"]);
    assert_eq!(yields(turns - 1, 0, WakeSource::Driver, AwaitKind::Yield), NO_FINDINGS);
    assert_eq!(yields(turns, 2 * MILLISECOND, WakeSource::Driver, AwaitKind::Yield), NO_FINDINGS, "polls that do work");
    assert_eq!(yields(turns, 0, WakeSource::Driver, AwaitKind::Timer), NO_FINDINGS);
}

#[test]
fn failed_task_reports_its_error() {
    let mut builder = TraceBuilder::default();
    let (main, bad) = (builder.spawn("main"), builder.spawn("bad"));
    builder.end_task(bad, TaskOutcome::Failed("panicked: no\nand more".into()));
    builder.end_task(main, TaskOutcome::Cancelled);
    assert!(
        builder.only_finding().contains("bad panicked")
            && builder.only_finding().contains("panicked: no; spawned at story.lua:9")
    );
}

#[test]
fn never_awaited_reports_unrun_coroutines() {
    let run_with_outcome = |outcome: TaskOutcome| {
        let mut builder = TraceBuilder::default();
        let main = builder.spawn("main");
        let location = Some(Location { file: "story.lua".into(), line: 4 });
        let coroutine = Box::new(UnawaitedCoroutine { name: "count".into(), location });
        builder.apply(Event::NeverAwaited { task: Some(main), at: 0, coroutine });
        builder.end_task(main, outcome);
        builder
    };
    assert!(
        run_with_outcome(TaskOutcome::Completed).only_finding().contains("coroutine `count` was created but never run")
    );
    assert_eq!(run_with_outcome(TaskOutcome::Cancelled).lint_names(), NO_FINDINGS);
}

#[test]
fn overlapping_work_of_one_actor() {
    let work = |second_at: u64, actors: [&str; 2]| {
        let mut builder = TraceBuilder::default();
        let tasks = [builder.spawn("a"), builder.spawn("b")];
        let player = builder.new_resource(ResourceKind::Actor, actors[0], 1);
        let other =
            if actors[0] == actors[1] { player } else { builder.new_resource(ResourceKind::Actor, actors[1], 1) };
        let first = builder.start_await(tasks[0], AwaitKind::Timer, "sleep", Some(player));
        if second_at >= 5 * SECOND {
            builder.advance_to(5 * SECOND).end_await_ready(first);
        }
        let second = builder.advance_to(second_at).start_await(tasks[1], AwaitKind::Timer, "sleep", Some(other));
        if second_at < 5 * SECOND {
            builder.advance_to(5 * SECOND).end_await_ready(first);
        }
        builder.advance_to(second_at + 5 * SECOND).end_await_ready(second);
        builder
    };
    let text = work(4 * SECOND, ["player"; 2]).only_finding();
    assert!(text.contains("`player` did 2 pieces of work at once"), "{text}");
    assert!(text.contains("10 s of work in 9 s, by 2 tasks"), "{text}");
    assert_eq!(work(5 * SECOND, ["player"; 2]).lint_names(), NO_FINDINGS, "one after the other");
    assert_eq!(work(0, ["player", "opponent"]).lint_names(), NO_FINDINGS, "two actors");
}

#[test]
fn leak_reports_tasks_that_never_end() {
    let spawns = |count: u64, ends_one_in: u64, spacing_ns: u64| {
        let mut builder = TraceBuilder::default();
        let main = builder.spawn("main");
        for number in 0..count {
            let task = builder.advance_to(number * spacing_ns).spawn("worker");
            if number % ends_one_in == 0 {
                builder.end_task(task, TaskOutcome::Completed);
            }
        }
        builder.end_task(main, TaskOutcome::Completed);
        for index in 1..=count as usize {
            builder.end_task(TaskId::from_index(index), TaskOutcome::Cancelled);
        }
        builder.lint_names()
    };
    let tasks = Thresholds::default().leak_tasks;
    assert_eq!(spawns(tasks + 1, 1_000, SECOND), ["leak"]);
    assert_eq!(spawns(tasks, 1_000, SECOND), NO_FINDINGS, "one of them ended");
    assert_eq!(spawns(10 * tasks, 9, SECOND), NO_FINDINGS, "more than a tenth ends");
    assert_eq!(spawns(10 * tasks, 1_000, 0), NO_FINDINGS, "a burst");
    assert_eq!(spawns(10 * tasks, 100_000, MILLISECOND / 10), NO_FINDINGS, "a burst on a real clock");
    assert_eq!(spawns(4_000, 100_000, 5 * MILLISECOND), ["leak"], "continuous growth");
}

/// Builds an external app in which two tasks have waited for each other's mutex for `waited_ns`.
pub fn crossed_mutexes(locked: &str, waited_ns: u64) -> TraceBuilder {
    let mut builder = TraceBuilder::default();
    builder.trace.set_external();
    let tasks = ["left", "right"].map(|name| builder.spawn(name));
    let locks = [(); 2].map(|()| builder.new_resource(ResourceKind::Lock, "Mutex", 0));
    for (task, lock) in tasks.into_iter().zip(locks) {
        let got = builder.start_await(task, AwaitKind::Sync, "Mutex::lock", Some(lock));
        builder.advance_to(MILLISECOND).end_await_ready(got);
        let attribute = ResourceAttribute { name: "locked".into(), value: locked.into(), unit: "".into() };
        builder.apply(Event::ResourceAttribute { resource: lock, attribute: Box::new(attribute) });
    }
    builder.advance_to(SECOND);
    builder.start_await(tasks[0], AwaitKind::Sync, "Mutex::lock", Some(locks[1]));
    builder.start_await(tasks[1], AwaitKind::Sync, "Mutex::lock", Some(locks[0]));
    builder.advance_to(SECOND + waited_ns);
    builder.apply(Event::Advance { at: SECOND + waited_ns });
    builder
}

#[test]
fn external_deadlock_infers_lock_owners() {
    let text = crossed_mutexes("true", SECOND).only_finding();
    assert!(text.contains("left, right wait for each other in a cycle"), "{text}");
    assert!(
        text.contains("left (spawned at story.lua:9) waits for `Mutex #2`")
            && text.contains("not certain: owners inferred"),
        "{text}"
    );
    assert_eq!(crossed_mutexes("true", SECOND - 1).lint_names(), NO_FINDINGS, "the wait is too short");
    assert_eq!(crossed_mutexes("false", SECOND).lint_names(), NO_FINDINGS, "the mutexes are not locked");
}

/// When an app ends, its locks are dropped, and each is released first. Its waits may not be reported as ended.
#[test]
fn deadlock_of_an_app_that_has_ended() {
    let mut ended = crossed_mutexes("false", SECOND);
    let locks: Vec<ResourceId> = ended.trace.resources().iter().map(|(id, _)| id).collect();
    assert_eq!(locks.len(), 2);
    locks.into_iter().for_each(|resource| ended.apply(Event::ResourceEnd { resource, at: 2 * SECOND }));
    assert_eq!(ended.lint_names(), ["deadlock"]);
}

/// Builds an external app in which a task acquired a mutex, and waits for it again since one second. What is missing
/// comes between.
fn mutex_awaited_by_its_owner(missing: Option<Event>, unknown_call: bool, now: u64) -> Vec<&'static str> {
    let mut builder = TraceBuilder::default();
    builder.trace.set_external();
    let (task, other) = (builder.spawn("owner"), builder.spawn("other"));
    let lock = builder.new_resource(ResourceKind::Lock, "Mutex", 0);
    let got = builder.start_await(task, AwaitKind::Sync, "Mutex::lock", Some(lock));
    builder.advance_to(MILLISECOND).end_await_ready(got);
    let attribute = ResourceAttribute { name: "locked".into(), value: "true".into(), unit: "".into() };
    builder.apply(Event::ResourceAttribute { resource: lock, attribute: Box::new(attribute) });
    if unknown_call {
        let call = builder.start_await(other, AwaitKind::Sync, "Mutex::lock", Some(lock));
        builder.apply(Event::AwaitPollsMissed { id: call });
        builder.advance_to(2 * MILLISECOND).cancel_await(call);
    }
    builder.advance_to(SECOND).start_await(task, AwaitKind::Sync, "Mutex::lock", Some(lock));
    missing.into_iter().for_each(|event| builder.apply(event));
    builder.advance_to(now).lint_names()
}

/// Another task may have acquired the lock while no data arrived, in a call whose outcome is unknown, or in one that is
/// not reported yet.
#[test]
fn task_that_waits_for_itself_must_be_the_owner() {
    let found = mutex_awaited_by_its_owner;
    assert_eq!(found(None, false, 3 * SECOND), ["deadlock"]);
    assert_eq!(found(None, true, 3 * SECOND), NO_FINDINGS);
    let gap = Event::Disconnected { from: SECOND / 2, to: SECOND };
    assert_eq!(found(Some(gap), false, 3 * SECOND), NO_FINDINGS);
    let gap = Event::Gap { from: SECOND / 2, to: SECOND, dropped: 1 };
    assert_eq!(found(Some(gap), false, 3 * SECOND), NO_FINDINGS);
}

/// While an app is stopped, nothing in it waits, blocks or makes no progress.
#[test]
fn time_without_data_counts_for_no_finding() {
    let gap = || Event::Disconnected { from: SECOND + MILLISECOND, to: 21 * SECOND };
    let mut crossed = crossed_mutexes("true", MILLISECOND);
    crossed.apply(gap());
    assert_eq!(crossed.advance_to(21 * SECOND + MILLISECOND).lint_names(), NO_FINDINGS);
    assert_eq!(crossed.advance_to(23 * SECOND).lint_names(), ["deadlock"]);
    let mut polled = TraceBuilder::default();
    polled.trace.set_external();
    let (busy, other) = (polled.spawn("busy"), polled.spawn("other"));
    polled.poll_once(other);
    polled.advance_to(SECOND).start_poll(busy);
    polled.advance_to(SECOND + MILLISECOND).wake(other, WakeSource::Driver);
    polled.apply(gap());
    polled.advance_to(21 * SECOND + MILLISECOND).end_poll(busy);
    polled.poll_once(other);
    assert_eq!(polled.lint_names(), NO_FINDINGS);
}

#[test]
fn no_drift_without_a_known_period() {
    let mut builder = TraceBuilder::default();
    let main = builder.spawn("main");
    let interval = builder.new_resource(ResourceKind::Interval, "Interval", 0);
    for tick in 1..=100 {
        let wait = builder.start_await(main, AwaitKind::Timer, "Interval::tick", Some(interval));
        builder.advance_to(tick * SECOND).end_await_ready(wait);
    }
    assert_eq!(builder.lint_names(), NO_FINDINGS);
}

#[test]
fn lost_wake_reports_early_signals() {
    let signalled = |signal_at: u64, wait_at: u64, comes: bool| {
        let mut builder = TraceBuilder::default();
        let main = builder.spawn("main");
        let ready = builder.new_resource(ResourceKind::Signal, "ready", 0);
        if signal_at <= wait_at {
            builder.advance_to(signal_at).apply(Event::NotificationLost {
                resource: ready,
                task: Some(main),
                at: signal_at,
            });
        }
        let wait = builder.advance_to(wait_at).start_await(main, AwaitKind::Sync, "notified", Some(ready));
        builder.advance_to(wait_at + 10);
        if comes {
            builder.end_await_ready(wait);
        } else {
            builder.cancel_await(wait);
        }
        builder.lint_names()
    };
    assert_eq!(signalled(5, 5, false), ["lost-wake"]);
    assert_eq!(signalled(5, 4, false), NO_FINDINGS, "nothing was signalled before");
    assert_eq!(signalled(5, 6, true), NO_FINDINGS, "another signal came");
}

/// Builds tasks that each hold the fork of their own number and wait for the next one; the last waits for `last_wants`.
fn wait_cycle(tasks: usize, last_wants: usize) -> TraceBuilder {
    let mut builder = TraceBuilder::default();
    let tasks: Vec<TaskId> = (0..tasks).map(|number| builder.spawn(&format!("philosopher-{number}"))).collect();
    let forks: Vec<ResourceId> = (0..=tasks.len())
        .map(|number| builder.new_resource(ResourceKind::Lock, &format!("fork-{number}"), 1))
        .collect();
    for (task, fork) in tasks.iter().zip(&forks) {
        builder.acquire(*task, *fork);
    }
    builder.advance_to(SECOND);
    for (number, task) in tasks.iter().enumerate() {
        let wanted = if number + 1 < tasks.len() { number + 1 } else { last_wants };
        builder.start_await(*task, AwaitKind::Sync, "lock", Some(forks[wanted]));
    }
    builder.advance_to(3 * SECOND);
    builder
}

#[test]
fn deadlock_with_itself_needs_a_sure_order() {
    let found = |is_doubtful: bool, tasks: usize| {
        let mut cycle = wait_cycle(tasks, 0);
        cycle.trace.set_external();
        cycle.trace.count_probe_events(1);
        is_doubtful.then(|| cycle.apply(Event::OrderDoubtful));
        cycle
            .findings()
            .iter()
            .filter(|found| found.name == "deadlock")
            .map(|found| found.is_certain)
            .collect::<Vec<_>>()
    };
    assert_eq!([found(false, 1), found(false, 2)], [[true], [true]]);
    assert!(found(true, 1).is_empty(), "the wrong task may be the owner");
    assert_eq!(found(true, 2), [false]);
}

#[test]
fn deadlock_cycle_is_reported_once() {
    let text = wait_cycle(3, 0).only_finding();
    assert!(text.contains("philosopher-0, philosopher-1, philosopher-2 wait for each other in a cycle"), "{text}");
    assert!(text.contains("philosopher-2 (spawned at story.lua:9) waits for `fork-0` (lock at story.lua:4)"), "{text}");
    assert!(text.contains("stuck from 1 s on"), "{text}");
    assert!(wait_cycle(1, 0).only_finding().contains("philosopher-0 waits for `fork-0`, which it holds itself"));
    assert_eq!(wait_cycle(3, 3).lint_names(), NO_FINDINGS, "the last fork is free");
    let mut freed = wait_cycle(2, 0);
    freed.advance_to(2 * SECOND).release(TaskId::from_index(1), ResourceId::from_index(1));
    assert_eq!(freed.lint_names(), NO_FINDINGS, "one fork was released");
    let mut given_up = wait_cycle(2, 0);
    given_up.apply(Event::AwaitEnd { id: loopscope::trace::AwaitId::from_index(0), at: 3 * SECOND });
    assert_eq!(given_up.lint_names(), ["deadlock"], "it was a deadlock until one wait was given up");
    given_up.advance_to(4 * SECOND).end_await_ready(loopscope::trace::AwaitId::from_index(1));
    assert_eq!(given_up.lint_names(), ["deadlock"], "the other wait completed later");
}

#[test]
fn deadlock_at_the_end_of_the_run() {
    let mut builder = TraceBuilder::default();
    let tasks = ["left", "right"].map(|name| builder.spawn(name));
    let locks = ["left", "right"].map(|name| builder.new_resource(ResourceKind::Lock, name, 1));
    builder.acquire(tasks[0], locks[0]);
    builder.acquire(tasks[1], locks[1]);
    builder.advance_to(SECOND);
    for (number, task) in tasks.into_iter().enumerate() {
        builder.start_await(task, AwaitKind::Sync, "lock", Some(locks[1 - number]));
    }
    for (number, task) in tasks.into_iter().enumerate() {
        builder.cancel_await(loopscope::trace::AwaitId::from_index(number));
        builder.release(task, locks[number]);
        builder.end_task(task, TaskOutcome::Cancelled);
    }
    assert_eq!(builder.lint_names(), ["deadlock"]);
}

#[test]
fn semaphore_with_a_running_holder_is_no_deadlock() {
    let mut builder = TraceBuilder::default();
    let tasks = ["a", "b"].map(|name| builder.spawn(name));
    let permits = builder.new_resource(ResourceKind::Semaphore, "permits", 2);
    tasks.iter().for_each(|task| builder.acquire(*task, permits));
    builder.start_await(tasks[0], AwaitKind::Sync, "acquire", Some(permits));
    assert_eq!(builder.advance_to(SECOND).lint_names(), NO_FINDINGS);
    builder.start_await(tasks[1], AwaitKind::Sync, "acquire", Some(permits));
    assert_eq!(builder.advance_to(2 * SECOND).lint_names(), ["deadlock"], "all permit holders wait");
}

#[test]
fn thundering_herd_reports_wasted_wakes() {
    let wake_all = |sleepers: usize, winners: usize| {
        let mut builder = TraceBuilder::default();
        let waker = builder.spawn("main");
        let tasks: Vec<_> = (0..sleepers).map(|number| builder.spawn(&format!("sleeper-{number}"))).collect();
        let mut waits = Vec::new();
        for task in &tasks {
            builder.start_poll(*task);
            waits.push(builder.start_await(*task, AwaitKind::Sync, "notified", None));
            builder.end_poll(*task);
        }
        builder.advance_to(SECOND).start_poll(waker);
        tasks.iter().for_each(|task| builder.wake(*task, WakeSource::Task(waker)));
        builder.end_poll(waker);
        for (number, task) in tasks.iter().enumerate() {
            builder.start_poll(*task);
            builder.end_await_ready(waits[number]);
            let source = if number < winners { "sleep" } else { "notified" };
            let kind = if number < winners { AwaitKind::Timer } else { AwaitKind::Sync };
            builder.start_await(*task, kind, source, None);
            builder.end_poll(*task);
        }
        builder
    };
    let least = Thresholds::default().thundering_herd_tasks as usize;
    let text = wake_all(least, 1).only_finding();
    assert!(text.contains("main woke 5 tasks at once, 4 of them without progress"), "{text}");
    assert_eq!(wake_all(least - 1, 1).lint_names(), NO_FINDINGS);
    assert_eq!(wake_all(least, least).lint_names(), NO_FINDINGS, "all proceed");
    assert_eq!(wake_all(least, 0).lint_names(), NO_FINDINGS, "the wake concerned all of them");
}

#[test]
fn convoy_reports_queues_that_never_drain() {
    let queue = |rounds: u64, drains: bool, held_across: (AwaitKind, &str)| {
        let mut builder = TraceBuilder::default();
        let tasks = ["a", "b", "c"].map(|name| builder.spawn(name));
        let lock = builder.new_resource(ResourceKind::Lock, "ledger", 1);
        let mut waits = tasks.map(|task| builder.start_await(task, AwaitKind::Sync, "lock", Some(lock)));
        let mut hold = None;
        for turn in 0..rounds {
            let next = (turn % 3) as usize;
            builder.advance_to((turn + 1) * 10);
            hold.into_iter().for_each(|wait| builder.end_await_ready(wait));
            builder.end_await_ready(waits[next]);
            hold = Some(builder.start_await(tasks[next], held_across.0, held_across.1, None));
            if drains && next == 2 {
                builder.advance_to(builder.now + 5);
                waits = tasks.map(|task| builder.start_await(task, AwaitKind::Sync, "lock", Some(lock)));
            } else if !drains {
                waits[next] = builder.start_await(tasks[next], AwaitKind::Sync, "lock", Some(lock));
            }
        }
        builder
    };
    let turns = Thresholds::default().convoy_turns;
    let sleep = (AwaitKind::Timer, "sleep");
    let text = queue(turns, false, sleep).only_finding();
    assert!(text.contains("3 tasks queued for `ledger`, which was handed over 10 times"), "{text}");
    assert!(text.contains("in use for 100 % of the time, most of it across sleep at story.lua:5"), "{text}");
    assert!(!text.contains("not certain"), "{text}");
    let mut incomplete = queue(turns, false, sleep);
    incomplete.trace.apply(Event::AwaitsUnattributed { count: 1 });
    assert_eq!(incomplete.lint_names(), NO_FINDINGS, "too many awaits are unknown");
    assert!(text.contains("used by a, b, c (spawned at story.lua:9)"), "{text}");
    assert_eq!(queue(turns - 1, false, sleep).lint_names(), NO_FINDINGS);
    assert_eq!(queue(3 * turns, true, sleep).lint_names(), NO_FINDINGS);
    let receive = (AwaitKind::Channel, "recv");
    assert_eq!(queue(turns, false, receive).lint_names(), NO_FINDINGS, "workers that share a receiver are idle");
}

/// The machine is so busy that each owner is polled long after the release that woke it.
#[test]
fn convoy_ignores_time_after_the_release() {
    let queue = |released_after: u64| {
        let mut builder = TraceBuilder::default();
        let tasks = ["a", "b", "c"].map(|name| builder.spawn(name));
        let lock = builder.new_resource(ResourceKind::Lock, "ledger", 1);
        tasks.iter().for_each(|task| builder.poll_once(*task));
        let mut waits = tasks.map(|task| builder.start_await(task, AwaitKind::Sync, "lock", Some(lock)));
        let mut sleeps = [None; 3];
        builder.wake(tasks[0], WakeSource::Unknown);
        for turn in 0..3 * Thresholds::default().convoy_turns {
            let (owner, next) = ((turn % 3) as usize, ((turn + 1) % 3) as usize);
            builder.advance_to((turn + 1) * 100);
            builder.start_poll(tasks[owner]);
            sleeps[owner].take().into_iter().for_each(|sleep| builder.end_await_ready(sleep));
            builder.end_await_ready(waits[owner]);
            sleeps[owner] = Some(builder.start_await(tasks[owner], AwaitKind::Timer, "sleep", None));
            waits[owner] = builder.start_await(tasks[owner], AwaitKind::Sync, "lock", Some(lock));
            builder.end_poll(tasks[owner]);
            builder.advance_to((turn + 1) * 100 + released_after).wake(tasks[next], WakeSource::Unknown);
        }
        builder
    };
    assert_eq!(queue(90).lint_names(), ["convoy"], "the owner sleeps while it holds the lock");
    assert_eq!(queue(0).lint_names(), NO_FINDINGS, "it sleeps after the release");
}

#[test]
fn back_pressure_reports_waiting_senders() {
    let sends = |count: u64, wait_ns: u64| {
        let mut builder = TraceBuilder::default();
        let main = builder.spawn("main");
        let orders = builder.new_resource(ResourceKind::Channel, "orders", 1);
        for _ in 0..count {
            let send = builder.start_await(main, AwaitKind::Channel, "channel.send(orders)", Some(orders));
            builder.advance_to(builder.now + wait_ns).end_await_ready(send);
            builder.advance_to(builder.now + 100);
        }
        builder
    };
    let text = sends(5, 300).only_finding();
    assert!(
        text.contains("waited for capacity of `orders` during") && text.contains("5 sends waited 1.5 µs"),
        "{text}"
    );
    assert_eq!(sends(4, 300).lint_names(), NO_FINDINGS);
    assert_eq!(sends(50, 99).lint_names(), NO_FINDINGS);
}

#[test]
fn interval_drift_reports_late_ticks() {
    let ticks = |count: u64, late_ns: u64| {
        let mut builder = TraceBuilder::default();
        let main = builder.spawn("main");
        let beat = builder.new_resource(ResourceKind::Interval, "heartbeat", SECOND);
        for number in 0..count {
            let tick = builder.start_await(main, AwaitKind::Timer, "interval.tick", Some(beat));
            builder.advance_to(number * (SECOND + late_ns)).end_await_ready(tick);
        }
        builder
    };
    let text = ticks(6, 300 * MILLISECOND).only_finding();
    assert!(text.contains("`heartbeat` (period 1 s) is 1.5 s late"), "{text}");
    assert_eq!(ticks(4, SECOND).lint_names(), NO_FINDINGS, "too few ticks");
    assert_eq!(ticks(6, 200 * MILLISECOND).lint_names(), NO_FINDINGS, "less than a period");
}

#[test]
fn large_future_is_reported_per_location() {
    let limit = Thresholds::default().large_future_bytes;
    let sizes = |sizes: &[(Option<u64>, Option<u64>)]| {
        let mut builder = TraceBuilder::default();
        builder.spawn("main");
        for (size, boxed) in sizes {
            builder.spawn_sized("worker", *size, *boxed);
        }
        builder
    };
    let two = sizes(&[(Some(limit), None), (Some(5 * limit), None), (Some(limit - 1), None)]).only_finding();
    assert!(two.contains("the future of worker takes 20 KiB"), "{two}");
    assert!(two.contains("2 such tasks spawned at story.lua:9") && !two.contains("boxed"), "{two}");
    let boxed = sizes(&[(Some(16), Some(limit / 2))]).only_finding();
    assert!(boxed.contains("the future of worker takes 2 KiB"), "{boxed}");
    assert!(boxed.contains("1 such task spawned at story.lua:9, 1 of them boxed by the runtime"), "{boxed}");
    assert_eq!(sizes(&[(Some(limit - 1), None), (None, None)]).lint_names(), NO_FINDINGS);
}

#[test]
fn findings_are_bounded_and_ordered() {
    let mut builder = TraceBuilder::default();
    let tasks: Vec<_> = (0..FINDINGS_MAX + 7).map(|number| builder.spawn(&format!("bad-{number}"))).collect();
    for task in tasks.into_iter().rev() {
        let error = format!("error {}", builder.now);
        builder.advance_to(builder.now + 1).end_task(task, TaskOutcome::Failed(error.into()));
    }
    let found = run_lints(&builder.trace, &Thresholds::default());
    assert_eq!((found.listed.len(), found.unlisted), (FINDINGS_MAX, 7));
    assert!(found.listed.is_sorted_by_key(|finding| (finding.at_ns, finding.task)));
    assert_eq!(found, run_lints(&builder.trace, &Thresholds::default()));
    let strict = Thresholds { blocked_loop_ns: u64::MAX, ..Thresholds::default() };
    assert_eq!(run_lints(&builder.trace, &strict).unlisted, 7);
    assert!(LINTS.is_sorted_by_key(|lint| lint.name));
}

#[test]
fn lints_are_not_quadratic() {
    const TASKS: usize = 100_000;
    let mut builder = TraceBuilder::default();
    let main = builder.spawn("main");
    let (gate, lock) =
        (builder.new_resource(ResourceKind::Signal, "gate", 0), builder.new_resource(ResourceKind::Lock, "lock", 1));
    let tasks: Vec<_> = (0..TASKS).map(|_| builder.spawn("worker")).collect();
    let mut waits = Vec::with_capacity(TASKS);
    for task in &tasks {
        builder.start_poll(*task);
        waits.push(builder.start_await(*task, AwaitKind::Sync, "gate", Some(gate)));
        builder.end_poll(*task);
    }
    builder.advance_to(SECOND).start_poll(main);
    tasks.iter().for_each(|task| builder.wake(*task, WakeSource::Task(main)));
    builder.end_poll(main);
    for (task, wait) in tasks.iter().zip(waits) {
        builder.start_poll(*task);
        builder.end_await_ready(wait);
        builder.acquire(*task, lock);
        builder.advance_to(builder.now + 1).release(*task, lock);
        builder.start_await(*task, AwaitKind::Sync, "lock", Some(lock));
        builder.end_poll(*task);
    }
    // A quadratic lint would take ten thousand million steps and not finish.
    assert_eq!(builder.lint_names(), [""; 0], "no problems");
}

/// A cycle that another task could still break is no error, and none at all where a semaphore may be a gate.
#[test]
fn deadlock_needs_links_that_no_task_releases() {
    let crossed = |kind: ResourceKind, has_heartbeat: bool, waited_ns: u64| {
        let mut builder = TraceBuilder::default();
        let tasks = ["left", "right"].map(|name| builder.spawn(name));
        let resources = ["first", "second"].map(|name| builder.new_resource(kind, name, 1));
        builder.acquire(tasks[0], resources[0]);
        builder.acquire(tasks[1], resources[1]);
        if has_heartbeat {
            let heartbeat = builder.spawn("heartbeat");
            builder.start_poll(heartbeat);
            builder.start_await(heartbeat, AwaitKind::Timer, "sleep", None);
            builder.end_poll(heartbeat);
        }
        for (number, task) in tasks.into_iter().enumerate() {
            builder.start_await(task, AwaitKind::Sync, "wait", Some(resources[1 - number]));
        }
        builder.advance_to(waited_ns);
        builder
    };
    let severity = |builder: &TraceBuilder| {
        builder.findings().iter().map(|found| (found.name, found.severity, found.is_certain)).collect::<Vec<_>>()
    };
    let lock = |has_heartbeat, waited_ns| crossed(ResourceKind::Lock, has_heartbeat, waited_ns);
    assert_eq!(severity(&lock(false, MILLISECOND)), [("deadlock", Severity::Error, true)]);
    assert_eq!(severity(&lock(true, MILLISECOND)), [], "the heartbeat has not had the time");
    assert_eq!(severity(&lock(true, 2 * SECOND)), [("deadlock", Severity::Warn, false)]);
    assert_eq!(severity(&crossed(ResourceKind::Semaphore, false, MILLISECOND)).len(), 1, "nothing can run");
    assert_eq!(severity(&crossed(ResourceKind::Semaphore, true, 9 * SECOND)), [], "a gate that a timer may open");
}

/// A long poll that delays no task is no blocked loop, and `block_in_place` lets others continue.
#[test]
fn blocked_loop_needs_a_delayed_task() {
    let poll = |woken_after: Option<u64>, places: bool, kind: TaskKind| {
        let mut builder = TraceBuilder::default();
        builder.trace.set_external();
        let busy = builder.spawn_at("busy", kind, "app.rs", 1);
        let other = builder.spawn_at("other", TaskKind::Task, "app.rs", 2);
        builder.poll_once(other);
        builder.advance_to(SECOND).start_poll(busy);
        builder.advance_to(SECOND + MILLISECOND);
        if places {
            builder.spawn_at("", TaskKind::Worker, "/tokio/src/runtime/scheduler/multi_thread/worker.rs", 9);
        }
        builder.advance_to(2 * SECOND).end_poll(busy);
        if let Some(after_ns) = woken_after {
            builder.advance_to(2 * SECOND + after_ns).wake(other, WakeSource::Driver);
            builder.poll_once(other);
        }
        builder.advance_to(3 * SECOND);
        builder
    };
    let late = poll(Some(MILLISECOND), false, TaskKind::Task).only_finding();
    assert!(late.contains("busy blocked the loop for 1 s") && late.contains("delayed 1 other task, other"), "{late}");
    assert_eq!(poll(Some(500 * MILLISECOND), false, TaskKind::Task).lint_names(), NO_FINDINGS, "woken much later");
    assert_eq!(poll(None, false, TaskKind::Task).lint_names(), NO_FINDINGS);
    assert_eq!(poll(Some(MILLISECOND), true, TaskKind::Task).lint_names(), NO_FINDINGS, "block_in_place");
    assert_eq!(poll(Some(MILLISECOND), false, TaskKind::Blocking).lint_names(), NO_FINDINGS, "the blocking pool");
}

#[test]
fn leak_ignores_ends_of_other_tasks_and_old_growth() {
    let clients = |until: u64| {
        let mut builder = TraceBuilder::default();
        builder.trace.set_external();
        let first = builder.spawn("first");
        for number in 0..40 {
            builder.advance_to(number * 50 * MILLISECOND).spawn_at("client", TaskKind::Task, "app.rs", 7);
        }
        builder.end_task(first, TaskOutcome::Completed);
        builder.advance_to(until);
        builder
    };
    let growing = clients(3 * SECOND).findings();
    assert_eq!(growing.iter().map(|found| (found.name, found.count)).collect::<Vec<_>>(), [("leak", 40)]);
    assert_eq!(clients(60 * SECOND).lint_names(), NO_FINDINGS, "the number stopped growing long ago");
}

#[test]
fn back_pressure_ignores_sends_without_a_receiver() {
    let sends = |source: &str, kind: AwaitKind, completed: u64| {
        let mut builder = TraceBuilder::default();
        let main = builder.spawn("main");
        for _ in 0..completed {
            let send = builder.start_await(main, kind, source, None);
            builder.advance_to(builder.now + 300).end_await_ready(send);
        }
        builder.start_await(main, kind, source, None);
        builder.advance_to(builder.now + 5_000);
        builder
    };
    assert_eq!(sends("send", AwaitKind::Channel, 4).lint_names(), NO_FINDINGS, "the last one never completes");
    let tokio = sends("Acquire::new", AwaitKind::Sync, 5).only_finding();
    assert!(tokio.contains("main waited for capacity of a channel during 100 % of its sending time"), "{tokio}");
    assert_eq!(sends("Semaphore::acquire", AwaitKind::Sync, 5).lint_names(), NO_FINDINGS);
}

#[test]
fn one_cause_is_one_finding() {
    let mut builder = TraceBuilder::default();
    let tasks: Vec<_> = (0..8).map(|number| builder.spawn(&format!("handler-{number}"))).collect();
    for (number, task) in tasks.iter().enumerate() {
        builder.poll_with_call(*task, "block", SECOND + number as u64 * MILLISECOND);
    }
    let findings = builder.findings();
    let [found] = findings.as_slice() else { panic!("expected one finding, got {findings:?}") };
    assert_eq!(
        (found.count, found.task, found.at_ns),
        (8, Some(tasks[7]), 7 * SECOND + 21 * MILLISECOND),
        "the longest poll is shown"
    );
    assert_eq!(found.location, Some(Location { file: "story.lua".into(), line: 5 }));
    assert!(found.evidence.contains("also handler-0, handler-1, handler-2, handler-3, handler-4 and 2 more"));
}

#[test]
fn findings_across_dropped_events_are_uncertain() {
    let found = |gap: Option<Event>| {
        let mut builder = TraceBuilder::default();
        let main = builder.spawn("main");
        builder.poll_with_call(main, "block", SECOND);
        gap.into_iter().for_each(|gap| builder.apply(gap));
        let found = builder.findings();
        (found[0].is_certain, found[0].evidence.contains("not certain: "))
    };
    assert_eq!(found(None), (true, false));
    assert_eq!(found(Some(Event::Gap { from: 0, to: 5, dropped: 3 })), (false, true));
    assert_eq!(found(Some(Event::Disconnected { from: 1, to: 5 })), (false, true));
    assert_eq!(found(Some(Event::ConsoleUpdate { dropped: 1 })), (false, true));
    assert_eq!(found(Some(Event::ConsoleLate)), (true, false), "polls and calls do not come from the console here");
}

#[test]
fn findings_in_doubtful_order_are_uncertain() {
    let found = |is_external: bool| {
        let mut builder = TraceBuilder::default();
        if is_external {
            builder.trace.set_external();
            builder.trace.count_probe_events(1);
        }
        let main = builder.spawn("main");
        builder.poll_with_call(main, "block", SECOND);
        builder.apply(Event::OrderDoubtful);
        builder.findings()[0].is_certain
    };
    assert!(!found(true) && found(false), "it concerns records of a probe");
}

/// Builds an external app with a task that waits, and a timer if `has_timer`.
pub fn waiting_app(waker_counts: Option<(u64, u64)>, has_timer: bool, waited_ns: u64) -> TraceBuilder {
    let mut builder = TraceBuilder::default();
    builder.trace.set_external();
    let tasks = ["other", "stuck"].map(|name| builder.spawn(name));
    builder.new_resource(if has_timer { ResourceKind::Timer } else { ResourceKind::Other }, "Sleep", 0);
    tasks.into_iter().for_each(|task| builder.poll_once(task));
    let wakers = [Some((1, 0)), waker_counts];
    for (task, (clones, drops)) in tasks.into_iter().zip(wakers).filter_map(|(task, counts)| Some((task, counts?))) {
        builder.apply(Event::WakerCounts { task, clones, drops });
    }
    builder.advance_to(waited_ns);
    builder
}

#[test]
fn lost_waker_reports_tasks_without_a_waker() {
    let waited = 2 * SECOND;
    let text = waiting_app(Some((3, 3)), true, waited).only_finding();
    assert!(text.contains("stuck waits, but nothing can wake it"), "{text}");
    assert!(waiting_app(Some((0, 0)), true, waited).only_finding().contains("0 clones of its waker"));
    assert_eq!(waiting_app(Some((3, 2)), true, waited).lint_names(), NO_FINDINGS);
    assert_eq!(waiting_app(None, true, waited).lint_names(), NO_FINDINGS, "wakers are not reported");
    assert_eq!(waiting_app(Some((3, 3)), true, SECOND / 2).lint_names(), NO_FINDINGS, "it waits only for a moment");
    let counted_until = |at: u64| {
        let mut builder = waiting_app(Some((3, 3)), true, waited);
        builder.trace.set_recording_stats(RecordingStats::default());
        builder.trace.set_console_complete_until(at);
        builder.lint_names()
    };
    assert_eq!(counted_until(waited), ["lost-waker"]);
    assert_eq!(counted_until(SECOND / 2), NO_FINDINGS, "later wakers are not counted yet");
}

/// Where two threads clone their first wakers at the same moment, the console may miss one.
#[test]
fn lost_waker_doubts_the_first_wakers() {
    let found = |stuck_is_first: bool, awaits_lock: bool| {
        let mut builder = TraceBuilder::default();
        builder.trace.set_external();
        let [other, stuck] = ["other", "stuck"].map(|name| builder.spawn(name));
        let order = if stuck_is_first { [stuck, other] } else { [other, stuck] };
        for task in order {
            builder.start_poll(task);
            if awaits_lock && task == stuck {
                builder.start_await(task, AwaitKind::Sync, "Mutex::lock", None);
            }
            builder.advance_to(builder.now + MILLISECOND);
            builder.end_poll(task);
        }
        for (task, clones) in [(other, 2), (stuck, 1)] {
            builder.apply(Event::WakerCounts { task, clones, drops: 1 });
        }
        builder.advance_to(2 * SECOND);
        builder.findings().iter().map(|found| (found.name, found.is_certain)).collect::<Vec<_>>()
    };
    assert_eq!(found(false, false), [("lost-waker", true)]);
    assert_eq!(found(true, false), [("lost-waker", false)]);
    assert_eq!(found(false, true), [], "the lock keeps the waker");
}

#[test]
fn no_progress_never_reports_an_idle_service() {
    let found = |outside_input: Option<bool>, has_timer: bool, waited_ns: u64| {
        let mut builder = waiting_app(Some((3, 2)), has_timer, waited_ns);
        builder.apply(Event::OutsideInput { is_possible: outside_input });
        builder.findings().iter().map(|found| (found.name, found.count, found.is_certain)).collect::<Vec<_>>()
    };
    let limit = Thresholds::default().no_progress_ns;
    assert_eq!(found(Some(false), false, limit), [("no-progress", 2, false)]);
    assert_eq!(found(Some(false), false, limit - 1), []);
    assert_eq!(found(Some(false), true, limit), [], "a timer is pending");
    assert_eq!(found(Some(true), false, limit), [], "it may wait for a socket");
    assert_eq!(found(None, false, limit), [], "it is not known whether it waits for a socket");
}

/// At the end of the run, tasks that waited are dropped, and their timers too.
#[test]
fn no_progress_is_judged_before_the_run_ended() {
    let found = |kind: Option<AwaitKind>, main_wakes_other: bool, waited_ns: u64| {
        let mut builder = TraceBuilder::default();
        builder.trace.set_external();
        builder.apply(Event::OutsideInput { is_possible: Some(false) });
        let main = builder.spawn_at("main", TaskKind::BlockOn, "src/main.rs", 1);
        let [other, stuck] = ["other", "stuck"].map(|name| builder.spawn(name));
        builder.poll_once(main);
        builder.poll_once(stuck);
        builder.start_poll(other);
        let wait = kind.map(|kind| builder.start_await(other, kind, "something", None));
        builder.end_poll(other);
        builder.advance_to(waited_ns);
        if main_wakes_other {
            builder.poll_once(main);
            builder.wake(other, WakeSource::Task(main));
            builder.poll_once(other);
            builder.advance_to(waited_ns + MILLISECOND);
        }
        builder.poll_once(main);
        builder.end_task(main, TaskOutcome::Completed);
        builder.advance_to(builder.now + MILLISECOND);
        wait.into_iter().for_each(|wait| builder.cancel_await(wait));
        [other, stuck].into_iter().for_each(|task| builder.end_task(task, TaskOutcome::Cancelled));
        builder.findings().iter().map(|found| (found.name, found.count, found.is_certain)).collect::<Vec<_>>()
    };
    let limit = Thresholds::default().no_progress_ns;
    assert_eq!(found(None, false, limit), [("no-progress", 2, false)]);
    assert_eq!(found(Some(AwaitKind::Sync), false, limit), [("no-progress", 2, false)]);
    assert_eq!(found(None, false, limit - 1), []);
    assert_eq!(found(Some(AwaitKind::Timer), false, limit), [], "a timer was pending");
    assert_eq!(found(Some(AwaitKind::Io), false, limit), [], "it waited for data");
    assert_eq!(found(None, true, limit), [], "main ended the others in order");
}

#[test]
fn panic_names_the_task_that_ended_with_it() {
    let text = three_tasks_and_a_panic(TaskOutcome::Completed).only_finding();
    assert!(text.contains("bad panicked at src/main.rs:12") && text.contains("printed: on purpose"), "{text}");
    assert!(text.contains("not certain: which task panicked is a guess"), "{text}");
}

/// The probe reports which task panicked, so its message is not another finding.
#[test]
fn panic_of_a_failed_task_is_one_finding() {
    let failed = three_tasks_and_a_panic(TaskOutcome::Failed("panicked".into()));
    assert_eq!(failed.lint_names(), ["failed-task"]);
    assert!(failed.only_finding().contains("later"), "the task that the probe names");
}

/// Builds an app with three tasks that end one after the other, after a panic message. The last one has this outcome.
fn three_tasks_and_a_panic(last: TaskOutcome) -> TraceBuilder {
    let mut builder = TraceBuilder::default();
    builder.trace.set_external();
    let tasks = [("job", 3), ("bad", 9), ("later", 20)]
        .map(|(name, line)| builder.spawn_at(name, TaskKind::Task, "src/main.rs", line));
    builder.advance_to(SECOND);
    for task in tasks {
        builder.start_poll(task);
    }
    builder.advance_to(2 * SECOND);
    for line in ["! thread 'worker' (77) panicked at src/main.rs:12:5:", "! on purpose"] {
        builder.apply(Event::Output { task: None, at: builder.now, text: line.into() });
    }
    for (index, task) in tasks.into_iter().enumerate() {
        builder.advance_to(builder.now + MILLISECOND).end_poll(task);
        builder.end_task(task, if index == 2 { last.clone() } else { TaskOutcome::Completed });
    }
    builder
}

/// A loop that is faster than the search for findings must not keep it from ending.
#[test]
fn run_of_lints_ends_while_the_trace_grows() {
    const BUDGET: usize = 10;
    let mut builder = TraceBuilder::default();
    let main = builder.spawn("main");
    let mut runner = LintRunner::new(&Thresholds::default());
    let found = (0..1_000).find_map(|_| {
        for _ in 0..BUDGET {
            let wait = builder.start_await(main, AwaitKind::Timer, "sleep", None);
            builder.end_await_ready(wait);
            builder.spawn("short");
        }
        runner.advance(&builder.trace, BUDGET)
    });
    assert!(found.is_some_and(|found| found.listed.is_empty()));
}

#[test]
fn spawn_storm_reports_many_short_tasks() {
    let spawns = |per_second: u64, seconds: u64, life_ns: u64| {
        let mut builder = TraceBuilder::default();
        let main = builder.spawn("main");
        builder.poll_once(main);
        for number in 0..per_second * seconds {
            let task = builder.advance_to(number * SECOND / per_second).spawn_at("try", TaskKind::Task, "app.rs", 4);
            builder.poll_once(task);
            builder.advance_to(builder.now + life_ns).end_task(task, TaskOutcome::Completed);
        }
        builder
    };
    let least = Thresholds::default().spawn_storm_tasks;
    let text = spawns(least, 2, MILLISECOND).only_finding();
    assert!(text.contains("up to 200 short tasks like try were spawned per second"), "{text}");
    assert_eq!(spawns(least - 10, 3, MILLISECOND).lint_names(), NO_FINDINGS);
    assert_eq!(spawns(3 * least, 1, MILLISECOND).lint_names(), NO_FINDINGS, "only once");
}

/// Each request of a busy service spawns tasks. In a storm, one task spawns them.
#[test]
fn spawn_storm_ignores_tasks_of_requests() {
    let storm = |spawners: u64, is_possible: Option<bool>| {
        let mut builder = TraceBuilder::default();
        builder.trace.set_external();
        builder.apply(Event::OutsideInput { is_possible });
        let parents: Vec<TaskId> = (0..spawners).map(|_| builder.spawn("connection")).collect();
        parents.iter().for_each(|task| builder.poll_once(*task));
        let per_second = 8 * Thresholds::default().spawn_storm_tasks;
        for number in 0..2 * per_second {
            builder.advance_to(number * SECOND / per_second);
            let parent = parents[(number % spawners) as usize];
            let task = builder.spawn_by(parent, "app.rs", 4);
            builder.poll_once(task);
            builder.end_task(task, TaskOutcome::Completed);
        }
        builder.lint_names()
    };
    assert_eq!(storm(8, None), NO_FINDINGS);
    assert_eq!(storm(8, Some(true)), NO_FINDINGS);
    assert_eq!(storm(8, Some(false)), ["spawn-storm"], "no request can come");
    assert_eq!(storm(2, None), ["spawn-storm"]);
}

/// An external app does not name its yields; the runtime wakes such a task right after each poll.
#[test]
fn busy_yield_finds_unnamed_yields() {
    let polls = |count: u64, delay_ns: u64, source: WakeSource, spread_ns: u64| {
        let mut builder = TraceBuilder::default();
        builder.trace.set_external();
        let (task, other) = (builder.spawn("spinner"), builder.spawn("other"));
        builder.poll_once(other);
        for number in 0..count {
            builder.advance_to(builder.now + 1_000).start_poll(task);
            builder.advance_to(builder.now + 2_000).end_poll(task);
            builder.advance_to(builder.now + delay_ns + number % 10 * spread_ns).wake(task, source);
        }
        builder
    };
    // On several workers, other tasks may be polled at each wake.
    let found = polls(200, 10_000, WakeSource::Unknown, 0).only_finding();
    assert!(found.contains("by no known task (200 wake sources unknown)"), "{found}");
    let mut mixed = polls(200, 10_000, WakeSource::Unknown, 0);
    let busy = TaskId::from_index(1);
    (0..300).for_each(|_| mixed.poll_once(busy));
    assert_eq!(mixed.lint_names(), NO_FINDINGS, "the other task may have woken it");
    for _ in 0..100 {
        mixed.advance_to(mixed.now + 1_000).poll_once(TaskId::from_index(0));
        mixed.advance_to(mixed.now + 10_000).wake(TaskId::from_index(0), WakeSource::Driver);
    }
    assert_eq!(mixed.lint_names(), ["busy-yield"], "no task woke it a hundred times");
    let found = polls(200, 10_000, WakeSource::Driver, 0).only_finding();
    assert!(found.contains("spinner was polled 200 times without doing any work"), "{found}");
    assert_eq!(polls(90, 10_000, WakeSource::Driver, 0).lint_names(), NO_FINDINGS);
    assert_eq!(polls(200, 10_000, WakeSource::Task(TaskId::from_index(1)), 0).lint_names(), NO_FINDINGS, "messages");
    assert_eq!(polls(200, 10_000, WakeSource::Driver, 10_000).lint_names(), NO_FINDINGS, "data comes irregularly");
    assert_eq!(polls(200, MILLISECOND, WakeSource::Driver, 0).lint_names(), NO_FINDINGS, "a timer");
}

/// Where polls are only counted, a task that wakes itself thousands of times per second is found by its counts.
#[test]
fn busy_yield_finds_counted_self_wakes() {
    let found = |polls: u64, self_wakes: u64, busy_ns: u64| {
        let mut builder = TraceBuilder::default();
        builder.trace.set_sampled();
        builder.trace.set_external();
        let (task, other) = (builder.spawn("spinner"), builder.spawn("other"));
        for (at, polls, busy_ns) in [(SECOND, 0, 0), (3 * SECOND, polls, busy_ns)] {
            for task in [task, other] {
                let stats = TaskStats { polls, busy_ns, ..TaskStats::default() };
                builder.apply(Event::TaskStats { task, at, stats: Box::new(stats) });
            }
        }
        let counts = TaskCounts { polls, wakes: polls, self_wakes, awaits: 0 };
        builder.apply(Event::ConsoleCounts { task, counts });
        builder.apply(Event::ConsoleCounts { task: other, counts: TaskCounts { self_wakes: 0, ..counts } });
        builder.advance_to(3 * SECOND);
        builder.findings().iter().map(|found| (found.name, found.is_certain)).collect::<Vec<_>>()
    };
    assert_eq!(found(40_000, 40_000, 40 * MILLISECOND), [("busy-yield", true)]);
    assert_eq!(found(40_000, 0, 40 * MILLISECOND), [], "another task is polled as often");
    assert_eq!(found(300, 300, MILLISECOND), [], "now and then");
}
