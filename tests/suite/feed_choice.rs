//! One truth for all feeds: what console-subscriber alone reports of a run on the virtual clock is what the probe
//! records.

use crate::lab_harness;
use loopscope::control::{ClockKind, FeedChoice, Speed};
use loopscope::lab::LoopOptions;
use loopscope::session::{LabSession, Session};
use loopscope::trace::{Event, Location, TaskCounts, TaskMeta, TaskState, Trace, WakeSource};
use loopscope::workload::{build_program, catalog, params};
use std::time::{Duration, Instant};

const SECOND: u64 = 1_000_000_000;

/// Everything that both feeds know of a run, as text.
fn facts(trace: &Trace) -> Vec<String> {
    let counts = trace.counts();
    let mut facts = vec![format!("{} polls, {} wakes, parked {} ns", counts.polls, counts.wakes, counts.parked_ns)];
    facts.extend(trace.tasks().iter().map(|task| {
        let state = trace.state(task.id).map(TaskState::name);
        let waits = matches!(trace.state(task.id), Some(TaskState::Waiting(Some(_), _)));
        let TaskCounts { polls, wakes, self_wakes, awaits } = task.counts;
        format!("{} {state:?} waits {waits}: {polls} {wakes} {self_wakes} {awaits}", task.name())
    }));
    facts.extend(trace.awaits().iter().map(|(_, found)| {
        let site = trace.site(found.site).map(|site| (&site.source, site.location.as_ref().map(Location::to_string)));
        let (start, end, outcome) = (found.start, found.end(), found.outcome().name());
        format!("{} {site:?} {start} to {end:?}, {} polls, {outcome}", found.task, found.polls)
    }));
    // Awaits that start at the same time have no order between tasks.
    facts.sort();
    facts
}

fn facts_of_run(name: &str, feed: FeedChoice, stop_at: Option<u64>) -> Vec<String> {
    let manifest = catalog::find(name).expect("built in");
    let values = params::resolve(&manifest, &[]).expect("defaults");
    let options =
        LoopOptions { clock: ClockKind::Virtual, speed: Speed::Max, feed, start_paused: false, seed: 0, stop_at };
    let program = build_program(&manifest, values).expect("it loads");
    let mut session = LabSession::start(name, program, options, Trace::default()).expect("the loop thread starts");
    let deadline = Instant::now() + lab_harness::RUN_TIMEOUT;
    while !session.is_finished() {
        session.pump(Duration::from_millis(5));
        session.wait(Duration::from_millis(5));
        assert!(Instant::now() < deadline, "the run did not end");
    }
    facts(session.trace())
}

#[test]
fn console_alone_reports_what_the_probe_records() {
    for (name, stop_at) in [
        ("leak", None),
        ("leak", Some(10 * SECOND)),
        ("deadlock", None),
        ("mutex-convoy", Some(3 * SECOND)),
        ("cancellation", None),
        ("timeout-retry", None),
        ("select-race", None),
        ("task-group", None),
    ] {
        let exact = facts_of_run(name, FeedChoice::Probe, stop_at);
        for run in 1..=2 {
            let reported = facts_of_run(name, FeedChoice::Console, stop_at);
            assert_eq!(reported.len(), exact.len(), "{name}, run {run}");
            for (reported, exact) in reported.iter().zip(&exact) {
                assert_eq!(reported, exact, "{name}, run {run}");
            }
        }
    }
}

#[test]
fn corrected_counts_correct_the_totals() {
    let mut trace = Trace::default();
    trace.apply(Event::Spawn { task: first_task(), at: 0, meta: Box::new(TaskMeta::default()) });
    trace.set_sampled();
    for polls in [2, 1, 3] {
        let counts = TaskCounts { polls, wakes: 2 * polls, ..TaskCounts::default() };
        trace.apply(Event::ConsoleCounts { task: first_task(), counts });
        assert_eq!((trace.counts().polls, trace.counts().wakes), (polls, 2 * polls));
    }
}

fn first_task() -> loopscope::trace::TaskId {
    loopscope::trace::TaskId::from_index(0)
}

/// The time in which a task is held counts as held, and a deferred wake counts once it is delivered.
#[test]
fn held_time_counts_as_held() {
    let (mut trace, task) = (Trace::default(), first_task());
    let driver = WakeSource::Driver;
    for event in [
        Event::Spawn { task, at: 0, meta: Box::new(TaskMeta::default()) },
        Event::PollStart { task, at: 10 },
        Event::PollEnd { task, at: 20 },
        Event::Hold { task, at: 50 },
        Event::WakeDeferred { task, at: 60, source: driver },
        Event::WakeDeferred { task, at: 70, source: WakeSource::Thread },
    ] {
        trace.apply(event);
    }
    let held = trace.task(task).expect("retained");
    assert_eq!((held.counts.wakes, held.last_wake, held.deferred_wake()), (0, None, Some((60, driver))));
    let (totals, held_ns) = held.totals_at(100);
    assert_eq!((totals.busy_ns, totals.scheduled_ns, totals.waiting_total_ns(), held_ns), (10, 10, 30, 50));
    for event in [
        Event::Release { task, at: 100 },
        Event::Wake { task, at: 100, source: WakeSource::User },
        // Held again while it is scheduled.
        Event::Hold { task, at: 110 },
        Event::Release { task, at: 150 },
        Event::PollStart { task, at: 160 },
        Event::PollEnd { task, at: 161 },
    ] {
        trace.apply(event);
    }
    let released = trace.task(task).expect("retained");
    let last_wake = Some((100, WakeSource::User));
    assert_eq!((released.counts.wakes, released.last_wake, released.deferred_wake()), (1, last_wake, None));
    let (totals, held_ns) = released.totals_at(161);
    assert_eq!((totals.busy_ns, totals.scheduled_ns, totals.waiting_total_ns(), held_ns), (11, 30, 30, 90));
}
