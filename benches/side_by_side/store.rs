//! The cost of the trace: time to ingest an event, and bytes to retain it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use loopscope::trace::{Event, Trace};

use crate::machine;
use crate::paired::Spread;
use crate::synthetic::{EventMix, SyntheticLoop};
use crate::{ClaimResult, Effort};

/// Number of events of a whole trace.
pub const EVENTS: usize = 10_000_000;
/// Number of tasks of the synthetic loop.
pub const TASKS: usize = 1_000;

/// Number of events that are created, pushed and ingested before the next batch.
const BATCH: usize = 1 << 13;

/// The smallest conceivable event: 16 bytes.
type MinimalEvent = (u64, u32, u32);

/// Times to push the events of a whole trace and to ingest them, batch by batch in turn.
fn time_ingest(mix: EventMix, events: usize) -> (Trace, Duration, Duration) {
    let mut source = SyntheticLoop::new(TASKS, mix, 1);
    let (mut trace, mut pushed): (_, Vec<MinimalEvent>) = (Trace::default(), Vec::new());
    let (mut pushing, mut ingesting) = (Duration::ZERO, Duration::ZERO);
    let mut minimal: Vec<MinimalEvent> = Vec::with_capacity(BATCH);
    for number in 0..events / BATCH {
        let batch: Vec<Event> = source.by_ref().take(BATCH).collect();
        minimal.clear();
        minimal.extend((0..BATCH).map(|index| ((number * BATCH + index) as u64, index as u32, number as u32)));
        let begun = Instant::now();
        for event in &minimal {
            pushed.push(black_box(*event));
        }
        pushing += begun.elapsed();
        let begun = Instant::now();
        for event in batch {
            trace.apply(event);
        }
        ingesting += begun.elapsed();
    }
    black_box(&pushed);
    (trace, pushing, ingesting)
}

/// Time to ingest an event, divided by the time to push a 16-byte event onto a `Vec`.
pub fn ingest_over_push(effort: Effort) -> ClaimResult {
    let events = if effort == Effort::Full { EVENTS } else { EVENTS / 4 };
    let times: Vec<[f64; 2]> = (0..effort.rounds(12))
        .map(|_| {
            let (trace, pushing, ingesting) = time_ingest(EventMix::Full, events);
            let counted = trace.counts().events as f64;
            [pushing.as_nanos() as f64 / counted, ingesting.as_nanos() as f64 / counted]
        })
        .collect();
    let pairing = format!(
        "ns per event, {TASKS} tasks, {} million events: {} into the trace over {} onto a Vec of 16-byte events, in \
         turns of {} events",
        events / 1_000_000,
        Spread::of(times.iter().map(|[_, ingesting]| *ingesting)),
        Spread::of(times.iter().map(|[pushing, _]| *pushing)),
        BATCH,
    );
    ClaimResult::Ratio {
        pairing,
        value: Spread::of(times.iter().map(|[pushing, ingesting]| ingesting / pushing)).median,
    }
}

/// The event mixes: argument of `--keep`, mix, description.
pub const EVENT_MIXES: [(&str, EventMix, &str); 2] =
    [("whole", EventMix::Full, "polls, wakes and awaits"), ("polls", EventMix::PollsOnly, "polls and wakes alone")];

/// Fills a trace in this process, which holds nothing else, and prints its counted and resident bytes.
pub fn measure_memory(mix: &str) {
    let Some((_, mix, _)) = EVENT_MIXES.into_iter().find(|(name, ..)| *name == mix) else { return };
    let before = machine::resident_bytes();
    let mut trace = Trace::default();
    SyntheticLoop::new(TASKS, mix, 1).take(EVENTS).for_each(|event| trace.apply(event));
    let after = machine::resident_bytes();
    let resident = before.zip(after).map_or(0, |(before, after)| after.saturating_sub(before));
    println!("{} {resident}", trace.retained_bytes());
}

/// Resident bytes of the whole trace per event.
pub fn bytes_per_event(_: Effort) -> ClaimResult {
    let mut worst = 0.0_f64;
    let mut summaries = vec![];
    for (mix, _, name) in EVENT_MIXES {
        let output = std::env::current_exe()
            .and_then(|program| std::process::Command::new(program).arg(format!("--keep={mix}")).output());
        let Ok(output) = output else { return ClaimResult::Skipped("no child process could be started".to_owned()) };
        let text = String::from_utf8_lossy(&output.stdout);
        let mut bytes = text.split_whitespace().filter_map(|word| word.parse::<f64>().ok()).map(|b| b / EVENTS as f64);
        let (Some(counted), Some(resident)) = (bytes.next(), bytes.next()) else {
            return ClaimResult::Skipped(format!("malformed output of the child process: {text}"));
        };
        worst = worst.max(counted).max(resident);
        summaries.push(format!("{name}: {counted:.2} counted, {resident:.2} resident"));
    }
    let pairing = format!(
        "bytes for {} million events of {TASKS} tasks, each mix in a process of its own; {}",
        EVENTS / 1_000_000,
        summaries.join("; ")
    );
    ClaimResult::Ratio { pairing, value: worst }
}
