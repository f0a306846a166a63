//! The wakes of one task beyond the first of each poll, which its lane keeps: packed but for the newest, and told
//! together with those.

mod all;

pub(super) use all::all;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::ALLOCATION_BYTES;
use super::event::{Cause, Nanos};
use super::lane::{Filed, cause_code, cause_of, looked};
use super::pack::{Column, first_not, push_bytes, push_column, push_number, take_bytes, take_number};

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
    /// How many the blocks before it had, with those that are forgotten.
    before: u32,
    bytes: Box<[u8]>,
}

/// A block as it is read: any wake of it by itself.
struct Columns<'a> {
    first: Nanos,
    poll: Column<'a>,
    at: Column<'a>,
    cause: Column<'a>,
}

impl Columns<'_> {
    fn at(&self, index: usize) -> Nanos {
        self.first.saturating_add(self.at.get(index))
    }

    fn wake(&self, index: usize) -> Wake {
        Wake { poll: self.poll.get(index), at: self.at(index), cause: cause_of(self.cause.get(index)) }
    }
}

impl Block {
    fn pack(wakes: &[Wake], before: u32) -> Self {
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
        Self { count: count as u8, before, bytes: bytes.into() }
    }

    fn len(&self) -> usize {
        self.count.into()
    }

    /// How many it and the blocks before it have.
    fn until(&self) -> u32 {
        self.before.wrapping_add(self.count.into())
    }

    /// `None` never, for blocks that were packed here or read.
    fn columns(&self) -> Option<Columns<'_>> {
        looked();
        let (mut rest, count) = (&*self.bytes, self.len());
        let first = take_number(&mut rest)?;
        let poll = Column::take(&mut rest, count)?;
        let at = Column::take(&mut rest, count)?;
        let cause = Column::take(&mut rest, count)?;
        Some(Columns { first, poll, at, cause })
    }

    fn wakes(&self) -> Vec<Wake> {
        let columns = self.columns();
        columns.map_or_else(Vec::new, |columns| (0..self.len()).map(|index| columns.wake(index)).collect())
    }

    /// How many of these came at or before `at`.
    fn count_until(&self, at: Nanos) -> usize {
        let Some(columns) = self.columns() else { return 0 };
        first_not(0..self.len(), |index| {
            looked();
            columns.at(index) <= at
        })
    }

    fn kept_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + ALLOCATION_BYTES
    }
}

impl Wakes {
    pub fn push(&mut self, poll: u64, at: Nanos, cause: Cause) -> Filed {
        let mut filed = Filed::default();
        if self.open.len() == BLOCK_WAKES {
            let block = Block::pack(&self.open, self.sealed_count());
            filed.bytes += block.kept_bytes() as isize;
            filed.is_sealed = true;
            self.blocks.push_back(block);
            self.open.clear();
        }
        filed.make_room(&mut self.open, BLOCK_WAKES);
        self.open.push(Wake { poll, at, cause: Some(cause) });
        filed
    }

    /// How many its blocks had, with those that are forgotten.
    fn sealed_count(&self) -> u32 {
        self.blocks.back().map_or(0, Block::until)
    }

    /// How many are kept before the block at `index`.
    fn before_block(&self, index: usize) -> usize {
        let of = self.blocks.get(index).map_or_else(|| self.sealed_count(), |block| block.before);
        of.wrapping_sub(self.blocks.front().map_or(0, |first| first.before)) as usize
    }

    pub fn len(&self) -> usize {
        self.before_block(self.blocks.len()) + self.open.len()
    }

    /// How many of these came at or before `at`.
    pub fn until(&self, at: Nanos) -> usize {
        let is_in_time = |block: &Block| block.columns().is_none_or(|columns| columns.at(0) <= at);
        let is_open = self.open.first().is_some_and(|first| first.at <= at);
        let blocks = if is_open { self.blocks.len() } else { self.blocks.partition_point(is_in_time) };
        match self.blocks.get(blocks.wrapping_sub(1)).filter(|_| !is_open) {
            Some(block) => self.before_block(blocks - 1) + block.count_until(at),
            None => self.before_block(blocks) + self.open.partition_point(|wake| wake.at <= at),
        }
    }

    /// In which block the `index`-th that is kept is; one more than there are for those that no block has.
    fn block_of(&self, index: usize) -> usize {
        // Blocks are full, but for those of a file that lies.
        let full = index / BLOCK_WAKES;
        let is_in = |block: usize| (self.before_block(block)..self.before_block(block + 1)).contains(&index);
        if full < self.blocks.len() && is_in(full) {
            return full;
        }
        first_not(full.min(self.blocks.len())..self.blocks.len(), |block| self.before_block(block + 1) <= index)
    }

    /// After which poll the `index`-th that is kept came; `None` where there are not so many.
    fn poll(&self, index: usize) -> Option<u64> {
        let block = self.block_of(index);
        let within = index - self.before_block(block);
        match self.blocks.get(block) {
            Some(block) => Some(block.columns()?.poll.get(within)),
            None => Some(self.open.get(within)?.poll),
        }
    }

    /// Those of the block that has the `index`-th, and how many are before them.
    fn around(&self, index: usize) -> (usize, Vec<Wake>) {
        let block = self.block_of(index);
        let wakes = self.blocks.get(block).map_or_else(|| self.open.clone(), Block::wakes);
        (self.before_block(block), wakes)
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
        let block = Block { count: *count, before: self.sealed_count(), bytes: take_bytes(bytes)?.into() };
        let columns = block.columns()?;
        if block.len() > BLOCK_WAKES || (0..block.len()).any(|index| columns.wake(index).cause.is_none()) {
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
