//! A cursor through a lane: each lookup starts at the position of the last one.

use super::super::pack::partition_point;
use super::super::time::Nanos;
use super::block::CycleBlock;
use super::block_cursor::BlockCursor;
use super::lookups::count_lookup;
use super::{Cycle, Lane, LaneTotals};

/// Looks up a lane at a sequence of times, or of steps. Ascending order is the fastest.
pub(in crate::trace) struct LaneCursor<'a> {
    pub(super) lane: &'a Lane,
    /// Index of the block that the last lookup found.
    found_block: Option<usize>,
    /// End of the last interval, and the totals up to it.
    pub(super) interval_end: u64,
    pub(super) interval_totals: LaneTotals,
    /// The last block cursor, and the index of its block.
    block_cursor: Option<BlockCursor<'a>>,
    block_cursor_index: usize,
    /// Number of unsealed cycles that the last lookup passed, and the totals up to there.
    passed_unsealed: Option<(usize, LaneTotals)>,
}

/// An interval in which more polls began than the screen can distinguish.
pub(in crate::trace) struct DenseInterval {
    /// Totals of the blocks that begin in the interval.
    pub totals: LaneTotals,
    /// Whether a poll was running for at least half of the interval.
    pub is_mostly_running: bool,
}

/// What happened in an interval of a lane.
pub(in crate::trace) enum LaneInterval {
    /// Only the blocks were counted; see [`DenseInterval`].
    Dense(DenseInterval),
    /// Exact totals, and the newest cycle at the end of the interval; see [`LaneCursor::seek`].
    Exact(LaneTotals, Option<Cycle>),
}

impl<'a> LaneCursor<'a> {
    /// Creates a cursor that has no position yet.
    pub fn new(lane: &'a Lane) -> Self {
        Self {
            lane,
            found_block: None,
            interval_end: 0,
            interval_totals: LaneTotals::default(),
            block_cursor: None,
            block_cursor_index: 0,
            passed_unsealed: None,
        }
    }

    /// Returns what happened from `start` up to, not including, `end`, as far as `now`.
    pub fn interval(&mut self, start: Nanos, end: Nanos, now: Nanos) -> LaneInterval {
        // A poll that starts at an edge belongs to the following interval, so each lookup is for the instant before an
        // edge.
        let (before, last) = (start.checked_sub(1), end.saturating_sub(1));
        if let Some(dense) = before.and_then(|before| self.dense_interval(before, last)) {
            return LaneInterval::Dense(dense);
        }
        let earlier = match before {
            Some(before) if self.interval_end < start => self.seek(before.min(now)).0,
            _ => self.interval_totals,
        };
        let (later, cycle) = self.seek(last.min(now));
        (self.interval_end, self.interval_totals) = (end, later);
        LaneInterval::Exact(later.since(&earlier), cycle)
    }

    /// Returns the totals from the spawn to `at`, and the last cycle that started at or before `at`. Of a sealed cycle,
    /// the step and the wake source are left out, and also the await unless the task waits on it at `at`.
    pub fn seek(&mut self, at: Nanos) -> (LaneTotals, Option<Cycle>) {
        let lane = self.lane;
        if let Some(stats) = &lane.stats {
            return (lane.sampled_totals_at(stats, at), None);
        }
        let until = at.min(lane.ended_at);
        if let Some(unsealed) = lane.unsealed_while(|cycle| cycle.start <= until) {
            let (totals, last) = self.seek_unsealed(unsealed, until);
            return (totals, Some(*last));
        }
        let Some(index) = self.block_at(until) else { return (lane.totals_before_first(until), None) };
        match self.block_cursor.as_mut().filter(|cursor| self.block_cursor_index == index && cursor.start <= until) {
            Some(cursor) => cursor.advance_to(until),
            None => {
                self.block_cursor_index = index;
                self.block_cursor =
                    lane.blocks.get(index).and_then(|block| block.cursor_at(until, lane.totals_after(index)));
            }
        }
        // Only a block without columns has no cursor, and no block that was packed or decoded lacks them.
        let Some(cursor) = &mut self.block_cursor else { return (lane.totals_before_first(until), None) };
        let (totals, cycle) = cursor.current(until);
        (totals, Some(cycle))
    }

