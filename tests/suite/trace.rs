//! The trace, fed event by event: retention, eviction and queries.

use loopscope::trace::{
    AwaitId, AwaitKind, AwaitSite, Axis, Event, RecordingStats, ReportedFacts, SampledInterval, SiteId, Task,
    TaskActivity, TaskCounts, TaskId, TaskMeta, TaskOutcome, TaskState, TaskStats, Trace, WakeSource,
};

/// Spawns the next task.
fn spawn(trace: &mut Trace, name: &str, at: u64) -> TaskId {
    let task = TaskId::from_index(trace.tasks().len());
    let meta = TaskMeta { name: name.into(), ..TaskMeta::default() };
    trace.apply(Event::Spawn { task, at, meta: Box::new(meta) });
    task
}

/// Feeds `cycles` cycles of one task that awaits, is woken and is polled: six events of the task each, and two of the
/// loop.
fn run_cycles(trace: &mut Trace, task: TaskId, site: SiteId, cycles: u64) {
    for cycle in 0..cycles {
        let at = cycle * 10;
        let id = AwaitId::from_index(cycle as usize);
        trace.apply(Event::PollStart { task, at });
        trace.apply(Event::AwaitStart { id, task, at: at + 1, site });
        trace.apply(Event::AwaitPoll { id, is_ready: false });
        trace.apply(Event::PollEnd { task, at: at + 2 });
        trace.apply(Event::Park { at: at + 3 });
        trace.apply(Event::Wake { task, at: at + 8, source: WakeSource::Driver });
        trace.apply(Event::Unpark { at: at + 8 });
        trace.apply(Event::AwaitEnd { id, at: at + 9 });
    }
}

#[test]
fn trace_stays_within_budget() {
    const BUDGET_BYTES: usize = 1 << 18;
    let mut trace = Trace::with_budget(BUDGET_BYTES);
    let task = spawn(&mut trace, "busy", 0);
    let site = SiteId::from_index(0);
    let await_site = AwaitSite { kind: AwaitKind::Timer, source: "sleep".into(), location: None, chain: None };
    trace.apply(Event::NewAwaitSite { id: site, site: Box::new(await_site) });
    const CYCLES: u64 = 100_000;
    run_cycles(&mut trace, task, site, CYCLES);
    assert!(trace.retained_bytes() <= BUDGET_BYTES + 10_000, "{} bytes are retained", trace.retained_bytes());
    assert_eq!((trace.counts().polls, trace.counts().wakes, trace.counts().parks), (CYCLES, CYCLES, CYCLES));
    let gap = trace.gaps().next().expect("evicted data is a gap");
    assert!(gap.from == 0 && gap.to > CYCLES * 5 && gap.dropped == 0, "{gap:?}");
    let row = trace.task(task).expect("the task is retained");
    assert!(row.lane.cycles().count() > 1_000 && row.wakes().count() > 1_000 && trace.awaits().len() > 1_000);
    assert!(row.wakes().count() < 50_000 && trace.awaits().len() < 50_000);
    let total = row.lane.totals_at(trace.now());
    assert_eq!((total.busy_ns, total.polls), (CYCLES * 2, CYCLES), "totals cover the whole run");
    assert_eq!(
        trace.state_at(task, trace.now() - 4),
        Some(TaskState::Waiting(Some(AwaitId::from_index(99_999)), AwaitKind::Timer))
    );
}

#[test]
fn endless_poll_stays_within_budget() {
    const BUDGET_BYTES: usize = 1 << 18;
    let mut trace = Trace::with_budget(BUDGET_BYTES);
    let (task, other) = (spawn(&mut trace, "endless", 0), spawn(&mut trace, "woken", 0));
    let site = SiteId::from_index(0);
    let await_site = AwaitSite { kind: AwaitKind::BlockingCall, source: "block".into(), location: None, chain: None };
    trace.apply(Event::NewAwaitSite { id: site, site: Box::new(await_site) });
    trace.apply(Event::PollStart { task, at: 0 });
    for index in 0..200_000 {
        let (id, at) = (AwaitId::from_index(index), index as u64);
        trace.apply(Event::AwaitStart { id, task, at, site });
        trace.apply(Event::AwaitEnd { id, at });
        trace.apply(Event::Wake { task: other, at, source: WakeSource::Task(task) });
    }
    assert!(trace.retained_bytes() <= BUDGET_BYTES + 10_000, "{} bytes are retained", trace.retained_bytes());
    assert_eq!(trace.task(other).expect("the task is retained").counts.wakes, 200_000);
    assert!(trace.task(other).expect("the task is retained").wakes().count() < 100_000);
}

