//! Looking totals up: within a block by a walk from whichever of its ends is nearer, and in a lane at one time after the
//! other, where each look-up begins where the last one ended.

use super::super::event::Nanos;
use super::super::pack::first_not;
use super::block::{Awaited, Block, Times, after};
use super::{Cycle, Lane, Totals};

/// A place in a block: the cycle at `index`, when it starts, and the totals up to there.
pub(super) struct Walk<'a> {
    pub block: &'a Block,
    pub times: Times<'a>,
    /// The block's other columns.
    pub rest: &'a [u8],
    /// The first of these, once it was asked for.
    pub awaits: Option<Awaited<'a>>,
    pub index: usize,
    pub start: Nanos,
    pub totals: Totals,
}

impl Walk<'_> {
    /// Goes on to the last cycle that starts at or before `at`.
    #[inline]
    pub fn on_to(&mut self, at: Nanos) {
        while self.index + 1 < self.block.len() {
            looked();
            let (spent, kind) = self.times.spent(self.index);
            let next = after(self.start, spent, self.block.until());
            if next > at {
                break;
            }
            self.add(spent, kind, u64::wrapping_add);
            (self.index, self.start) = (self.index + 1, next);
        }
    }

    /// Goes back to the last cycle that starts at or before `at`, or to the first.
    #[inline]
    pub fn back_to(&mut self, at: Nanos) {
        while self.index > 0 && (self.start > at || self.index == self.block.len()) {
            looked();
            self.index -= 1;
            let (spent, kind) = self.times.spent(self.index);
            let (busy, wait, scheduled) = spent;
            // A file that lies may say of a cycle what does not fit after the block's start.
            self.start = self.start.saturating_sub(busy).saturating_sub(wait).saturating_sub(scheduled);
            self.start = self.start.max(self.block.start);
            self.add(spent, kind, u64::wrapping_sub);
        }
    }

    /// Counts the cycle at `index` in, or out. Sums of a file that lies may be any number; they wrap.
    #[inline]
    fn add(&mut self, (busy, wait, scheduled): (u64, u64, u64), kind: usize, count: impl Fn(u64, u64) -> u64) {
        let totals = &mut self.totals;
        totals.busy_ns = count(totals.busy_ns, busy);
        totals.scheduled_ns = count(totals.scheduled_ns, scheduled);
        totals.waiting_ns[kind] = count(totals.waiting_ns[kind], wait);
        totals.polls = count(totals.polls, 1);
    }

    /// The totals up to `at` and the cycle that it has come to, without its step and its cause.
    #[inline]
    fn glance_at(&mut self, at: Nanos) -> (Totals, Cycle) {
        let (mut totals, mut cycle) = (self.totals, self.times.cycle(self.index, self.start, self.block.until()));
        totals.add(&cycle, at.max(self.start));
        if cycle.is_waiting_at(at) {
            let awaits = self.awaits.or_else(|| self.block.awaits(self.rest));
            (self.awaits, cycle.waiting_on) = (awaits, awaits.and_then(|awaits| awaits.get(self.index)));
        }
        (totals, cycle)
    }
}

/// Looks a lane up at times, or at steps, of which each is best not before the last; see the module.
pub(in crate::trace) struct Sweep<'a> {
    pub(super) lane: &'a Lane,
    /// The block that was found last.
    block: Option<usize>,
    /// The last stretch's end, and the totals up to there.
    pub(super) end: u64,
    pub(super) totals: Totals,
    /// The last walk, and through which block it went.
    walk: Option<Walk<'a>>,
    walked: usize,
    /// Of the cycles that no block has, how many were passed, and the totals up to there.
    passed: Option<(usize, Totals)>,
}

/// A stretch of a lane in which more polls began than anybody could tell apart.
pub(in crate::trace) struct Crowd {
    /// Of the blocks that begin in it.
    pub sums: Totals,
    /// A poll was under way for at least half of the time.
    pub mostly_running: bool,
}

