//! The awaits of one task, in order of their creation: their ids, packed but for the newest.

use std::collections::VecDeque;

use super::super::ALLOCATION_BYTES;
use super::super::event::Nanos;
use super::super::id::AwaitId;
use super::super::lane::Filed;
use super::super::pack::{Column, first_not, push_bytes, push_column, take_bytes};
use super::Awaits;

/// Ids in a block.
const BLOCK_IDS: usize = 64;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(in crate::trace) struct AwaitIds {
    open: Vec<AwaitId>,
    packed: Option<Box<Packed>>,
}

#[derive(Clone, Debug, Default)]
struct Packed {
    /// Of blocks that are forgotten: those that are still open, or were when that was looked at last.
    old: Vec<AwaitId>,
    /// With how many of them they are looked at again.
    swept_at: usize,
    blocks: VecDeque<Block>,
}

#[derive(Clone, Debug)]
struct Block {
    bytes: Box<[u8]>,
}

impl Block {
    fn pack(ids: &[AwaitId]) -> Self {
        let mut column = [0; BLOCK_IDS];
        column.iter_mut().zip(ids).for_each(|(into, id)| *into = id.number().into());
        let mut bytes = Vec::with_capacity(BLOCK_IDS * 4);
        push_column(&mut bytes, &column);
        Self { bytes: bytes.into() }
    }

    fn column(&self) -> Column<'_> {
        Column::take(&mut &*self.bytes, BLOCK_IDS).unwrap_or_default()
    }

    fn get(&self, index: usize) -> Option<AwaitId> {
        AwaitId::from_number(u32::try_from(self.column().get(index)).ok()?)
    }

    fn ids(&self) -> impl DoubleEndedIterator<Item = AwaitId> + '_ {
        let column = self.column();
        (0..BLOCK_IDS).filter_map(move |index| AwaitId::from_number(u32::try_from(column.get(index)).ok()?))
    }

    /// How many of its ids, from the first on, are `before` something.
    fn count_while(&self, before: impl Fn(AwaitId) -> bool) -> usize {
        first_not(0..BLOCK_IDS, |index| self.get(index).is_none_or(&before))
    }

    fn kept_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + ALLOCATION_BYTES
    }
}

impl AwaitIds {
    pub fn push(&mut self, id: AwaitId) -> Filed {
        let mut filed = Filed::default();
        if self.open.len() == BLOCK_IDS {
            let block = Block::pack(&self.open);
            filed.bytes += block.kept_bytes() as isize;
            filed.is_sealed = true;
            self.packed.get_or_insert_default().blocks.push_back(block);
            self.open.clear();
        }
        filed.make_room(&mut self.open, BLOCK_IDS);
        self.open.push(id);
        filed
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = AwaitId> + '_ {
        let packed = self.packed.as_deref();
        let old = packed.into_iter().flat_map(|packed| packed.old.iter().copied());
        let blocks = packed.into_iter().flat_map(|packed| packed.blocks.iter().flat_map(Block::ids));
        old.chain(blocks).chain(self.open.iter().copied())
    }