#[test]
fn held_tasks_are_counted_as_held() {
    let mut trace = Trace::default();
    let (held, other) = (spawn(&mut trace, "held", 0), spawn(&mut trace, "other", 0));
    let counts = |trace: &Trace| {
        let counts = trace.task_counts();
        assert_eq!(counts.spawned, 2);
        [counts.running, counts.scheduled, counts.waiting, counts.held, counts.completed]
    };
    trace.apply(Event::Hold { task: held, at: 0 });
    assert_eq!(counts(&trace), [0, 1, 0, 1, 0], "scheduled");
    trace.apply(Event::PollStart { task: held, at: 1 });
    assert_eq!(counts(&trace), [1, 1, 0, 0, 0], "a poll in progress is not held up");
    trace.apply(Event::PollEnd { task: held, at: 2 });
    assert_eq!(counts(&trace), [0, 1, 0, 1, 0], "waiting");
    trace.apply(Event::Hold { task: held, at: 3 });
    trace.apply(Event::Release { task: other, at: 3 });
    assert_eq!(counts(&trace), [0, 1, 0, 1, 0], "held already, and never held");
    trace.apply(Event::Release { task: held, at: 4 });
    assert_eq!(counts(&trace), [0, 1, 1, 0, 0]);
    trace.apply(Event::Hold { task: held, at: 5 });
    trace.apply(Event::TaskEnd { task: held, at: 6, outcome: TaskOutcome::Completed });
    assert_eq!(counts(&trace), [0, 1, 0, 0, 1], "an ended task is not held");
}

#[test]
fn hold_spans_steps_until_release() {
    let mut trace = Trace::default();
    let (held, other) = (spawn(&mut trace, "held", 0), spawn(&mut trace, "other", 0));
    let poll = |trace: &mut Trace, task| {
        trace.apply(Event::PollStart { task, at: 0 });
        trace.apply(Event::PollEnd { task, at: 0 });
    };
    poll(&mut trace, held);
    trace.apply(Event::Hold { task: held, at: 0 });
    poll(&mut trace, other);
    poll(&mut trace, other);
    trace.apply(Event::Release { task: held, at: 0 });
    poll(&mut trace, other);
    poll(&mut trace, held);
    let states: Vec<_> = trace.window(held, Axis::Steps, 0, 5, 5).into_iter().filter_map(|cell| cell.state).collect();
    let waiting = TaskState::Waiting(None, AwaitKind::Other);
    assert_eq!(states, [TaskState::Running, TaskState::Held, TaskState::Held, waiting, TaskState::Running]);
}

/// A sampled cell reports whether every poll around it was sampled.
#[test]
fn sampled_cell_counts_unsampled_polls() {
    let mut trace = Trace::default();
    let task = spawn(&mut trace, "sampled", 0);
    let mut report = |at: u64, polls: u64, seen: u64| {
        trace.apply(Event::Sample { task, last_poll: Some((seen, Some(seen + 1))), last_wake: None });
        let stats = TaskStats { polls, busy_ns: polls, activity: TaskActivity::Waiting, ..TaskStats::default() };
        trace.apply(Event::TaskStats { task, at, stats: Box::new(stats) });
    };
    report(100, 1, 55);
    report(200, 11, 155);
    trace.apply(Event::Advance { at: 300 });
    let cells = trace.window(task, Axis::Time, 0, 300, 30);
    let sampled: Vec<SampledInterval> = cells.iter().filter_map(|cell| cell.sampled).collect();
    assert_eq!(sampled.len(), 30);
    let seen: Vec<usize> = (0..30).filter(|column| sampled[*column].has_poll_start).collect();
    assert_eq!(seen, [5, 15]);
    assert_eq!((sampled[2].unsampled_polls, sampled[12].unsampled_polls), (0, 9));
    assert_eq!((sampled[20].is_reported, sampled[21].is_reported), (true, false), "the last report was at 200");
}