    /// Returns the totals up to `until` and the newest cycle then. `unsealed` are the unsealed cycles that start in time,
    /// without the current one.
    fn seek_unsealed(&mut self, unsealed: &'a [Cycle], until: Nanos) -> (LaneTotals, &'a Cycle) {
        let lane = self.lane;
        let is_current = lane.newest.start <= until;
        let (last, before) = match unsealed.split_last() {
            Some((last, before)) if !is_current => (last, before),
            _ => (&lane.newest, unsealed),
        };
        let passed = self.passed_unsealed.take().filter(|(count, _)| *count <= before.len());
        let (mut count, mut totals) = passed.unwrap_or((0, lane.totals_before_unsealed));
        while let Some(cycle) = before.get(count) {
            count_lookup();
            count += 1;
            totals.add_cycle(cycle, before.get(count).unwrap_or(last).start);
        }
        self.passed_unsealed = Some((count, totals));
        totals.add_cycle(last, until);
        (totals, last)
    }

    /// Describes the interval from `from` to `to` by block boundaries alone, without reading a block. `None` where no
    /// block begins in it, where the lane ends or still grows in it, or where the boundaries do not decide whether a
    /// poll was running for half of the time.
    fn dense_interval(&mut self, from: Nanos, to: Nanos) -> Option<DenseInterval> {
        let lane = self.lane;
        if lane.is_sampled() || lane.ended_at <= to || lane.unsealed.first().or(lane.last())?.start <= to {
            return None;
        }
        let (before, last) = (self.block_at(from)?, self.block_at(to)?);
        if before == last {
            return None;
        }
        let first = &lane.blocks.get(before + 1)?.totals_before;
        let (end, after) = (&lane.blocks.get(last)?.totals_before, lane.totals_after(last)?);
        let busy_ns = |from: &LaneTotals, to: &LaneTotals| to.busy_ns.saturating_sub(from.busy_ns);
        let is_half = |busy_ns: u64| busy_ns >= (to - from).div_ceil(2);
        let at_least = is_half(busy_ns(first, end));
        let at_most = is_half(busy_ns(&lane.blocks.get(before)?.totals_before, after));
        (at_least == at_most).then(|| DenseInterval { totals: after.since(first), is_mostly_running: at_least })
    }

    /// Returns the index of the block that contains `at`.
    fn block_at(&mut self, at: Nanos) -> Option<usize> {
        self.last_block(|block| block.start <= at)
    }

    /// Returns the last block that satisfies `is_in_time`, which must hold for a prefix of the blocks. Gallops on from
    /// the last block found, or searches all blocks.
    pub(super) fn last_block(&mut self, is_in_time: impl Fn(&CycleBlock) -> bool) -> Option<usize> {
        let blocks = &self.lane.blocks;
        let is_in_time = |index: usize| {
            count_lookup();
            blocks.get(index).is_some_and(&is_in_time)
        };
        let (low, high) = match self.found_block.filter(|index| is_in_time(*index)) {
            Some(found) => {
                let (mut low, mut stride) = (found, 1);
                while is_in_time(low + stride) {
                    low += stride;
                    stride *= 2;
                }
                (low, low + stride)
            }
            None if is_in_time(0) => (0, blocks.len()),
            None => return None,
        };
        self.found_block = Some(partition_point(low + 1..high, is_in_time) - 1);
        self.found_block
    }
}

