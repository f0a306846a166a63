//! Paired measurements on a machine with other load.
//!
//! Every round measures all contestants once, in rotating order, and only values of the same round are compared. The
//! result is the median over many rounds.

/// Median and quartiles of some values.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// First quartile.
    pub first_quartile: f64,
    /// Median.
    pub median: f64,
    /// Third quartile.
    pub third_quartile: f64,
}

impl Spread {
    /// Computes the quartiles of `values`.
    ///
    /// # Panics
    /// Panics if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        assert!(!values.is_empty(), "nothing was measured");
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        Self { first_quartile: at(0.25), median: at(0.5), third_quartile: at(0.75) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} ({:.1} to {:.1})", self.median, self.first_quartile, self.third_quartile)
    }
}

/// Returns the interquartile mean of some values: the mean of the middle half.
pub fn interquartile_mean(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = &values[values.len() / 4..values.len() - values.len() / 4];
    middle.iter().sum::<f64>() / middle.len() as f64
}

/// Measures every contestant once in each of `rounds` rounds. Returns the values of each round, in the order of
/// `contestants`.
///
/// Each round starts with the next contestant. Two more rounds at the start warm up caches and do not count.
pub fn measure_rounds<const N: usize>(rounds: usize, contestants: &[&dyn Fn() -> f64; N]) -> Vec<[f64; N]> {
    const WARM_UP_ROUNDS: usize = 2;
    let mut results = Vec::with_capacity(rounds);
    for round in 0..rounds + WARM_UP_ROUNDS {
        let mut values = [0.0; N];
        for turn in 0..N {
            let index = (round + turn) % N;
            values[index] = contestants[index]();
        }
        if round >= WARM_UP_ROUNDS {
            results.push(values);
        }
    }
    results
}
