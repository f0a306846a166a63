//! The lane: one task's life as a row of cycles, in blocks that carry running totals.
//!
//! A cycle is one poll and what followed it: running from `start` to `end`, waiting until `woken`, scheduled until the
//! next cycle starts. Each block remembers the totals of everything before it, so the totals of any window are a
//! difference of two look-ups, each a binary search over blocks and a walk through one: what a frame costs depends on
//! its columns, not on how much happened.
//!
//! Where single polls cannot be seen, a lane is told sums now and then instead; see [`super::measure`]. Such a lane has
//! cycles too, one for each poll that happened to be seen, and its totals come from the measures alone.

use std::collections::VecDeque;

use super::event::{AwaitKind, Nanos};
use super::id::AwaitId;
use super::measure::{BLOCK_MEASURES, Measure, Measures};

/// Cycles in a block: the longest walk a look-up makes.
const BLOCK_CYCLES: usize = 64;

/// Not yet.
const NEVER: Nanos = Nanos::MAX;

#[derive(Clone, Copy, Debug)]
pub struct Cycle {
    pub start: Nanos,
    /// When the poll ended; [`Cycle::end`] tells an open one.
    end: Nanos,
    /// The first wake since, or the poll's end if the wake came during it.
    woken: Nanos,
    /// The how many-th poll of the whole loop this is, from 0.
    pub step: u32,
    /// Polls that the loop had started when the wake came.
    woken_step: u32,
    waiting_on: Option<AwaitId>,
    kind: AwaitKind,
}

impl Cycle {
    pub fn end(&self) -> Option<Nanos> {
        (self.end != NEVER).then_some(self.end)
    }

    pub fn woken(&self) -> Option<Nanos> {
        (self.woken != NEVER).then_some(self.woken)
    }

    /// Polls that the loop had started when the wake came; `None` while there was no wake.
    pub fn woken_step(&self) -> Option<u32> {
        self.woken().map(|_| self.woken_step)
    }

    /// What the task awaited when the poll ended, and of which kind.
    pub fn waiting_on(&self) -> (Option<AwaitId>, AwaitKind) {
        (self.waiting_on, self.kind)
    }
}

/// Sums over a stretch of a lane. Times in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub busy_ns: u64,
    pub scheduled_ns: u64,
    /// Waiting, by kind of await, in the order of [`AwaitKind::ALL`].
    pub waiting_ns: [u64; AwaitKind::ALL.len()],
    pub polls: u64,
}

impl Totals {
    pub fn waiting_total_ns(&self) -> u64 {
        self.waiting_ns.iter().sum()
    }

    /// The kind that most of the waiting was for.
    pub fn main_wait(&self) -> Option<AwaitKind> {
        let (index, longest) = self.waiting_ns.iter().enumerate().max_by_key(|(_, ns)| **ns)?;
        (*longest > 0).then(|| AwaitKind::ALL[index])
    }

    /// What came after `earlier`, a look-up of the same lane at an earlier time.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut waiting_ns = self.waiting_ns;
        // Measures of somebody else's may say of an interval that it was busy for longer than it was long.
        for (now, before) in waiting_ns.iter_mut().zip(earlier.waiting_ns) {
            *now = now.saturating_sub(before);
        }
        Self {
            busy_ns: self.busy_ns.saturating_sub(earlier.busy_ns),
            scheduled_ns: self.scheduled_ns.saturating_sub(earlier.scheduled_ns),
            waiting_ns,
            polls: self.polls.saturating_sub(earlier.polls),
        }
    }

    /// Adds what `cycle` contributes up to `until`, where the next cycle starts (or the task ends, or now is).
    fn add(&mut self, cycle: &Cycle, until: Nanos) {
        let end = cycle.end.min(until);
        let woken = cycle.woken.clamp(end, until.max(end));
        self.busy_ns += end.saturating_sub(cycle.start);
        self.waiting_ns[cycle.kind as usize] += woken - end;
        self.scheduled_ns += until.saturating_sub(woken);
        self.polls += 1;
    }
}

