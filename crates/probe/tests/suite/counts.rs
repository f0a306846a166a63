//! What a program counts itself is what the stream holds.

use std::collections::{HashMap, HashSet};

use loopscope_probe::record::RecordKind;

use crate::peer::{Stream, numbers, run};

/// Returns the polls of each task. Without hooks, the span is entered once more when the future is dropped.
fn polls(stream: &Stream, has_hooks: bool) -> HashMap<u64, u64> {
    if has_hooks {
        return stream.counts(RecordKind::PollStart);
    }
    let mut polls = stream.counts(RecordKind::Enter);
    for event in stream.of_kind(RecordKind::TaskClosed) {
        if let Some(polls) = polls.get_mut(&event.subject) {
            *polls -= 1;
        }
    }
    polls
}

fn check(workers: usize, has_hooks: bool, subscriber: &str) {
    let (stream, output) = run(&format!("load {workers} {} {subscriber}", if has_hooks { "with" } else { "without" }));
    stream.check();
    assert!(stream.has_bye && stream.rounds > 0);
    let polls = polls(&stream, has_hooks);
    let wakes = stream.counts(RecordKind::Wake);
    let players = numbers(&output, "task");
    assert_eq!(players.len(), 40);
    for player in &players {
        let [task, app_polls, app_wakes] = player[..] else { panic!("{player:?}") };
        assert_eq!(polls[&task], app_polls, "polls of task {task}");
        assert_eq!(wakes[&task], app_wakes, "wakes of task {task}");
    }

    // The times of a task's polls do not overlap, whatever the workers.
    let mut poll_ends: HashMap<u64, u64> = HashMap::new();
    let mut polled = HashMap::new();
    for event in stream.by_time() {
        match event.kind {
            RecordKind::PollStart => {
                let other = polled.insert(event.subject, event.thread);
                assert_eq!(other, None, "task {} is polled twice at {}", event.subject, event.ticks);
                let end = poll_ends.get(&event.subject).copied().unwrap_or(0);
                assert!(end <= event.ticks);
            }
            RecordKind::PollEnd => {
                polled.remove(&event.subject);
                poll_ends.insert(event.subject, event.ticks);
            }
            _ => {}
        }
    }

    // Each lock wait is an operation whose first poll was pending, polled by its task.
    let is_lock = |site: u64| stream.sites[&site].name == "Mutex::lock";
    let created = stream.of_kind(RecordKind::OperationCreated);
    let mut first_polls: HashSet<u64> =
        created.filter(|event| is_lock(event.arguments[0])).map(|event| event.subject).collect();
    let locks = first_polls.len() as u64;
    let mut current = HashMap::new();
    let mut lock_waits: HashMap<u64, u64> = HashMap::new();
    for event in stream.by_time() {
        match event.kind {
            RecordKind::PollStart | RecordKind::Enter => drop(current.insert(event.thread, event.subject)),
            RecordKind::OperationReady => drop(first_polls.remove(&event.subject)),
            RecordKind::OperationPending if first_polls.remove(&event.subject) => {
                *lock_waits.entry(current[&event.thread]).or_default() += 1;
            }
            _ => {}
        }
    }
    let lockers = numbers(&output, "locker");
    assert_eq!((lockers.len(), locks), (20, 20 * 300));
    for locker in &lockers {
        let [task, app_polls, app_waits, _] = locker[..] else { panic!("{locker:?}") };
        assert_eq!(polls[&task], app_polls, "polls of task {task}");
        assert_eq!(lock_waits.get(&task).copied().unwrap_or(0), app_waits, "lock waits of task {task}");
    }

    let spawned: HashSet<u64> = stream.of_kind(RecordKind::Spawn).map(|event| event.subject).collect();
    let ended: HashSet<u64> = stream.of_kind(RecordKind::TaskClosed).map(|event| event.subject).collect();
    let tasks = |kind: &str| {
        let spawns = stream.of_kind(RecordKind::Spawn);
        spawns.filter(|event| stream.sites[&event.arguments[0]].kind == kind).count()
    };
    assert_eq!((tasks("task"), tasks("block_on"), tasks("worker")), (80, 1, workers));
    assert!(spawned == ended, "spawned {spawned:?}, ended {ended:?}");
    let workers_seen: HashSet<_> = stream.threads.values().filter_map(|thread| thread.worker).collect();
    assert!(!workers_seen.is_empty() && workers_seen.iter().all(|&worker| (worker as usize) < workers.max(1)));
}

#[test]
fn current_thread_with_hooks() {
    check(0, true, "own");
}

#[test]
fn current_thread_without_hooks() {
    check(0, false, "own");
}

#[test]
fn one_worker() {
    check(1, true, "own");
}

#[test]
fn two_workers_with_hooks() {
    check(2, true, "own");
}

#[test]
fn two_workers_without_hooks() {
    check(2, false, "own");
}

#[test]
fn four_workers() {
    check(4, true, "own");
}

#[test]
fn layer_beside_fmt_with_hooks() {
    check(2, true, "fmt");
}

#[test]
fn layer_beside_fmt_without_hooks() {
    check(2, false, "fmt");
}

#[test]
fn layer_beside_console_subscriber() {
    check(2, true, "console");
}
