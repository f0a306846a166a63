//! What the probe costs the program under study.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Instant;

use crate::loops::{self, Load, Seen};
use crate::pairs::{Spread, rounds};
use crate::{Effort, Measured};

/// A loop that does nothing but yield: what watching costs is all that there is to see.
pub const YIELDING: Load = Load { tasks: 100, polls_each: 400, work: || {}, stretch_polls: 2_000, times: 6 };

/// A loop with a realistic load: a thousand tasks, each poll working for 5 µs.
const WORKING: Load = Load { tasks: 1_000, polls_each: 10, work: five_microseconds, stretch_polls: 100, times: 1 };

/// Time added per poll by the probe ÷ time added by console-subscriber's layer alone.
pub fn over_console(effort: Effort) -> Measured {
    let seen = Cell::new(Seen::default());
    let times = rounds(
        effort.rounds(240),
        &[&|| loops::bare(YIELDING), &|| loops::console(YIELDING), &|| watched(YIELDING, &seen)],
    );
    let spread = |of: fn(&[f64; 3]) -> f64| Spread::of(times.iter().map(of));
    let pairing = format!(
        "ns added per poll over a bare loop of {} tasks that yield ({} ns a poll): {} by the probe over {} by \
         console-subscriber's layer; {}",
        YIELDING.tasks,
        spread(|[bare, ..]| *bare),
        spread(|[bare, _, probe]| probe - bare),
        spread(|[bare, console, _]| console - bare),
        told(seen.get()),
    );
    let value = spread(|[bare, console, probe]| (probe - bare) / (console - bare)).median;
    Measured::Ratio { pairing, value }
}

/// Loop time with the probe ÷ bare loop, under a realistic load.
pub fn over_bare(effort: Effort) -> Measured {
    let seen = Cell::new(Seen::default());
    let times = rounds(effort.rounds(120), &[&|| loops::bare(WORKING), &|| watched(WORKING, &seen)]);
    let spread = |of: fn(&[f64; 2]) -> f64| Spread::of(times.iter().map(of));
    let pairing = format!(
        "loop time of {} tasks whose polls work 5 µs: {} ns a poll with the probe over {} ns bare; {}",
        WORKING.tasks,
        spread(|[_, probe]| *probe),
        spread(|[bare, _]| *bare),
        told(seen.get()),
    );
    Measured::Ratio { pairing, value: spread(|[bare, probe]| probe / bare).median }
}

fn watched(load: Load, sum: &Cell<Seen>) -> f64 {
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