#[derive(Clone, Debug)]
struct Block {
    /// Totals of the lane up to the start of this block's first cycle.
    before: Totals,
    cycles: Vec<Cycle>,
}

/// One task's row; see the module.
#[derive(Clone, Debug)]
pub struct Lane {
    spawned: Nanos,
    ended: Nanos,
    /// Totals of everything, once all blocks are forgotten.
    forgotten: Option<Totals>,
    blocks: VecDeque<Block>,
    measures: Measures,
}

/// What a lane forgot at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    pub cycles: usize,
    pub measures: usize,
}

impl Lane {
    pub fn new(spawned: Nanos) -> Self {
        Self { spawned, ended: NEVER, forgotten: None, blocks: VecDeque::new(), measures: Measures::default() }
    }

    /// Its totals are measures: what happened between two of them is known only in sum.
    pub fn is_measured(&self) -> bool {
        !self.measures.is_empty()
    }

    /// Takes a measure. Tells whether it is kept, and whether that completed a block.
    pub(super) fn measure(&mut self, measure: Measure) -> (bool, bool) {
        let before = self.measures.len();
        let is_kept = self.measures.push(measure) && self.measures.len() > before;
        (is_kept, is_kept && self.measures.len().is_multiple_of(BLOCK_MEASURES))
    }

    /// The last measure at or before `at`.
    pub(super) fn measure_at(&self, at: Nanos) -> Option<&Measure> {
        self.measures.at(at)
    }

    pub(super) fn measures(&self) -> &Measures {
        &self.measures
    }

    fn measured_totals_at(&self, at: Nanos) -> Totals {
        let at = at.min(self.ended).max(self.spawned);
        let sums = self.measures.sums_at(self.spawned, at);
        let mut waiting_ns = [0; AwaitKind::ALL.len()];
        waiting_ns[AwaitKind::Other as usize] =
            at.saturating_sub(self.spawned).saturating_sub(sums.busy_ns.saturating_add(sums.scheduled_ns));
        Totals { busy_ns: sums.busy_ns, scheduled_ns: sums.scheduled_ns, waiting_ns, polls: sums.polls }
    }

    pub fn spawned(&self) -> Nanos {
        self.spawned
    }

    pub fn ended(&self) -> Option<Nanos> {
        (self.ended != NEVER).then_some(self.ended)
    }

    pub fn last(&self) -> Option<&Cycle> {
        self.blocks.back()?.cycles.last()
    }

    fn last_mut(&mut self) -> Option<&mut Cycle> {
        self.blocks.back_mut()?.cycles.last_mut()
    }

    /// A poll starts at `at`, the `step`-th of the loop. Tells whether that sealed a block, by beginning the next.
    pub fn poll_start(&mut self, at: Nanos, step: u32) -> bool {
        let full = self.blocks.back().is_none_or(|block| block.cycles.len() == BLOCK_CYCLES);
        let seals = full && !self.blocks.is_empty();
        if full {
            let before = self.totals_at(at);
            if self.blocks.is_empty() {
                self.blocks.reserve_exact(1);
            }
            self.blocks.push_back(Block { before, cycles: Vec::new() });
        }
        let block = self.blocks.back_mut().expect("a block was pushed just above");
        // Of many lanes most have few cycles, and room for twice as many would be most of what they take.
        let is_full = block.cycles.len() == block.cycles.capacity();
        block.cycles.reserve_exact(if is_full { BLOCK_CYCLES / 8 } else { 0 });
        let (waiting_on, kind) = (None, AwaitKind::Other);
        block.cycles.push(Cycle { start: at, end: NEVER, woken: NEVER, step, woken_step: 0, waiting_on, kind });
        seals
    }