#[test]
fn ignores_out_of_order_stats() {
    let mut trace = Trace::default();
    trace.set_sampled();
    trace.set_external();
    let task = spawn(&mut trace, "sampled", 0);
    for (at, busy_ns) in [(100, 50), (90, 60), (110, 70)] {
        let stats = TaskStats { busy_ns, activity: TaskActivity::Waiting, ..TaskStats::default() };
        trace.apply(Event::TaskStats { task, at, stats: Box::new(stats) });
    }
    let lane = trace.tasks().iter().map(|task| task.lane.totals_at(110).busy_ns).sum();
    assert_eq!((trace.counts().busy_ns, lane), (70, 70));
}

/// Spawns tasks that are polled twice with an await between, and end. With `console`, the console counts of nine in ten
/// tasks equal the probe's.
pub fn run_short_tasks(trace: &mut Trace, tasks: usize, first_await: &mut usize, console: bool) {
    for index in 0..tasks {
        let at = trace.now() + 10;
        let task = spawn(trace, "request", at);
        let id = AwaitId::from_index(*first_await);
        *first_await += 1;
        trace.apply(Event::PollStart { task, at: at + 1 });
        trace.apply(Event::AwaitStart { id, task, at: at + 1, site: SiteId::from_index(0) });
        trace.apply(Event::AwaitPoll { id, is_ready: false });
        trace.apply(Event::PollEnd { task, at: at + 3 });
        trace.apply(Event::Wake { task, at: at + 5, source: WakeSource::Driver });
        trace.apply(Event::PollStart { task, at: at + 6 });
        trace.apply(Event::AwaitEnd { id, at: at + 6 });
        trace.apply(Event::PollEnd { task, at: at + 7 });
        let counts = TaskCounts { polls: 2, wakes: 1, self_wakes: 0, awaits: 1 };
        if console && index % 10 != 9 {
            trace.apply(Event::ConsoleCounts { task, counts });
        }
        let outcome = if index % 10 == 0 { TaskOutcome::Cancelled } else { TaskOutcome::Completed };
        trace.apply(Event::TaskEnd { task, at: at + 7, outcome });
    }
}

/// Declares the first await site.
pub fn declare_site(trace: &mut Trace) {
    let await_site = AwaitSite { kind: AwaitKind::Timer, source: "sleep".into(), location: None, chain: None };
    trace.apply(Event::NewAwaitSite { id: SiteId::from_index(0), site: Box::new(await_site) });
}