/// A stretch of a lane.
pub(in crate::trace) enum Stretch {
    Crowded(Crowd),
    /// What came about in it, and the newest cycle at its end; see [`Sweep::glance_at`].
    Told(Totals, Option<Cycle>),
}

impl<'a> Sweep<'a> {
    pub fn new(lane: &'a Lane) -> Self {
        Self { lane, block: None, end: 0, totals: Totals::default(), walk: None, walked: 0, passed: None }
    }

    /// What came about from `start` up to but not including `end`, and not later than `now`.
    pub fn stretch(&mut self, start: Nanos, end: Nanos, now: Nanos) -> Stretch {
        // A poll that starts at an edge belongs to what comes after it, so each look-up is for the instant before.
        let (before, last) = (start.checked_sub(1), end.saturating_sub(1));
        if let Some(crowd) = before.and_then(|before| self.crowd(before, last)) {
            return Stretch::Crowded(crowd);
        }
        let earlier = match before {
            Some(before) if self.end < start => self.glance_at(before.min(now)).0,
            _ => self.totals,
        };
        let (later, cycle) = self.glance_at(last.min(now));
        (self.end, self.totals) = (end, later);
        Stretch::Told(later.since(&earlier), cycle)
    }

    /// The totals from the spawn to `at`, and the last cycle that started at or before that; of a sealed one the step and
    /// the cause are not looked up, nor what is awaited, unless it is waiting then.
    pub fn glance_at(&mut self, at: Nanos) -> (Totals, Option<Cycle>) {
        let lane = self.lane;
        if let Some(measures) = &lane.measures {
            return (lane.measured_totals_at(measures, at), None);
        }
        let until = at.min(lane.ended);
        if let Some(open) = lane.open_until(|cycle| cycle.start <= until) {
            let (totals, last) = self.glance_at_open(open, until);
            return (totals, Some(*last));
        }
        let Some(index) = self.block_at(until) else { return (lane.totals_before_first(until), None) };
        match self.walk.as_mut().filter(|walk| self.walked == index && walk.start <= until) {
            Some(walk) => walk.on_to(until),
            None => {
                self.walked = index;
                self.walk = lane.blocks.get(index).and_then(|block| block.walk_to(until, lane.totals_after(index)));
            }
        }
        // There is none only where a block has no columns, which none has that was packed here or read.
        let Some(walk) = &mut self.walk else { return (lane.totals_before_first(until), None) };
        let (totals, cycle) = walk.glance_at(until);
        (totals, Some(cycle))
    }

    /// The totals up to `until`, and the newest cycle then, where `open` are those in time of which no block has any, but
    /// for the one that goes on.
    fn glance_at_open(&mut self, open: &'a [Cycle], until: Nanos) -> (Totals, &'a Cycle) {
        let lane = self.lane;
        let is_current = lane.current.start <= until;
        let (last, before) = match open.split_last() {
            Some((last, before)) if !is_current => (last, before),
            _ => (&lane.current, open),
        };
        let passed = self.passed.take().filter(|(count, _)| *count <= before.len());
        let (mut count, mut totals) = passed.unwrap_or((0, lane.open_before));
        while let Some(cycle) = before.get(count) {
            looked();
            count += 1;
            totals.add(cycle, before.get(count).unwrap_or(last).start);
        }
        self.passed = Some((count, totals));
        totals.add(last, until);
        (totals, last)
    }

