//! Measures: what somebody who saw every poll of a task tells of it in sums, now and then.
//!
//! Between two measures only their difference is known. A lane that has measures is drawn from them, as shares of each
//! interval, and never looks as if single polls had been seen.

use std::collections::VecDeque;

use super::event::Nanos;

/// Measures that are forgotten at once.
pub(super) const BLOCK_MEASURES: usize = 64;

/// Measures for which there is more room at least, once there is none.
const GROWTH_MEASURES: usize = 8;

/// Sums over a task's life so far, with what it was doing just then. Times in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    pub polls: u64,
    pub busy_ns: u64,
    pub scheduled_ns: u64,
    pub doing: Doing,
    pub waker_clones: u64,
    pub waker_drops: u64,
}

/// What a task that goes on was doing when it was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doing {
    Running,
    Scheduled,
    #[default]
    Waiting,
}

/// How durations spread: for each bucket its upper end, in nanoseconds, and how many fell into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// In order of their upper ends; empty buckets are left out.
    pub buckets: Vec<(u64, u64)>,
    /// Durations longer than the histogram can tell apart, and the longest of them.
    pub outliers: u64,
    pub longest_outlier_ns: Option<u64>,
}

/// The two that console-subscriber keeps of each task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histograms {
    pub polls: Histogram,
    pub scheduled: Histogram,
}

/// What is known of a stretch of a lane whose polls were not all seen, besides its shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampled {
    /// One poll that began in it was seen.
    pub poll_seen: bool,
    /// Polls between the measures around it that nobody saw.
    pub unseen_polls: u64,
    /// One poll that was seen was under way during all of it.
    pub poll_throughout: bool,
    /// There was a measure since.
    pub is_told: bool,
}

/// One measure in a lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    pub at: Nanos,
    pub polls: u64,
    pub busy_ns: u64,
    pub scheduled_ns: u64,
    pub doing: Doing,
}

/// Sums up to a time, in proportion between two measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub polls: u64,
    pub busy_ns: u64,
    pub scheduled_ns: u64,
}

/// The measures of one lane, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Measures {
    all: VecDeque<Measure>,
    /// The last one that was forgotten.
    before: Option<Measure>,
}

