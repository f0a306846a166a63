//! Awaits: what was awaited, where, when, and by which task.
//!
//! Awaits are stored in order of creation. The newest are unpacked; once the oldest of these have ended, they are
//! packed as a block. An await that outlives its neighbours is packed as open and also stored apart until it ends.

mod await_ids;
mod block;
mod codec;
mod open_awaits;
mod outcome;

pub(super) use await_ids::AwaitIds;
pub(super) use block::{AwaitBlock, BLOCK_AWAITS};
pub(super) use codec::AwaitsTail;
pub(super) use open_awaits::OpenAwaits;
pub use outcome::AwaitOutcome;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::id::{AwaitId, ResourceId, SiteId, TaskId};
use super::storage::StorageDelta;
use super::time::NEVER;
use super::time::Nanos;

/// Number of unsealed awaits above which a block with open awaits is sealed, provided that fewer than a quarter of them
/// are open.
const UNSEALED_MAX: usize = 4_096;

/// Number of late ends (of awaits that were sealed as open) that are retained for the archive.
const LATE_ENDS_MAX: usize = 4_096;

/// One await: from the creation of an awaitable to its drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Await {
    /// The task that awaits.
    pub task: TaskId,
    /// Where it awaits.
    pub site: SiteId,
    /// Loop time at which the awaitable was created.
    pub start: Nanos,
    /// Loop time at which it was dropped; [`NEVER`] while it is open.
    end: Nanos,
    /// Number of polls of the awaitable itself.
    pub polls: u32,
    /// The number of the awaited resource, 0 for none, with [`READY_FLAG`] and [`UNCERTAIN_FLAG`] in its highest bits.
    /// Packed, because there are many awaits.
    marks: u32,
}

/// Flag: the last poll returned ready.
const READY_FLAG: u32 = 1 << 31;
/// Flag: some polls may be missing from the trace, so the await may have been ready.
const UNCERTAIN_FLAG: u32 = 1 << 30;
/// All flags.
const FLAGS_MASK: u32 = READY_FLAG | UNCERTAIN_FLAG;

impl Await {
    /// Returns the loop time at which the awaitable was dropped; `None` while it is open.
    pub fn end(&self) -> Option<Nanos> {
        (self.end != NEVER).then_some(self.end)
    }

    /// Returns the awaited resource, where it is known.
    pub fn resource(&self) -> Option<ResourceId> {
        ResourceId::from_number(self.marks & !FLAGS_MASK)
    }

    /// Returns the outcome so far.
    pub fn outcome(&self) -> AwaitOutcome {
        match self.end() {
            _ if self.marks & READY_FLAG != 0 => AwaitOutcome::Ready,
            None => AwaitOutcome::Pending,
            Some(_) if self.marks & UNCERTAIN_FLAG != 0 => AwaitOutcome::Unknown,
            Some(_) => AwaitOutcome::Cancelled,
        }
    }
}

/// All retained awaits of a trace. Eviction removes the oldest blocks.
#[derive(Clone, Debug, Default)]
pub struct Awaits {
    /// Number of evicted awaits: a multiple of [`BLOCK_AWAITS`].
    evicted: usize,
    /// Sealed blocks, the oldest first.
    blocks: VecDeque<AwaitBlock>,
    /// Unsealed awaits, the oldest first.
    unsealed: VecDeque<Await>,
    /// Open awaits that are already sealed.
    open_sealed: BTreeMap<AwaitId, Await>,
    /// Number of open awaits among the unsealed ones, and among the oldest [`BLOCK_AWAITS`] of them.
    unsealed_open_count: usize,
    front_open_count: usize,
    /// The newest late ends, and the number of all so far.
    late_ends: VecDeque<(AwaitId, Await)>,
    late_end_count: u64,
}

impl Awaits {
    /// Adds an await. Returns the change in the stored bytes of sealed blocks.
    pub(super) fn start(&mut self, id: AwaitId, task: TaskId, site: SiteId, at: Nanos) -> StorageDelta {
        debug_assert_eq!(id.index(), self.first_unsealed() + self.unsealed.len(), "await ids are dense and ascending");
        if self.unsealed.len() < BLOCK_AWAITS {
            self.front_open_count += 1;
        }
        self.unsealed_open_count += 1;
        self.unsealed.push_back(Await { task, site, start: at, end: NEVER, polls: 0, marks: 0 });
        let is_front_ended = self.front_open_count == 0 && self.unsealed.len() >= 2 * BLOCK_AWAITS;
        // Awaits that have ended need not stay unpacked because of a neighbour that has not.
        let is_mostly_ended = self.unsealed.len() > UNSEALED_MAX && self.unsealed.len() > 4 * self.unsealed_open_count;
        if is_front_ended || is_mostly_ended { self.seal() } else { StorageDelta::default() }
    }

