//! Measures: what somebody who saw every poll of a task tells of it in sums, now and then.
//!
//! Between two measures only their difference is known. A lane that has measures is drawn from them, as shares of each
//! interval, and never looks as if single polls had been seen.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::ALLOCATION_BYTES;
use super::event::Nanos;
use super::lane::Filed;
use super::pack::{Column, push_bytes, push_column, push_number, take_bytes, take_number};

/// Measures that are packed, and forgotten, at once.
pub(super) const BLOCK_MEASURES: usize = 16;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Doing {
    Running,
    Scheduled,
    #[default]
    Waiting,
}

/// How durations spread: for each bucket its upper end, in nanoseconds, and how many fell into it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// In order of their upper ends; empty buckets are left out.
    pub buckets: Vec<(u64, u64)>,
    /// Durations longer than the histogram can tell apart, and the longest of them.
    pub outliers: u64,
    pub longest_outlier_ns: Option<u64>,
}

/// The two that console-subscriber keeps of each task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
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

/// The measures of one lane, oldest first: the newest plain, those before them packed.
#[derive(Clone, Debug, Default)]
pub(super) struct Measures {
    blocks: VecDeque<Block>,
    open: Vec<Measure>,
    /// The last one that was forgotten.
    before: Option<Measure>,
}

/// [`BLOCK_MEASURES`] measures as columns: time, polls, busy, scheduled and doing.
#[derive(Clone, Debug)]
struct Block {
    at: Nanos,
    bytes: Box<[u8]>,
}

impl Block {
    fn pack(measures: &[Measure]) -> Self {
        let mut bytes = Vec::new();
        let of: [fn(&Measure) -> u64; 5] =
            [|m| m.at, |m| m.polls, |m| m.busy_ns, |m| m.scheduled_ns, |m| m.doing as u64];
        for value in of {
            let mut column = [0; BLOCK_MEASURES];
            column.iter_mut().zip(measures).for_each(|(into, measure)| *into = value(measure));
            push_column(&mut bytes, &column);
        }
        Self { at: measures.first().map_or(0, |first| first.at), bytes: bytes.into() }
    }

    fn columns(&self) -> Option<[Column<'_>; 5]> {
        let mut rest = &*self.bytes;
        let mut columns = [Column::default(); 5];
        for column in &mut columns {
            *column = Column::take(&mut rest, BLOCK_MEASURES)?;
        }
        Some(columns)
    }

    fn get(&self, index: usize) -> Option<Measure> {
        let [at, polls, busy, scheduled, doing] = self.columns()?.map(|column| column.get(index));
        let doing = [Doing::Running, Doing::Scheduled, Doing::Waiting].into_iter().find(|known| *known as u64 == doing);
        Some(Measure { at, polls, busy_ns: busy, scheduled_ns: scheduled, doing: doing.unwrap_or_default() })
    }

    /// How many of its measures are at or before `at`.
    fn until(&self, at: Nanos) -> usize {
        let Some([times, ..]) = self.columns() else { return 0 };
        (0..BLOCK_MEASURES).take_while(|index| times.get(*index) <= at).count()
    }

    fn kept_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + ALLOCATION_BYTES
    }
}

impl Measures {
    /// Adds one, unless it tells of an earlier time than the last. Sums never shrink.
    pub fn push(&mut self, measure: Measure) -> Filed {
        let mut filed = Filed::default();
        let Some(last) = self.last() else {
            self.grow(&mut filed);
            self.open.push(measure);
            return filed;
        };
        if measure.at < last.at {
            return filed;
        }
        let measure = Measure {
            polls: measure.polls.max(last.polls),
            busy_ns: measure.busy_ns.max(last.busy_ns),
            scheduled_ns: measure.scheduled_ns.max(last.scheduled_ns),
            ..measure
        };
        // What was told twice of one instant is told once.
        if last.at == measure.at {
            self.open.pop();
        }
        // The newest one is never packed: it may be told once more.
        if self.open.len() == BLOCK_MEASURES {
            let block = Block::pack(&self.open);
            filed.bytes += block.kept_bytes() as isize;
            filed.is_sealed = true;
            self.blocks.push_back(block);
            self.open.clear();
        }
        self.grow(&mut filed);
        self.open.push(measure);
        filed
    }

    fn grow(&mut self, filed: &mut Filed) {
        filed.make_room(&mut self.open, BLOCK_MEASURES);
    }

    /// Those that no block has.
    pub fn unpacked(&self) -> &[Measure] {
        &self.open
    }

    /// The last one that was forgotten.
    pub fn forgotten(&self) -> Option<Measure> {
        self.before
    }

    /// Takes the last one that was forgotten, unless what followed the spawn is here all the same.
    pub fn set_forgotten(&mut self, forgotten: Option<Measure>) {
        let first = self.blocks.front().and_then(|block| block.get(0));
        self.before =
            forgotten.filter(|before| first.is_none_or(|first| before.at < first.at && before.polls <= first.polls));
    }