    /// What can be said of what came after `from`, up to `to`, by where blocks begin alone, without a look into any of
    /// them; `None` where none begins there, or where the lane ends or is still being written, or where it takes more to
    /// tell whether it was running for half of the time.
    fn crowd(&mut self, from: Nanos, to: Nanos) -> Option<Crowd> {
        let lane = self.lane;
        if lane.is_measured() || lane.ended <= to || lane.open.first().or(lane.last())?.start <= to {
            return None;
        }
        let (before, last) = (self.block_at(from)?, self.block_at(to)?);
        if before == last {
            return None;
        }
        let first = &lane.blocks.get(before + 1)?.before;
        let (end, after) = (&lane.blocks.get(last)?.before, lane.totals_after(last)?);
        let busy_ns = |from: &Totals, to: &Totals| to.busy_ns.saturating_sub(from.busy_ns);
        let is_half = |busy_ns: u64| busy_ns >= (to - from).div_ceil(2);
        let at_least = is_half(busy_ns(first, end));
        let at_most = is_half(busy_ns(&lane.blocks.get(before)?.before, after));
        (at_least == at_most).then(|| Crowd { sums: after.since(first), mostly_running: at_least })
    }

    fn block_at(&mut self, at: Nanos) -> Option<usize> {
        self.last_block(|block| block.start <= at)
    }

    /// The last block that is in time, as all before it are: near the one that was found last, or anywhere.
    pub(super) fn last_block(&mut self, is_in_time: impl Fn(&Block) -> bool) -> Option<usize> {
        let blocks = &self.lane.blocks;
        let is_in_time = |index: usize| {
            looked();
            blocks.get(index).is_some_and(&is_in_time)
        };
        let (low, high) = match self.block.filter(|index| is_in_time(*index)) {
            Some(found) => {
                let (mut low, mut reach) = (found, 1);
                while is_in_time(low + reach) {
                    low += reach;
                    reach *= 2;
                }
                (low, low + reach)
            }
            None if is_in_time(0) => (0, blocks.len()),
            None => return None,
        };
        self.block = Some(first_not(low + 1..high, is_in_time) - 1);
        self.block
    }
}

impl Lane {
    /// The totals up to the end of a block, where what follows it tells them.
    #[inline]
    fn totals_after(&self, index: usize) -> Option<&Totals> {
        let block = self.blocks.get(index)?;
        let (start, totals) = match self.blocks.get(index + 1) {
            Some(next) => (next.start, &next.before),
            None => (self.open.first().or(self.last())?.start, &self.open_before),
        };
        // Of a file that blocks are missing from, what follows one is not always what came after it.
        let follows = start == block.until() && totals.polls == block.before.polls.wrapping_add(block.len() as u64);
        follows.then_some(totals)
    }
}

/// Takes note of one look at a block or a cycle, where that is counted.
#[inline]
pub(in crate::trace) fn looked() {
    #[cfg(test)]
    LOOKED.with(|looked| looked.set(looked.get() + 1));
}

