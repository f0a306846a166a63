//! The wakes of one task beyond the first of each poll, which its lane keeps: packed but for the newest, and told
//! together with those.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::ALLOCATION_BYTES;
use super::event::{Cause, Nanos};
use super::lane::{Filed, Lane, cause_code, cause_of};
use super::pack::{Column, push_bytes, push_column, push_number, take_bytes, take_number};

/// Wakes in a block.
const BLOCK_WAKES: usize = 64;

/// One wake, after the lane's `poll`-th, which is 0 where it was not polled yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wake {
    poll: u64,
    at: Nanos,
    cause: Option<Cause>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Wakes {
    blocks: VecDeque<Block>,
    open: Vec<Wake>,
}

#[derive(Clone, Debug)]
struct Block {
    count: u8,
    bytes: Box<[u8]>,
}

impl Block {
    fn pack(wakes: &[Wake]) -> Self {
        let mut bytes = Vec::with_capacity(wakes.len() * 8);
        let count = wakes.len().min(BLOCK_WAKES);
        let first = wakes.iter().map(|wake| wake.at).min().unwrap_or(0);
        push_number(&mut bytes, first);
        let of: [&dyn Fn(&Wake) -> u64; 3] =
            [&|wake| wake.poll, &|wake| wake.at - first, &|wake| cause_code(wake.cause)];
        for value in of {
            let mut column = [0; BLOCK_WAKES];
            column.iter_mut().zip(wakes).for_each(|(into, wake)| *into = value(wake));
            push_column(&mut bytes, &column[..count]);
        }
        Self { count: count as u8, bytes: bytes.into() }
    }

    fn wakes(&self) -> Vec<Wake> {
        self.columns().unwrap_or_default()
    }

    fn columns(&self) -> Option<Vec<Wake>> {
        let (mut rest, count) = (&*self.bytes, usize::from(self.count));
        let first = take_number(&mut rest)?;
        let poll = Column::take(&mut rest, count)?;
        let at = Column::take(&mut rest, count)?;
        let cause = Column::take(&mut rest, count)?;
        let wake = |index| Wake {
            poll: poll.get(index),
            at: first.saturating_add(at.get(index)),
            cause: cause_of(cause.get(index)),
        };
        Some((0..count).map(wake).collect())
    }

    fn kept_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + ALLOCATION_BYTES
    }
}

impl Wakes {
    pub fn push(&mut self, poll: u64, at: Nanos, cause: Cause) -> Filed {
        let mut filed = Filed::default();
        if self.open.len() == BLOCK_WAKES {
            let block = Block::pack(&self.open);
            filed.bytes += block.kept_bytes() as isize;
            filed.is_sealed = true;
            self.blocks.push_back(block);
            self.open.clear();
        }
        filed.make_room(&mut self.open, BLOCK_WAKES);
        self.open.push(Wake { poll, at, cause: Some(cause) });
        filed
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = Wake> + '_ {
        self.blocks.iter().flat_map(Block::wakes).chain(self.open.iter().copied())
    }

    fn len(&self) -> usize {
        self.blocks.iter().map(|block| usize::from(block.count)).sum::<usize>() + self.open.len()
    }

    /// How many of these came at or before `at`.
    pub fn until(&self, at: Nanos) -> usize {
        let later = self.iter().rev().take_while(|wake| wake.at > at).count();
        self.len() - later
    }

    /// Those that no block has.
    pub fn unpacked(&self) -> &[Wake] {
        &self.open
    }

    pub fn set_unpacked(&mut self, mut open: Vec<Wake>) {
        open.truncate(BLOCK_WAKES);
        open.retain(|wake| wake.cause.is_some());
        self.open = open;
    }

    /// Writes the block that is so many from the newest, which is 1.
    pub fn write_block(&self, from_newest: usize, bytes: &mut Vec<u8>) {
        let index = self.blocks.len().checked_sub(from_newest);
        if let Some(block) = index.and_then(|index| self.blocks.get(index)) {
            bytes.push(block.count);
            push_bytes(bytes, &block.bytes);
        }
    }

    /// Reads the block that follows; `None` where it is none.
    pub fn read_block(&mut self, bytes: &mut &[u8]) -> Option<Filed> {
        let (count, rest) = bytes.split_first()?;
        *bytes = rest;
        let block = Block { count: *count, bytes: take_bytes(bytes)?.into() };
        if usize::from(*count) > BLOCK_WAKES || block.columns()?.iter().any(|wake| wake.cause.is_none()) {
            return None;
        }
        let filed = Filed { bytes: block.kept_bytes() as isize, is_sealed: true };
        self.blocks.push_back(block);
        Some(filed)
    }