impl Measures {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds one, unless it tells of an earlier time than the last. Sums never shrink. Tells whether it was added.
    pub fn push(&mut self, measure: Measure) -> bool {
        let Some(last) = self.all.back() else {
            self.all.push_back(measure);
            return true;
        };
        if measure.at < last.at {
            return false;
        }
        let measure = Measure {
            polls: measure.polls.max(last.polls),
            busy_ns: measure.busy_ns.max(last.busy_ns),
            scheduled_ns: measure.scheduled_ns.max(last.scheduled_ns),
            ..measure
        };
        // What was told twice of one instant is told once.
        if last.at == measure.at {
            self.all.pop_back();
        }
        if self.all.len() == self.all.capacity() {
            // Twice the room in each of ten thousand lanes would be as much again as what is kept in them.
            self.all.reserve_exact((self.all.len() / 4).max(GROWTH_MEASURES));
        }
        self.all.push_back(measure);
        true
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// The last measure at or before `at`.
    pub fn at(&self, at: Nanos) -> Option<&Measure> {
        let index = self.all.partition_point(|measure| measure.at <= at);
        index.checked_sub(1).and_then(|index| self.all.get(index)).or(self.before.as_ref())
    }

    pub fn first(&self) -> Option<&Measure> {
        self.all.front()
    }

    pub fn last(&self) -> Option<&Measure> {
        self.all.back()
    }

    /// Sums from the spawn to `at`: in proportion between two measures. Who measures tells of every change, so after the
    /// last one the task goes on doing what it did.
    pub fn sums_at(&self, spawned: Nanos, at: Nanos) -> Sums {
        let index = self.all.partition_point(|measure| measure.at <= at);
        let earlier = index.checked_sub(1).and_then(|index| self.all.get(index)).or(self.before.as_ref());
        let from = earlier.map_or(spawned, |measure| measure.at);
        let sums = earlier.map_or_else(Sums::default, |measure| Sums {
            polls: measure.polls,
            busy_ns: measure.busy_ns,
            scheduled_ns: measure.scheduled_ns,
        });
        let Some(later) = self.all.get(index).filter(|_| at > from) else {
            let since = at.saturating_sub(from);
            return match earlier.map(|measure| measure.doing) {
                Some(Doing::Running) => Sums { busy_ns: sums.busy_ns.saturating_add(since), ..sums },
                Some(Doing::Scheduled) => Sums { scheduled_ns: sums.scheduled_ns.saturating_add(since), ..sums },
                Some(Doing::Waiting) | None => sums,
            };
        };
        let (passed, whole) = (u128::from(at - from), u128::from((later.at - from).max(1)));
        let share = |before: u64, after: u64| {
            before + u64::try_from(u128::from(after.saturating_sub(before)) * passed / whole).unwrap_or(u64::MAX)
        };
        Sums {
            polls: share(sums.polls, later.polls),
            busy_ns: share(sums.busy_ns, later.busy_ns),
            scheduled_ns: share(sums.scheduled_ns, later.scheduled_ns),
        }
    }

    /// Polls between the last measure at or before `from` and the first one at or after `to`, as far as there are such,
    /// with the times of these two.
    pub fn around(&self, spawned: Nanos, from: Nanos, to: Nanos) -> (Nanos, Nanos, u64) {
        let before = self.at(from);
        let index = self.all.partition_point(|measure| measure.at < to);
        let after = self.all.get(index).or(self.all.back()).or(self.before.as_ref());
        let polls = |measure: Option<&Measure>| measure.map_or(0, |measure| measure.polls);
        let begin = before.map_or(spawned, |measure| measure.at);
        (begin, after.map_or(begin, |measure| measure.at), polls(after).saturating_sub(polls(before)))
    }

    /// Forgets the oldest block, if there is more than one. Returns how many measures that were.
    pub fn drop_oldest(&mut self) -> usize {
        if self.all.len() <= BLOCK_MEASURES {
            return 0;
        }
        self.before = self.all.get(BLOCK_MEASURES - 1).copied();
        self.all.drain(..BLOCK_MEASURES);
        BLOCK_MEASURES
    }

    /// What happened before this was forgotten.
    pub fn forgotten_until(&self) -> Option<Nanos> {
        self.before.map(|measure| measure.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(at: Nanos, polls: u64, busy_ns: u64) -> Measure {
        Measure { at, polls, busy_ns, scheduled_ns: 0, doing: Doing::Waiting }
    }

    #[test]
    fn between_two_measures_sums_grow_in_proportion_and_never_shrink() {
        let mut measures = Measures::default();
        assert!(measures.push(measure(100, 10, 50)));
        assert!(measures.push(measure(200, 20, 90)));
        assert!(!measures.push(measure(150, 99, 99)), "a clock that steps back tells nothing");
        assert!(measures.push(measure(300, 5, 5)), "sums that shrink are kept as they were");
        let sums = |at| {
            let sums = measures.sums_at(0, at);
            (sums.polls, sums.busy_ns)
        };
        assert_eq!([sums(0), sums(50), sums(100)], [(0, 0), (5, 25), (10, 50)]);
        assert_eq!([sums(150), sums(200), sums(300), sums(900)], [(15, 70), (20, 90), (20, 90), (20, 90)]);
    }

    #[test]
    fn what_is_forgotten_leaves_the_sums_that_follow_true() {
        let mut measures = Measures::default();
        for at in 1..=200 {
            measures.push(measure(at, at, at));
        }
        assert_eq!((measures.drop_oldest(), measures.len()), (64, 136));
        assert_eq!(measures.forgotten_until(), Some(64));
        assert_eq!(measures.sums_at(0, 150).polls, 150);
        while measures.drop_oldest() > 0 {}
        assert_eq!(measures.len(), 8, "what is newest stays");
    }
}
