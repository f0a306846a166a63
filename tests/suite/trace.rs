//! The trace, fed by hand: what it keeps, what it forgets, and what it answers.

use loopscope::trace::{AwaitId, AwaitKind, Cause, Event, Site, SiteId, Spawned, State, TaskId, TaskKind, Trace};

fn spawn(trace: &mut Trace, name: &str, at: u64) -> TaskId {
    let task = TaskId::from_index(trace.tasks().len());
    let spawned = Spawned { name: name.into(), kind: TaskKind::Task, parent: None, location: None };
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
    const BUDGET_BYTES: usize = 1 << 20;
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
    const BUDGET_BYTES: usize = 1 << 20;
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
