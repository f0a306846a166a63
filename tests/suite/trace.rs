//! The trace, fed by hand: what it keeps, what it forgets, and what it answers.

use loopscope::trace::{
    AwaitId, AwaitKind, Axis, Cause, Counts, Doing, Ending, Event, Measured, Recorded, Sampled, Site, SiteId, Spawned,
    State, Task, TaskId, Trace,
};

fn spawn(trace: &mut Trace, name: &str, at: u64) -> TaskId {
    let task = TaskId::from_index(trace.tasks().len());
    let spawned = Spawned { name: name.into(), ..Spawned::default() };
    trace.apply(Event::Spawn { task, at, spawned: Box::new(spawned) });
    task
}

/// A loop with one task that awaits, is woken and polled, `cycles` times: six events of the task each, two of the loop.
fn cycles(trace: &mut Trace, task: TaskId, site: SiteId, cycles: u64) {
    for cycle in 0..cycles {
        let at = cycle * 10;
        let id = AwaitId::from_index(cycle as usize);
        trace.apply(Event::PollStart { task, at });
        trace.apply(Event::AwaitStart { id, task, at: at + 1, site });
        trace.apply(Event::AwaitPoll { id, ready: false });
        trace.apply(Event::PollEnd { task, at: at + 2 });
        trace.apply(Event::Park { at: at + 3 });
        trace.apply(Event::Wake { task, at: at + 8, cause: Cause::Driver });
        trace.apply(Event::Unpark { at: at + 8 });
        trace.apply(Event::AwaitEnd { id, at: at + 9 });
    }
}

#[test]
fn a_trace_stays_within_its_budget_counts_on_and_says_what_it_forgot() {
    const BUDGET_BYTES: usize = 1 << 18;
    let mut trace = Trace::with_budget(BUDGET_BYTES);
    let task = spawn(&mut trace, "busy", 0);
    let site = SiteId::from_index(0);
    let described = Site { kind: AwaitKind::Timer, source: "sleep".into(), location: None };
    trace.apply(Event::Site { site, described: Box::new(described) });
    const CYCLES: u64 = 100_000;
    cycles(&mut trace, task, site, CYCLES);
    assert!(trace.kept_bytes() <= BUDGET_BYTES + 10_000, "{} bytes are kept", trace.kept_bytes());
    assert_eq!((trace.counts().polls, trace.counts().wakes, trace.counts().parks), (CYCLES, CYCLES, CYCLES));
    let gap = trace.gaps().next().expect("what was forgotten is a gap");
    assert!(gap.from == 0 && gap.to > CYCLES * 5 && gap.dropped == 0, "{gap:?}");
    let kept = trace.task(task).expect("it is there");
    assert!(kept.lane.cycles().count() > 1_000 && kept.wakes().count() > 1_000 && trace.awaits().len() > 1_000);
    assert!(kept.wakes().count() < 50_000 && trace.awaits().len() < 50_000);
    let total = kept.lane.totals_at(trace.now());
    assert_eq!((total.busy_ns, total.polls), (CYCLES * 2, CYCLES), "sums go back to the beginning");
    assert_eq!(
        trace.state_at(task, trace.now() - 4),
        Some(State::Waiting(Some(AwaitId::from_index(99_999)), AwaitKind::Timer))
    );
}

#[test]
fn one_poll_without_end_keeps_to_the_budget_too() {
    const BUDGET_BYTES: usize = 1 << 18;
    let mut trace = Trace::with_budget(BUDGET_BYTES);
    let (task, other) = (spawn(&mut trace, "endless", 0), spawn(&mut trace, "woken", 0));
    let site = SiteId::from_index(0);
    let described = Site { kind: AwaitKind::Block, source: "block".into(), location: None };
    trace.apply(Event::Site { site, described: Box::new(described) });
    trace.apply(Event::PollStart { task, at: 0 });
    for index in 0..200_000 {
        let (id, at) = (AwaitId::from_index(index), index as u64);
        trace.apply(Event::AwaitStart { id, task, at, site });
        trace.apply(Event::AwaitEnd { id, at });
        trace.apply(Event::Wake { task: other, at, cause: Cause::Task(task) });
    }
    assert!(trace.kept_bytes() <= BUDGET_BYTES + 10_000, "{} bytes are kept", trace.kept_bytes());
    assert_eq!(trace.task(other).expect("it is there").counts.wakes, 200_000);
    assert!(trace.task(other).expect("it is there").wakes().count() < 100_000);
}

