//! The lints, each on a trace that it must find something in, and on one nearby that it must leave alone.

use loopscope::insight::{FINDINGS_MAX, LINTS, Summary, Thresholds, findings};
use loopscope::trace::{
    Attribute, AwaitKind, Cause, Doing, Ending, Event, Location, Measured, ResourceId, ResourceKind, TaskId, Unawaited,
};

use crate::story::{MILLISECOND, SECOND, Story};

const NOTHING: [&str; 0] = [];

#[test]
fn a_blocked_loop_is_a_poll_over_the_limit_that_does_not_compute() {
    let polls_of = |source: &str, length_ns: u64| {
        let mut story = Story::default();
        let (main, other) = (story.spawn("main"), story.spawn("other"));
        story.poll_of(main, source, length_ns);
        story.start(other);
        story.stop(other);
        story
    };
    let limit_ns = Thresholds::default().blocked_loop_ns;
    let blocked = polls_of("block", limit_ns + MILLISECOND).only();
    assert!(blocked.contains("main kept the loop for 101 ms"), "{blocked}");
    assert!(blocked.contains("block at story.lua:5; 1 other task ready meanwhile"), "{blocked}");
    assert_eq!(polls_of("block", limit_ns).found(), NOTHING);
    assert_eq!(polls_of("work", 10 * limit_ns).found(), NOTHING, "its own computing");
    let mut silent = Story::default();
    let task = silent.spawn("main");
    silent.start(task);
    silent.at(SECOND);
    assert_eq!(silent.found(), ["blocked-loop"], "a poll under way counts up to now, whatever is in it");
}

/// Somebody else's program, or a file, may tell of any times: their sums are the most that there is, and nothing panics.
#[test]
fn times_that_no_run_has_are_summed_up_all_the_same() {
    let mut story = Story::default();
    let actor = story.resource(ResourceKind::Actor, "player", 1);
    let tasks = [story.spawn("main"), story.spawn("other")];
    for task in tasks {
        story.start(task);
        for (kind, source, of) in [
            (AwaitKind::Block, "work", None),
            (AwaitKind::Channel, "send", None),
            (AwaitKind::Timer, "sleep", Some(actor)),
        ] {
            for _ in 0..2 {
                story.wait(task, kind, source, of);
            }
        }
    }
    story.at(u64::MAX - 1);
    assert_eq!(Summary::of(&story.trace).busy_ns, u64::MAX);
    assert!(story.found().contains(&"overlapping-work"));
    tasks.into_iter().for_each(|task| story.stop(task));
    assert_eq!(Summary::of(&story.trace).busy_ns, u64::MAX);
    assert!(story.found().contains(&"overlapping-work"));
}

#[test]
fn a_sampled_poll_whose_end_nobody_told_lasted_as_long_as_it_was_seen_to() {
    let limit_ns = Thresholds::default().blocked_loop_ns;
    let found = |seen_ns: u64, ended: Option<u64>| {
        let mut story = Story::default();
        story.trace.set_sampled();
        story.trace.set_foreign();
        let task = story.spawn("main");
        let mut update = |at: u64, busy_ns: u64, polls: u64, doing: Doing, polled: (u64, Option<u64>)| {
            let measured = Measured { polls, busy_ns, scheduled_ns: 0, doing, waker_clones: 0, waker_drops: 0 };
            story.tell(Event::Measured { task, at, measured: Box::new(measured) });
            story.tell(Event::Sampled { task, polled: Some(polled), woken: None });
        };
        update(SECOND + seen_ns, seen_ns, 1, Doing::Running, (SECOND, None));
        match ended {
            Some(ended) => story.tell(Event::End { task, at: ended, outcome: Ending::Done }),
            None => update(9 * SECOND, 2 * seen_ns, 7, Doing::Waiting, (8 * SECOND, Some(8 * SECOND + 1))),
        }
        story.at(9 * SECOND);
        story.found()
    };
    assert_eq!(found(limit_ns + 1, None), ["blocked-loop"]);
    assert_eq!(
        found(limit_ns - 1, None),
        NOTHING,
        "for seconds nobody knows what it did, other than that it was polled again"
    );
    assert_eq!(found(limit_ns - 1, Some(SECOND + limit_ns)), NOTHING, "it went with its task");
}

