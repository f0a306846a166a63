//! What the trace costs: to take an event in, and to keep it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use loopscope::trace::{Event, Trace};

use crate::machine;
use crate::pairs::Spread;
use crate::synthetic::{Synthetic, Telling};
use crate::{Effort, Measured};

pub const EVENTS: usize = 10_000_000;
pub const TASKS: usize = 1_000;

/// Events that are made, pushed and taken in before the next ones are made.
const BATCH: usize = 1 << 13;

/// An event as small as it could be.
type Small = (u64, u32, u32);

/// Times of a whole trace: pushing its events, and taking them in, batch by batch in turn.
fn taken_in(telling: Telling, events: usize) -> (Trace, Duration, Duration) {
    let mut told = Synthetic::new(TASKS, telling, 1);
    let (mut trace, mut pushed): (_, Vec<Small>) = (Trace::default(), Vec::new());
    let (mut pushing, mut taking) = (Duration::ZERO, Duration::ZERO);
    let mut small: Vec<Small> = Vec::with_capacity(BATCH);
    for number in 0..events / BATCH {
        let batch: Vec<Event> = told.by_ref().take(BATCH).collect();
        small.clear();
        small.extend((0..BATCH).map(|index| ((number * BATCH + index) as u64, index as u32, number as u32)));
        let begun = Instant::now();
        for event in &small {
            pushed.push(black_box(*event));
        }
        pushing += begun.elapsed();
        let begun = Instant::now();
        for event in batch {
            trace.apply(event);
        }
        taking += begun.elapsed();
    }
    black_box(&pushed);
    (trace, pushing, taking)
}

/// Ingest of an event into the trace ÷ pushing a 16-byte event onto a `Vec`.
pub fn ingest_over_push(effort: Effort) -> Measured {
    let events = if effort == Effort::Full { EVENTS } else { EVENTS / 4 };
    let times: Vec<[f64; 2]> = (0..effort.rounds(12))
        .map(|_| {
            let (trace, pushing, taking) = taken_in(Telling::Whole, events);
            let counted = trace.counts().events as f64;
            [pushing.as_nanos() as f64 / counted, taking.as_nanos() as f64 / counted]
        })
        .collect();
    let pairing = format!(
        "ns an event, {TASKS} tasks, {} million events: {} into the trace over {} onto a Vec of 16 bytes each, {} events of \
         each in turn",
        events / 1_000_000,
        Spread::of(times.iter().map(|[_, taking]| *taking)),
        Spread::of(times.iter().map(|[pushing, _]| *pushing)),
        BATCH,
    );
    Measured::Ratio { pairing, value: Spread::of(times.iter().map(|[pushing, taking]| taking / pushing)).median }
}

pub const TELLINGS: [(&str, Telling, &str); 2] =
    [("whole", Telling::Whole, "polls, wakes and awaits"), ("polls", Telling::Polls, "polls and wakes alone")];

/// Keeps a trace in this process, which has nothing else to keep, and says what that took: counted and resident bytes.
pub fn keep(telling: &str) {
    let Some((_, telling, _)) = TELLINGS.into_iter().find(|(name, ..)| *name == telling) else { return };
    let before = machine::resident_bytes();
    let mut trace = Trace::default();
    Synthetic::new(TASKS, telling, 1).take(EVENTS).for_each(|event| trace.apply(event));
    let after = machine::resident_bytes();
    let resident = before.zip(after).map_or(0, |(before, after)| after.saturating_sub(before));
    println!("{} {resident}", trace.kept_bytes());
}

/// Resident bytes of the whole trace ÷ events.
pub fn bytes_per_event(_: Effort) -> Measured {
    let mut worst = 0.0_f64;
    let mut told = vec![];
    for (telling, _, name) in TELLINGS {
        let kept = std::env::current_exe()
            .and_then(|program| std::process::Command::new(program).arg(format!("--keep={telling}")).output());
        let Ok(kept) = kept else { return Measured::Skipped("a process of its own".to_owned()) };
        let text = String::from_utf8_lossy(&kept.stdout);
        let mut bytes = text.split_whitespace().filter_map(|word| word.parse::<f64>().ok()).map(|b| b / EVENTS as f64);
        let (Some(counted), Some(resident)) = (bytes.next(), bytes.next()) else {
            return Measured::Skipped(format!("numbers: {text}"));
        };
        worst = worst.max(counted).max(resident);
        told.push(format!("{name}: {counted:.2} counted, {resident:.2} resident"));
    }
    let pairing = format!(
        "bytes kept of {} million events of {TASKS} tasks, each kind in a process of its own; {}",
        EVENTS / 1_000_000,
        told.join("; ")
    );
    Measured::Ratio { pairing, value: worst }
}