#[test]
fn a_hold_shows_on_the_axis_of_polls_from_the_poll_after_it_to_the_release() {
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
    let waiting = State::Waiting(None, AwaitKind::Other);
    assert_eq!(states, [State::Running, State::Held, State::Held, waiting, State::Running]);
}

/// Where only sums are told, a column knows whether every poll around it happened to be seen.
#[test]
fn a_sampled_column_says_what_was_seen_and_what_was_not() {
    let mut trace = Trace::default();
    let task = spawn(&mut trace, "far away", 0);
    let mut tell = |at: u64, polls: u64, seen: u64| {
        trace.apply(Event::Sampled { task, polled: Some((seen, Some(seen + 1))), woken: None });
        let measured = Measured { polls, busy_ns: polls, doing: Doing::Waiting, ..Measured::default() };
        trace.apply(Event::Measured { task, at, measured: Box::new(measured) });
    };
    tell(100, 1, 55);
    tell(200, 11, 155);
    trace.apply(Event::Now { at: 300 });
    let cells = trace.window(task, Axis::Time, 0, 300, 30);
    let sampled: Vec<Sampled> = cells.iter().filter_map(|cell| cell.sampled).collect();
    assert_eq!(sampled.len(), 30);
    let seen: Vec<usize> = (0..30).filter(|column| sampled[*column].poll_seen).collect();
    assert_eq!(seen, [5, 15]);
    assert_eq!((sampled[2].unseen_polls, sampled[12].unseen_polls), (0, 9));
    assert_eq!((sampled[20].is_told, sampled[21].is_told), (true, false), "the last measure was at 200");
}

#[test]
fn a_measure_from_before_the_last_one_counts_for_nothing() {
    let mut trace = Trace::default();
    trace.set_sampled();
    trace.set_foreign();
    let task = spawn(&mut trace, "far away", 0);
    for (at, busy_ns) in [(100, 50), (90, 60), (110, 70)] {
        let measured = Measured { busy_ns, doing: Doing::Waiting, ..Measured::default() };
        trace.apply(Event::Measured { task, at, measured: Box::new(measured) });
    }
    let lane = trace.tasks().iter().map(|task| task.lane.totals_at(110).busy_ns).sum();
    assert_eq!((trace.counts().busy_ns, lane), (70, 70));
}

/// Tasks that are spawned, polled twice with an await between, and end; `console` tells of each what the probe counted.
pub fn storm(trace: &mut Trace, tasks: usize, first_await: &mut usize, console: bool) {
    for index in 0..tasks {
        let at = trace.now() + 10;
        let task = spawn(trace, "request", at);
        let id = AwaitId::from_index(*first_await);
        *first_await += 1;
        trace.apply(Event::PollStart { task, at: at + 1 });
        trace.apply(Event::AwaitStart { id, task, at: at + 1, site: SiteId::from_index(0) });
        trace.apply(Event::AwaitPoll { id, ready: false });
        trace.apply(Event::PollEnd { task, at: at + 3 });
        trace.apply(Event::Wake { task, at: at + 5, cause: Cause::Driver });
        trace.apply(Event::PollStart { task, at: at + 6 });
        trace.apply(Event::AwaitEnd { id, at: at + 6 });
        trace.apply(Event::PollEnd { task, at: at + 7 });
        let counts = Counts { polls: 2, wakes: 1, self_wakes: 0, awaits: 1 };
        if console && index % 10 != 9 {
            trace.apply(Event::Counted { task, counts });
        }
        let outcome = if index % 10 == 0 { Ending::Cancelled } else { Ending::Done };
        trace.apply(Event::End { task, at: at + 7, outcome });
    }
}