#[test]
fn computing_never_yields_when_it_goes_on_from_piece_to_piece_and_starves_who_is_ready() {
    let computing = |pieces: u64, turns: bool| {
        let mut story = Story::default();
        let (main, other) = (story.spawn("main"), story.spawn("other"));
        story.start(main);
        for _ in 0..pieces {
            story.call(main, "work", 200 * MILLISECOND);
            if turns {
                let turn = story.wait(main, AwaitKind::Yield, "yield_now", None);
                story.wake(main, Cause::Driver);
                story.stop(main);
                story.start(main);
                story.met(turn);
            }
        }
        story.stop(main);
        story.start(other);
        story.stop(other);
        story
    };
    let pieces = Thresholds::default().never_yields_pieces;
    assert_eq!(computing(pieces, false).found(), ["never-yields", "starvation"]);
    assert_eq!(computing(pieces - 1, false).found(), NOTHING);
    assert_eq!(computing(pieces, true).found(), NOTHING, "turns were given away");
    let mut long = Story::default();
    let main = long.spawn("main");
    long.poll_of(main, "work", Thresholds::default().never_yields_ns + 1);
    assert!(long.only().contains("main computed for 10 s without giving a turn away"), "{}", long.only());
}

#[test]
fn busy_yielding_is_many_turns_given_away_for_nothing() {
    let yields = |turns: u64, length_ns: u64, cause: Cause, kind: AwaitKind| {
        let mut story = Story::default();
        let main = story.spawn("main");
        for _ in 0..turns {
            story.start(main);
            let turn = story.wait(main, kind, "yield_now", None);
            story.at(story.now + length_ns);
            story.wake(main, cause);
            story.stop(main);
            story.met(turn);
        }
        story.at(story.now + SECOND);
        story.found()
    };
    let turns = Thresholds::default().busy_yield_turns;
    assert_eq!(yields(turns, 0, Cause::Driver, AwaitKind::Yield), ["busy-yield"]);
    assert_eq!(yields(turns, 0, Cause::Own, AwaitKind::Other), ["busy-yield"]);
    assert_eq!(yields(turns - 1, 0, Cause::Driver, AwaitKind::Yield), NOTHING);
    assert_eq!(yields(turns, 2 * MILLISECOND, Cause::Driver, AwaitKind::Yield), NOTHING, "it did something");
    assert_eq!(yields(turns, 0, Cause::Driver, AwaitKind::Timer), NOTHING);
}

#[test]
fn a_failed_task_says_its_error() {
    let mut story = Story::default();
    let (main, bad) = (story.spawn("main"), story.spawn("bad"));
    story.end(bad, Ending::Failed("panicked: no\nand more".into()));
    story.end(main, Ending::Cancelled);
    assert!(story.only().contains("bad panicked") && story.only().contains("panicked: no; spawned at story.lua:9"));
}

#[test]
fn a_coroutine_that_never_ran_is_told_unless_its_maker_was_cut_short() {
    let forgotten = |outcome: Ending| {
        let mut story = Story::default();
        let main = story.spawn("main");
        let location = Some(Location { file: "story.lua".into(), line: 4 });
        let coroutine = Box::new(Unawaited { name: "count".into(), location });
        story.tell(Event::NeverAwaited { task: Some(main), at: 0, coroutine });
        story.end(main, outcome);
        story
    };
    assert!(forgotten(Ending::Done).only().contains("a coroutine of count was made and never ran"));
    assert_eq!(forgotten(Ending::Cancelled).found(), NOTHING);
}