    /// The poll that is under way ends; from now the task waits on `waiting_on`.
    pub fn poll_end(&mut self, at: Nanos, waiting_on: Option<(AwaitId, AwaitKind)>) {
        let Some(cycle) = self.last_mut().filter(|cycle| cycle.end == NEVER) else { return };
        cycle.end = at.max(cycle.start);
        if cycle.woken != NEVER {
            cycle.woken = cycle.end;
        }
        if let Some((id, kind)) = waiting_on {
            cycle.waiting_on = Some(id);
            cycle.kind = kind;
        }
    }

    /// The first wake since the last poll's start counts; later ones change nothing here.
    pub fn woken(&mut self, at: Nanos, step: u32) {
        if let Some(cycle) = self.last_mut().filter(|cycle| cycle.woken == NEVER) {
            cycle.woken = at.max(cycle.start);
            cycle.woken_step = step;
        }
    }

    pub fn end(&mut self, at: Nanos) {
        self.ended = at;
    }

    /// Totals from the spawn to `at`. Falls back to the oldest kept block's totals for times that were dropped.
    pub fn totals_at(&self, at: Nanos) -> Totals {
        if self.is_measured() {
            return self.measured_totals_at(at);
        }
        let at = at.min(self.ended);
        let index = self.blocks.partition_point(|block| block.cycles.first().is_some_and(|cycle| cycle.start <= at));
        let Some(block) = index.checked_sub(1).and_then(|index| self.blocks.get(index)) else {
            let first_start = self.blocks.front().and_then(|block| block.cycles.first()).map_or(NEVER, |c| c.start);
            if let Some(forgotten) = self.forgotten {
                return forgotten;
            }
            return match self.blocks.front() {
                Some(block) if block.before.polls > 0 => block.before,
                _ => Totals { scheduled_ns: at.min(first_start).saturating_sub(self.spawned), ..Totals::default() },
            };
        };
        let mut totals = block.before;
        for (cycle, next) in block.cycles.iter().zip(block.cycles.iter().skip(1).map(Some).chain([None])) {
            if cycle.start > at {
                break;
            }
            totals.add(cycle, next.map_or(at, |next| next.start.min(at)));
        }
        totals
    }

    /// The last cycle that started at or before `at`.
    pub fn cycle_at(&self, at: Nanos) -> Option<&Cycle> {
        self.find(|cycle| cycle.start <= at)
    }

    /// The last cycle whose poll was at or before the loop's `step`-th.
    pub fn cycle_at_step(&self, step: u32) -> Option<&Cycle> {
        self.find(|cycle| cycle.step <= step)
    }

    fn find(&self, not_after: impl Fn(&Cycle) -> bool) -> Option<&Cycle> {
        let index = self.blocks.partition_point(|block| block.cycles.first().is_some_and(&not_after));
        let block = self.blocks.get(index.checked_sub(1)?)?;
        let inside = block.cycles.partition_point(&not_after);
        block.cycles.get(inside.checked_sub(1)?)
    }

    /// Polls of this lane among the loop's polls `from` to `last`, both included.
    pub fn polls_in_steps(&self, from: u32, last: u32) -> u64 {
        let rank = |step: Option<u32>| step.and_then(|step| self.polls_until_step(step)).unwrap_or(0);
        rank(Some(last)) - rank(from.checked_sub(1)).min(rank(Some(last)))
    }

    /// Polls of this lane up to and including the loop's `step`-th.
    fn polls_until_step(&self, step: u32) -> Option<u64> {
        let not_after = |cycle: &Cycle| cycle.step <= step;
        let index = self.blocks.partition_point(|block| block.cycles.first().is_some_and(not_after));
        let block = self.blocks.get(index.checked_sub(1)?)?;
        Some(block.before.polls + block.cycles.partition_point(not_after) as u64)
    }

    /// All cycles that are kept, oldest first.
    pub fn cycles(&self) -> impl DoubleEndedIterator<Item = &Cycle> {
        self.blocks.iter().flat_map(|block| &block.cycles)
    }

