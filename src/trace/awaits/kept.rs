//! Awaits as bytes: sealed blocks one by one, those that ended after that, and the rest.

use serde::{Deserialize, Serialize};

use super::super::id::AwaitId;
use super::super::lane::Filed;
use super::super::pack::{push_bytes, push_number, take_bytes, take_number};
use super::{Await, Awaits, BLOCK_AWAITS, Block, NEVER};

/// What no block has, and what a block has as open.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::trace) struct AwaitsRest {
    first_plain: usize,
    plain: Vec<Await>,
    open: Vec<(AwaitId, Await)>,
}

impl Awaits {
    /// Writes the block that is so many from the newest, which is 1, with its number.
    pub(in crate::trace) fn write_block(&self, from_newest: usize, bytes: &mut Vec<u8>) {
        let Some(index) = self.blocks.len().checked_sub(from_newest) else { return };
        if let Some(block) = self.blocks.get(index) {
            push_number(bytes, (self.dropped / BLOCK_AWAITS + index) as u64);
            push_bytes(bytes, block.bytes());
        }
    }

    /// Reads the block that follows; `None` where it is none. Where some before it are missing, what came before those is
    /// forgotten.
    pub(in crate::trace) fn read_block(&mut self, bytes: &mut &[u8]) -> Option<Filed> {
        let number = usize::try_from(take_number(bytes)?).ok().filter(|number| *number < NUMBERS_MAX)?;
        let (block, has_open) = Block::from_bytes(take_bytes(bytes)?)?;
        let next = self.first_plain() / BLOCK_AWAITS;
        if number < next {
            return None;
        }
        let mut filed = Filed { bytes: block.kept_bytes() as isize, is_sealed: true };
        if number > next {
            filed.bytes -= self.blocks.drain(..).map(|block| block.kept_bytes() as isize).sum::<isize>();
            self.dropped = number * BLOCK_AWAITS;
        }
        if has_open {
            let open = block.all().into_iter().enumerate().filter(|(_, found)| found.end == NEVER);
            let id = |index| AwaitId::from_index(number * BLOCK_AWAITS + index);
            self.open.extend(open.map(|(index, found)| (id(index), found)));
        }
        self.blocks.push_back(block);
        Some(filed)
    }

    /// Those that ended after they were packed, from the `count`-th on.
    pub(in crate::trace) fn ended_late_since(&self, count: u64) -> impl Iterator<Item = (AwaitId, Await)> + '_ {
        let first = self.late_count - self.late.len() as u64;
        self.late.iter().skip(count.saturating_sub(first) as usize).copied()
    }

    pub(in crate::trace) fn ended_late_count(&self) -> u64 {
        self.late_count
    }

    /// One that was packed as open is as told.
    pub(in crate::trace) fn amend(&mut self, id: AwaitId, found: Await) {
        if self.open.remove(&id).is_some() {
            self.repack(id, found);
        }
    }

    pub(in crate::trace) fn rest(&self) -> AwaitsRest {
        AwaitsRest {
            first_plain: self.first_plain(),
            plain: self.plain.iter().copied().collect(),
            open: self.open.iter().map(|(id, found)| (*id, *found)).collect(),
        }
    }

    /// Takes what no block has, and gives the bytes that this frees; `None` where it does not follow what blocks have. Where
    /// some in between are missing, what came before those is forgotten.
    pub(in crate::trace) fn set_rest(&mut self, rest: AwaitsRest) -> Option<usize> {
        let (first, mut freed_bytes) = (rest.first_plain, 0);
        let is_number = first.is_multiple_of(BLOCK_AWAITS) && first < NUMBERS_MAX * BLOCK_AWAITS;
        if first < self.first_plain() || !is_number || rest.plain.len() >= NUMBERS_MAX {
            return None;
        }
        if first > self.first_plain() {
            freed_bytes = self.blocks.drain(..).map(|block| block.kept_bytes()).sum();
            self.dropped = first;
        }
        self.plain = rest.plain.into();
        let is_open = |found: &&Await| found.end == NEVER;
        self.plain_open = self.plain.iter().filter(is_open).count();
        self.front_open = self.plain.iter().take(BLOCK_AWAITS).filter(is_open).count();
        self.open = rest.open.into_iter().filter(|(id, _)| id.index() < first).collect();
        for found in self.plain.iter_mut().chain(self.open.values_mut()) {
            found.end = found.end.max(found.start);
        }
        Some(freed_bytes)
    }
}

/// Blocks that there can be before ids run out.
const NUMBERS_MAX: usize = u32::MAX as usize / BLOCK_AWAITS / 2;