#[test]
fn one_actor_cannot_be_at_work_in_two_places() {
    let work = |second_at: u64, actors: [&str; 2]| {
        let mut story = Story::default();
        let tasks = [story.spawn("a"), story.spawn("b")];
        let player = story.resource(ResourceKind::Actor, actors[0], 1);
        let other = if actors[0] == actors[1] { player } else { story.resource(ResourceKind::Actor, actors[1], 1) };
        let first = story.wait(tasks[0], AwaitKind::Timer, "sleep", Some(player));
        if second_at >= 5 * SECOND {
            story.at(5 * SECOND).met(first);
        }
        let second = story.at(second_at).wait(tasks[1], AwaitKind::Timer, "sleep", Some(other));
        if second_at < 5 * SECOND {
            story.at(5 * SECOND).met(first);
        }
        story.at(second_at + 5 * SECOND).met(second);
        story
    };
    let seen = work(4 * SECOND, ["player"; 2]).only();
    assert!(seen.contains("player was at work in 2 places at once"), "{seen}");
    assert!(seen.contains("10 s of work in 9 s of time, by 2 tasks"), "{seen}");
    assert_eq!(work(5 * SECOND, ["player"; 2]).found(), NOTHING, "one after the other");
    assert_eq!(work(0, ["player", "opponent"]).found(), NOTHING, "two of them");
}

#[test]
fn a_leak_is_what_is_spawned_again_and_again_and_stays() {
    let spawns = |count: u64, ends_one_in: u64, spacing_ns: u64| {
        let mut story = Story::default();
        let main = story.spawn("main");
        for number in 0..count {
            let task = story.at(number * spacing_ns).spawn("worker");
            if number % ends_one_in == 0 {
                story.end(task, Ending::Done);
            }
        }
        story.end(main, Ending::Done);
        for index in 1..=count as usize {
            story.end(TaskId::from_index(index), Ending::Cancelled);
        }
        story.found()
    };
    let tasks = Thresholds::default().leak_tasks;
    assert_eq!(spawns(tasks + 1, 1_000, SECOND), ["leak"]);
    assert_eq!(spawns(tasks, 1_000, SECOND), NOTHING, "one of them ended");
    assert_eq!(spawns(10 * tasks, 9, SECOND), NOTHING, "more than a tenth ends");
    assert_eq!(spawns(10 * tasks, 1_000, 0), NOTHING, "a burst");
    assert_eq!(spawns(10 * tasks, 100_000, MILLISECOND / 10), NOTHING, "a burst that takes its time, as real ones do");
    assert_eq!(spawns(4_000, 100_000, 5 * MILLISECOND), ["leak"], "it goes on and on");
}

/// Two tasks of a foreign program that want each other's mutex, and how long they have done so.
fn crossed(locked: &str, waited_ns: u64) -> Story {
    let mut story = Story::default();
    story.trace.set_foreign();
    let tasks = ["left", "right"].map(|name| story.spawn(name));
    let locks = [(); 2].map(|()| story.resource(ResourceKind::Lock, "Mutex", 0));
    for (task, lock) in tasks.into_iter().zip(locks) {
        let got = story.wait(task, AwaitKind::Sync, "Mutex::lock", Some(lock));
        story.at(MILLISECOND).met(got);
        let attribute = Attribute { name: "locked".into(), value: locked.into(), unit: "".into() };
        story.tell(Event::Attribute { resource: lock, attribute: Box::new(attribute) });
    }
    story.at(SECOND);
    story.wait(tasks[0], AwaitKind::Sync, "Mutex::lock", Some(locks[1]));
    story.wait(tasks[1], AwaitKind::Sync, "Mutex::lock", Some(locks[0]));
    story.at(SECOND + waited_ns);
    story.tell(Event::Now { at: SECOND + waited_ns });
    story
}

#[test]
fn two_mutexes_of_a_foreign_program_close_a_circle_by_who_got_them_last() {
    let seen = crossed("true", SECOND).only();
    assert!(seen.contains("left, right wait for each other in a circle"), "{seen}");
    assert!(seen.contains("whose call got it last"), "{seen}");
    assert_eq!(crossed("true", SECOND - 1).found(), NOTHING, "it may be on its way");
    assert_eq!(crossed("false", SECOND).found(), NOTHING, "nobody has them");
}

#[test]
fn an_interval_whose_period_nobody_told_does_not_drift() {
    let mut story = Story::default();
    let main = story.spawn("main");
    let interval = story.resource(ResourceKind::Interval, "Interval", 0);
    for tick in 1..=100 {
        let wait = story.wait(main, AwaitKind::Timer, "Interval::tick", Some(interval));
        story.at(tick * SECOND).met(wait);
    }
    assert_eq!(story.found(), NOTHING);
}

