//! Converts ticks to loop time: nanoseconds since the base of the stream, without the pauses.
//!
//! Ticks run at a rate that is known only roughly. Each round has a pair of ticks and monotonic time; between two pairs
//! the rate is constant.

use std::cell::Cell;
use std::collections::VecDeque;

use crate::trace::Nanos;

/// Pairs that are retained, for records that arrive late.
const PAIRS_MAX: usize = 64;

/// Pauses that are retained, for records that arrive late.
const PAUSES_MAX: usize = 64;

/// A tick rate that is assumed if the program reports none.
const RATE_DEFAULT: u64 = 1_000_000_000;

/// The clock of one stream.
#[derive(Debug)]
pub struct TickClock {
    ticks_per_second: u64,
    base_monotonic_ns: u64,
    /// Ticks, and nanoseconds since the base. Both increase.
    pairs: VecDeque<(u64, u64)>,
    /// Pauses that ended: from and to, in nanoseconds since the base, and the length of all pauses before.
    pauses: VecDeque<(u64, u64, u64)>,
    /// Length of all pauses that ended.
    paused_ns: u64,
    /// When the pause under way began, in nanoseconds since the base.
    paused_since: Option<u64>,
    /// The two pairs between which the last time was converted: the next one probably is between them too.
    last_segment: Cell<[(u64, u64); 2]>,
}

impl Default for TickClock {
    fn default() -> Self {
        Self::new(RATE_DEFAULT, 0)
    }
}

impl TickClock {
    /// Creates a clock with a rate in ticks per second, and the monotonic time at ticks 0.
    pub fn new(ticks_per_second: u64, base_monotonic_ns: u64) -> Self {
        Self {
            ticks_per_second: if ticks_per_second == 0 { RATE_DEFAULT } else { ticks_per_second },
            base_monotonic_ns,
            pairs: VecDeque::from([(0, 0)]),
            pauses: VecDeque::new(),
            paused_ns: 0,
            paused_since: None,
            last_segment: Cell::default(),
        }
    }

    /// Adds the pair of a round. A pair that does not follow the last one is ignored.
    pub fn add_pair(&mut self, ticks: u64, monotonic_ns: u64) {
        let Some((last_ticks, last_ns)) = self.pairs.back().copied() else { return };
        let since_base = monotonic_ns.saturating_sub(self.base_monotonic_ns);
        if ticks <= last_ticks || since_base <= last_ns {
            return;
        }
        if self.pairs.len() == PAIRS_MAX {
            self.pairs.pop_front();
        }
        self.pairs.push_back((ticks, since_base));
    }

    /// Returns loop time at `ticks`.
    pub fn loop_time(&self, ticks: u64) -> Nanos {
        self.without_pauses(self.since_base(ticks))
    }

    /// Returns loop time at a time in nanoseconds since the base.
    pub fn loop_time_since_base(&self, ns: u64) -> Nanos {
        self.without_pauses(ns)
    }

    /// Starts a pause.
    pub fn pause(&mut self, ticks: u64) {
        let at = self.since_base(ticks);
        self.paused_since.get_or_insert(at);
    }

    /// Ends the pause.
    pub fn resume(&mut self, ticks: u64) {
        let Some(from) = self.paused_since.take() else { return };
        let to = self.since_base(ticks).max(from);
        if self.pauses.len() == PAUSES_MAX {
            self.pauses.pop_front();
        }
        self.pauses.push_back((from, to, self.paused_ns));
        self.paused_ns = self.paused_ns.saturating_add(to - from);
    }

    /// Returns how long all pauses that ended took, in nanoseconds.
    pub fn paused_ns(&self) -> u64 {
        self.paused_ns
    }

    /// Returns nanoseconds since the base.
    fn since_base(&self, ticks: u64) -> u64 {
        let [from, to] = self.last_segment.get();
        if from.0 <= ticks && ticks < to.0 {
            return interpolate(ticks, from, to);
        }
        let after = self.pairs.partition_point(|(at, _)| *at <= ticks);
        let pair = |index: usize| self.pairs.get(index).copied();
        match (after.checked_sub(1).and_then(pair), pair(after)) {
            (Some(from), Some(to)) => {
                self.last_segment.set([from, to]);
                interpolate(ticks, from, to)
            }
            (Some((last, ns)), None) => ns.saturating_add(scale(ticks - last, 1_000_000_000, self.ticks_per_second)),
            (None, Some((first, ns))) => ns.saturating_sub(scale(first - ticks, 1_000_000_000, self.ticks_per_second)),
            (None, None) => 0,
        }
    }

