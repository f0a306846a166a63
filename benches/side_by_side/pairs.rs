//! Comparing things on a machine that does other things as well: all of them once a round, in turning order, and only
//! what was measured in the same round is compared. The median over many rounds is the answer.

use std::time::Duration;

/// The middle of some values, and the two quartiles around it.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub quarter: f64,
    pub median: f64,
    pub three_quarters: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        assert!(!values.is_empty(), "nothing was measured");
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        Self { quarter: at(0.25), median: at(0.5), three_quarters: at(0.75) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} ({:.1} to {:.1})", self.median, self.quarter, self.three_quarters)
    }
}

/// How one contestant did in one round.
#[derive(Clone, Copy)]
pub struct Took {
    pub time: Duration,
    /// The system let somebody else run meanwhile.
    pub was_preempted: bool,
}

/// Runs every contestant once a round and gives the times of each round, in the order of `contestants`. Each round
/// begins with another of them. The first rounds warm caches up and do not count, nor do rounds in which a contestant had
/// to give the processor away, as long as enough others remain.
pub fn rounds<const N: usize>(rounds: usize, contestants: &[&dyn Fn() -> Took; N]) -> Vec<[f64; N]> {
    const WARM_UP_ROUNDS: usize = 2;
    let mut undisturbed = Vec::with_capacity(rounds);
    let mut disturbed = Vec::new();
    for round in 0..rounds + WARM_UP_ROUNDS {
        let mut of_round = [0.0; N];
        let mut was_preempted = false;
        for turn in 0..N {
            let index = (round + turn) % N;
            let took = contestants[index]();
            of_round[index] = took.time.as_nanos() as f64;
            was_preempted |= took.was_preempted;
        }
        if round >= WARM_UP_ROUNDS {
            if was_preempted { &mut disturbed } else { &mut undisturbed }.push(of_round);
        }
    }
    if undisturbed.len() < rounds / 4 {
        undisturbed.append(&mut disturbed);
    }
    undisturbed
}