    /// Returns the index of the first unsealed await.
    fn first_unsealed(&self) -> usize {
        self.evicted + self.blocks.len() * BLOCK_AWAITS
    }

    /// Packs the oldest [`BLOCK_AWAITS`] unsealed awaits. Returns the bytes of the block.
    #[cold]
    fn seal(&mut self) -> StorageDelta {
        let first = self.first_unsealed();
        let awaits = &mut [Await::PLACEHOLDER; BLOCK_AWAITS];
        for (index, (into, from)) in awaits.iter_mut().zip(self.unsealed.drain(..BLOCK_AWAITS)).enumerate() {
            *into = from;
            if from.end == NEVER {
                self.open_sealed.insert(AwaitId::from_index(first + index), from);
                self.unsealed_open_count -= 1;
            }
        }
        let block = AwaitBlock::pack(awaits);
        let delta = StorageDelta { bytes: block.retained_bytes() as isize, has_sealed_block: true };
        self.blocks.push_back(block);
        self.front_open_count = self.unsealed.iter().take(BLOCK_AWAITS).filter(|found| found.end == NEVER).count();
        delta
    }

    /// Adds `polls` polls. Returns the awaiting task, and whether these include the first poll.
    pub(super) fn record_polls(&mut self, id: AwaitId, polls: u32, is_ready: bool) -> Option<(TaskId, bool)> {
        let found = self.open_mut(id)?;
        let is_first = found.polls == 0 && polls > 0;
        found.polls = found.polls.saturating_add(polls);
        found.marks |= if is_ready { READY_FLAG } else { 0 };
        Some((found.task, is_first))
    }

    /// Sets the outcome of an await that has ended with an unknown one.
    pub(super) fn set_outcome(&mut self, id: AwaitId, is_ready: bool) {
        let Some(mut found) = self.get(id) else { return };
        found.marks = (found.marks & !FLAGS_MASK) | if is_ready { READY_FLAG } else { 0 };
        if let Some(unsealed) = self.open_mut(id) {
            *unsealed = found;
        } else {
            self.change_sealed(id, found);
        }
    }

    /// Sets the awaited resource.
    pub(super) fn set_resource(&mut self, id: AwaitId, resource: ResourceId) {
        if let Some(found) = self.open_mut(id) {
            found.marks = (found.marks & FLAGS_MASK) | (resource.number() & !FLAGS_MASK);
        }
    }

    /// Marks polls of the await as possibly missing.
    pub(super) fn mark_outcome_uncertain(&mut self, id: AwaitId) {
        if let Some(found) = self.open_mut(id) {
            found.marks |= UNCERTAIN_FLAG;
        }
    }

    /// Ends an await. Returns its task, and the change in the stored bytes of sealed blocks.
    pub(super) fn end(&mut self, id: AwaitId, at: Nanos) -> Option<(TaskId, StorageDelta)> {
        let Some(index) = id.index().checked_sub(self.first_unsealed()) else { return self.end_late(id, at) };
        let found = self.unsealed.get_mut(index)?;
        let was_open = found.end == NEVER;
        found.end = at.max(found.start).min(NEVER - 1);
        let task = found.task;
        if !was_open {
            return Some((task, StorageDelta::default()));
        }
        self.unsealed_open_count -= 1;
        if index >= BLOCK_AWAITS {
            return Some((task, StorageDelta::default()));
        }
        self.front_open_count -= 1;
        // The newest block stays unsealed: an await that has just ended often gets one more event.
        let is_front_ended = self.front_open_count == 0 && self.unsealed.len() >= 2 * BLOCK_AWAITS;
        Some((task, if is_front_ended { self.seal() } else { StorageDelta::default() }))
    }

    /// Ends an await that was sealed as open, and packs its block again. This is rare.
    #[cold]
    fn end_late(&mut self, id: AwaitId, at: Nanos) -> Option<(TaskId, StorageDelta)> {
        let mut found = self.open_sealed.remove(&id)?;
        found.end = at.max(found.start).min(NEVER - 1);
        self.change_sealed(id, found);
        Some((found.task, StorageDelta::default()))
    }