    /// Bytes that they take.
    pub fn kept_bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(Block::kept_bytes).sum();
        blocks + self.open.capacity() * size_of::<Wake>()
    }

    /// Forgets the oldest block. Returns the bytes that this frees.
    pub fn drop_oldest(&mut self) -> Option<usize> {
        self.blocks.pop_front().map(|block| block.kept_bytes())
    }
}

/// Every kept wake, in order: those of `lane`, each the first after its poll, and `more`.
pub(super) fn all<'a>(
    lane: &'a Lane,
    more: Option<&'a Wakes>,
) -> impl DoubleEndedIterator<Item = (Nanos, Cause)> + ExactSizeIterator + 'a {
    let firsts = Firsts { lane, pieces: 0..lane.pieces(), front: Vec::new().into_iter(), back: Vec::new().into_iter() };
    let left = firsts.len() + more.map_or(0, Wakes::len);
    let has_more = more.is_some();
    Both {
        firsts,
        more: more.into_iter().flat_map(Wakes::iter),
        has_more,
        front: (None, None),
        back: (None, None),
        left,
    }
}

/// The first wakes after polls; whole blocks of them are passed over by their count.
struct Firsts<'a> {
    lane: &'a Lane,
    pieces: std::ops::Range<usize>,
    front: std::vec::IntoIter<Wake>,
    back: std::vec::IntoIter<Wake>,
}

impl Firsts<'_> {
    fn piece(&self, index: usize) -> std::vec::IntoIter<Wake> {
        let (before, cycles) = self.lane.piece(index);
        let numbered = cycles.into_iter().enumerate();
        let wake = |(index, cycle): (usize, super::lane::Cycle)| {
            let (at, cause) = cycle.wake()?;
            Some(Wake { poll: before.saturating_add(index as u64 + 1), at, cause: Some(cause) })
        };
        numbered.filter_map(wake).collect::<Vec<_>>().into_iter()
    }

    fn len(&self) -> usize {
        let between = self.lane.wakes_of_pieces(self.pieces.end) - self.lane.wakes_of_pieces(self.pieces.start);
        self.front.len() + between + self.back.len()
    }

    fn next(&mut self) -> Option<Wake> {
        while self.front.len() == 0 {
            let Some(index) = self.pieces.next() else { return self.back.next() };
            self.front = self.piece(index);
        }
        self.front.next()
    }

    fn next_back(&mut self) -> Option<Wake> {
        while self.back.len() == 0 {
            let Some(index) = self.pieces.next_back() else { return self.front.next_back() };
            self.back = self.piece(index);
        }
        self.back.next_back()
    }

    /// Passes over blocks of which all are among the first `count`; says how many that were.
    fn pass(&mut self, count: usize) -> usize {
        let mut passed = self.front.len();
        if passed > count {
            return 0;
        }
        self.front = Vec::new().into_iter();
        let before = self.lane.wakes_of_pieces(self.pieces.start);
        let until = |piece: usize| self.lane.wakes_of_pieces(piece) - before;
        // The last piece before which no more than so many are.
        let (mut low, mut high) = (self.pieces.start, self.pieces.end);
        while low < high {
            let middle = high - (high - low) / 2;
            if passed + until(middle) <= count {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        passed += until(low);
        self.pieces.start = low;
        passed
    }

    fn pass_back(&mut self, count: usize) -> usize {
        let mut passed = self.back.len();
        if passed > count {
            return 0;
        }
        self.back = Vec::new().into_iter();
        let after = self.lane.wakes_of_pieces(self.pieces.end);
        let from = |piece: usize| after - self.lane.wakes_of_pieces(piece);
        // The first piece from which on no more than so many are.
        let (mut low, mut high) = (self.pieces.start, self.pieces.end);
        while low < high {
            let middle = low.midpoint(high);
            if passed + from(middle) <= count {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        passed += from(low);
        self.pieces.end = low;
        passed
    }
}

/// Two rows of wakes as one, in order of the polls that they came after; of one poll the first comes first.
struct Both<'a, B> {
    firsts: Firsts<'a>,
    more: B,
    has_more: bool,
    /// What was taken from each row and not told yet, from either end.
    front: (Option<Wake>, Option<Wake>),
    back: (Option<Wake>, Option<Wake>),
    left: usize,
}

impl<B: DoubleEndedIterator<Item = Wake>> Both<'_, B> {
    fn told(&mut self, wake: Option<Wake>) -> Option<(Nanos, Cause)> {
        self.left = self.left.saturating_sub(1);
        wake.and_then(|wake| Some((wake.at, wake.cause?)))
    }
}

impl<B: DoubleEndedIterator<Item = Wake>> Iterator for Both<'_, B> {
    type Item = (Nanos, Cause);

    fn next(&mut self) -> Option<Self::Item> {
        let (first, more) = &mut self.front;
        *first = first.take().or_else(|| self.firsts.next()).or_else(|| self.back.0.take());
        *more = more.take().or_else(|| self.more.next()).or_else(|| self.back.1.take());
        let wake = match (&first, &more) {
            (Some(one), Some(other)) if other.poll < one.poll => more.take(),
            (Some(_), _) => first.take(),
            (None, _) => more.take(),
        };
        self.told(wake)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }

    /// Where each poll came with one wake, as most do, whole blocks are passed over.
    fn nth(&mut self, mut count: usize) -> Option<Self::Item> {
        if !self.has_more && self.front.0.is_none() {
            let passed = self.firsts.pass(count);
            count -= passed;
            self.left = self.left.saturating_sub(passed);
        }
        for _ in 0..count {
            self.next()?;
        }
        self.next()
    }
}

