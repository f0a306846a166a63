//! Findings of an external app whose threads waited for a processor: what a busy machine causes is no problem of the app.

use loopscope::control::RunOutcome;
use loopscope::feed::archive::{ArchiveHeader, ArchiveWriter, encode_beginning, read_archive};
use loopscope::insight::{Thresholds, run_lints};
use loopscope::trace::{AwaitKind, Event, ResourceKind, TaskId, Trace, WakeSource, WorkerId};

use crate::insight::{crossed_mutexes, waiting_app};
use crate::trace_builder::{MILLISECOND, SECOND, TraceBuilder};

const NO_FINDINGS: [&str; 0] = [];

/// Builds an external app with a poll of this length, which delays another task.
fn app_with_poll(length_ns: u64) -> TraceBuilder {
    let mut builder = TraceBuilder::default();
    builder.trace.set_external();
    let (handler, other) = (builder.spawn("handler"), builder.spawn("other"));
    builder.advance_to(SECOND).start_poll(handler);
    builder.advance_to(SECOND + length_ns).end_poll(handler);
    builder.poll_once(other);
    builder
}

fn add_wait(builder: &mut TraceBuilder, from: u64, to: u64, waited_ns: u64) {
    builder.apply(Event::ProcessorWait { interval: (from, to), worker: None, waited_ns });
    builder.trace.set_processor_waits_known_until(to);
}

/// A worker waited for 163 ms of an interval of a second, because loopscope itself could not sample more often.
#[test]
fn short_wait_in_a_long_interval_counts() {
    let found = |poll_ms: u64| {
        let mut builder = app_with_poll(poll_ms * MILLISECOND);
        add_wait(&mut builder, SECOND / 2, 3 * SECOND / 2, 163 * MILLISECOND);
        builder.trace.set_processor_waits_known_until(builder.now);
        builder.advance_to(builder.now + MILLISECOND);
        builder
    };
    assert_eq!(app_with_poll(165 * MILLISECOND).lint_names(), ["blocked-loop"]);
    assert_eq!(found(165).lint_names(), NO_FINDINGS);
    assert_eq!(found(263).lint_names(), NO_FINDINGS);
    let text = found(400).only_finding();
    assert!(text.contains("handler blocked the loop for 237 ms in one poll"), "{text}");
    assert!(text.contains("not counted: at most 163 ms of waiting for a processor"), "{text}");
    assert!(text.contains("not certain: the machine was busy"), "the thread may have waited for another: {text}");
    let is_certain = |poll_ms: u64| found(poll_ms).findings()[0].is_certain;
    assert!(is_certain(1_700) && !is_certain(1_600), "9.6 % and 10.2 % of the poll");
}

/// Of a worker whose thread is known, only its own waits count.
#[test]
fn waits_of_other_workers_do_not_count() {
    let found = |own_ms: Option<u64>| {
        let mut builder = TraceBuilder::default();
        builder.trace.set_external();
        let workers = [0, 1].map(WorkerId::from_index);
        workers.into_iter().for_each(|id| builder.apply(Event::NewWorker { id, at: 0, name: "worker".into() }));
        let (handler, other) = (builder.spawn("handler"), builder.spawn("other"));
        builder.advance_to(SECOND).poll_on(handler, 0);
        builder.advance_to(SECOND + 150 * MILLISECOND).end_poll(handler);
        builder.poll_on(other, 0);
        builder.end_poll(other);
        let interval = (SECOND, builder.now);
        add_wait(&mut builder, SECOND, interval.1, 100 * MILLISECOND);
        for (worker, waited_ms) in own_ms.into_iter().map(|own| (workers[0], own)).chain([(workers[1], 100)]) {
            let worker = Some(worker);
            builder.apply(Event::ProcessorWait { interval, worker, waited_ns: waited_ms * MILLISECOND });
        }
        builder.advance_to(builder.now + MILLISECOND);
        builder.findings().iter().map(|found| (found.name, found.is_certain)).collect::<Vec<_>>()
    };
    assert_eq!(found(None), [], "not known of this worker");
    assert_eq!(found(Some(0)), [("blocked-loop", true)]);
    assert_eq!(found(Some(20)), [("blocked-loop", false)]);
    assert_eq!(found(Some(60)), []);
}