impl Lane {
    /// Returns the totals up to the end of a block, where the following block or the tail has them.
    #[inline]
    fn totals_after(&self, index: usize) -> Option<&LaneTotals> {
        let block = self.blocks.get(index)?;
        let (start, totals) = match self.blocks.get(index + 1) {
            Some(next) => (next.start, &next.totals_before),
            None => (self.unsealed.first().or(self.last())?.start, &self.totals_before_unsealed),
        };
        // In a file with missing blocks, the next block may not be the one that followed.
        let is_consecutive =
            start == block.end() && totals.polls == block.totals_before.polls.wrapping_add(block.len() as u64);
        is_consecutive.then_some(totals)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::await_site::AwaitKind;
    use super::super::super::id::AwaitId;
    use super::super::super::time::NEVER;
    use super::super::BLOCK_CYCLES;
    use super::super::lookups::LOOKUPS;
    use super::*;

    fn random(state: &mut u64, below: u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % below
    }

    /// Builds a lane of `polls` polls whose durations are at most `longest_ns`. Its busy share varies around one half,
    /// and some wakes come during a poll or not at all.
    fn random_lane(polls: u32, longest_ns: u64, seed: u64) -> Lane {
        let (mut lane, mut state, mut at) = (Lane::new(3), seed, 7);
        for step in 0..polls {
            lane.start_poll(at, step * 2, &mut Vec::new());
            let busy_factor = if step / 200 % 2 == 0 { 1 } else { 3 };
            at += random(&mut state, longest_ns * busy_factor);
            if random(&mut state, 5) == 0 {
                lane.record_wake(at, step * 2, None);
            }
            let kind = AwaitKind::ALL[random(&mut state, 8) as usize];
            lane.end_poll(at, Some((AwaitId::from_index(step as usize), kind)));
            at += random(&mut state, longest_ns);
            if random(&mut state, 9) > 0 {
                lane.record_wake(at, step * 2 + 1, None);
            }
            at += random(&mut state, longest_ns);
        }
        lane
    }

    /// Sums up every cycle up to and including `last`.
    fn summed(cycles: &[Cycle], spawned: Nanos, last: Nanos) -> LaneTotals {
        let first = cycles.first().map_or(NEVER, |cycle| cycle.start);
        let mut totals = LaneTotals { scheduled_ns: last.min(first).saturating_sub(spawned), ..LaneTotals::default() };
        for (index, cycle) in cycles.iter().enumerate().take_while(|(_, cycle)| cycle.start <= last) {
            totals.add_cycle(cycle, cycles.get(index + 1).map_or(last, |next| next.start.min(last)));
        }
        totals
    }

    #[test]
    fn window_equals_sum_of_cycles() {
        let (mut dense, mut exact) = (0, 0);
        for (seed, longest_ns) in [(1, 1), (2, 3), (3, 50), (4, 1_000_000)] {
            let lane = random_lane(3_000, longest_ns, seed);
            let cycles: Vec<Cycle> = lane.cycles().collect();
            let (now, mut state) = (lane.newest.start + longest_ns, seed);
            let before = |at: Nanos| {
                at.checked_sub(1)
                    .map_or_else(LaneTotals::default, |last| summed(&cycles, lane.spawned_at, last.min(now)))
            };
            for _ in 0..40 {
                let columns = 1 + random(&mut state, 60);
                let mut start = random(&mut state, now / 2);
                let width = 1 + random(&mut state, 2 * now / columns);
                let mut cursor = LaneCursor::new(&lane);
                for _ in 0..columns {
                    let (end, truth) = (start + width, before(start + width).since(&before(start)));
                    match cursor.interval(start, end, now) {
                        LaneInterval::Exact(totals, cycle) => {
                            exact += 1;
                            assert_eq!(totals, truth, "{start} to {end}");
                            let newest = cycles.iter().rfind(|cycle| cycle.start < end.min(now + 1));
                            assert_eq!(cycle.map(|cycle| cycle.start), newest.map(|cycle| cycle.start), "at {end}");
                        }
                        LaneInterval::Dense(DenseInterval { totals, is_mostly_running }) => {
                            dense += 1;
                            assert_eq!(is_mostly_running, truth.busy_ns * 2 >= width, "{start} to {end}");
                            assert!(truth.polls > 0 && totals.polls.abs_diff(truth.polls) < BLOCK_CYCLES as u64);
                        }
                    }
                    start = end;
                }
            }
        }
        assert!(dense > 300 && exact > 300, "{dense} and {exact}");
    }

    #[test]
    fn lookup_cost_grows_with_columns() {
        const COLUMNS: u64 = 100;
        let inspections = |lane: &Lane, from: Nanos, to: Nanos| {
            let (before, mut cursor) = (LOOKUPS.get(), LaneCursor::new(lane));
            for column in 0..COLUMNS {
                let edge = |column: u64| from + (to - from) * column / COLUMNS;
                std::hint::black_box(cursor.interval(edge(column), edge(column + 1), NEVER));
            }
            LOOKUPS.get() - before
        };
        let mut before = 0;
        for polls in [30_000, 240_000] {
            let lane = random_lane(polls, 1_000, 7);
            let (end, doublings) = (lane.newest.start, usize::BITS - lane.blocks.len().leading_zeros());
            let most = |each: usize| COLUMNS as usize * each + 2 * BLOCK_CYCLES;
            let whole = inspections(&lane, 1, end);
            assert!(whole < most(6 * doublings as usize), "{whole} in the whole of {polls} polls");
            // Eight times as many cycles are three more doublings, in both directions from each edge.
            assert!(before == 0 || whole < before + most(2 * 2 * 3), "{whole} after {before}");
            for parts in [3, 40, 500, 5_000] {
                let part = inspections(&lane, end / 2, end / 2 + end / parts);
                assert!(part < most(6 * doublings as usize + BLOCK_CYCLES), "{part} in a part of {polls} polls");
            }
            before = whole;
        }
    }
}