    /// The awaits that began at or before `at`, the newest first.
    pub fn until<'a>(&'a self, at: Nanos, awaits: &Awaits) -> impl Iterator<Item = AwaitId> + 'a {
        let started = |id: AwaitId| awaits.get(id).is_none_or(|found| found.start <= at);
        let open = &self.open[..self.open.partition_point(|id| started(*id))];
        let packed = self.packed.as_deref();
        let (mut blocks, mut later) = (packed.map_or(0, |packed| packed.blocks.len()), 0);
        if let Some(packed) = packed.filter(|_| open.is_empty()) {
            blocks = packed.blocks.partition_point(|block| block.get(0).is_none_or(started));
            let last = blocks.checked_sub(1).and_then(|last| packed.blocks.get(last));
            later = last.map_or(0, |block| BLOCK_IDS - block.count_while(started));
        }
        let packed = packed.into_iter().flat_map(move |packed| {
            let blocks = packed.blocks.range(..blocks).rev().flat_map(|block| block.ids().rev());
            blocks.skip(later).chain(packed.old.iter().rev().copied())
        });
        open.iter().rev().copied().chain(packed)
    }

    /// Those that no block has.
    pub fn unpacked(&self) -> &[AwaitId] {
        &self.open
    }

    /// Of blocks that are forgotten, those that were open.
    pub fn outlived(&self) -> &[AwaitId] {
        self.packed.as_ref().map_or(&[], |packed| &packed.old)
    }

    pub fn set_unpacked(&mut self, open: &[AwaitId], old: Vec<AwaitId>) {
        self.open = open.iter().take(BLOCK_IDS).copied().collect();
        // What was forgotten where it was recorded is in a block here.
        if self.packed.as_ref().is_none_or(|packed| packed.blocks.is_empty()) && !old.is_empty() {
            self.packed.get_or_insert_default().old = old;
        }
    }

    /// Writes the block that is so many from the newest, which is 1.
    pub fn write_block(&self, from_newest: usize, bytes: &mut Vec<u8>) {
        let blocks = self.packed.as_ref().map(|packed| &packed.blocks);
        let block = blocks.and_then(|blocks| blocks.get(blocks.len().checked_sub(from_newest)?));
        push_bytes(bytes, block.map_or(&[], |block| &block.bytes));
    }

    /// Reads the block that follows; `None` where it is none.
    pub fn read_block(&mut self, bytes: &mut &[u8]) -> Option<Filed> {
        let block = Block { bytes: take_bytes(bytes)?.into() };
        Column::take(&mut &*block.bytes, BLOCK_IDS)?;
        let filed = Filed { bytes: block.kept_bytes() as isize, is_sealed: true };
        self.packed.get_or_insert_default().blocks.push_back(block);
        Some(filed)
    }

    /// Bytes that they take, but for those that outlived their block.
    pub fn kept_bytes(&self) -> usize {
        let blocks = self.packed.as_ref().map_or(0, |packed| packed.blocks.iter().map(Block::kept_bytes).sum());
        blocks + self.open.capacity() * size_of::<AwaitId>()
    }

    /// Forgets the oldest block, but for what is open. Returns the bytes that this frees.
    pub fn drop_oldest(&mut self, awaits: &Awaits) -> Option<usize> {
        let packed = self.packed.as_mut()?;
        let block = packed.blocks.pop_front()?;
        // Those that are over by now are looked for each time that there may be twice as many as were open.
        if packed.old.len() >= packed.swept_at {
            packed.old.retain(|id| !awaits.is_dropped(*id));
            packed.swept_at = (packed.old.len() * 2).max(BLOCK_IDS);
        }
        packed.old.extend(block.ids().filter(|id| awaits.get(*id).is_some_and(|found| found.end().is_none())));
        Some(block.kept_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::id::{SiteId, TaskId};
    use super::*;

    #[test]
    fn the_awaits_of_a_task_are_listed_and_found_by_time() {
        let (mut awaits, mut list) = (Awaits::default(), AwaitIds::default());
        let (mut mine, mut sealed) = (vec![], 0);
        for index in 0..1_000 {
            let id = AwaitId::from_index(index);
            awaits.start(id, TaskId::ONE, SiteId::ONE, index as u64 / 2);
            if index % 3 == 0 {
                sealed += usize::from(list.push(id).is_sealed);
                mine.push(id);
            }
        }
        assert_eq!((sealed, list.iter().collect::<Vec<_>>()), (5, mine.clone()));
        for at in 0..510 {
            let began = |id: &&AwaitId| id.index() as u64 / 2 <= at;
            let told: Vec<AwaitId> = mine.iter().rev().filter(began).take(70).copied().collect();
            assert_eq!(list.until(at, &awaits).take(70).collect::<Vec<_>>(), told, "at {at}");
        }
        assert!(list.drop_oldest(&awaits).is_some(), "all are open");
        assert_eq!(list.iter().collect::<Vec<_>>(), mine, "and therefore kept");
    }
}
