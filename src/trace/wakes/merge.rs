//! Merges the two wake sequences of a task: the first wake after each poll, from the lane, and the extra wakes. Finding
//! the n-th wake of the merged sequence is a binary search over the lane's segments. Each step of it reads one extra
//! wake ([`MergedWakes::split`]).

use super::super::lane::{Lane, count_lookup};
use super::super::pack::partition_point;
use super::super::time::Nanos;
use super::super::wake_source::WakeSource;
use super::extra_wakes::{ExtraWakes, WakeRecord};

/// Iterates over every retained wake with a known source, in order: the first wakes in `lane` merged with `extra`.
pub(in crate::trace) fn merge_wakes<'a>(lane: &'a Lane, extra: Option<&'a ExtraWakes>) -> MergedWakes<'a> {
    let back = MergePosition {
        first_count: lane.wakes_in_first_segments(lane.segment_count()),
        extra_count: extra.map_or(0, ExtraWakes::len),
        first_cache: WakeCache::default(),
        extra_cache: WakeCache::default(),
    };
    MergedWakes { lane, extra, front: MergePosition::default(), back }
}

/// A merge of two wake sequences, ordered by the polls that the wakes followed. The first wake after a poll precedes
/// its extra wakes.
pub(in crate::trace) struct MergedWakes<'a> {
    lane: &'a Lane,
    extra: Option<&'a ExtraWakes>,
    front: MergePosition,
    back: MergePosition,
}

/// A position in both sequences, with the wakes that were read around it.
#[derive(Default)]
struct MergePosition {
    /// Number of first wakes before this position.
    first_count: usize,
    /// Number of extra wakes before this position.
    extra_count: usize,
    /// First wakes read around this position.
    first_cache: WakeCache,
    /// Extra wakes read around this position.
    extra_cache: WakeCache,
}

/// A cached run of consecutive wakes of one sequence.
#[derive(Default)]
struct WakeCache {
    /// Number of wakes before the run.
    before: usize,
    wakes: Vec<WakeRecord>,
}

impl WakeCache {
    /// Returns the wake at `index`, which `around` reads with its neighbours where it is not cached.
    fn get(&mut self, index: usize, around: impl FnOnce() -> (usize, Vec<WakeRecord>)) -> Option<WakeRecord> {
        if !(self.before..self.before + self.wakes.len()).contains(&index) {
            (self.before, self.wakes) = around();
        }
        self.wakes.get(index.checked_sub(self.before)?).copied()
    }
}

impl Lane {
    /// Returns the wakes of one segment, and the number of retained wakes before it.
    fn segment_wakes(&self, segment: usize) -> (usize, Vec<WakeRecord>) {
        let wakes = self.wakes_in_segment(segment).into_iter().map(|(poll, at, source)| WakeRecord {
            poll,
            at,
            wake_source: Some(source),
        });
        (self.wakes_in_first_segments(segment), wakes.collect())
    }

    /// Returns the last segment that satisfies `is_in_time`, which must hold for a prefix; the first segment where none
    /// does.
    fn last_segment(&self, is_in_time: impl Fn(usize) -> bool) -> usize {
        let not_in_time = partition_point(1..self.segment_count(), |segment| {
            count_lookup();
            is_in_time(segment)
        });
        not_in_time - 1
    }

    /// Returns the wakes of the segment that holds the `index`-th wake, and the number of retained wakes before it.
    fn wakes_around(&self, index: usize) -> (usize, Vec<WakeRecord>) {
        self.segment_wakes(self.last_segment(|segment| self.wakes_in_first_segments(segment) <= index))
    }
}

impl MergedWakes<'_> {
    /// Returns the number of wakes between both ends.
    fn remaining(&self) -> usize {
        (self.back.first_count - self.front.first_count) + (self.back.extra_count - self.front.extra_count)
    }

    /// Splits the first `count` merged wakes into the number of first wakes and the number of extra wakes.
    fn split(&self, count: usize) -> (usize, usize) {
        // The first `firsts` first wakes, the last of which followed `poll`, are among the first `count` merged wakes
        // unless the extra wake at index `count - firsts`, which is then left out, followed an earlier poll.
        let are_in = |firsts: usize, poll: u64| {
            let extras = count.checked_sub(firsts);
            extras.is_some_and(|extras| self.extra_poll(extras).is_none_or(|next_poll| next_poll >= poll))
        };
        let are_before = |segment: usize| {
            are_in(self.lane.wakes_in_first_segments(segment), self.lane.polls_before_segment(segment))
        };
        let (before, wakes) = self.lane.segment_wakes(self.lane.last_segment(are_before));
        let within = (before + 1..).zip(&wakes).take_while(|(firsts, wake)| are_in(*firsts, wake.poll)).count();
        let firsts = (before + within).min(count);
        (firsts, count - firsts)
    }

    /// Returns the poll that the `index`-th extra wake followed.
    fn extra_poll(&self, index: usize) -> Option<u64> {
        self.extra?.poll_of(index)
    }

    /// Splits `count` and clamps the result to the range between both ends.
    fn split_between_ends(&self, count: usize) -> (usize, usize) {
        let (first, extra) = self.split(count);
        (
            first.clamp(self.front.first_count, self.back.first_count),
            extra.clamp(self.front.extra_count, self.back.extra_count),
        )
    }
}