pub fn site(trace: &mut Trace) {
    let described = Site { kind: AwaitKind::Timer, source: "sleep".into(), location: None };
    trace.apply(Event::Site { site: SiteId::from_index(0), described: Box::new(described) });
}

/// A service that spawns a task for each request, for ever: memory stays within the budget, sums stay right, and what is
/// gone is nobody.
#[test]
fn rows_of_tasks_that_ended_are_forgotten_once_they_take_too_much_and_stay_in_the_sums() {
    const BUDGET_BYTES: usize = 1 << 20;
    const TASKS: usize = 100_000;
    let mut trace = Trace::with_budget(BUDGET_BYTES);
    site(&mut trace);
    let (main, mut awaits, mut most) = (spawn(&mut trace, "main", 0), 0, 0);
    trace.apply(Event::PollStart { task: main, at: 1 });
    trace.apply(Event::PollEnd { task: main, at: 2 });
    for _ in 0..TASKS / 1_000 {
        storm(&mut trace, 1_000, &mut awaits, true);
        most = most.max(trace.kept_bytes());
    }
    assert!(most <= BUDGET_BYTES + 40_000, "{most} bytes were kept");
    let forgotten = trace.forgotten().clone();
    assert_eq!(forgotten.tasks + trace.tasks().kept() as u64, TASKS as u64 + 1);
    assert!(trace.tasks().kept() > 300 && trace.tasks().kept() < TASKS / 10, "{} are kept", trace.tasks().kept());
    assert!(trace.task(main).is_some(), "who is there is kept, however old");
    let kept = trace.tasks().iter().skip(1);
    let first = kept.clone().next().expect("the newest are kept").id;
    let gone = TaskId::from_index(first.index() - 1);
    assert!(kept.map(|task| task.id.index()).eq(first.index()..=TASKS), "those are forgotten that ended first");
    // Nobody answers for them, and safely.
    assert!(trace.task(gone).is_none() && trace.state(gone).is_none() && trace.state_at(gone, 5).is_none());
    assert!(trace.window(gone, Axis::Time, 0, 100, 10).iter().all(|cell| cell.state.is_none()));
    assert!(trace.blocking_call(gone, 0, 100).is_none());
    let awaits_of_the_gone = trace.awaits().iter().filter(|(_, found)| trace.task(found.task).is_none()).count();
    let events = trace.counts().events;
    trace.apply(Event::Wake { task: gone, at: trace.now(), cause: Cause::Task(gone) });
    trace.apply(Event::PollStart { task: gone, at: trace.now() });
    trace.apply(Event::End { task: gone, at: trace.now(), outcome: Ending::Done });
    assert_eq!(trace.counts().events, events + 3);
    // Sums over the whole run are what they would be if nothing had been forgotten.
    let sum = |of: fn(&Task) -> u64| trace.tasks().iter().map(of).sum::<u64>();
    let counts = trace.counts();
    assert_eq!(counts.polls, TASKS as u64 * 2 + 1);
    assert_eq!(counts.polls, forgotten.counts.polls + sum(|task| task.counts.polls));
    assert_eq!(counts.wakes, forgotten.counts.wakes + sum(|task| task.counts.wakes));
    assert_eq!(TASKS as u64, forgotten.counts.awaits + sum(|task| task.counts.awaits));
    let busy_ns = sum(|task| task.lane.totals_at(u64::MAX).busy_ns);
    assert_eq!(counts.busy_ns, forgotten.busy_ns + busy_ns);
    assert_eq!((counts.done + counts.cancelled) as usize, TASKS);
    assert_eq!(u64::from(forgotten.endings[0] + forgotten.endings[1]), forgotten.tasks);
    // The console had told nine of ten; of the tenth it may still have been about to.
    assert_eq!(forgotten.told + forgotten.uncompared, forgotten.tasks);
    assert!(forgotten.uncompared.abs_diff(forgotten.tasks / 10) <= 1 && forgotten.unlisted == 0);
    let named: Vec<TaskId> = trace.disagreements().iter().map(|found| found.task).collect();
    assert!(
        named.iter().all(|id| *id == main || id.index() >= first.index()),
        "only what is kept can still be told of"
    );
    let gap = trace.gaps().next().expect("it is a gap");
    assert!(gap.is_forgotten() && gap.to >= forgotten.until, "{gap:?}");
    assert!(awaits_of_the_gone < trace.awaits().len());
}

