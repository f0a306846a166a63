//! Comparing things on a machine that does other things as well: all of them once a round, in turning order, and only
//! what was measured in the same round is compared. The median over many rounds is the answer.

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

/// The mean of the middle half of some values.
pub fn middle_mean(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = &values[values.len() / 4..values.len() - values.len() / 4];
    middle.iter().sum::<f64>() / middle.len() as f64
}

/// Asks every contestant once a round for its time per poll and gives those of each round, in the order of
/// `contestants`. Each round begins with another of them. The first rounds warm caches up and do not count.
pub fn rounds<const N: usize>(rounds: usize, contestants: &[&dyn Fn() -> f64; N]) -> Vec<[f64; N]> {
    const WARM_UP_ROUNDS: usize = 2;
    let mut times = Vec::with_capacity(rounds);
    for round in 0..rounds + WARM_UP_ROUNDS {
        let mut of_round = [0.0; N];
        for turn in 0..N {
            let index = (round + turn) % N;
            of_round[index] = contestants[index]();
        }
        if round >= WARM_UP_ROUNDS {
            times.push(of_round);
        }
    }
    times
}
