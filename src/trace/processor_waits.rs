//! When the threads of an external app waited for a processor, because other programs kept them busy.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::time::Nanos;

/// Maximum number of retained intervals: those of 8 minutes on a machine that is always busy. Past it, each two
/// successive intervals are merged.
const INTERVALS_MAX: usize = 10_000;

/// An interval, and for how long a thread waited for a processor in it, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct WaitInterval {
    from: Nanos,
    to: Nanos,
    waited_ns: u64,
}

/// Intervals in which the threads of an external app waited for a processor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessorWaits {
    /// In order of both ends. They may overlap.
    intervals: VecDeque<WaitInterval>,
    /// Time up to which all waits are known; `None` if nothing reports them.
    pub known_until: Option<Nanos>,
}

impl ProcessorWaits {
    /// Adds an interval in which no thread waited for longer than `waited_ns`. Intervals should be in order of their end.
    pub fn add(&mut self, from: Nanos, to: Nanos, waited_ns: u64) {
        let mut added = WaitInterval { from, to: to.max(from), waited_ns };
        if self.intervals.back().is_some_and(|last| last.to > added.to)
            && let Some(last) = self.intervals.pop_back()
        {
            added = last.merged_with(added);
        }
        if self.intervals.len() == INTERVALS_MAX {
            self.halve();
        }
        // Starts stay in order if earlier intervals are extended, and their waits are still in them.
        for earlier in self.intervals.iter_mut().rev().take_while(|earlier| earlier.from > added.from) {
            earlier.from = added.from;
        }
        self.intervals.push_back(added);
    }

    /// Merges each two successive intervals.
    fn halve(&mut self) {
        let merge = |pair: &[WaitInterval]| pair.iter().copied().reduce(WaitInterval::merged_with);
        self.intervals = self.intervals.make_contiguous().chunks(2).filter_map(merge).collect();
    }

    /// Returns for how long a thread may have waited for a processor from `from` to `to`, at most. That includes the time
    /// whose waits are not known yet.
    pub fn wait_ns_max(&self, from: Nanos, to: Nanos) -> u64 {
        let first = self.intervals.partition_point(|wait| wait.to <= from);
        let overlapping = self.intervals.range(first..).take_while(|wait| wait.from < to);
        let waits = overlapping.map(|wait| wait.to.min(to).saturating_sub(wait.from.max(from)).min(wait.waited_ns));
        waits.fold(self.unknown_ns(from, to), u64::saturating_add).min(to.saturating_sub(from))
    }

    /// Returns the time from `from` to `to` whose waits are not known yet.
    pub fn unknown_ns(&self, from: Nanos, to: Nanos) -> u64 {
        self.known_until.map_or(0, |until| to.saturating_sub(until.max(from)))
    }

    /// Returns whether the intervals are as [`Self::add`] leaves them, for waits that were read from a file.
    pub fn is_valid(&self) -> bool {
        self.intervals.len() <= INTERVALS_MAX
            && self.intervals.iter().all(|wait| wait.from <= wait.to)
            && self.intervals.iter().is_sorted_by_key(|wait| wait.from)
            && self.intervals.iter().is_sorted_by_key(|wait| wait.to)
    }
}

impl WaitInterval {
    /// Returns one interval for both.
    fn merged_with(self, other: Self) -> Self {
        Self {
            from: self.from.min(other.from),
            to: self.to.max(other.to),
            waited_ns: self.waited_ns.saturating_add(other.waited_ns),
        }
    }
}

#[cfg(test)]
impl ProcessorWaits {
    /// Creates intervals of constant waiting without the checks of [`Self::add`].
    pub fn from_unchecked(intervals: &[(Nanos, Nanos)]) -> Self {
        let interval = |(from, to): &(Nanos, Nanos)| WaitInterval { from: *from, to: *to, waited_ns: u64::MAX };
        Self { intervals: intervals.iter().map(interval).collect(), known_until: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_add_up_to_their_overlap() {
        let mut waits = ProcessorWaits::default();
        waits.add(0, 100, 30);
        waits.add(100, 200, 5);
        let found = [(0, 200), (80, 200), (0, 10), (90, 110), (100, 101), (200, 300)];
        assert_eq!(found.map(|(from, to)| waits.wait_ns_max(from, to)), [35, 25, 10, 15, 1, 0]);
        assert_eq!(waits.wait_ns_max(50, 50), 0);
        waits.known_until = Some(150);
        assert_eq!(waits.wait_ns_max(100, 170), 25, "5 known, and 20 since");
        assert_eq!(waits.wait_ns_max(160, 170), 10, "never more than the interval");
    }

    /// Intervals that are merged, extended or out of order may only make the bound larger.
    #[test]
    fn bound_stays_true_however_waits_are_added() {
        let count = 3 * INTERVALS_MAX as u64;
        // The wait of each interval of 10 lies at its start; every seventh comes with an early start or out of order.
        let mut waits = ProcessorWaits::default();
        for index in 0..count {
            let (from, to) = (10 * index, 10 * index + 10);
            match index % 7 {
                3 => waits.add(from.saturating_sub(25), to, 4),
                5 => {
                    waits.add(from, to + 10, 0);
                    waits.add(from, to, 4);
                }
                _ => waits.add(from, to, 4),
            }
            assert!(waits.intervals.len() <= INTERVALS_MAX);
        }
        assert!(waits.is_valid());
        for index in (0..count - 20).step_by(97) {
            for intervals in [1, 2, 15] {
                let (from, to) = (10 * index, 10 * (index + intervals));
                assert!(waits.wait_ns_max(from, to) >= 4 * intervals, "{index}, {intervals}");
                assert!(waits.wait_ns_max(from, to) <= to - from);
            }
        }
        let last = 10 * count;
        assert_eq!(waits.wait_ns_max(last - 10, last), 4, "the newest are as they were added");
        assert_eq!(waits.wait_ns_max(0, last), 4 * count);
    }

    #[test]
    fn hostile_waits_are_invalid_or_harmless() {
        let interval = |from, to, waited_ns| WaitInterval { from, to, waited_ns };
        let is_valid = |intervals: &[WaitInterval]| {
            ProcessorWaits { intervals: intervals.iter().copied().collect(), known_until: None }.is_valid()
        };
        assert!(is_valid(&[interval(0, 10, 3), interval(5, 20, 3)]));
        assert!(!is_valid(&[interval(10, 9, 3)]), "it ends before it starts");
        assert!(!is_valid(&[interval(5, 20, 3), interval(0, 30, 3)]), "starts are out of order");
        assert!(!is_valid(&[interval(0, 30, 3), interval(5, 20, 3)]), "ends are out of order");
        assert!(!is_valid(&vec![interval(0, 1, 1); INTERVALS_MAX + 1]), "too many");
        let mut waits = ProcessorWaits { known_until: Some(0), ..ProcessorWaits::default() };
        (0..3).for_each(|_| waits.add(u64::MAX, 0, u64::MAX));
        (0..3).for_each(|_| waits.add(0, u64::MAX, u64::MAX));
        assert_eq!(waits.wait_ns_max(0, u64::MAX), u64::MAX);
        assert_eq!(waits.wait_ns_max(7, 3), 0, "an empty interval");
    }
}
