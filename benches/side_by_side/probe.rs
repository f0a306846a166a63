//! Overhead of the probe in the traced program.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Instant;

use crate::loops::{self, BenchLoad, ProbeRunStats};
use crate::paired::{Spread, measure_rounds};
use crate::{ClaimResult, Effort};

/// A loop that only yields, so that the overhead of tracing dominates.
pub const YIELDING: BenchLoad =
    BenchLoad { tasks: 100, polls_each: 400, work: || {}, polls_per_batch: 2_000, repetitions: 6 };

/// A loop under a realistic load: 1,000 tasks, 5 µs of work per poll.
const WORKING: BenchLoad =
    BenchLoad { tasks: 1_000, polls_each: 10, work: five_microseconds, polls_per_batch: 100, repetitions: 1 };

/// Time added per poll by the probe, divided by time added by console-subscriber's layer.
pub fn over_console(effort: Effort) -> ClaimResult {
    let seen = Cell::new(ProbeRunStats::default());
    let times = measure_rounds(
        effort.rounds(240),
        &[&|| loops::uninstrumented(YIELDING), &|| loops::console(YIELDING), &|| probed(YIELDING, &seen)],
    );
    let spread = |of: fn(&[f64; 3]) -> f64| Spread::of(times.iter().map(of));
    let pairing = format!(
        "ns added per poll over a bare loop of {} tasks that yield ({} ns a poll): {} by the probe over {} by \
         console-subscriber's layer; {}",
        YIELDING.tasks,
        spread(|[bare, ..]| *bare),
        spread(|[bare, _, probe]| probe - bare),
        spread(|[bare, console, _]| console - bare),
        describe_drops(seen.get()),
    );
    let value = spread(|[bare, console, probe]| (probe - bare) / (console - bare)).median;
    ClaimResult::Ratio { pairing, value }
}

/// Loop time with the probe, divided by bare loop time, under a realistic load.
pub fn over_bare(effort: Effort) -> ClaimResult {
    let seen = Cell::new(ProbeRunStats::default());
    let times = measure_rounds(effort.rounds(120), &[&|| loops::uninstrumented(WORKING), &|| probed(WORKING, &seen)]);
    let spread = |of: fn(&[f64; 2]) -> f64| Spread::of(times.iter().map(of));
    let pairing = format!(
        "loop time of {} tasks whose polls work 5 µs: {} ns a poll with the probe over {} ns bare; {}",
        WORKING.tasks,
        spread(|[_, probe]| *probe),
        spread(|[bare, _]| *bare),
        describe_drops(seen.get()),
    );
    ClaimResult::Ratio { pairing, value: spread(|[bare, probe]| probe / bare).median }
}

fn probed(load: BenchLoad, sum: &Cell<ProbeRunStats>) -> f64 {
    let (took, seen) = loops::probe(load);
    let before = sum.get();
    sum.set(ProbeRunStats {
        recorded_events: before.recorded_events + seen.recorded_events,
        dropped_events: before.dropped_events + seen.dropped_events,
        ingest_time: before.ingest_time + seen.ingest_time,
    });
    took
}

/// Describes the share of dropped events, because a dropped event costs less than a recorded one.
fn describe_drops(seen: ProbeRunStats) -> String {
    let share = seen.dropped_events as f64 / (seen.recorded_events + seen.dropped_events).max(1) as f64;
    format!("{:.2} % of {} events had no room", share * 100.0, seen.recorded_events + seen.dropped_events)
}

/// Works for about 5 µs. Executes the same instructions each time, so that it cannot hide the overhead.
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