    /// Forgets the oldest blocks, or the only one of a lane that has ended.
    pub fn drop_oldest(&mut self) -> Option<Dropped> {
        let measures = self.measures.drop_oldest();
        if self.blocks.len() < 2 && measures == 0 {
            self.ended()?;
            self.forgotten = Some(self.totals_at(NEVER));
        }
        let is_spare = self.blocks.len() > 1 || self.ended().is_some();
        let block = is_spare.then(|| self.blocks.pop_front()).flatten();
        let cycles = block.map_or(0, |block| block.cycles.len());
        (cycles + measures > 0).then_some(Dropped { cycles, measures })
    }

    /// What happened at `at` was forgotten.
    pub fn is_forgotten_at(&self, at: Nanos) -> bool {
        if self.is_measured() {
            return self.measures.forgotten_until().is_some_and(|until| at < until);
        }
        match self.blocks.front() {
            Some(block) => block.before.polls > 0 && block.cycles.first().is_some_and(|cycle| at < cycle.start),
            None => self.forgotten.is_some() && at < self.ended,
        }
    }

    /// What happened at the loop's `step`-th poll was forgotten.
    pub fn is_forgotten_at_step(&self, step: u32) -> bool {
        match self.blocks.front() {
            Some(block) => block.before.polls > 0 && block.cycles.first().is_some_and(|cycle| step < cycle.step),
            None => self.forgotten.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_forty_bytes() {
        assert_eq!(size_of::<Cycle>(), 40);
    }

    /// Totals by walking every cycle, to hold the block look-up to.
    fn totals_slowly(lane: &Lane, at: Nanos) -> Totals {
        let at = at.min(lane.ended);
        let cycles: Vec<&Cycle> = lane.cycles().filter(|cycle| cycle.start <= at).collect();
        let first = lane.cycles().next().map_or(NEVER, |cycle| cycle.start);
        let mut totals = Totals { scheduled_ns: at.min(first).saturating_sub(lane.spawned), ..Totals::default() };
        for (index, cycle) in cycles.iter().enumerate() {
            totals.add(cycle, cycles.get(index + 1).map_or(at, |next| next.start));
        }
        totals
    }

    #[test]
    fn totals_agree_with_a_slow_walk_at_every_time() {
        let mut lane = Lane::new(5);
        let mut at = 10;
        for step in 0..200 {
            lane.poll_start(at, step);
            at += u64::from(step % 3);
            if step % 4 == 0 {
                lane.woken(at, step);
            }
            lane.poll_end(at, Some((AwaitId::from_index(0), AwaitKind::ALL[step as usize % 8])));
            at += u64::from(step % 5);
            lane.woken(at, step);
            at += u64::from(step % 2);
        }
        lane.end(at + 7);
        for time in 0..at + 20 {
            assert_eq!(lane.totals_at(time), totals_slowly(&lane, time), "at {time}");
        }
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
            lane.poll_start(at, step);
            lane.poll_end(at + 4, None);
        }
        let whole = lane.totals_at(1990).since(&lane.totals_at(1500));
        let dropped = |cycles| Some(Dropped { cycles, measures: 0 });
        assert_eq!(lane.drop_oldest(), dropped(64));
        assert!(lane.is_forgotten_at(639) && !lane.is_forgotten_at(640));
        assert_eq!(lane.totals_at(1990).since(&lane.totals_at(1500)), whole);
        assert_eq!(lane.totals_at(1999).polls, 200);
        while lane.drop_oldest().is_some() {}
        assert_eq!(lane.cycles().count(), 8, "a lane that goes on keeps what it writes");
        let all = lane.totals_at(1999);
        lane.end(1999);
        assert_eq!(lane.drop_oldest(), dropped(8));
        assert_eq!(lane.totals_at(1999), all);
    }
}