#[test]
fn many_short_waits_add_up() {
    let mut builder = app_with_poll(200 * MILLISECOND);
    let add = |builder: &mut TraceBuilder, at: u64| {
        add_wait(builder, SECOND + at * MILLISECOND, SECOND + (at + 20) * MILLISECOND, 5 * MILLISECOND);
    };
    (0..5).for_each(|index| add(&mut builder, 40 * index));
    assert_eq!(builder.lint_names(), ["blocked-loop"], "25 ms of 200 ms");
    for index in 5..25 {
        let at = SECOND + 198 * MILLISECOND;
        add_wait(&mut builder, at, at + (10 + index) * MILLISECOND, 5 * MILLISECOND);
    }
    assert_eq!(builder.lint_names(), ["blocked-loop"], "at most 2 ms of each of these lie in the poll");
    let mut builder = app_with_poll(200 * MILLISECOND);
    (0..10).for_each(|index| {
        let at = SECOND + 20 * index * MILLISECOND;
        add_wait(&mut builder, at, at + 20 * MILLISECOND, 10 * MILLISECOND);
    });
    assert_eq!(builder.lint_names(), NO_FINDINGS, "100 ms of 200 ms");
}

#[test]
fn time_whose_waits_are_not_known_does_not_count() {
    let known_until = |known_ms: u64| {
        let mut builder = app_with_poll(200 * MILLISECOND);
        builder.trace.set_processor_waits_known_until(SECOND + known_ms * MILLISECOND);
        builder.lint_names()
    };
    assert_eq!(known_until(100), NO_FINDINGS);
    assert_eq!(known_until(101), ["blocked-loop"]);
}

/// The system counts a wait when it ends.
#[test]
fn running_poll_that_may_wait_is_uncertain() {
    let is_certain = |waits: bool| {
        let mut builder = TraceBuilder::default();
        builder.trace.set_external();
        let (handler, other) = (builder.spawn("handler"), builder.spawn("other"));
        builder.start_poll(handler);
        builder.wake(other, WakeSource::Driver);
        builder.advance_to(SECOND);
        if waits {
            add_wait(&mut builder, 0, SECOND, MILLISECOND);
        }
        let findings = builder.findings();
        assert_eq!(findings.iter().map(|found| found.name).collect::<Vec<_>>(), ["blocked-loop"]);
        findings[0].is_certain
    };
    assert!(is_certain(false) && !is_certain(true));
}