#[test]
fn a_lost_wake_is_a_signal_that_came_before_its_waiter() {
    let signalled = |signal_at: u64, wait_at: u64, comes: bool| {
        let mut story = Story::default();
        let main = story.spawn("main");
        let ready = story.resource(ResourceKind::Signal, "ready", 0);
        if signal_at <= wait_at {
            story.at(signal_at).tell(Event::Unheard { resource: ready, task: Some(main), at: signal_at });
        }
        let wait = story.at(wait_at).wait(main, AwaitKind::Sync, "notified", Some(ready));
        story.at(wait_at + 10);
        if comes {
            story.met(wait);
        } else {
            story.given_up(wait);
        }
        story.found()
    };
    assert_eq!(signalled(5, 5, false), ["lost-wake"]);
    assert_eq!(signalled(5, 4, false), NOTHING, "nothing was signalled before");
    assert_eq!(signalled(5, 6, true), NOTHING, "another signal came");
}

/// Each task holds the lock of its own number and waits for the next one's, the last for `last_wants`.
fn circle(tasks: usize, last_wants: usize) -> Story {
    let mut story = Story::default();
    let tasks: Vec<TaskId> = (0..tasks).map(|number| story.spawn(&format!("philosopher-{number}"))).collect();
    let forks: Vec<ResourceId> =
        (0..=tasks.len()).map(|number| story.resource(ResourceKind::Lock, &format!("fork-{number}"), 1)).collect();
    for (task, fork) in tasks.iter().zip(&forks) {
        story.acquire(*task, *fork);
    }
    story.at(SECOND);
    for (number, task) in tasks.iter().enumerate() {
        let wanted = if number + 1 < tasks.len() { number + 1 } else { last_wants };
        story.wait(*task, AwaitKind::Sync, "lock", Some(forks[wanted]));
    }
    story.at(3 * SECOND);
    story
}

#[test]
fn a_deadlock_is_a_circle_and_is_told_once() {
    let seen = circle(3, 0).only();
    assert!(seen.contains("philosopher-0, philosopher-1, philosopher-2 wait for each other in a circle"), "{seen}");
    assert!(seen.contains("philosopher-2 waits for fork-0 (lock at story.lua:4)"), "{seen}");
    assert!(seen.contains("since 1 s"), "{seen}");
    assert!(circle(1, 0).only().contains("philosopher-0 waits for fork-0, which it holds itself"));
    assert_eq!(circle(3, 3).found(), NOTHING, "the last one waits for a lock that nobody holds");
    let mut freed = circle(2, 0);
    freed.at(2 * SECOND).give_back(TaskId::from_index(1), ResourceId::from_index(1));
    assert_eq!(freed.found(), NOTHING, "what one of them waits for is free");
    let mut given_up = circle(2, 0);
    given_up.tell(Event::AwaitEnd { id: loopscope::trace::AwaitId::from_index(0), at: 3 * SECOND });
    assert_eq!(given_up.found(), ["deadlock"], "it was one until somebody gave up");
    given_up.at(4 * SECOND).met(loopscope::trace::AwaitId::from_index(1));
    assert_eq!(given_up.found(), ["deadlock"], "and the other one could go on");
}

#[test]
fn a_deadlock_that_ends_the_run_in_the_moment_it_closes_is_seen() {
    let mut story = Story::default();
    let tasks = ["left", "right"].map(|name| story.spawn(name));
    let locks = ["left", "right"].map(|name| story.resource(ResourceKind::Lock, name, 1));
    story.acquire(tasks[0], locks[0]);
    story.acquire(tasks[1], locks[1]);
    story.at(SECOND);
    for (number, task) in tasks.into_iter().enumerate() {
        story.wait(task, AwaitKind::Sync, "lock", Some(locks[1 - number]));
    }
    for (number, task) in tasks.into_iter().enumerate() {
        story.given_up(loopscope::trace::AwaitId::from_index(number));
        story.give_back(task, locks[number]);
        story.end(task, Ending::Cancelled);
    }
    assert_eq!(story.found(), ["deadlock"]);
}