impl<B: DoubleEndedIterator<Item = Wake>> DoubleEndedIterator for Both<'_, B> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let (first, more) = &mut self.back;
        *first = first.take().or_else(|| self.firsts.next_back()).or_else(|| self.front.0.take());
        *more = more.take().or_else(|| self.more.next_back()).or_else(|| self.front.1.take());
        let wake = match (&first, &more) {
            (Some(one), Some(other)) if other.poll < one.poll => first.take(),
            (_, Some(_)) => more.take(),
            (_, None) => first.take(),
        };
        self.told(wake)
    }

    fn nth_back(&mut self, mut count: usize) -> Option<Self::Item> {
        if !self.has_more && self.back.0.is_none() {
            let passed = self.firsts.pass_back(count);
            count -= passed;
            self.left = self.left.saturating_sub(passed);
        }
        for _ in 0..count {
            self.next_back()?;
        }
        self.next_back()
    }
}

impl<B: DoubleEndedIterator<Item = Wake>> ExactSizeIterator for Both<'_, B> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wake_is_told_in_its_order_from_either_end() {
        let (mut lane, mut more, mut told) = (Lane::new(0), Wakes::default(), vec![]);
        let (mut simple, mut simply_told) = (Lane::new(0), vec![]);
        let mut sealed = 0;
        for poll in 0..300_u64 {
            // Nothing takes time here, so only the order of the polls says which came first.
            for index in 0..poll % 4 {
                let (at, cause) = (poll / 7, if index == 0 { Cause::Own } else { Cause::Driver });
                if !lane.woken(at, 0, Some(cause)) {
                    sealed += usize::from(more.push(lane.number(), at, cause).is_sealed);
                }
                told.push((at, cause));
            }
            lane.poll_start(poll / 7, poll as u32, &mut Vec::new());
            lane.poll_end(poll / 7, None);
            simple.poll_start(poll * 9, poll as u32, &mut Vec::new());
            simple.poll_end(poll * 9 + 1, None);
            if poll % 5 > 0 && simple.woken(poll * 9 + 4, 0, Some(Cause::Driver)) {
                simply_told.push((poll * 9 + 4, Cause::Driver));
            }
        }
        assert!(sealed > 1);
        assert_eq!(all(&lane, Some(&more)).collect::<Vec<_>>(), told);
        told.reverse();
        assert_eq!(all(&lane, Some(&more)).rev().collect::<Vec<_>>(), told);
        let mut both = all(&lane, Some(&more));
        let mut met = 0;
        while both.next().is_some() && both.next_back().is_some() {
            met += 2;
        }
        assert_eq!(met, told.len() / 2 * 2, "from both ends to the middle");
        told.reverse();
        for (lane, more, told) in [(&lane, Some(&more), &told), (&simple, None, &simply_told)] {
            assert_eq!(all(lane, more).len(), told.len());
            for index in 0..told.len() + 2 {
                assert_eq!(all(lane, more).nth(index), told.get(index).copied());
                assert_eq!(all(lane, more).skip(index).count(), told.len().saturating_sub(index));
                let back = told.len().checked_sub(index + 1).map(|index| told[index]);
                assert_eq!(all(lane, more).rev().nth(index), back);
            }
            for at in 0..2_710 {
                let until = lane.wakes_until(at) + more.map_or(0, |more| more.until(at));
                assert_eq!(until, told.iter().filter(|(woken, _)| *woken <= at).count(), "at {at}");
            }
        }
    }
}