/// A service that spawns a task for each request: memory stays within the budget, totals stay right, and lookups of
/// evicted ids return nothing.
#[test]
fn evicts_rows_of_ended_tasks() {
    const BUDGET_BYTES: usize = 1 << 20;
    const TASKS: usize = 100_000;
    let mut trace = Trace::with_budget(BUDGET_BYTES);
    declare_site(&mut trace);
    let (main, mut awaits, mut most) = (spawn(&mut trace, "main", 0), 0, 0);
    trace.apply(Event::PollStart { task: main, at: 1 });
    trace.apply(Event::PollEnd { task: main, at: 2 });
    for _ in 0..TASKS / 1_000 {
        run_short_tasks(&mut trace, 1_000, &mut awaits, true);
        most = most.max(trace.retained_bytes());
    }
    assert!(most <= BUDGET_BYTES + 40_000, "{most} bytes were retained");
    let evicted_tasks = trace.evicted().clone();
    assert_eq!(evicted_tasks.count + trace.tasks().retained() as u64, TASKS as u64 + 1);
    assert!(
        trace.tasks().retained() > 300 && trace.tasks().retained() < TASKS / 10,
        "{} are retained",
        trace.tasks().retained()
    );
    assert!(trace.task(main).is_some(), "a live task is retained, however old");
    let retained = trace.tasks().iter().skip(1);
    let first = retained.clone().next().expect("the newest rows are retained").id;
    let evicted = TaskId::from_index(first.index() - 1);
    assert!(retained.map(|task| task.id.index()).eq(first.index()..=TASKS), "tasks are evicted in order of their ends");
    // Lookups of evicted tasks are safe and return nothing.
    assert!(trace.task(evicted).is_none() && trace.state(evicted).is_none() && trace.state_at(evicted, 5).is_none());
    assert!(trace.window(evicted, Axis::Time, 0, 100, 10).iter().all(|cell| cell.state.is_none()));
    assert!(trace.blocking_call(evicted, 0, 100).is_none());
    let orphaned_awaits = trace.awaits().iter().filter(|(_, found)| trace.task(found.task).is_none()).count();
    let events = trace.counts().events;
    trace.apply(Event::Wake { task: evicted, at: trace.now(), source: WakeSource::Task(evicted) });
    trace.apply(Event::PollStart { task: evicted, at: trace.now() });
    trace.apply(Event::TaskEnd { task: evicted, at: trace.now(), outcome: TaskOutcome::Completed });
    assert_eq!(trace.counts().events, events + 3);
    // Totals over the whole run equal those without eviction.
    let sum = |of: fn(&Task) -> u64| trace.tasks().iter().map(of).sum::<u64>();
    let counts = trace.counts();
    assert_eq!(counts.polls, TASKS as u64 * 2 + 1);
    assert_eq!(counts.polls, evicted_tasks.counts.polls + sum(|task| task.counts.polls));
    assert_eq!(counts.wakes, evicted_tasks.counts.wakes + sum(|task| task.counts.wakes));
    assert_eq!(TASKS as u64, evicted_tasks.counts.awaits + sum(|task| task.counts.awaits));
    let busy_ns = sum(|task| task.lane.totals_at(u64::MAX).busy_ns);
    assert_eq!(counts.busy_ns, evicted_tasks.busy_ns + busy_ns);
    assert_eq!((counts.completed + counts.cancelled) as usize, TASKS);
    assert_eq!(u64::from(evicted_tasks.outcomes[0] + evicted_tasks.outcomes[1]), evicted_tasks.count);
    // The console had reported nine of ten tasks, and may still have reported the tenth.
    assert_eq!(evicted_tasks.console_reported + evicted_tasks.not_compared, evicted_tasks.count);
    assert!(
        evicted_tasks.not_compared.abs_diff(evicted_tasks.count / 10) <= 1 && evicted_tasks.unlisted_disagreements == 0
    );
    let named: Vec<TaskId> = trace.disagreements().iter().map(|found| found.task).collect();
    assert!(
        named.iter().all(|id| *id == main || id.index() >= first.index()),
        "only retained tasks can still be reported"
    );
    let gap = trace.gaps().next().expect("evicted rows leave a gap");
    assert!(gap.is_evicted() && gap.to >= evicted_tasks.ended_until, "{gap:?}");
    assert!(orphaned_awaits < trace.awaits().len());
}

/// A definite disagreement of the feeds outlives the row of its task.
#[test]
fn disagreement_outlives_evicted_task() {
    let mut trace = Trace::with_budget(1 << 19);
    declare_site(&mut trace);
    let (odd, mut awaits) = (TaskId::from_index(3), 0);
    run_short_tasks(&mut trace, 10, &mut awaits, true);
    let counts = TaskCounts { polls: 3, wakes: 1, self_wakes: 0, awaits: 1 };
    trace.apply(Event::ConsoleCounts { task: odd, counts });
    run_short_tasks(&mut trace, 20_000, &mut awaits, true);
    assert!(trace.task(odd).is_none());
    let found = trace.disagreements();
    let odd = found.iter().find(|found| found.task == odd).expect("the disagreement is listed");
    assert_eq!((odd.probe.polls, odd.console.map(|counts| counts.polls)), (2, Some(3)));
}