#[test]
fn a_semaphore_with_a_holder_who_goes_on_is_no_deadlock() {
    let mut story = Story::default();
    let tasks = ["a", "b"].map(|name| story.spawn(name));
    let permits = story.resource(ResourceKind::Semaphore, "permits", 2);
    tasks.iter().for_each(|task| story.acquire(*task, permits));
    story.wait(tasks[0], AwaitKind::Sync, "acquire", Some(permits));
    assert_eq!(story.at(SECOND).found(), NOTHING);
    story.wait(tasks[1], AwaitKind::Sync, "acquire", Some(permits));
    assert_eq!(story.at(2 * SECOND).found(), ["deadlock"], "nobody who holds a permit goes on");
}

#[test]
fn a_thundering_herd_is_woken_for_what_one_can_have() {
    let herd = |sleepers: usize, winners: usize| {
        let mut story = Story::default();
        let waker = story.spawn("main");
        let tasks: Vec<_> = (0..sleepers).map(|number| story.spawn(&format!("sleeper-{number}"))).collect();
        let mut waits = Vec::new();
        for task in &tasks {
            story.start(*task);
            waits.push(story.wait(*task, AwaitKind::Sync, "notified", None));
            story.stop(*task);
        }
        story.at(SECOND).start(waker);
        tasks.iter().for_each(|task| story.wake(*task, Cause::Task(waker)));
        story.stop(waker);
        for (number, task) in tasks.iter().enumerate() {
            story.start(*task);
            story.met(waits[number]);
            let source = if number < winners { "sleep" } else { "notified" };
            let kind = if number < winners { AwaitKind::Timer } else { AwaitKind::Sync };
            story.wait(*task, kind, source, None);
            story.stop(*task);
        }
        story
    };
    let least = Thresholds::default().thundering_herd_tasks as usize;
    let seen = herd(least, 1).only();
    assert!(seen.contains("main woke 5 tasks at once, and 4 of them woke in vain"), "{seen}");
    assert_eq!(herd(least - 1, 1).found(), NOTHING);
    assert_eq!(herd(least, least).found(), NOTHING, "all went on");
    assert_eq!(herd(least, 0).found(), NOTHING, "it concerned all of them alike");
}

#[test]
fn a_convoy_is_a_queue_that_never_drains() {
    let queue = |rounds: u64, drains: bool| {
        let mut story = Story::default();
        let tasks = ["a", "b", "c"].map(|name| story.spawn(name));
        let lock = story.resource(ResourceKind::Lock, "ledger", 1);
        let mut waits = tasks.map(|task| story.wait(task, AwaitKind::Sync, "lock", Some(lock)));
        for turn in 0..rounds {
            let next = (turn % 3) as usize;
            story.at((turn + 1) * 10).met(waits[next]);
            if drains && next == 2 {
                story.at(story.now + 5);
                waits = tasks.map(|task| story.wait(task, AwaitKind::Sync, "lock", Some(lock)));
            } else if !drains {
                waits[next] = story.wait(tasks[next], AwaitKind::Sync, "lock", Some(lock));
            }
        }
        story
    };
    let turns = Thresholds::default().convoy_turns;
    let seen = queue(turns, false).only();
    assert!(seen.contains("3 tasks queued for ledger, which was handed on 10 times"), "{seen}");
    assert_eq!(queue(turns - 1, false).found(), NOTHING);
    assert_eq!(queue(3 * turns, true).found(), NOTHING);
}

#[test]
fn back_pressure_is_waiting_for_room_most_of_the_time() {
    let sends = |count: u64, wait_ns: u64| {
        let mut story = Story::default();
        let main = story.spawn("main");
        let orders = story.resource(ResourceKind::Channel, "orders", 1);
        for _ in 0..count {
            let send = story.wait(main, AwaitKind::Channel, "channel.send(orders)", Some(orders));
            story.at(story.now + wait_ns).met(send);
            story.at(story.now + 100);
        }
        story
    };
    let seen = sends(5, 300).only();
    assert!(seen.contains("of the time that it sent into orders") && seen.contains("5 sends waited 1.5 µs"), "{seen}");
    assert_eq!(sends(4, 300).found(), NOTHING);
    assert_eq!(sends(50, 99).found(), NOTHING);
}

