//! Iterates over the cycles and wakes of a lane segment by segment, and evicts its oldest data.
//!
//! A segment is a sealed block, or the unsealed tail as the last one.

use super::super::time::NEVER;
use super::super::time::Nanos;
use super::super::wake_source::WakeSource;
use super::{BEFORE_EMPTY_CYCLE, Cycle, CycleBlock, Lane, count_lookup};

impl Lane {
    /// Iterates over the retained cycles, the oldest first.
    pub fn cycles(&self) -> impl DoubleEndedIterator<Item = Cycle> + '_ {
        let tail = self.unsealed.iter().copied().chain(self.last().copied());
        self.blocks.iter().flat_map(|block| block.cycles()).chain(tail)
    }

    /// Iterates over the retained cycles that start at or after `at`, the oldest first.
    pub fn cycles_from(&self, at: Nanos) -> impl Iterator<Item = Cycle> + '_ {
        let passed = self.blocks.partition_point(|block| block.end() < at);
        let tail = self.unsealed.iter().chain(self.last()).copied();
        let cycles = self.blocks.range(passed..).flat_map(|block| block.cycles()).chain(tail);
        cycles.skip_while(move |cycle| cycle.start < at)
    }

    /// Returns the number of segments: the sealed blocks and the tail.
    pub(in crate::trace) fn segment_count(&self) -> usize {
        self.blocks.len() + 1
    }

    /// Returns the number of polls before the first one of a segment.
    pub(in crate::trace) fn polls_before_segment(&self, index: usize) -> u64 {
        self.blocks.get(index).map_or(self.totals_before_unsealed.polls, |block| block.totals_before.polls)
    }

    /// Returns the number of retained wakes with a known source in the first `count` segments.
    pub(in crate::trace) fn wakes_in_first_segments(&self, count: usize) -> usize {
        let until =
            self.blocks.get(count.saturating_sub(1)).or(self.blocks.back()).map_or(0, CycleBlock::wakes_through_end);
        let before = self.blocks.front().map_or(0, |first| first.wakes_before);
        let in_blocks = if count == 0 { 0 } else { until.wrapping_sub(before) as usize };
        let tail = self.unsealed.iter().chain(self.last()).filter(|_| count > self.blocks.len());
        in_blocks + tail.filter(|cycle| cycle.first_wake().is_some()).count()
    }

    /// Returns the wakes with a known source in one segment, each with the number of the poll that it followed.
    pub(in crate::trace) fn wakes_in_segment(&self, index: usize) -> Vec<(u64, Nanos, WakeSource)> {
        let before = self.polls_before_segment(index);
        let numbered = |(index, at, source)| {
            count_lookup();
            (before.wrapping_add(index as u64 + 1), at, source)
        };
        let tail = || self.unsealed.iter().chain(self.last()).enumerate();
        let wake = |(index, cycle): (usize, &Cycle)| cycle.first_wake().map(|(at, source)| (index, at, source));
        match self.blocks.get(index) {
            Some(block) => block.wakes().into_iter().map(numbered).collect(),
            None => tail().filter_map(wake).map(numbered).collect(),
        }
    }

    /// Returns the number of retained wakes with a known source at or before `at`.
    pub(in crate::trace) fn count_wakes_until(&self, at: Nanos) -> usize {
        // All wakes of a block come before its end.
        let passed = self.blocks.partition_point(|block| {
            count_lookup();
            block.end() <= at
        });
        let in_time = self.wakes_in_segment(passed).into_iter().filter(|(_, woken, _)| *woken <= at).count();
        let has_passed_tail_start = passed < self.blocks.len() && self.immutable_until() <= at;
        let tail = self.wakes_in_first_segments(self.segment_count()) - self.wakes_in_first_segments(self.blocks.len());
        self.wakes_in_first_segments(passed) + in_time + if has_passed_tail_start { tail } else { 0 }
    }

    /// Returns the loop time before which the lane is sealed and changes only by eviction. 0 in a sampled lane.
    pub(in crate::trace) fn immutable_until(&self) -> Nanos {
        let first = self.unsealed.first().or(self.last()).filter(|_| !self.is_sampled());
        first.map_or(0, |first| first.start)
    }

    /// Returns the loop step before which the lane is sealed.
    pub(in crate::trace) fn immutable_until_step(&self) -> u32 {
        self.unsealed.first().or(self.last()).map_or(0, |first| first.step)
    }

    /// Iterates over the lengths of the retained polls that have ended, in nanoseconds, the newest first.
    pub fn poll_lengths_ns(&self) -> impl Iterator<Item = u64> + '_ {
        let cycles = self.unsealed.len() + usize::from(self.last().is_some());
        let is_first_empty = self.totals_before_unsealed.polls == BEFORE_EMPTY_CYCLE;
        let tail = self.last().into_iter().chain(self.unsealed.iter().rev());
        let tail = tail.take(cycles - usize::from(is_first_empty && cycles > 0));
        let tail = tail.filter_map(|cycle| Some(cycle.end()? - cycle.start));
        tail.chain(self.blocks.iter().rev().flat_map(|block| block.poll_lengths_ns()))
    }

    /// Returns the bytes of memory behind this struct.
    pub(in crate::trace) fn retained_bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(|block| block.retained_bytes()).sum();
        let stats = self.stats.as_ref().map_or(0, |stats| stats.retained_bytes());
        blocks + self.unsealed.capacity() * size_of::<Cycle>() + stats
    }

    /// Returns the number of polls so far, the current one included.
    pub(in crate::trace) fn poll_count(&self) -> u64 {
        let retained = self.unsealed.len() as u64 + u64::from(self.last().is_some());
        match self.totals_before_unsealed.polls {
            BEFORE_EMPTY_CYCLE => retained.saturating_sub(1),
            before => before.wrapping_add(retained),
        }
    }

    /// Evicts the oldest block. Returns the freed bytes.
    pub(in crate::trace) fn evict_oldest_block(&mut self) -> Option<usize> {
        self.blocks.pop_front().map(|block| block.retained_bytes())
    }

    /// Evicts the tail of a lane that has ended and has no blocks left. Returns the freed bytes.
    pub(in crate::trace) fn evict_tail(&mut self) -> Option<usize> {
        self.ended_at().filter(|_| self.blocks.is_empty())?;
        self.last()?;
        self.evicted_totals = Some(Box::new(self.lookup_at(NEVER).0));
        self.newest.start = NEVER;
        Some(std::mem::take(&mut self.unsealed).capacity() * size_of::<Cycle>())
    }

    /// Evicts the oldest block of statistics. Returns the freed bytes.
    pub(in crate::trace) fn evict_oldest_stats(&mut self) -> Option<usize> {
        self.stats.as_mut()?.evict_oldest_block()
    }

    /// Returns the loop time up to which everything has been evicted.
    pub(in crate::trace) fn evicted_until(&self) -> Nanos {
        if let Some(until) = self.stats.as_ref().and_then(|stats| stats.evicted_until()) {
            return until;
        }
        match self.first_retained() {
            Some((start, _, before)) if before.has_polls() => start,
            Some(_) => 0,
            None if self.evicted_totals.is_some() => self.ended_at,
            None => 0,
        }
    }

    /// Returns the number of polls that have been evicted or are known only in sum.
    pub(in crate::trace) fn evicted_polls(&self) -> u64 {
        let evicted = self.evicted_totals.as_deref();
        let before = self.first_retained().map(|(_, _, before)| before).or(evicted);
        before.filter(|before| before.has_polls()).map_or(0, |before| before.polls)
    }

    /// Whether the state at `at` has been evicted.
    pub fn is_evicted_at(&self, at: Nanos) -> bool {
        at < if self.is_sampled() {
            self.stats.as_ref().and_then(|stats| stats.evicted_until()).unwrap_or(0)
        } else {
            self.evicted_until()
        }
    }

    /// Whether the state at the loop's `step`-th poll has been evicted.
    pub fn is_evicted_at_step(&self, step: u32) -> bool {
        match self.first_retained() {
            Some((_, first, before)) => before.has_polls() && step < first,
            None => self.evicted_totals.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::await_site::AwaitKind;
    use super::super::super::id::{AwaitId, TaskId};
    use super::super::{LaneCursor, LaneTotals};
    use super::*;

    fn start(lane: &mut Lane, at: Nanos, step: u32) {
        lane.start_poll(at, step, &mut Vec::new());
    }

    /// Sums up every cycle: the reference for the block lookup.
    fn summed_totals(lane: &Lane, at: Nanos) -> LaneTotals {
        let at = at.min(lane.ended_at);
        let cycles: Vec<Cycle> = lane.cycles().filter(|cycle| cycle.start <= at).collect();
        let first = lane.cycles().next().map_or(NEVER, |cycle| cycle.start);
        let mut totals =
            LaneTotals { scheduled_ns: at.min(first).saturating_sub(lane.spawned_at), ..LaneTotals::default() };
        for (index, cycle) in cycles.iter().enumerate() {
            totals.add_cycle(cycle, cycles.get(index + 1).map_or(at, |next| next.start));
        }
        totals
    }

    /// Lookups at every time and every step agree with a sum over every cycle.
    #[test]
    fn packed_cycles_round_trip() {
        let mut lane = Lane::new(5);
        let mut expected = vec![];
        let mut at = 10;
        for step in 0..200 {
            start(&mut lane, at, step * 3);
            at += u64::from(step % 3);
            if step % 4 == 0 {
                lane.record_wake(at, step * 3 + 1, Some(WakeSource::SelfWake));
            }
            at += u64::from(step % 2);
            if step % 11 != 5 {
                let on = (step % 7 != 3).then(|| AwaitId::from_index(1_000 + step as usize));
                lane.end_poll(at, on.map(|id| (id, AwaitKind::ALL[step as usize % 8])));
            }
            at += u64::from(step % 5);
            if step % 6 != 1 {
                lane.record_wake(at, step * 3 + 2, Some(WakeSource::Task(TaskId::from_index(step as usize))));
            }
            expected.push(*lane.last().expect("the poll was started above"));
            at += u64::from(step % 2);
        }
        lane.end(at + 7);
        assert!(lane.blocks.len() == 6 && lane.unsealed.len() == 7, "most cycles are packed");
        assert_eq!(lane.cycles().collect::<Vec<_>>(), expected);
        assert_eq!(lane.cycles().rev().count(), 200);
        for time in 0..at + 20 {
            assert_eq!(lane.totals_at(time), summed_totals(&lane, time), "at {time}");
            let last = expected.iter().rfind(|cycle| cycle.start <= time).copied();
            assert_eq!(lane.cycle_at(time), last, "at {time}");
            let lookup = lane.lookup_at(time).1.filter(|cycle| cycle.is_waiting_at(time));
            let waits_on = last.filter(|cycle| cycle.is_waiting_at(time)).map(|cycle| cycle.waiting_on());
            assert_eq!(lookup.map(|cycle| cycle.waiting_on()), waits_on, "at {time}");
        }
        for step in 0..620 {
            let until = expected.iter().filter(|cycle| cycle.step <= step).count();
            let lookup =
                LaneCursor::new(&lane).seek_step(step).expect("the first poll of the lane is the first of the loop");
            let last = &expected[until - 1];
            assert_eq!((lookup.polls, lookup.woken_step), (until as u64, last.woken_step()), "at step {step}");
            assert_eq!(lookup.waiting_on, last.waiting_on(), "at step {step}");
        }
        let lengths: Vec<u64> = expected.iter().rev().filter_map(|cycle| Some(cycle.end()? - cycle.start)).collect();
        assert_eq!(lane.poll_lengths_ns().collect::<Vec<_>>(), lengths);
        let all = lane.totals_at(NEVER);
        assert_eq!(
            all.busy_ns + all.scheduled_ns + all.waiting_total_ns(),
            at + 7 - 5,
            "every nanosecond is accounted for"
        );
    }

    /// A task that was spawned before recording began has an empty cycle first.
    #[test]
    fn empty_first_cycle_is_no_poll() {
        for polls in [0, 1, 31, 32, 100] {
            let mut lane = Lane::new(5);
            start(&mut lane, 50, 0);
            lane.end_poll(50, None);
            lane.leave_out_first_cycle();
            for poll in 0..polls {
                start(&mut lane, 60 + poll * 10, 0);
                lane.end_poll(64 + poll * 10, None);
            }
            let end = 60 + polls * 10;
            assert_eq!((lane.totals_at(49), lane.totals_at(50)), (LaneTotals::default(), LaneTotals::default()));
            for poll in 0..polls {
                assert_eq!(lane.totals_at(63 + poll * 10).polls, poll + 1, "of {polls}");
                assert_eq!(LaneCursor::new(&lane).seek_step(0).map(|lookup| lookup.polls), Some(polls));
            }
            let totals = lane.totals_at(end);
            assert_eq!((totals.polls, lane.poll_count(), lane.evicted_polls()), (polls, polls, 0));
            assert_eq!((totals.busy_ns, totals.scheduled_ns), (polls * 4, 0));
            assert_eq!(lane.poll_lengths_ns().collect::<Vec<_>>(), vec![4; polls as usize]);
            assert!(!lane.is_evicted_at(0) && !lane.is_evicted_at_step(0), "it was never there");
            let mut restored = Lane::new(5);
            for from_newest in (1..lane.segment_count()).rev() {
                let mut bytes = Vec::new();
                lane.write_block(from_newest, &mut bytes);
                assert!(restored.read_block(&mut &bytes[..]).is_some());
            }
            restored.restore_tail(lane.tail());
            assert_eq!((restored.totals_at(end), restored.poll_count()), (totals, polls), "from an archive");
            let has_evicted = lane.evict_oldest_block().is_some();
            assert_eq!((lane.is_evicted_at(50), lane.totals_at(end)), (has_evicted, totals));
        }
    }

    #[test]
    fn eviction_keeps_later_totals() {
        let mut lane = Lane::new(0);
        for step in 0..200 {
            let at = u64::from(step) * 10;
            start(&mut lane, at, step);
            lane.end_poll(at + 4, None);
        }
        let whole = lane.totals_at(1990).since(&lane.totals_at(1500));
        assert!(lane.evict_oldest_block().is_some());
        assert!(lane.is_evicted_at(319) && !lane.is_evicted_at(320));
        assert_eq!(lane.totals_at(1990).since(&lane.totals_at(1500)), whole);
        assert_eq!(lane.totals_at(1999).polls, 200);
        while lane.evict_oldest_block().is_some() {}
        assert_eq!(lane.cycles().count(), 8, "a growing lane keeps its tail");
        let all = lane.totals_at(1999);
        lane.end(1999);
        assert!(lane.evict_tail().is_some() && lane.evict_tail().is_none());
        assert_eq!((lane.totals_at(1999), lane.cycles().count()), (all, 0));
        assert!(lane.is_evicted_at(1998) && !lane.is_evicted_at(1999));
    }
}