/// A hundred thousand open awaits of one task end in any order.
#[test]
fn task_has_any_number_of_open_awaits() {
    const AWAITS: usize = 100_000;
    let mut trace = Trace::default();
    declare_site(&mut trace);
    let task = spawn(&mut trace, "gather", 0);
    trace.apply(Event::PollStart { task, at: 1 });
    for index in 0..AWAITS {
        let (id, at) = (AwaitId::from_index(index), 2);
        trace.apply(Event::AwaitStart { id, task, at, site: SiteId::from_index(0) });
    }
    trace.apply(Event::PollEnd { task, at: 3 });
    let row = trace.task(task).expect("the task is retained");
    assert_eq!(row.open_awaits().count(), AWAITS);
    let innermost = TaskState::Waiting(Some(AwaitId::from_index(AWAITS - 1)), AwaitKind::Timer);
    assert_eq!(trace.state(task), Some(innermost));
    for step in 0..AWAITS - 1 {
        trace.apply(Event::AwaitEnd { id: AwaitId::from_index(step * 7_919 % (AWAITS - 1)), at: 4 + step as u64 });
    }
    let left: Vec<AwaitId> = trace.task(task).expect("the task is retained").open_awaits().collect();
    assert_eq!(left, [AwaitId::from_index(AWAITS - 1)]);
}

/// Returns whether the console and the recording of an external app agree on one task. `recorded` and `console` are
/// their poll counts, `ended` whether the end was recorded, and `counted_until` the time up to which the console
/// counted.
fn feeds_agree(recorded: u64, console: u64, ended: bool, counted_until: u64) -> bool {
    let mut trace = Trace::default();
    trace.set_external();
    let task = spawn(&mut trace, "external", 0);
    for poll in 0..recorded {
        trace.apply(Event::PollStart { task, at: poll * 10 });
        trace.apply(Event::PollEnd { task, at: poll * 10 + 1 });
    }
    if ended {
        trace.apply(Event::TaskEnd { task, at: recorded * 10, outcome: TaskOutcome::Completed });
    }
    let counts = TaskCounts { polls: console, ..TaskCounts::default() };
    trace.apply(Event::ConsoleCounts { task, counts });
    trace.set_console_complete_until(counted_until);
    trace.set_recording_stats(RecordingStats { is_unfinished: !ended, ..RecordingStats::default() });
    trace.disagreements().is_empty()
}

#[test]
fn feeds_are_compared_where_both_have_data() {
    const LONG_AFTER: u64 = 1_000;
    for ended in [true, false] {
        assert!(feeds_agree(3, 3, ended, LONG_AFTER) && feeds_agree(3, 3, ended, 0));
        assert!(!feeds_agree(3, 2, ended, LONG_AFTER), "the console counted everything, but fewer polls");
        assert!(feeds_agree(3, 2, ended, 20), "the console stopped counting before the last poll");
    }
    assert!(!feeds_agree(3, 4, true, LONG_AFTER) && !feeds_agree(3, 4, true, 0), "the whole life was recorded");
    assert!(feeds_agree(3, 4, false, LONG_AFTER) && feeds_agree(3, 4, false, 0), "the last polls were not recorded");
}

/// The time before loopscope attached to a program with the probe is no loss of data.
#[test]
fn time_before_recording_is_no_gap_in_it() {
    let gaps = |has_probe: bool| {
        let mut trace = Trace::default();
        trace.set_external();
        if has_probe {
            trace.set_reported_facts(ReportedFacts { polls: true, wakes: true, awaits: true });
        }
        trace.apply(Event::Disconnected { from: 0, to: 5 });
        trace.apply(Event::Disconnected { from: 8, to: 9 });
        (trace.recorded_from(), trace.gaps_since_recording().map(|gap| gap.from).collect::<Vec<_>>())
    };
    assert_eq!((gaps(true), gaps(false)), ((5, vec![8]), (0, vec![0, 8])));
}
