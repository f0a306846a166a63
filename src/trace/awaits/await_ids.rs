//! The ids of one task's awaits in order of creation, sealed except for the newest.

use std::collections::VecDeque;

use super::super::id::AwaitId;
use super::super::pack::{PackedColumn, partition_point, push_bytes, push_column, take_bytes};
use super::super::storage::ALLOCATION_BYTES;
use super::super::storage::StorageDelta;
use super::super::time::Nanos;
use super::Awaits;

/// Number of ids in a block.
const BLOCK_IDS: usize = 64;

/// The ids of one task's awaits, in order of creation.
#[derive(Clone, Debug, Default)]
pub(in crate::trace) struct AwaitIds {
    /// The newest ids, in no block yet.
    unsealed: Vec<AwaitId>,
    /// Absent until a block has been sealed.
    sealed: Option<Box<SealedIds>>,
}

/// The sealed ids of a task.
#[derive(Clone, Debug, Default)]
struct SealedIds {
    /// Ids from evicted blocks whose awaits were open when last checked.
    outlived: Vec<AwaitId>,
    /// Number of such ids at which they are checked again.
    sweep_len: usize,
    /// Blocks of [`BLOCK_IDS`] ids, the oldest first.
    blocks: VecDeque<AwaitIdBlock>,
}

/// A sealed block of [`BLOCK_IDS`] ids.
#[derive(Clone, Debug)]
struct AwaitIdBlock {
    /// One sealed column.
    bytes: Box<[u8]>,
}

impl AwaitIdBlock {
    /// Packs a full block.
    fn pack(ids: &[AwaitId]) -> Self {
        let mut column = [0; BLOCK_IDS];
        column.iter_mut().zip(ids).for_each(|(into, id)| *into = id.number().into());
        let mut bytes = Vec::with_capacity(BLOCK_IDS * 4);
        push_column(&mut bytes, &column);
        Self { bytes: bytes.into() }
    }

    /// Returns the ids as a column.
    fn column(&self) -> PackedColumn<'_> {
        PackedColumn::take(&mut &*self.bytes, BLOCK_IDS).unwrap_or_default()
    }

    /// Returns the id at `index`.
    fn get(&self, index: usize) -> Option<AwaitId> {
        AwaitId::from_number(u32::try_from(self.column().get(index)).ok()?)
    }

    /// Iterates over the ids.
    fn ids(&self) -> impl DoubleEndedIterator<Item = AwaitId> + '_ {
        let column = self.column();
        (0..BLOCK_IDS).filter_map(move |index| AwaitId::from_number(u32::try_from(column.get(index)).ok()?))
    }

    /// Returns the length of the prefix of ids that satisfy `before`.
    fn count_while(&self, before: impl Fn(AwaitId) -> bool) -> usize {
        partition_point(0..BLOCK_IDS, |index| self.get(index).is_none_or(&before))
    }

    /// Returns the bytes of memory, allocator overhead included.
    fn retained_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + ALLOCATION_BYTES
    }
}

impl AwaitIds {
    /// Appends an id. Seals a block when the unsealed ids fill one.
    pub fn push(&mut self, id: AwaitId) -> StorageDelta {
        let mut delta = StorageDelta::default();
        if self.unsealed.len() == BLOCK_IDS {
            let block = AwaitIdBlock::pack(&self.unsealed);
            delta.bytes += block.retained_bytes() as isize;
            delta.has_sealed_block = true;
            self.sealed.get_or_insert_default().blocks.push_back(block);
            self.unsealed.clear();
        }
        delta.reserve_one(&mut self.unsealed, BLOCK_IDS);
        self.unsealed.push(id);
        delta
    }