/// Returns the time and the source of a wake; `None` where the source is unknown.
fn with_source(wake: Option<WakeRecord>) -> Option<(Nanos, WakeSource)> {
    wake.and_then(|wake| Some((wake.at, wake.wake_source?)))
}

impl Iterator for MergedWakes<'_> {
    type Item = (Nanos, WakeSource);

    fn next(&mut self) -> Option<Self::Item> {
        let Self { lane, extra, front, back } = self;
        let (first_index, extra_index) = (front.first_count, front.extra_count);
        let first = (first_index < back.first_count)
            .then(|| front.first_cache.get(first_index, || lane.wakes_around(first_index)))
            .flatten();
        let extra = extra.filter(|_| extra_index < back.extra_count);
        let extra = extra.and_then(|wakes| front.extra_cache.get(extra_index, || wakes.block_around(extra_index)));
        match (first, extra) {
            (Some(first), extra) if extra.is_none_or(|extra| first.poll <= extra.poll) => {
                front.first_count += 1;
                with_source(Some(first))
            }
            (_, extra) => {
                front.extra_count += usize::from(extra.is_some());
                with_source(extra)
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining(), Some(self.remaining()))
    }

    fn nth(&mut self, index: usize) -> Option<Self::Item> {
        if index >= self.remaining() {
            (self.front.first_count, self.front.extra_count) = (self.back.first_count, self.back.extra_count);
        } else if index > 0 {
            (self.front.first_count, self.front.extra_count) =
                self.split_between_ends(self.front.first_count + self.front.extra_count + index);
        }
        self.next()
    }
}

impl DoubleEndedIterator for MergedWakes<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let Self { lane, extra, front, back } = self;
        let last = |count: usize, before: usize| count.checked_sub(1).filter(|last| *last >= before);
        let first = last(back.first_count, front.first_count);
        let first = first.and_then(|last| back.first_cache.get(last, || lane.wakes_around(last)));
        let extra = extra.zip(last(back.extra_count, front.extra_count));
        let extra = extra.and_then(|(wakes, last)| back.extra_cache.get(last, || wakes.block_around(last)));
        match (first, extra) {
            (Some(first), extra) if extra.is_none_or(|extra| first.poll > extra.poll) => {
                back.first_count -= 1;
                with_source(Some(first))
            }
            (_, extra) => {
                back.extra_count -= usize::from(extra.is_some());
                with_source(extra)
            }
        }
    }

    fn nth_back(&mut self, index: usize) -> Option<Self::Item> {
        if index >= self.remaining() {
            (self.back.first_count, self.back.extra_count) = (self.front.first_count, self.front.extra_count);
        } else if index > 0 {
            (self.back.first_count, self.back.extra_count) =
                self.split_between_ends(self.back.first_count + self.back.extra_count - index);
        }
        self.next_back()
    }
}

