//! The wakes of a task beyond the first after each poll: the newest unpacked, older ones in sealed blocks.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::super::lane::count_lookup;
use super::super::pack::{
    PackedColumn, partition_point, push_bytes, push_column, push_varint, take_bytes, take_varint,
};
use super::super::storage::ALLOCATION_BYTES;
use super::super::storage::StorageDelta;
use super::super::time::Nanos;
use super::super::wake_source::WakeSource;
use super::super::wake_source::{decode_wake_source, encode_wake_source};

/// Number of wakes in a block.
const BLOCK_WAKES: usize = 64;

/// One wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::trace) struct WakeRecord {
    /// Number of the poll that the wake followed, from 1; 0 before the first poll.
    pub(super) poll: u64,
    /// Loop time of the wake.
    pub(super) at: Nanos,
    /// Source of the wake. Never `None` for a recorded wake; a damaged file may have `None`.
    pub(super) wake_source: Option<WakeSource>,
}

/// The wakes of one task that its lane does not hold.
#[derive(Clone, Debug, Default)]
pub(in crate::trace) struct ExtraWakes {
    /// Sealed blocks, the oldest first.
    pub(super) blocks: VecDeque<WakeBlock>,
    /// The newest wakes, in no block yet.
    pub(super) unsealed: Vec<WakeRecord>,
}

/// A sealed block of [`BLOCK_WAKES`] wakes.
#[derive(Clone, Debug)]
pub(super) struct WakeBlock {
    count: u8,
    /// Number of wakes in the earlier blocks, the evicted ones included.
    wakes_before: u32,
    bytes: Box<[u8]>,
}

/// The columns of a block, of which any wake can be read by itself.
struct WakeColumns<'a> {
    /// The time that is added to the values of `at`.
    first: Nanos,
    poll: PackedColumn<'a>,
    at: PackedColumn<'a>,
    wake_source: PackedColumn<'a>,
}

impl WakeColumns<'_> {
    /// Returns the time of the wake at `index`.
    fn at(&self, index: usize) -> Nanos {
        self.first.saturating_add(self.at.get(index))
    }

    /// Unpacks the wake at `index`.
    fn wake(&self, index: usize) -> WakeRecord {
        WakeRecord {
            poll: self.poll.get(index),
            at: self.at(index),
            wake_source: decode_wake_source(self.wake_source.get(index)),
        }
    }
}

impl WakeBlock {
    /// Packs up to [`BLOCK_WAKES`] wakes.
    fn pack(wakes: &[WakeRecord], wakes_before: u32) -> Self {
        let mut bytes = Vec::with_capacity(wakes.len() * 8);
        let count = wakes.len().min(BLOCK_WAKES);
        let first = wakes.iter().map(|wake| wake.at).min().unwrap_or(0);
        push_varint(&mut bytes, first);
        let values: [&dyn Fn(&WakeRecord) -> u64; 3] =
            [&|wake| wake.poll, &|wake| wake.at - first, &|wake| encode_wake_source(wake.wake_source)];
        for value in values {
            let mut column = [0; BLOCK_WAKES];
            column.iter_mut().zip(wakes).for_each(|(into, wake)| *into = value(wake));
            push_column(&mut bytes, &column[..count]);
        }
        Self { count: count as u8, wakes_before, bytes: bytes.into() }
    }

    /// Returns the number of wakes in this block.
    fn len(&self) -> usize {
        self.count.into()
    }

    /// Returns the number of wakes in this block and in the earlier ones.
    fn wakes_through_end(&self) -> u32 {
        self.wakes_before.wrapping_add(self.count.into())
    }

    /// Splits the block into its columns. Never `None` for a block that was packed here or decoded.
    fn columns(&self) -> Option<WakeColumns<'_>> {
        count_lookup();
        let (mut rest, count) = (&*self.bytes, self.len());
        let first = take_varint(&mut rest)?;
        let poll = PackedColumn::take(&mut rest, count)?;
        let at = PackedColumn::take(&mut rest, count)?;
        let wake_source = PackedColumn::take(&mut rest, count)?;
        Some(WakeColumns { first, poll, at, wake_source })
    }

    /// Unpacks every wake.
    pub(super) fn wakes(&self) -> Vec<WakeRecord> {
        let columns = self.columns();
        columns.map_or_else(Vec::new, |columns| (0..self.len()).map(|index| columns.wake(index)).collect())
    }

    /// Returns the number of wakes in this block at or before `at`.
    fn count_until(&self, at: Nanos) -> usize {
        let Some(columns) = self.columns() else { return 0 };
        partition_point(0..self.len(), |index| {
            count_lookup();
            columns.at(index) <= at
        })
    }

    /// Returns the bytes of memory, allocator overhead included.
    fn retained_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + ALLOCATION_BYTES
    }
}

impl ExtraWakes {
    /// Appends a wake that followed the lane's poll number `poll`. Seals a block when the unsealed wakes fill one.
    pub fn push(&mut self, poll: u64, at: Nanos, source: WakeSource) -> StorageDelta {
        let mut delta = StorageDelta::default();
        if self.unsealed.len() == BLOCK_WAKES {
            let block = WakeBlock::pack(&self.unsealed, self.sealed_count());
            delta.bytes += block.retained_bytes() as isize;
            delta.has_sealed_block = true;
            self.blocks.push_back(block);
            self.unsealed.clear();
        }
        delta.reserve_one(&mut self.unsealed, BLOCK_WAKES);
        self.unsealed.push(WakeRecord { poll, at, wake_source: Some(source) });
        delta
    }