#[test]
fn an_interval_drifts_when_its_ticks_end_up_late() {
    let ticks = |count: u64, late_ns: u64| {
        let mut story = Story::default();
        let main = story.spawn("main");
        let beat = story.resource(ResourceKind::Interval, "heartbeat", SECOND);
        for number in 0..count {
            let tick = story.wait(main, AwaitKind::Timer, "interval.tick", Some(beat));
            story.at(number * (SECOND + late_ns)).met(tick);
        }
        story
    };
    let seen = ticks(6, 300 * MILLISECOND).only();
    assert!(seen.contains("heartbeat of 1 s ended 1.5 s late"), "{seen}");
    assert_eq!(ticks(4, SECOND).found(), NOTHING, "too few to tell");
    assert_eq!(ticks(6, 200 * MILLISECOND).found(), NOTHING, "not a whole period");
}

#[test]
fn a_large_future_is_told_once_a_place_and_a_boxed_one_whatever_its_size() {
    let limit = Thresholds::default().large_future_bytes;
    let sizes = |sizes: &[(Option<u64>, Option<u64>)]| {
        let mut story = Story::default();
        story.spawn("main");
        for (size, boxed) in sizes {
            story.spawn_sized("worker", *size, *boxed);
        }
        story
    };
    let two = sizes(&[(Some(limit), None), (Some(5 * limit), None), (Some(limit - 1), None)]).only();
    assert!(two.contains("the future of worker has 20 KiB"), "{two}");
    assert!(two.contains("2 such tasks spawned at story.lua:9") && !two.contains("boxed"), "{two}");
    let boxed = sizes(&[(Some(16), Some(limit / 2))]).only();
    assert!(boxed.contains("the future of worker has 2 KiB"), "{boxed}");
    assert!(boxed.contains("1 such task spawned at story.lua:9, of which the runtime boxed 1"), "{boxed}");
    assert_eq!(sizes(&[(Some(limit - 1), None), (None, None)]).found(), NOTHING);
}

#[test]
fn findings_are_bounded_in_order_and_the_same_again() {
    let mut story = Story::default();
    let tasks: Vec<_> = (0..FINDINGS_MAX + 7).map(|number| story.spawn(&format!("bad-{number}"))).collect();
    for task in tasks.into_iter().rev() {
        story.at(story.now + 1).end(task, Ending::Failed("no".into()));
    }
    let found = findings(&story.trace, &Thresholds::default());
    assert_eq!((found.listed.len(), found.unlisted), (FINDINGS_MAX, 7));
    assert!(found.listed.is_sorted_by_key(|finding| (finding.at_ns, finding.task)));
    assert_eq!(found, findings(&story.trace, &Thresholds::default()));
    let strict = Thresholds { blocked_loop_ns: u64::MAX, ..Thresholds::default() };
    assert_eq!(findings(&story.trace, &strict).unlisted, 7);
    assert!(LINTS.is_sorted_by_key(|lint| lint.name));
}

#[test]
fn a_hundred_thousand_tasks_are_looked_at_without_a_look_at_each_for_each() {
    const TASKS: usize = 100_000;
    let mut story = Story::default();
    let main = story.spawn("main");
    let (gate, lock) = (story.resource(ResourceKind::Signal, "gate", 0), story.resource(ResourceKind::Lock, "lock", 1));
    let tasks: Vec<_> = (0..TASKS).map(|_| story.spawn("worker")).collect();
    let mut waits = Vec::with_capacity(TASKS);
    for task in &tasks {
        story.start(*task);
        waits.push(story.wait(*task, AwaitKind::Sync, "gate", Some(gate)));
        story.stop(*task);
    }
    story.at(SECOND).start(main);
    tasks.iter().for_each(|task| story.wake(*task, Cause::Task(main)));
    story.stop(main);
    for (task, wait) in tasks.iter().zip(waits) {
        story.start(*task);
        story.met(wait);
        story.acquire(*task, lock);
        story.at(story.now + 1).give_back(*task, lock);
        story.wait(*task, AwaitKind::Sync, "lock", Some(lock));
        story.stop(*task);
    }
    // A lint that looks at each for each takes ten thousand million looks: this would not end.
    assert_eq!(story.found(), [""; 0], "nobody held anybody up");
}
