//! Encodes and decodes awaits: sealed blocks one by one, late ends, and the unsealed tail.

use serde::{Deserialize, Serialize};

use super::super::id::AwaitId;
use super::super::pack::{push_bytes, push_varint, take_bytes, take_varint};
use super::super::storage::StorageDelta;
use super::super::time::NEVER;
use super::{Await, AwaitBlock, Awaits, BLOCK_AWAITS};

/// The state that is not in sealed blocks, and the awaits that blocks have as open.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::trace) struct AwaitsTail {
    /// Index of the first unsealed await.
    first_unsealed: usize,
    unsealed: Vec<Await>,
    /// Open awaits that are sealed.
    open_sealed: Vec<(AwaitId, Await)>,
}

impl Awaits {
    /// Appends the number and the bytes of the `from_newest`-th block, where the newest is 1.
    pub(in crate::trace) fn write_block(&self, from_newest: usize, bytes: &mut Vec<u8>) {
        let Some(index) = self.blocks.len().checked_sub(from_newest) else { return };
        if let Some(block) = self.blocks.get(index) {
            push_varint(bytes, (self.evicted / BLOCK_AWAITS + index) as u64);
            push_bytes(bytes, block.bytes());
        }
    }

    /// Decodes a block and appends it; `None` where the bytes are malformed. Where blocks before it are missing, evicts
    /// those before the hole.
    pub(in crate::trace) fn read_block(&mut self, bytes: &mut &[u8]) -> Option<StorageDelta> {
        let number = usize::try_from(take_varint(bytes)?).ok().filter(|number| *number < BLOCKS_MAX)?;
        let (block, has_open) = AwaitBlock::from_bytes(take_bytes(bytes)?)?;
        let next = self.first_unsealed() / BLOCK_AWAITS;
        if number < next {
            return None;
        }
        let mut delta = StorageDelta { bytes: block.retained_bytes() as isize, has_sealed_block: true };
        if number > next {
            delta.bytes -= self.blocks.drain(..).map(|block| block.retained_bytes() as isize).sum::<isize>();
            self.evicted = number * BLOCK_AWAITS;
        }
        if has_open {
            let open = block.unpack_all().into_iter().enumerate().filter(|(_, found)| found.end == NEVER);
            let id = |index| AwaitId::from_index(number * BLOCK_AWAITS + index);
            self.open_sealed.extend(open.map(|(index, found)| (id(index), found)));
        }
        self.blocks.push_back(block);
        Some(delta)
    }

    /// Iterates over the late ends from the `count`-th on.
    pub(in crate::trace) fn late_ends_since(&self, count: u64) -> impl Iterator<Item = (AwaitId, Await)> + '_ {
        let first = self.late_end_count - self.late_ends.len() as u64;
        self.late_ends.iter().skip(count.saturating_sub(first) as usize).copied()
    }

    /// Returns the number of late ends so far.
    pub(in crate::trace) fn late_end_count(&self) -> u64 {
        self.late_end_count
    }

    /// Applies a late end: replaces an await that was sealed as open.
    pub(in crate::trace) fn apply_late_end(&mut self, id: AwaitId, found: Await) {
        if self.open_sealed.remove(&id).is_some() {
            self.repack(id, found);
        }
    }

    /// Returns the state that is not in sealed blocks.
    pub(in crate::trace) fn tail(&self) -> AwaitsTail {
        AwaitsTail {
            first_unsealed: self.first_unsealed(),
            unsealed: self.unsealed.iter().copied().collect(),
            open_sealed: self.open_sealed.iter().map(|(id, found)| (*id, *found)).collect(),
        }
    }

    /// Restores the unsealed state and returns the bytes that this frees; `None` where it does not follow the blocks.
    /// Where blocks in between are missing, evicts those before the hole.
    pub(in crate::trace) fn restore_tail(&mut self, tail: AwaitsTail) -> Option<usize> {
        let (first, mut freed_bytes) = (tail.first_unsealed, 0);
        let is_block_start = first.is_multiple_of(BLOCK_AWAITS) && first < BLOCKS_MAX * BLOCK_AWAITS;
        if first < self.first_unsealed() || !is_block_start || tail.unsealed.len() >= BLOCKS_MAX {
            return None;
        }
        if first > self.first_unsealed() {
            freed_bytes = self.blocks.drain(..).map(|block| block.retained_bytes()).sum();
            self.evicted = first;
        }
        self.unsealed = tail.unsealed.into();
        let is_open = |found: &&Await| found.end == NEVER;
        self.unsealed_open_count = self.unsealed.iter().filter(is_open).count();
        self.front_open_count = self.unsealed.iter().take(BLOCK_AWAITS).filter(is_open).count();
        self.open_sealed = tail.open_sealed.into_iter().filter(|(id, _)| id.index() < first).collect();
        for found in self.unsealed.iter_mut().chain(self.open_sealed.values_mut()) {
            found.end = found.end.max(found.start);
        }
        Some(freed_bytes)
    }
}

/// Number of blocks at which await ids run out.
const BLOCKS_MAX: usize = u32::MAX as usize / BLOCK_AWAITS / 2;