/// Returns the findings of an app and whether they are certain, without and with waits for a processor during the whole time.
fn found_without_and_with_waits(mut builder: TraceBuilder) -> [Vec<(&'static str, bool)>; 2] {
    let found =
        |builder: &TraceBuilder| builder.findings().iter().map(|found| (found.name, found.is_certain)).collect();
    let without = found(&builder);
    let now = builder.now;
    add_wait(&mut builder, 0, now, now);
    [without, found(&builder)]
}

/// Builds an app whose tasks hold a lock for `hold_ns`, while they sleep or else compute.
fn convoy(sleeps: bool, hold_ns: u64) -> TraceBuilder {
    let mut builder = TraceBuilder::default();
    builder.trace.set_external();
    let tasks = ["a", "b", "c"].map(|name| builder.spawn(name));
    let lock = builder.new_resource(ResourceKind::Lock, "Mutex", 0);
    let mut waits = tasks.map(|task| builder.start_await(task, AwaitKind::Sync, "Mutex::lock", Some(lock)));
    let mut hold = None;
    for turn in 0..Thresholds::default().convoy_turns {
        let next = (turn % 3) as usize;
        builder.advance_to((turn + 1) * hold_ns);
        hold.into_iter().for_each(|wait| builder.end_await_ready(wait));
        builder.end_await_ready(waits[next]);
        if sleeps {
            hold = Some(builder.start_await(tasks[next], AwaitKind::Timer, "sleep", None));
        } else {
            builder.start_poll(tasks[next]);
        }
        waits[next] = builder.start_await(tasks[next], AwaitKind::Sync, "Mutex::lock", Some(lock));
    }
    builder
}

fn slow_receiver() -> TraceBuilder {
    let mut builder = TraceBuilder::default();
    builder.trace.set_external();
    let sender = builder.spawn("sender");
    let channel = builder.new_resource(ResourceKind::Other, "Semaphore", 0);
    for _ in 0..2 * Thresholds::default().back_pressure_sends {
        let send = builder.start_await(sender, AwaitKind::Sync, "Acquire::new", Some(channel));
        builder.advance_to(builder.now + 20 * MILLISECOND).end_await_ready(send);
    }
    builder
}

#[test]
fn no_lint_reports_what_a_busy_machine_causes() {
    let limit_ns = Thresholds::default().no_progress_ns;
    let mut idle = waiting_app(Some((3, 2)), false, limit_ns);
    idle.apply(Event::OutsideInput { is_possible: Some(false) });
    for (name, builder) in [
        ("blocked-loop", app_with_poll(SECOND)),
        ("lost-waker", waiting_app(Some((3, 3)), true, 2 * SECOND)),
        ("no-progress", idle),
    ] {
        assert_eq!(found_without_and_with_waits(builder), [vec![(name, name != "no-progress")], Vec::new()], "{name}");
    }
}

/// A busy machine makes tasks wait, but in no cycle.
#[test]
fn deadlock_is_reported_on_a_busy_machine() {
    let found = vec![("deadlock", false)];
    assert_eq!(found_without_and_with_waits(crossed_mutexes("true", SECOND)), [found.clone(), found]);
}

/// The owners sleep while they hold the lock. The sleeps may be longer than intended.
#[test]
fn busy_machine_makes_a_convoy_uncertain() {
    let long = 20 * MILLISECOND;
    assert_eq!(found_without_and_with_waits(convoy(true, long)), [vec![("convoy", true)], vec![("convoy", false)]]);
    assert_eq!(found_without_and_with_waits(convoy(true, MILLISECOND)), [vec![("convoy", true)], Vec::new()]);
    assert_eq!(found_without_and_with_waits(convoy(false, MILLISECOND)), [vec![("convoy", true)], Vec::new()]);
}

/// The share of time that a sender waits changes little on a busy machine.
#[test]
fn back_pressure_of_a_busy_machine_is_uncertain() {
    let name = "back-pressure";
    assert_eq!(found_without_and_with_waits(slow_receiver()), [vec![(name, true)], vec![(name, false)]]);
}

/// Writes a trace as an archive, and reads it.
fn reopened(trace: &Trace) -> Trace {
    let mut bytes = encode_beginning(&ArchiveHeader::default());
    let mut writer = ArchiveWriter::default();
    writer.write_new_chunks(trace, &mut bytes).expect("writing to memory cannot fail");
    writer.flush(&mut bytes).expect("writing to memory cannot fail");
    bytes.extend(writer.encode_tail(trace, Some(&RunOutcome::Cancelled), "").expect("the tail fits a chunk"));
    let opened = read_archive(bytes.as_slice(), usize::MAX).expect("the archive opens");
    assert_eq!(opened.notes, Vec::<String>::new());
    opened.trace
}

/// Waits silence `blocked-loop`, `no-progress` is certain that nothing comes from outside, and the console is late.
#[test]
fn opened_archive_has_the_findings_of_its_run() {
    let limit_ns = Thresholds::default().no_progress_ns;
    let mut waited = app_with_poll(165 * MILLISECOND);
    add_wait(&mut waited, SECOND / 2, 3 * SECOND / 2, 163 * MILLISECOND);
    let mut unknown_end = app_with_poll(165 * MILLISECOND);
    unknown_end.trace.set_processor_waits_known_until(SECOND);
    let mut idle = waiting_app(Some((3, 2)), false, limit_ns);
    idle.apply(Event::OutsideInput { is_possible: Some(false) });
    let mut late = crossed_mutexes("true", SECOND);
    late.trace.set_sampled();
    late.apply(Event::ConsoleLate);
    for (builder, expected) in
        [(waited, None), (unknown_end, None), (idle, Some("no-progress")), (late, Some("deadlock"))]
    {
        let found = run_lints(&builder.trace, &Thresholds::default());
        assert_eq!(found.listed.first().map(|found| found.name), expected);
        let opened = reopened(&builder.trace);
        assert_eq!(run_lints(&opened, &Thresholds::default()), found);
        let all = |trace: &Trace| {
            let waits = [0, SECOND, 3 * SECOND / 2].map(|from| trace.processor_wait_ns(from, from + SECOND / 5));
            (trace.outside_input(), trace.is_console_late(), waits)
        };
        assert_eq!(all(&opened), all(&builder.trace));
    }
}

/// A semaphore that another task has released is no deadlock, in an archive too.
#[test]
fn archive_keeps_releases_by_others() {
    let mut builder = TraceBuilder::default();
    let task = TaskId::from_index(0);
    assert_eq!(builder.spawn("main"), task);
    let lock = builder.new_resource(ResourceKind::Lock, "lock", 1);
    builder.acquire(task, lock);
    builder.advance_to(5).release(task, lock);
    let releases = builder.trace.resources().releases_by_others().to_vec();
    assert_eq!(releases, [(lock, task, 5)]);
    assert_eq!(reopened(&builder.trace).resources().releases_by_others(), releases);
}