    /// Changes an await that was sealed, and retains the change for the archive.
    fn change_sealed(&mut self, id: AwaitId, found: Await) {
        if self.late_ends.len() == LATE_ENDS_MAX {
            self.late_ends.pop_front();
        }
        self.late_ends.push_back((id, found));
        self.late_end_count += 1;
        self.repack(id, found);
    }

    /// Packs the block of `id` again with a new value for that await.
    fn repack(&mut self, id: AwaitId, found: Await) {
        if let Some(index) = id.index().checked_sub(self.evicted)
            && let Some(block) = self.blocks.get_mut(index / BLOCK_AWAITS)
        {
            let mut awaits = block.unpack_all();
            awaits[index % BLOCK_AWAITS] = found;
            *block = AwaitBlock::pack(&awaits);
        }
    }

    /// Returns the site of an open await.
    pub(super) fn site_of_open(&self, id: AwaitId) -> Option<SiteId> {
        match id.index().checked_sub(self.first_unsealed()) {
            Some(index) => self.unsealed.get(index).map(|found| found.site),
            None => self.open_sealed.get(&id).map(|found| found.site),
        }
    }

    /// Returns one await; `None` where it has been evicted.
    pub fn get(&self, id: AwaitId) -> Option<Await> {
        let Some(index) = id.index().checked_sub(self.evicted) else { return self.open_sealed.get(&id).copied() };
        match self.blocks.get(index / BLOCK_AWAITS) {
            None => self.unsealed.get(index - self.blocks.len() * BLOCK_AWAITS).copied(),
            Some(block) => {
                let found = block.get(index % BLOCK_AWAITS)?;
                // The block of an open await has only its initial state.
                if found.end == NEVER { self.open_sealed.get(&id).copied().or(Some(found)) } else { Some(found) }
            }
        }
    }

    /// Returns the site of an await without reading the rest of it; `None` where the await has been evicted.
    pub fn site_of(&self, id: AwaitId) -> Option<SiteId> {
        let block = id.index().checked_sub(self.evicted).and_then(|index| self.blocks.get(index / BLOCK_AWAITS));
        match block {
            Some(block) => block.site((id.index() - self.evicted) % BLOCK_AWAITS),
            None => self.get(id).map(|found| found.site),
        }
    }

    /// Returns an await that is unsealed, or sealed as open.
    fn open_mut(&mut self, id: AwaitId) -> Option<&mut Await> {
        match id.index().checked_sub(self.first_unsealed()) {
            Some(index) => self.unsealed.get_mut(index),
            None => self.open_sealed.get_mut(&id),
        }
    }

