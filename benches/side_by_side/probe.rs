//! What the probe costs the program under study.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Instant;

use crate::loops::{self, Load, Seen};
use crate::pairs::{Spread, Took, rounds};
use crate::{Effort, Measured};

/// A loop that does nothing but yield: what watching costs is all that there is to see.
const YIELDING: Load = Load { tasks: 100, yields: 400, work: || {}, warm_up_yields: 1_000 };

/// A loop with a realistic load: a thousand tasks, each poll working for 5 µs.
const WORKING: Load = Load { tasks: 1_000, yields: 4, work: five_microseconds, warm_up_yields: 1 };

/// Time added per poll by the probe ÷ time added by console-subscriber's layer alone.
pub fn over_console(effort: Effort) -> Measured {
    let polls = YIELDING.polls() as f64;
    let seen = Cell::new(Seen::default());
    let times = rounds(
        effort.rounds(240),
        &[&|| loops::bare(YIELDING), &|| loops::console(YIELDING), &|| watched(YIELDING, &seen)],
    );
    let spread = |of: fn(&[f64; 3]) -> f64| Spread::of(times.iter().map(of));
    let per_poll = |of: fn(&[f64; 3]) -> f64| Spread::of(times.iter().map(|round| of(round) / polls));
    let pairing = format!(
        "ns added per poll over a bare loop of {} tasks that yield ({} ns a poll): {} by the probe over {} by \
         console-subscriber's layer; {}",
        YIELDING.tasks,
        per_poll(|[bare, ..]| *bare),
        per_poll(|[bare, _, probe]| probe - bare),
        per_poll(|[bare, console, _]| console - bare),
        told(seen.get()),
    );
    let value = spread(|[bare, console, probe]| (probe - bare) / (console - bare)).median;
    Measured::Ratio { pairing, value }
}

/// Loop time with the probe ÷ bare loop, under a realistic load.
pub fn over_bare(effort: Effort) -> Measured {
    let polls = WORKING.polls() as f64;
    let seen = Cell::new(Seen::default());
    let times = rounds(effort.rounds(240), &[&|| loops::bare(WORKING), &|| watched(WORKING, &seen)]);
    let per_poll = |of: fn(&[f64; 2]) -> f64| Spread::of(times.iter().map(|round| of(round) / polls));
    let pairing = format!(
        "loop time of {} tasks whose polls work 5 µs: {} ns a poll with the probe over {} ns bare; {}",
        WORKING.tasks,
        per_poll(|[_, probe]| *probe),
        per_poll(|[bare, _]| *bare),
        told(seen.get()),
    );
    Measured::Ratio { pairing, value: Spread::of(times.iter().map(|[bare, probe]| probe / bare)).median }
}

fn watched(load: Load, sum: &Cell<Seen>) -> Took {
    let (took, seen) = loops::probe(load);
    let before = sum.get();
    sum.set(Seen {
        told: before.told + seen.told,
        dropped: before.dropped + seen.dropped,
        taking_in: before.taking_in + seen.taking_in,
    });
    took
}

/// An event that is dropped costs less than one that is told, so how many were is part of the claim.
fn told(seen: Seen) -> String {
    let share = seen.dropped as f64 / (seen.told + seen.dropped).max(1) as f64;
    format!("{:.2} % of {} events had no room", share * 100.0, seen.told + seen.dropped)
}

/// Works for about 5 µs: the same instructions each time, however long they take, so that nothing of what is measured
/// hides in it.
fn five_microseconds() {
    static STEPS: OnceLock<u64> = OnceLock::new();
    work(*STEPS.get_or_init(|| {
        const TRIAL_STEPS: u64 = 20_000;
        let trials = (0..50).map(|_| {
            let begun = Instant::now();
            work(TRIAL_STEPS);
            begun.elapsed().as_nanos() as f64
        });
        (TRIAL_STEPS as f64 * 5_000.0 / Spread::of(trials).median) as u64
    }));
}

fn work(steps: u64) {
    let mut state = black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..steps {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state);
}