/// What the feeds certainly differed on is not forgotten with the row.
#[test]
fn a_task_on_which_the_feeds_differed_is_named_though_its_row_is_forgotten() {
    let mut trace = Trace::with_budget(1 << 19);
    site(&mut trace);
    let (odd, mut awaits) = (TaskId::from_index(3), 0);
    storm(&mut trace, 10, &mut awaits, true);
    let counts = Counts { polls: 3, wakes: 1, self_wakes: 0, awaits: 1 };
    trace.apply(Event::Counted { task: odd, counts });
    storm(&mut trace, 20_000, &mut awaits, true);
    assert!(trace.task(odd).is_none());
    let found = trace.disagreements();
    let odd = found.iter().find(|found| found.task == odd).expect("it is named");
    assert_eq!((odd.probe.polls, odd.console.map(|counts| counts.polls)), (2, Some(3)));
}

/// A hundred thousand awaits of one task that are all open, and end in any order.
#[test]
fn a_task_may_have_any_number_of_open_awaits() {
    const AWAITS: usize = 100_000;
    let mut trace = Trace::default();
    site(&mut trace);
    let task = spawn(&mut trace, "gather", 0);
    trace.apply(Event::PollStart { task, at: 1 });
    for index in 0..AWAITS {
        let (id, at) = (AwaitId::from_index(index), 2);
        trace.apply(Event::AwaitStart { id, task, at, site: SiteId::from_index(0) });
    }
    trace.apply(Event::PollEnd { task, at: 3 });
    let kept = trace.task(task).expect("it is there");
    assert_eq!(kept.open_awaits().count(), AWAITS);
    let waits_on = |trace: &Trace| trace.state(task);
    let innermost = State::Waiting(Some(AwaitId::from_index(AWAITS - 1)), AwaitKind::Timer);
    assert_eq!(waits_on(&trace), Some(innermost));
    for step in 0..AWAITS - 1 {
        trace.apply(Event::AwaitEnd { id: AwaitId::from_index(step * 7_919 % (AWAITS - 1)), at: 4 + step as u64 });
    }
    let left: Vec<AwaitId> = trace.task(task).expect("it is there").open_awaits().collect();
    assert_eq!(left, [AwaitId::from_index(AWAITS - 1)]);
}

/// The console and the recording of a program that is not ours, of one task: what each has counted of its polls, whether
/// its end was recorded, and until when the console had counted.
fn agree(recorded: u64, console: u64, ended: bool, counted_until: u64) -> bool {
    let mut trace = Trace::default();
    trace.set_foreign();
    let task = spawn(&mut trace, "foreign", 0);
    for poll in 0..recorded {
        trace.apply(Event::PollStart { task, at: poll * 10 });
        trace.apply(Event::PollEnd { task, at: poll * 10 + 1 });
    }
    if ended {
        trace.apply(Event::End { task, at: recorded * 10, outcome: Ending::Done });
    }
    let counts = Counts { polls: console, ..Counts::default() };
    trace.apply(Event::Counted { task, counts });
    trace.set_compared_until(counted_until);
    trace.set_recorded(Recorded { is_unfinished: !ended, ..Recorded::default() });
    trace.disagreements().is_empty()
}

#[test]
fn two_witnesses_of_a_foreign_task_contradict_each_other_only_in_what_both_could_have_told() {
    const LONG_AFTER: u64 = 1_000;
    for ended in [true, false] {
        assert!(agree(3, 3, ended, LONG_AFTER) && agree(3, 3, ended, 0));
        assert!(!agree(3, 2, ended, LONG_AFTER), "the console had counted everything, and counted less");
        assert!(agree(3, 2, ended, 20), "it fell silent before the last poll");
    }
    assert!(!agree(3, 4, true, LONG_AFTER) && !agree(3, 4, true, 0), "all of its life was recorded");
    assert!(agree(3, 4, false, LONG_AFTER) && agree(3, 4, false, 0), "its last moments were not");
}