    /// Iterates over the retained awaits with their ids, in order of creation.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (AwaitId, Await)> + '_ {
        let retained_from = AwaitId::from_index(self.evicted);
        let outlived = self.open_sealed.range(..retained_from).map(|(id, found)| (*id, *found));
        outlived.chain(self.sealed_iter(0)).chain(self.unsealed_iter(0))
    }

    /// Iterates over the sealed awaits, without the first `skipped` blocks.
    fn sealed_iter(&self, skipped: usize) -> impl DoubleEndedIterator<Item = (AwaitId, Await)> + '_ {
        self.blocks.iter().enumerate().skip(skipped).flat_map(move |(number, block)| {
            let first = self.evicted + number * BLOCK_AWAITS;
            block.unpack_all().into_iter().enumerate().map(move |(index, found)| {
                let id = AwaitId::from_index(first + index);
                let open = if found.end == NEVER { self.open_sealed.get(&id) } else { None };
                (id, open.copied().unwrap_or(found))
            })
        })
    }

    /// Iterates over the unsealed awaits, without the first `skipped`.
    fn unsealed_iter(&self, skipped: usize) -> impl DoubleEndedIterator<Item = (AwaitId, Await)> + '_ {
        let first = self.first_unsealed();
        let unsealed = self.unsealed.iter().enumerate().skip(skipped);
        unsealed.map(move |(index, found)| (AwaitId::from_index(first + index), *found))
    }

    /// Iterates over the retained awaits from the `index`-th await ever created.
    pub fn iter_from(&self, index: usize) -> impl Iterator<Item = (AwaitId, Await)> + '_ {
        let from = AwaitId::from_index(index);
        let retained_from = AwaitId::from_index(self.evicted.max(index));
        let outlived = self.open_sealed.range(from..retained_from).map(|(id, found)| (*id, *found));
        let sealed = self.sealed_iter(index.saturating_sub(self.evicted) / BLOCK_AWAITS);
        let unsealed = self.unsealed_iter(index.saturating_sub(self.first_unsealed()));
        outlived.chain(sealed.skip_while(move |(id, _)| *id < from)).chain(unsealed)
    }

    /// Returns the number of awaits created so far, including evicted ones: the index of the next one.
    pub fn created(&self) -> usize {
        self.first_unsealed() + self.unsealed.len()
    }

    /// Returns the number of retained awaits, without those retained only because they are open.
    pub fn len(&self) -> usize {
        self.blocks.len() * BLOCK_AWAITS + self.unsealed.len()
    }

    /// Whether [`Awaits::len`] is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the await has been evicted.
    pub(super) fn is_evicted(&self, id: AwaitId) -> bool {
        id.index() < self.evicted && !self.open_sealed.contains_key(&id)
    }

    /// Evicts the oldest block; its open awaits stay. Returns the freed bytes and the start of the last await of the
    /// block.
    pub(super) fn evict_oldest_block(&mut self) -> Option<(usize, Nanos)> {
        let block = self.blocks.pop_front()?;
        self.evicted += BLOCK_AWAITS;
        let last = block.get(BLOCK_AWAITS - 1).map_or(0, |last| last.start);
        Some((block.retained_bytes(), last))
    }

    /// Returns the bytes of memory of what is not sealed.
    pub(super) fn unsealed_bytes(&self) -> usize {
        self.unsealed.capacity() * size_of::<Await>()
            + self.open_sealed.len() * (size_of::<Await>() + size_of::<AwaitId>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awaits_round_trip_in_any_order_of_ends() {
        const COUNT: usize = 40_000;
        let (mut awaits, mut expected) = (Awaits::default(), vec![]);
        let mut sealed = 0;
        for index in 0..COUNT {
            let (id, task) = (AwaitId::from_index(index), TaskId::from_index(index % 100));
            sealed +=
                usize::from(awaits.start(id, task, SiteId::from_index(index % 3), index as u64 * 7).has_sealed_block);
            expected.push(Await {
                task,
                site: SiteId::from_index(index % 3),
                start: index as u64 * 7,
                end: NEVER,
                polls: 0,
                marks: 0,
            });
            if index % 5 == 0 {
                awaits.set_resource(id, ResourceId::from_index(index % 9));
                expected[index].marks |= ResourceId::from_index(index % 9).number();
            }
            let back = if index % 1_000 == 0 { 20_000 } else { 50 };
            for ended in [index.checked_sub(50), index.checked_sub(20_000).filter(|ended| ended % 1_000 == 0)] {
                let Some(ended) = ended.filter(|ended| back == 20_000 || ended % 1_000 != 0) else { continue };
                let id = AwaitId::from_index(ended);
                awaits.record_polls(id, 1, ended % 2 == 0);
                sealed +=
                    usize::from(awaits.end(id, index as u64 * 7).is_some_and(|(_, delta)| delta.has_sealed_block));
                let found = &mut expected[ended];
                (found.polls, found.end) = (found.polls + 1, index as u64 * 7);
                found.marks |= if ended % 2 == 0 { READY_FLAG } else { 0 };
            }
        }
        assert!(sealed > COUNT / BLOCK_AWAITS / 2 && sealed == awaits.blocks.len(), "{sealed} blocks");
        let open: Vec<usize> = (0..COUNT).filter(|index| expected[*index].end == NEVER).collect();
        assert!(!awaits.open_sealed.is_empty() && open.len() > awaits.open_sealed.len(), "some sealed awaits are open");
        for (index, expected) in expected.iter().enumerate() {
            let id = AwaitId::from_index(index);
            assert_eq!(awaits.get(id).as_ref(), Some(expected), "{index}");
            assert_eq!(awaits.site_of(id), Some(expected.site), "{index}");
        }
        let listed: Vec<Await> = awaits.iter().map(|(_, found)| found).collect();
        assert_eq!(listed, expected);
        assert_eq!(awaits.iter().rev().count(), COUNT);
        for _ in 0..400 {
            awaits.evict_oldest_block();
        }
        let retained = COUNT - 400 * BLOCK_AWAITS;
        assert_eq!((awaits.len(), awaits.get(AwaitId::from_index(1))), (retained, None));
        let first = AwaitId::from_index(open[0]);
        assert_eq!(awaits.get(first), Some(expected[open[0]]), "open awaits outlive their block");
        assert_eq!(awaits.site_of(first), Some(expected[open[0]].site));
        assert!(
            awaits.end(first, 1 << 40).is_some() && awaits.get(first).is_none(),
            "an await that ends after its block was evicted is evicted too"
        );
    }
}
