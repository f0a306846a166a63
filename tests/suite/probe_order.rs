//! Order between the threads of a program with the probe, for random schedules, clocks that differ, and records at the end
//! of a round that come with the next one.

use std::collections::BTreeMap;

use loopscope::trace::{Event, TaskId};
use loopscope_probe::record::RecordKind;
use proptest::prelude::*;

use crate::probe_stream::{Decoded, ProbeStreamBuilder};

const THREADS: usize = 3;
const TASKS: usize = 4;

/// How far the clock of a thread may be off, in ticks. A poll lasts for longer than two clocks differ.
const SKEW_MAX: u64 = 8;
const POLL_MIN: u64 = 2 * SKEW_MAX + 4;

/// Ticks between two rounds.
const ROUND: u64 = 40;

/// A record of a thread: kind, true time, task.
type TrueRecord = (RecordKind, u64, u64);

/// A task of the simulation.
#[derive(Clone, Copy, Default)]
struct SimulatedTask {
    is_woken: bool,
    /// The thread that polls it.
    polled_by: Option<usize>,
    /// Time from which on its poll may end, and others may wake it.
    busy_until: u64,
}

/// Simulates a scheduler. Returns the records of each thread.
fn simulate(choices: &[u8]) -> Vec<Vec<TrueRecord>> {
    let mut threads: Vec<Vec<TrueRecord>> = vec![Vec::new(); THREADS];
    let mut tasks = [SimulatedTask::default(); TASKS];
    let mut polled: [Option<usize>; THREADS] = [None; THREADS];
    let mut now = 100;
    for (index, task) in tasks.iter_mut().enumerate() {
        threads[index % THREADS].push((RecordKind::Spawn, now, index as u64 + 1));
        task.is_woken = true;
        now += 1;
    }
    for choice in choices {
        now += 1;
        let (thread, other) = (usize::from(*choice) % THREADS, usize::from(*choice / 16) % TASKS);
        let number = other as u64 + 1;
        let is_idle = !tasks[other].is_woken && tasks[other].busy_until <= now;
        match polled[thread] {
            Some(task) if *choice % 5 == 0 && tasks[task].busy_until <= now => {
                threads[thread].push((RecordKind::PollEnd, now, task as u64 + 1));
                tasks[task].polled_by = None;
                polled[thread] = None;
            }
            None if tasks[other].is_woken && tasks[other].polled_by.is_none() => {
                threads[thread].push((RecordKind::PollStart, now, number));
                tasks[other] = SimulatedTask { is_woken: false, polled_by: Some(thread), busy_until: now + POLL_MIN };
                polled[thread] = Some(other);
            }
            _ if is_idle => {
                threads[thread].push((RecordKind::Wake, now, number));
                tasks[other].is_woken = true;
            }
            _ => {}
        }
    }
    threads
}

/// Writes the records of all threads in rounds. `skews` are the errors of the clocks, from 0 to twice the maximum;
/// `late` says for each thread and round whether its last records come with the next one.
fn stream(threads: &[Vec<TrueRecord>], skews: &[u64], late: &[bool]) -> ProbeStreamBuilder {
    let mut stream = ProbeStreamBuilder::new().site(1, "task", "");
    for thread in 0..THREADS as u32 {
        stream = stream.thread(thread + 1, Some(thread));
    }
    let end = threads.iter().flatten().map(|(_, at, _)| *at).max().unwrap_or(0) + 2 * ROUND;
    let mut sent = [0; THREADS];
    for round in 1..=end / ROUND + 2 {
        let until = round * ROUND;
        for (thread, records) in threads.iter().enumerate() {
            let is_late = late.get((round as usize * THREADS + thread) % late.len().max(1)).copied().unwrap_or(false);
            let until = if is_late { until - SKEW_MAX } else { until };
            let ticks = |at: u64| at + skews[thread];
            let new: Vec<_> =
                records[sent[thread]..].iter().take_while(|(_, at, _)| ticks(*at) < until).copied().collect();
            sent[thread] += new.len();
            let records: Vec<_> = new.iter().map(|(kind, at, task)| (*kind, ticks(*at), *task, &[1][..])).collect();
            stream = stream.records(thread as u32 + 1, &records);
        }
        stream = stream.round(until);
    }
    stream
}

/// Returns for each poll of each task what has woken the task before it. That does not depend on clocks. Ids follow the
/// order of spawns, which nothing but time decides, so the tasks are sorted.
fn wakes_before_polls(decoded: &Decoded) -> Vec<Vec<Vec<String>>> {
    let mut stories: BTreeMap<TaskId, Vec<Vec<String>>> = BTreeMap::new();
    let mut wakes: BTreeMap<TaskId, Vec<String>> = BTreeMap::new();
    for event in &decoded.events {
        match event {
            Event::Wake { task, source, .. } => wakes.entry(*task).or_default().push(source.name().to_owned()),
            Event::PollStart { task, .. } => {
                let mut before = wakes.remove(task).unwrap_or_default();
                before.sort_unstable();
                stories.entry(*task).or_default().push(before);
            }
            _ => {}
        }
    }
    let mut stories: Vec<_> = stories.into_values().collect();
    stories.sort_unstable();
    stories
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn late_records_and_other_clocks_give_the_same_order(
        choices in prop::collection::vec(any::<u8>(), 50..600),
        skews in prop::collection::vec(0..=2 * SKEW_MAX, THREADS),
        late in prop::collection::vec(any::<bool>(), 1..50),
    ) {
        let threads = simulate(&choices);
        let exact = stream(&threads, &[0; THREADS], &[]).decode();
        prop_assert_eq!(exact.decoder.caveats(), "");
        let skewed = stream(&threads, &skews, &late).decode();
        prop_assert_eq!(skewed.decoder.caveats(), "");
        let polls = |decoded: &Decoded| decoded.trace.counts().polls;
        prop_assert_eq!(polls(&exact), polls(&skewed));
        prop_assert_eq!(wakes_before_polls(&exact), wakes_before_polls(&skewed));
        // Events of one task come in time order.
        for id in skewed.trace.tasks().iter().map(|task| task.id) {
            let at = skewed.events.iter().filter_map(|event| match event {
                Event::PollStart { task, at } | Event::PollEnd { task, at } | Event::Wake { task, at, .. }
                    if *task == id => Some(*at),
                _ => None,
            });
            prop_assert!(at.collect::<Vec<_>>().is_sorted());
        }
    }
}