    /// Returns the number of wakes in all blocks so far, the evicted ones included.
    fn sealed_count(&self) -> u32 {
        self.blocks.back().map_or(0, WakeBlock::wakes_through_end)
    }

    /// Returns the number of retained wakes before the block at `index`.
    fn before_block(&self, index: usize) -> usize {
        let wakes_before = self.blocks.get(index).map_or_else(|| self.sealed_count(), |block| block.wakes_before);
        wakes_before.wrapping_sub(self.blocks.front().map_or(0, |first| first.wakes_before)) as usize
    }

    /// Returns the number of retained wakes.
    pub fn len(&self) -> usize {
        self.before_block(self.blocks.len()) + self.unsealed.len()
    }

    /// Returns the number of retained wakes at or before `at`.
    pub fn count_until(&self, at: Nanos) -> usize {
        let is_in_time = |block: &WakeBlock| block.columns().is_none_or(|columns| columns.at(0) <= at);
        let reaches_unsealed = self.unsealed.first().is_some_and(|first| first.at <= at);
        let blocks = if reaches_unsealed { self.blocks.len() } else { self.blocks.partition_point(is_in_time) };
        match self.blocks.get(blocks.wrapping_sub(1)).filter(|_| !reaches_unsealed) {
            Some(block) => self.before_block(blocks - 1) + block.count_until(at),
            None => self.before_block(blocks) + self.unsealed.partition_point(|wake| wake.at <= at),
        }
    }

    /// Returns the index of the block that holds the `index`-th retained wake; the number of blocks for an unsealed
    /// wake.
    fn block_index_of(&self, index: usize) -> usize {
        // Every block is full, except in a damaged file.
        let guess = index / BLOCK_WAKES;
        let is_in = |block: usize| (self.before_block(block)..self.before_block(block + 1)).contains(&index);
        if guess < self.blocks.len() && is_in(guess) {
            return guess;
        }
        partition_point(guess.min(self.blocks.len())..self.blocks.len(), |block| self.before_block(block + 1) <= index)
    }

    /// Returns the poll that the `index`-th retained wake followed; `None` past the end.
    pub(super) fn poll_of(&self, index: usize) -> Option<u64> {
        let block = self.block_index_of(index);
        let within = index - self.before_block(block);
        match self.blocks.get(block) {
            Some(block) => Some(block.columns()?.poll.get(within)),
            None => Some(self.unsealed.get(within)?.poll),
        }
    }

    /// Returns the wakes of the block that holds the `index`-th retained wake, and the number of wakes before that
    /// block.
    pub(super) fn block_around(&self, index: usize) -> (usize, Vec<WakeRecord>) {
        let block = self.block_index_of(index);
        let wakes = self.blocks.get(block).map_or_else(|| self.unsealed.clone(), WakeBlock::wakes);
        (self.before_block(block), wakes)
    }

    /// Returns the unsealed wakes.
    pub fn unsealed(&self) -> &[WakeRecord] {
        &self.unsealed
    }

    /// Restores the unsealed wakes.
    pub fn set_unsealed(&mut self, mut wakes: Vec<WakeRecord>) {
        wakes.truncate(BLOCK_WAKES);
        wakes.retain(|wake| wake.wake_source.is_some());
        self.unsealed = wakes;
    }

    /// Appends the `from_newest`-th block, where the newest is 1.
    pub fn write_block(&self, from_newest: usize, bytes: &mut Vec<u8>) {
        let index = self.blocks.len().checked_sub(from_newest);
        if let Some(block) = index.and_then(|index| self.blocks.get(index)) {
            bytes.push(block.count);
            push_bytes(bytes, &block.bytes);
        }
    }

    /// Decodes a block and appends it; `None` where the bytes are malformed.
    pub fn read_block(&mut self, bytes: &mut &[u8]) -> Option<StorageDelta> {
        let (count, rest) = bytes.split_first()?;
        *bytes = rest;
        let block = WakeBlock { count: *count, wakes_before: self.sealed_count(), bytes: take_bytes(bytes)?.into() };
        let columns = block.columns()?;
        if block.len() > BLOCK_WAKES || (0..block.len()).any(|index| columns.wake(index).wake_source.is_none()) {
            return None;
        }
        let delta = StorageDelta { bytes: block.retained_bytes() as isize, has_sealed_block: true };
        self.blocks.push_back(block);
        Some(delta)
    }

    /// Returns the bytes of memory behind this struct.
    pub fn retained_bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(WakeBlock::retained_bytes).sum();
        blocks + self.unsealed.capacity() * size_of::<WakeRecord>()
    }

    /// Evicts the oldest block. Returns the freed bytes.
    pub fn evict_oldest_block(&mut self) -> Option<usize> {
        self.blocks.pop_front().map(|block| block.retained_bytes())
    }
}