    /// Iterates over the retained ids, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = AwaitId> + '_ {
        let sealed = self.sealed.as_deref();
        let outlived = sealed.into_iter().flat_map(|sealed| sealed.outlived.iter().copied());
        let blocks = sealed.into_iter().flat_map(|sealed| sealed.blocks.iter().flat_map(AwaitIdBlock::ids));
        outlived.chain(blocks).chain(self.unsealed.iter().copied())
    }

    /// Iterates over the awaits that began at or before `at`, the newest first.
    pub fn iter_until<'a>(&'a self, at: Nanos, awaits: &Awaits) -> impl Iterator<Item = AwaitId> + 'a {
        let started = |id: AwaitId| awaits.get(id).is_none_or(|found| found.start <= at);
        let unsealed = &self.unsealed[..self.unsealed.partition_point(|id| started(*id))];
        let sealed = self.sealed.as_deref();
        let (mut blocks, mut skipped) = (sealed.map_or(0, |sealed| sealed.blocks.len()), 0);
        if let Some(sealed) = sealed.filter(|_| unsealed.is_empty()) {
            blocks = sealed.blocks.partition_point(|block| block.get(0).is_none_or(started));
            let last = blocks.checked_sub(1).and_then(|last| sealed.blocks.get(last));
            skipped = last.map_or(0, |block| BLOCK_IDS - block.count_while(started));
        }
        let sealed = sealed.into_iter().flat_map(move |sealed| {
            let blocks = sealed.blocks.range(..blocks).rev().flat_map(|block| block.ids().rev());
            blocks.skip(skipped).chain(sealed.outlived.iter().rev().copied())
        });
        unsealed.iter().rev().copied().chain(sealed)
    }

    /// Returns the unsealed ids.
    pub fn unsealed(&self) -> &[AwaitId] {
        &self.unsealed
    }

    /// Returns the ids from evicted blocks whose awaits were open when last checked.
    pub fn outlived(&self) -> &[AwaitId] {
        self.sealed.as_ref().map_or(&[], |sealed| &sealed.outlived)
    }

    /// Restores the unsealed ids and those that outlived their blocks.
    pub fn set_unsealed(&mut self, unsealed: &[AwaitId], outlived: Vec<AwaitId>) {
        self.unsealed = unsealed.iter().take(BLOCK_IDS).copied().collect();
        // Ids that were evicted while recording may be in a block of this file.
        if self.sealed.as_ref().is_none_or(|sealed| sealed.blocks.is_empty()) && !outlived.is_empty() {
            self.sealed.get_or_insert_default().outlived = outlived;
        }
    }

    /// Appends the `from_newest`-th block, where the newest is 1.
    pub fn write_block(&self, from_newest: usize, bytes: &mut Vec<u8>) {
        let blocks = self.sealed.as_ref().map(|sealed| &sealed.blocks);
        let block = blocks.and_then(|blocks| blocks.get(blocks.len().checked_sub(from_newest)?));
        push_bytes(bytes, block.map_or(&[], |block| &block.bytes));
    }

    /// Decodes a block and appends it; `None` where the bytes are malformed.
    pub fn read_block(&mut self, bytes: &mut &[u8]) -> Option<StorageDelta> {
        let block = AwaitIdBlock { bytes: take_bytes(bytes)?.into() };
        PackedColumn::take(&mut &*block.bytes, BLOCK_IDS)?;
        let delta = StorageDelta { bytes: block.retained_bytes() as isize, has_sealed_block: true };
        self.sealed.get_or_insert_default().blocks.push_back(block);
        Some(delta)
    }

    /// Returns the bytes of memory behind this struct, without the ids that outlived their blocks.
    pub fn retained_bytes(&self) -> usize {
        let blocks =
            self.sealed.as_ref().map_or(0, |sealed| sealed.blocks.iter().map(AwaitIdBlock::retained_bytes).sum());
        blocks + self.unsealed.capacity() * size_of::<AwaitId>()
    }

    /// Evicts the oldest block; ids of open awaits stay. Returns the freed bytes.
    pub fn evict_oldest_block(&mut self, awaits: &Awaits) -> Option<usize> {
        let sealed = self.sealed.as_mut()?;
        let block = sealed.blocks.pop_front()?;
        // Checks which awaits have ended each time that the number of ids has doubled.
        if sealed.outlived.len() >= sealed.sweep_len {
            sealed.outlived.retain(|id| !awaits.is_evicted(*id));
            sealed.sweep_len = (sealed.outlived.len() * 2).max(BLOCK_IDS);
        }
        sealed.outlived.extend(block.ids().filter(|id| awaits.get(*id).is_some_and(|found| found.end().is_none())));
        Some(block.retained_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::id::{SiteId, TaskId};
    use super::*;

    #[test]
    fn ids_are_listed_and_found_by_time() {
        let (mut awaits, mut list) = (Awaits::default(), AwaitIds::default());
        let (mut task_ids, mut sealed) = (vec![], 0);
        for index in 0..1_000 {
            let id = AwaitId::from_index(index);
            awaits.start(id, TaskId::FIRST, SiteId::FIRST, index as u64 / 2);
            if index % 3 == 0 {
                sealed += usize::from(list.push(id).has_sealed_block);
                task_ids.push(id);
            }
        }
        assert_eq!((sealed, list.iter().collect::<Vec<_>>()), (5, task_ids.clone()));
        for at in 0..510 {
            let began = |id: &&AwaitId| id.index() as u64 / 2 <= at;
            let expected: Vec<AwaitId> = task_ids.iter().rev().filter(began).take(70).copied().collect();
            assert_eq!(list.iter_until(at, &awaits).take(70).collect::<Vec<_>>(), expected, "at {at}");
        }
        assert!(list.evict_oldest_block(&awaits).is_some(), "there is a block");
        assert_eq!(list.iter().collect::<Vec<_>>(), task_ids, "ids of open awaits outlive their block");
    }
}
