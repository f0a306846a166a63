//! What a lane tells of its cycles by their order: one after the other, and which are forgotten.

use super::super::event::{Cause, Nanos};
use super::{Block, Cycle, Lane, NEVER, looked};

impl Lane {
    /// All cycles that are kept, oldest first.
    pub fn cycles(&self) -> impl DoubleEndedIterator<Item = Cycle> + '_ {
        let open = self.open.iter().copied().chain(self.last().copied());
        self.blocks.iter().flat_map(|block| block.cycles()).chain(open)
    }

    /// Its blocks, and what no block has yet as one more.
    pub(in crate::trace) fn pieces(&self) -> usize {
        self.blocks.len() + 1
    }

    /// How many polls there were before those of one piece.
    pub(in crate::trace) fn polls_before_piece(&self, index: usize) -> u64 {
        self.blocks.get(index).map_or(self.open_before.polls, |block| block.before.polls)
    }

    /// Wakes that the cycles of so many pieces tell of, from the first on.
    pub(in crate::trace) fn wakes_of_pieces(&self, count: usize) -> usize {
        let until = self.blocks.get(count.saturating_sub(1)).or(self.blocks.back()).map_or(0, Block::wakes_until);
        let before = self.blocks.front().map_or(0, |first| first.wakes_before);
        let of_blocks = if count == 0 { 0 } else { until.wrapping_sub(before) as usize };
        let open = self.open.iter().chain(self.last()).filter(|_| count > self.blocks.len());
        of_blocks + open.filter(|cycle| cycle.wake().is_some()).count()
    }

    /// The wakes that the cycles of one piece tell of, each with the number of the poll that it came after.
    pub(in crate::trace) fn wakes_of_piece(&self, index: usize) -> Vec<(u64, Nanos, Cause)> {
        let before = self.polls_before_piece(index);
        let numbered = |(index, at, cause)| {
            looked();
            (before.saturating_add(index as u64 + 1), at, cause)
        };
        let open = || self.open.iter().chain(self.last()).enumerate();
        let wake = |(index, cycle): (usize, &Cycle)| cycle.wake().map(|(at, cause)| (index, at, cause));
        match self.blocks.get(index) {
            Some(block) => block.wakes().into_iter().map(numbered).collect(),
            None => open().filter_map(wake).map(numbered).collect(),
        }
    }

    /// Wakes at or before `at` that the cycles tell of.
    pub(in crate::trace) fn wakes_until(&self, at: Nanos) -> usize {
        // A block's wakes come before what follows it.
        let whole = self.blocks.partition_point(|block| {
            looked();
            block.until() <= at
        });
        let in_time = self.wakes_of_piece(whole).into_iter().filter(|(_, woken, _)| *woken <= at).count();
        let rest = whole < self.blocks.len() && self.settled_until() <= at;
        let open = self.wakes_of_pieces(self.pieces()) - self.wakes_of_pieces(self.blocks.len());
        self.wakes_of_pieces(whole) + in_time + if rest { open } else { 0 }
    }

    /// What happened before this is sealed; it changes no more but by being forgotten. 0 in a lane that is measured.
    pub(in crate::trace) fn settled_until(&self) -> Nanos {
        let first = self.open.first().or(self.last()).filter(|_| !self.is_measured());
        first.map_or(0, |first| first.start)
    }

    /// The same as a step of the loop.
    pub(in crate::trace) fn settled_until_step(&self) -> u32 {
        self.open.first().or(self.last()).map_or(0, |first| first.step)
    }

    /// The lengths in nanoseconds of the polls that are kept and have ended, the newest first.
    pub fn polls_ns(&self) -> impl Iterator<Item = u64> + '_ {
        let open = self.last().into_iter().chain(self.open.iter().rev());
        let open = open.filter_map(|cycle| Some(cycle.end()? - cycle.start));
        open.chain(self.blocks.iter().rev().flat_map(|block| block.polls_ns()))
    }

    /// Bytes of what it keeps beside itself.
    pub(in crate::trace) fn kept_bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(|block| block.kept_bytes()).sum();
        let measures = self.measures.as_ref().map_or(0, |measures| measures.kept_bytes());
        blocks + self.open.capacity() * size_of::<Cycle>() + measures
    }

    /// How many polls there were, with the newest.
    pub(in crate::trace) fn number(&self) -> u64 {
        self.open_before.polls.saturating_add(self.open.len() as u64) + u64::from(self.last().is_some())
    }

    /// Forgets the oldest block. Returns the bytes that this frees.
    pub(in crate::trace) fn drop_oldest(&mut self) -> Option<usize> {
        self.blocks.pop_front().map(|block| block.kept_bytes())
    }

    /// Forgets what no block has, of a lane that is over and has no block any more. Returns the bytes that this frees.
    pub(in crate::trace) fn drop_rest(&mut self) -> Option<usize> {
        self.ended().filter(|_| self.blocks.is_empty())?;
        self.last()?;
        self.forgotten = Some(Box::new(self.glance_at(NEVER).0));
        self.current.start = NEVER;
        Some(std::mem::take(&mut self.open).capacity() * size_of::<Cycle>())
    }

    /// Forgets the oldest measures. Returns the bytes that this frees.
    pub(in crate::trace) fn drop_oldest_measures(&mut self) -> Option<usize> {
        self.measures.as_mut()?.drop_oldest()
    }

    /// Up to when everything is forgotten.
    pub(in crate::trace) fn forgotten_until(&self) -> Nanos {
        if let Some(until) = self.measures.as_ref().and_then(|measures| measures.forgotten_until()) {
            return until;
        }
        match self.first_kept() {
            Some((start, _, before)) if before.polls > 0 => start,
            Some(_) => 0,
            None if self.forgotten.is_some() => self.ended,
            None => 0,
        }
    }

    /// How many polls are forgotten, with those that only sums tell of.
    pub(in crate::trace) fn forgotten_polls(&self) -> u64 {
        let forgotten = self.forgotten.as_deref();
        self.first_kept().map(|(_, _, before)| before).or(forgotten).map_or(0, |before| before.polls)
    }

    /// What happened at `at` was forgotten.
    pub fn is_forgotten_at(&self, at: Nanos) -> bool {
        at < if self.is_measured() {
            self.measures.as_ref().and_then(|measures| measures.forgotten_until()).unwrap_or(0)
        } else {
            self.forgotten_until()
        }
    }

    /// What happened at the loop's `step`-th poll was forgotten.
    pub fn is_forgotten_at_step(&self, step: u32) -> bool {
        match self.first_kept() {
            Some((_, first, before)) => before.polls > 0 && step < first,
            None => self.forgotten.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::event::AwaitKind;
    use super::super::super::id::{AwaitId, TaskId};
    use super::super::{Sweep, Totals};
    use super::*;

    fn start(lane: &mut Lane, at: Nanos, step: u32) {
        lane.poll_start(at, step, &mut Vec::new());
    }

    /// Totals by walking every cycle, to hold the block look-up to.
    fn totals_slowly(lane: &Lane, at: Nanos) -> Totals {
        let at = at.min(lane.ended);
        let cycles: Vec<Cycle> = lane.cycles().filter(|cycle| cycle.start <= at).collect();
        let first = lane.cycles().next().map_or(NEVER, |cycle| cycle.start);
        let mut totals = Totals { scheduled_ns: at.min(first).saturating_sub(lane.spawned), ..Totals::default() };
        for (index, cycle) in cycles.iter().enumerate() {
            totals.add(cycle, cycles.get(index + 1).map_or(at, |next| next.start));
        }
        totals
    }

    #[test]
    fn what_is_packed_comes_back_as_it_was_and_totals_agree_with_a_slow_walk_at_every_time() {
        let mut lane = Lane::new(5);
        let mut told = vec![];
        let mut at = 10;
        for step in 0..200 {
            start(&mut lane, at, step * 3);
            at += u64::from(step % 3);
            if step % 4 == 0 {
                lane.woken(at, step * 3 + 1, Some(Cause::Own));
            }
            at += u64::from(step % 2);
            if step % 11 != 5 {
                let on = (step % 7 != 3).then(|| AwaitId::from_index(1_000 + step as usize));
                lane.poll_end(at, on.map(|id| (id, AwaitKind::ALL[step as usize % 8])));
            }
            at += u64::from(step % 5);
            if step % 6 != 1 {
                lane.woken(at, step * 3 + 2, Some(Cause::Task(TaskId::from_index(step as usize))));
            }
            told.push(*lane.last().expect("it was begun above"));
            at += u64::from(step % 2);
        }
        lane.end(at + 7);
        assert!(lane.blocks.len() == 6 && lane.open.len() == 7, "most of it is packed");
        assert_eq!(lane.cycles().collect::<Vec<_>>(), told);
        assert_eq!(lane.cycles().rev().count(), 200);
        for time in 0..at + 20 {
            assert_eq!(lane.totals_at(time), totals_slowly(&lane, time), "at {time}");
            let last = told.iter().rfind(|cycle| cycle.start <= time).copied();
            assert_eq!(lane.cycle_at(time), last, "at {time}");
            let glance = lane.glance_at(time).1.filter(|cycle| cycle.is_waiting_at(time));
            let waits_on = last.filter(|cycle| cycle.is_waiting_at(time)).map(|cycle| cycle.waiting_on());
            assert_eq!(glance.map(|cycle| cycle.waiting_on()), waits_on, "at {time}");
        }
        for step in 0..620 {
            let until = told.iter().filter(|cycle| cycle.step <= step).count();
            let glance = Sweep::new(&lane).glance_at_step(step).expect("the first poll was the loop's first");
            let last = &told[until - 1];
            assert_eq!((glance.polls, glance.woken_step), (until as u64, last.woken_step()), "at step {step}");
            assert_eq!(glance.waiting_on, last.waiting_on(), "at step {step}");
        }
        let lengths: Vec<u64> = told.iter().rev().filter_map(|cycle| Some(cycle.end()? - cycle.start)).collect();
        assert_eq!(lane.polls_ns().collect::<Vec<_>>(), lengths);
        let all = lane.totals_at(NEVER);
        assert_eq!(
            all.busy_ns + all.scheduled_ns + all.waiting_total_ns(),
            at + 7 - 5,
            "every nanosecond is something"
        );
    }

    #[test]
    fn a_dropped_block_keeps_what_came_after_it_true() {
        let mut lane = Lane::new(0);
        for step in 0..200 {
            let at = u64::from(step) * 10;
            start(&mut lane, at, step);
            lane.poll_end(at + 4, None);
        }
        let whole = lane.totals_at(1990).since(&lane.totals_at(1500));
        assert!(lane.drop_oldest().is_some());
        assert!(lane.is_forgotten_at(319) && !lane.is_forgotten_at(320));
        assert_eq!(lane.totals_at(1990).since(&lane.totals_at(1500)), whole);
        assert_eq!(lane.totals_at(1999).polls, 200);
        while lane.drop_oldest().is_some() {}
        assert_eq!(lane.cycles().count(), 8, "a lane that goes on keeps what it writes");
        let all = lane.totals_at(1999);
        lane.end(1999);
        assert!(lane.drop_rest().is_some() && lane.drop_rest().is_none());
        assert_eq!((lane.totals_at(1999), lane.cycles().count()), (all, 0));
        assert!(lane.is_forgotten_at(1998) && !lane.is_forgotten_at(1999));
    }
}