    fn without_pauses(&self, ns: u64) -> Nanos {
        if self.pauses.is_empty() && self.paused_since.is_none() {
            return ns;
        }
        if let Some(since) = self.paused_since.filter(|since| ns >= *since) {
            return since.saturating_sub(self.paused_ns);
        }
        let after = self.pauses.partition_point(|(from, ..)| *from <= ns);
        let paused = match after.checked_sub(1).and_then(|index| self.pauses.get(index)) {
            Some((from, to, before)) => before.saturating_add(ns.min(*to) - from),
            None => self.pauses.front().map_or(self.paused_ns, |(.., before)| *before),
        };
        ns.saturating_sub(paused)
    }
}

/// Returns nanoseconds since the base at ticks between two pairs.
fn interpolate(ticks: u64, from: (u64, u64), to: (u64, u64)) -> u64 {
    from.1 + scale(ticks - from.0, to.1 - from.1, to.0 - from.0)
}

/// Returns `value * numerator / denominator`.
fn scale(value: u64, numerator: u64, denominator: u64) -> u64 {
    match value.checked_mul(numerator) {
        Some(product) => product / denominator.max(1),
        None => {
            let scaled = u128::from(value) * u128::from(numerator) / u128::from(denominator.max(1));
            u64::try_from(scaled).unwrap_or(u64::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    #[test]
    fn rate_follows_the_pairs() {
        let mut clock = TickClock::new(2_000_000_000, 500);
        assert_eq!(clock.loop_time(2_000), 1_000, "by the reported rate");
        clock.add_pair(1_000, 1_500);
        clock.add_pair(2_000, 3_500);
        assert_eq!(
            [0, 500, 1_000, 1_500, 2_000, 4_000].map(|ticks| clock.loop_time(ticks)),
            [0, 500, 1_000, 2_000, 3_000, 4_000]
        );
        clock.add_pair(1_500, 9_000);
        clock.add_pair(3_000, 100);
        assert_eq!(clock.loop_time(1_500), 2_000, "pairs that step back are ignored");
        for pair in 0..2 * PAIRS_MAX as u64 {
            clock.add_pair(10_000 + pair, 10_000 + pair);
        }
        let times: Vec<Nanos> = (9_000..11_000).map(|ticks| clock.loop_time(ticks)).collect();
        assert!(times.is_sorted());
    }

    #[test]
    fn pauses_are_cut_out() {
        let mut clock = TickClock::new(1_000_000_000, 0);
        clock.pause(10 * MILLISECOND);
        clock.pause(12 * MILLISECOND);
        assert_eq!([5, 10, 11, 20].map(|ms| clock.loop_time(ms * MILLISECOND) / MILLISECOND), [5, 10, 10, 10]);
        clock.resume(20 * MILLISECOND);
        clock.resume(21 * MILLISECOND);
        clock.pause(30 * MILLISECOND);
        clock.resume(35 * MILLISECOND);
        assert_eq!(
            [5, 15, 20, 25, 30, 33, 36].map(|ms| clock.loop_time(ms * MILLISECOND) / MILLISECOND),
            [5, 10, 10, 15, 20, 20, 21]
        );
        assert_eq!(clock.paused_ns(), 15 * MILLISECOND);
    }

    #[test]
    fn extreme_values_do_not_overflow() {
        let mut clock = TickClock::new(u64::MAX, u64::MAX);
        clock.add_pair(u64::MAX, 0);
        clock.add_pair(u64::MAX, u64::MAX);
        clock.pause(u64::MAX);
        clock.resume(0);
        assert!(clock.loop_time(u64::MAX) >= clock.loop_time(0));
        assert_eq!(TickClock::new(1, 0).loop_time(u64::MAX), u64::MAX);
    }
}