impl ExactSizeIterator for MergedWakes<'_> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::lane::{Cycle, LOOKUPS};
    use super::super::extra_wakes::WakeBlock;
    use super::*;

    /// Builds a lane of `polls` polls, its extra wakes, and the expected sequence of all wakes. `by` returns, for a
    /// poll, the number of wakes before it and the time between them.
    fn woken_lane(polls: u64, mut by: impl FnMut(u64) -> (usize, u64)) -> (Lane, ExtraWakes, Vec<(Nanos, WakeSource)>) {
        let (mut lane, mut extra, mut expected, mut now) = (Lane::new(0), ExtraWakes::default(), vec![], 0);
        for poll in 0..polls {
            let (count, after) = by(poll);
            for index in 0..count {
                now += after;
                let source = if index == 0 { WakeSource::SelfWake } else { WakeSource::Driver };
                if !lane.record_wake(now, 0, Some(source)) {
                    extra.push(lane.poll_count(), now, source);
                }
                expected.push((now, source));
            }
            lane.start_poll(now, poll as u32, &mut Vec::new());
            lane.end_poll(now, None);
            now += after;
        }
        (lane, extra, expected)
    }

    /// Merges both sequences by sorting: the reference for the lookups.
    fn sorted_merge(lane: &Lane, extra: &ExtraWakes) -> Vec<(Nanos, WakeSource)> {
        let first = |(index, cycle): (usize, Cycle)| Some((index as u64 + 1, cycle.first_wake()?));
        let firsts = lane.cycles().enumerate().filter_map(first);
        let extras = extra.blocks.iter().flat_map(WakeBlock::wakes).chain(extra.unsealed.iter().copied());
        let extras = extras.filter_map(|wake| Some((wake.poll, (wake.at, wake.wake_source?))));
        let before = lane.polls_before_segment(0);
        let mut wakes: Vec<_> = firsts.map(|(poll, wake)| (before + poll, wake)).chain(extras).collect();
        wakes.sort_by_key(|(poll, _)| *poll);
        wakes.into_iter().map(|(_, wake)| wake).collect()
    }

    /// Asserts that every way of iterating yields `expected`.
    fn assert_merge(lane: &Lane, extra: Option<&ExtraWakes>, expected: &[(Nanos, WakeSource)]) {
        let count = expected.len();
        assert_eq!(merge_wakes(lane, extra).len(), count);
        assert_eq!(merge_wakes(lane, extra).collect::<Vec<_>>(), expected);
        assert!(merge_wakes(lane, extra).rev().eq(expected.iter().rev().copied()));
        for index in (0..count + 2).step_by(1 + count / 64) {
            assert_eq!(merge_wakes(lane, extra).nth(index), expected.get(index).copied());
            assert_eq!(merge_wakes(lane, extra).skip(index).len(), count.saturating_sub(index));
            let back = count.checked_sub(index + 1).map(|index| expected[index]);
            assert_eq!(merge_wakes(lane, extra).rev().nth(index), back);
        }
    }

    /// Moves both ends towards each other by these numbers of wakes, in turns.
    fn assert_ends_meet(lane: &Lane, extra: &ExtraWakes, expected: &[(Nanos, WakeSource)], steps: &[usize]) {
        let (mut merged, mut reference) = (merge_wakes(lane, Some(extra)), expected.iter().copied());
        for (index, step) in steps.iter().cycle().enumerate() {
            let pair = if index % 2 == 0 {
                (merged.nth(*step), reference.nth(*step))
            } else {
                (merged.nth_back(*step), reference.nth_back(*step))
            };
            assert_eq!(pair.0, pair.1);
            assert_eq!(merged.len(), reference.len());
            if pair.1.is_none() {
                break;
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn lookup_equals_sorted_merge(
            polls in 0..400_u64,
            most in 0..60_u64,
            seed: u64,
            steps in prop::collection::vec(0..150_usize, 1..8),
            evicted in (0..4_usize, 0..4_usize),
        ) {
            let mut state = seed;
            let mut random = move |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            // Long runs of at most one wake per poll, and some of many.
            let by = |poll: u64| match (poll / 50 % 3, random(9)) {
                (0, 0) | (1, _) => (random(most + 1) as usize, random(3)),
                (_, 1) => (0, random(2)),
                _ => (1, random(2)),
            };
            let (mut lane, mut extra, expected) = woken_lane(polls, by);
            prop_assert_eq!(&sorted_merge(&lane, &extra), &expected);
            for (at, _) in expected.iter().step_by(1 + expected.len() / 64) {
                for at in [at.saturating_sub(1), *at] {
                    let until = lane.count_wakes_until(at) + extra.count_until(at);
                    prop_assert_eq!(until, expected.iter().filter(|(woken, _)| *woken <= at).count());
                }
            }
            assert_merge(&lane, Some(&extra), &expected);
            assert_ends_meet(&lane, &extra, &expected, &steps);
            // Evict blocks from either sequence independently.
            for _ in 0..evicted.0 {
                lane.evict_oldest_block();
            }
            for _ in 0..evicted.1 {
                extra.evict_oldest_block();
            }
            let retained = sorted_merge(&lane, &extra);
            assert_merge(&lane, Some(&extra), &retained);
            assert_ends_meet(&lane, &extra, &retained, &steps);
        }

        #[test]
        fn merges_lane_without_extra_wakes(polls in 0..200_u64, every in 1..9_u64) {
            let (lane, extra, expected) = woken_lane(polls, |poll| (usize::from(poll > 0 && poll % every > 0), 1));
            prop_assert_eq!(extra.len(), 0);
            assert_merge(&lane, None, &expected);
        }
    }

    #[test]
    fn lookup_cost_is_logarithmic() {
        // Extra wakes after every poll, and after one poll only.
        for is_everywhere in [true, false] {
            let mut before = 0;
            for polls in [20_000, 160_000] {
                let by = |poll| if is_everywhere || poll == polls / 3 { (5, 1) } else { (1, 1) };
                let (lane, extra, expected) = woken_lane(polls, by);
                let mut most = 0;
                for part in 0..200 {
                    let (index, from) = (expected.len() / 200 * part, LOOKUPS.get());
                    assert_eq!(merge_wakes(&lane, Some(&extra)).nth(index), Some(expected[index]));
                    assert_eq!(
                        merge_wakes(&lane, Some(&extra)).nth_back(expected.len() - 1 - index),
                        Some(expected[index])
                    );
                    let until = lane.count_wakes_until(expected[index].0) + extra.count_until(expected[index].0);
                    assert_eq!(until, expected.partition_point(|(woken, _)| *woken <= expected[index].0));
                    assert_eq!(merge_wakes(&lane, Some(&extra)).len(), expected.len());
                    most = most.max(LOOKUPS.get() - from);
                }
                // Eight times as many polls are three extra doublings, in each of a few searches.
                assert!(most < 600, "{most} for one of {polls} polls");
                assert!(before == 0 || most < before + 3 * 2 * 12, "{most} after {before}");
                before = most;
            }
        }
    }
}
