//! A random number generator that gives the same sequence for the same seed on every machine.

/// The xoshiro256++ generator (Blackman and Vigna, 2019). Its state is seeded by splitmix64, as its authors recommend.
pub(super) struct Xoshiro256 {
    state: [u64; 4],
}

impl Xoshiro256 {
    pub fn new(seed: u64) -> Self {
        let mut mixed = seed;
        let mut next = || {
            mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = mixed;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^ (word >> 31)
        };
        Self { state: [next(), next(), next(), next()] }
    }

    /// Returns the next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let word = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        word
    }

    /// Returns a number from 0 (inclusive) to 1 (exclusive).
    pub fn next_fraction(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns a number from `low` to `high`, both inclusive.
    pub fn next_in_range(&mut self, low: i64, high: i64) -> i64 {
        let span = high.wrapping_sub(low) as u64;
        if span == u64::MAX {
            return self.next_u64() as i64;
        }
        // Multiply and shift instead of modulo: the bias is below 2^-64 per value, too small to matter here.
        let step = ((u128::from(self.next_u64()) * (u128::from(span) + 1)) >> 64) as u64;
        low.wrapping_add(step as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_reference_implementation() {
        // The first outputs of the authors' C code for the state 1, 2, 3, 4.
        let mut random = Xoshiro256 { state: [1, 2, 3, 4] };
        let words: Vec<u64> = (0..4).map(|_| random.next_u64()).collect();
        assert_eq!(words, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn stays_within_bounds() {
        let mut random = Xoshiro256::new(7);
        for _ in 0..1_000 {
            assert!((1..=6).contains(&random.next_in_range(1, 6)));
            assert!((0.0..1.0).contains(&random.next_fraction()));
        }
        assert_eq!(random.next_in_range(5, 5), 5);
        random.next_in_range(i64::MIN, i64::MAX);
    }
}