#[cfg(test)]
thread_local! {
    /// Blocks and cycles that were looked at by this thread.
    pub(in crate::trace) static LOOKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use super::super::super::event::AwaitKind;
    use super::super::super::id::AwaitId;
    use super::super::{BLOCK_CYCLES, NEVER};
    use super::*;

    fn random(state: &mut u64, below: u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % below
    }

    /// A lane of so many polls, of which every length is `longest_ns` at most: busy for more or less than half of the time
    /// here and there, now and then woken during a poll or not at all.
    fn lane(polls: u32, longest_ns: u64, seed: u64) -> Lane {
        let (mut lane, mut state, mut at) = (Lane::new(3), seed, 7);
        for step in 0..polls {
            lane.poll_start(at, step * 2, &mut Vec::new());
            let busier = if step / 200 % 2 == 0 { 1 } else { 3 };
            at += random(&mut state, longest_ns * busier);
            if random(&mut state, 5) == 0 {
                lane.woken(at, step * 2, None);
            }
            let kind = AwaitKind::ALL[random(&mut state, 8) as usize];
            lane.poll_end(at, Some((AwaitId::from_index(step as usize), kind)));
            at += random(&mut state, longest_ns);
            if random(&mut state, 9) > 0 {
                lane.woken(at, step * 2 + 1, None);
            }
            at += random(&mut state, longest_ns);
        }
        lane
    }

    /// Totals up to and including `last`, from every cycle.
    fn slowly(cycles: &[Cycle], spawned: Nanos, last: Nanos) -> Totals {
        let first = cycles.first().map_or(NEVER, |cycle| cycle.start);
        let mut totals = Totals { scheduled_ns: last.min(first).saturating_sub(spawned), ..Totals::default() };
        for (index, cycle) in cycles.iter().enumerate().take_while(|(_, cycle)| cycle.start <= last) {
            totals.add(cycle, cycles.get(index + 1).map_or(last, |next| next.start.min(last)));
        }
        totals
    }

    #[test]
    fn any_window_is_what_a_sum_over_all_cycles_says() {
        let (mut crowded, mut told) = (0, 0);
        for (seed, longest_ns) in [(1, 1), (2, 3), (3, 50), (4, 1_000_000)] {
            let lane = lane(3_000, longest_ns, seed);
            let cycles: Vec<Cycle> = lane.cycles().collect();
            let (now, mut state) = (lane.current.start + longest_ns, seed);
            let before = |at: Nanos| {
                at.checked_sub(1).map_or_else(Totals::default, |last| slowly(&cycles, lane.spawned, last.min(now)))
            };
            for _ in 0..40 {
                let columns = 1 + random(&mut state, 60);
                let mut start = random(&mut state, now / 2);
                let width = 1 + random(&mut state, 2 * now / columns);
                let mut sweep = Sweep::new(&lane);
                for _ in 0..columns {
                    let (end, truth) = (start + width, before(start + width).since(&before(start)));
                    match sweep.stretch(start, end, now) {
                        Stretch::Told(totals, cycle) => {
                            told += 1;
                            assert_eq!(totals, truth, "{start} to {end}");
                            let newest = cycles.iter().rfind(|cycle| cycle.start < end.min(now + 1));
                            assert_eq!(cycle.map(|cycle| cycle.start), newest.map(|cycle| cycle.start), "at {end}");
                        }
                        Stretch::Crowded(Crowd { sums, mostly_running }) => {
                            crowded += 1;
                            assert_eq!(mostly_running, truth.busy_ns * 2 >= width, "{start} to {end}");
                            assert!(truth.polls > 0 && sums.polls.abs_diff(truth.polls) < BLOCK_CYCLES as u64);
                        }
                    }
                    start = end;
                }
            }
        }
        assert!(crowded > 300 && told > 300, "{crowded} and {told}");
    }

    #[test]
    fn what_a_window_looks_at_grows_with_its_columns_and_not_with_the_lane() {
        const COLUMNS: u64 = 100;
        let looked_at = |lane: &Lane, from: Nanos, to: Nanos| {
            let (before, mut sweep) = (LOOKED.get(), Sweep::new(lane));
            for column in 0..COLUMNS {
                let edge = |column: u64| from + (to - from) * column / COLUMNS;
                std::hint::black_box(sweep.stretch(edge(column), edge(column + 1), NEVER));
            }
            LOOKED.get() - before
        };
        let mut before = 0;
        for polls in [30_000, 240_000] {
            let lane = lane(polls, 1_000, 7);
            let (end, doublings) = (lane.current.start, usize::BITS - lane.blocks.len().leading_zeros());
            let most = |each: usize| COLUMNS as usize * each + 2 * BLOCK_CYCLES;
            let whole = looked_at(&lane, 1, end);
            assert!(whole < most(6 * doublings as usize), "{whole} in the whole of {polls} polls");
            // Eight times as much is three doublings more, from each edge there and back.
            assert!(before == 0 || whole < before + most(2 * 2 * 3), "{whole} after {before}");
            for parts in [3, 40, 500, 5_000] {
                let part = looked_at(&lane, end / 2, end / 2 + end / parts);
                assert!(part < most(6 * doublings as usize + BLOCK_CYCLES), "{part} in a part of {polls} polls");
            }
            before = whole;
        }
    }
}