    /// Writes the block that is so many from the newest, which is 1.
    pub fn write_block(&self, from_newest: usize, bytes: &mut Vec<u8>) {
        let index = self.blocks.len().checked_sub(from_newest);
        if let Some(block) = index.and_then(|index| self.blocks.get(index)) {
            push_number(bytes, block.at);
            push_bytes(bytes, &block.bytes);
        }
    }

    /// Reads the block that follows; `None` where it is none.
    pub fn read_block(&mut self, bytes: &mut &[u8]) -> Option<Filed> {
        let block = Block { at: take_number(bytes)?, bytes: take_bytes(bytes)?.into() };
        let follows = self.blocks.back().is_none_or(|last| last.at <= block.at);
        block.columns().filter(|_| follows)?;
        let filed = Filed { bytes: block.kept_bytes() as isize, is_sealed: true };
        self.blocks.push_back(block);
        Some(filed)
    }

    /// The last measure at or before `at`.
    pub fn at(&self, at: Nanos) -> Option<Measure> {
        self.on_both_sides(at).0
    }

    pub fn first(&self) -> Option<Measure> {
        self.blocks.front().map_or_else(|| self.open.first().copied(), |block| block.get(0))
    }

    pub fn last(&self) -> Option<&Measure> {
        self.open.last()
    }

    /// The last measure at or before `at`, and the first after it.
    fn on_both_sides(&self, at: Nanos) -> (Option<Measure>, Option<Measure>) {
        let inside = self.open.partition_point(|measure| measure.at <= at);
        if let Some(index) = inside.checked_sub(1) {
            return (self.open.get(index).copied(), self.open.get(inside).copied());
        }
        let after = self.blocks.partition_point(|block| block.at <= at);
        let next = self.blocks.get(after).map_or_else(|| self.open.first().copied(), |block| block.get(0));
        let Some(block) = after.checked_sub(1).and_then(|index| self.blocks.get(index)) else {
            return (self.before, next);
        };
        let inside = block.until(at);
        let later = if inside < BLOCK_MEASURES { block.get(inside) } else { next };
        (inside.checked_sub(1).and_then(|index| block.get(index)), later)
    }

    /// Sums from the spawn to `at`: in proportion between two measures. Who measures tells of every change, so after the
    /// last one the task goes on doing what it did.
    pub fn sums_at(&self, spawned: Nanos, at: Nanos) -> Sums {
        let (earlier, later) = self.on_both_sides(at);
        let from = earlier.map_or(spawned, |measure| measure.at);
        let sums = earlier.map_or_else(Sums::default, |measure| Sums {
            polls: measure.polls,
            busy_ns: measure.busy_ns,
            scheduled_ns: measure.scheduled_ns,
        });
        let Some(later) = later.filter(|_| at > from) else {
            let since = at.saturating_sub(from);
            return match earlier.map(|measure| measure.doing) {
                Some(Doing::Running) => Sums { busy_ns: sums.busy_ns.saturating_add(since), ..sums },
                Some(Doing::Scheduled) => Sums { scheduled_ns: sums.scheduled_ns.saturating_add(since), ..sums },
                Some(Doing::Waiting) | None => sums,
            };
        };
        let (passed, whole) = (u128::from(at - from), u128::from(later.at.saturating_sub(from).max(1)));
        let share = |before: u64, after: u64| {
            before.saturating_add(
                u64::try_from(u128::from(after.saturating_sub(before)) * passed.min(whole) / whole).unwrap_or(u64::MAX),
            )
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
        let (until, later) = self.on_both_sides(to);
        let after = until.filter(|measure| measure.at == to).or(later).or(until);
        let polls = |measure: Option<Measure>| measure.map_or(0, |measure| measure.polls);
        let begin = before.map_or(spawned, |measure| measure.at);
        (begin, after.map_or(begin, |measure| measure.at), polls(after).saturating_sub(polls(before)))
    }

    /// Bytes that they take.
    pub fn kept_bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(Block::kept_bytes).sum();
        blocks + self.open.capacity() * size_of::<Measure>()
    }

    /// Forgets the oldest block. Returns the bytes that this frees.
    pub fn drop_oldest(&mut self) -> Option<usize> {
        let block = self.blocks.pop_front()?;
        self.before = block.get(BLOCK_MEASURES - 1);
        Some(block.kept_bytes())
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
        // A clock that steps back tells nothing, and sums that shrink are kept as they were.
        for (at, polls, busy_ns) in [(100, 10, 50), (200, 20, 90), (150, 99, 99), (300, 5, 5)] {
            measures.push(measure(at, polls, busy_ns));
        }
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
            measures.push(measure(at, at * 3, at));
        }
        assert_eq!(measures.blocks.len(), 12, "most of it is packed");
        for at in 0..=200 {
            assert_eq!(measures.sums_at(0, at).polls, at * 3);
            assert_eq!(measures.at(at).map(|measure| measure.at), (at > 0).then_some(at));
        }
        assert!(measures.drop_oldest().is_some());
        assert_eq!(measures.forgotten_until(), Some(16));
        assert_eq!(measures.sums_at(0, 150).polls, 450);
        while measures.drop_oldest().is_some() {}
        assert_eq!(measures.open.len(), 8, "what is newest stays");
        assert_eq!(measures.sums_at(0, 195).polls, 585);
    }
}
