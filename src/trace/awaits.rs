//! Awaits: what was awaited, where, from when to when, by which task.
//!
//! They are kept in order of creation. The newest are plain; once the oldest of these are over, a block of them is packed.
//! One that outlives its neighbours by far is packed with them as open and kept apart until it ends too.

mod block;
mod kept;
mod list;
mod open;

pub(super) use block::{BLOCK_AWAITS, Block};
pub(super) use kept::AwaitsRest;
pub(super) use list::AwaitIds;
pub(super) use open::OpenAwaits;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::event::Nanos;
use super::id::{AwaitId, ResourceId, SiteId, TaskId};
use super::lane::NEVER;

/// Plain awaits that are kept at most, however few are open; with many open it is four times as many as these.
const PLAIN_MAX: usize = 4_096;

/// Awaits that ended after they were packed and are still told of as such.
const LATE_MAX: usize = 4_096;

/// One await.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Await {
    pub task: TaskId,
    pub site: SiteId,
    pub start: Nanos,
    end: Nanos,
    /// Times the awaitable itself was polled.
    pub polls: u32,
    /// The number of the resource that it is for, 0 for none; [`READY`] where it was ready at its last poll, [`UNTOLD`]
    /// where that may have been missed. Together, for there are many awaits.
    marks: u32,
}

const READY: u32 = 1 << 31;
const UNTOLD: u32 = 1 << 30;
const FLAGS: u32 = READY | UNTOLD;

/// How an await came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ready,
    /// Dropped before it was ready.
    Cancelled,
    /// Dropped, and nobody told whether it had been ready.
    Unknown,
    Pending,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
            Self::Pending => "pending",
        }
    }
}

impl Await {
    pub fn end(&self) -> Option<Nanos> {
        (self.end != NEVER).then_some(self.end)
    }

    /// What it is for, where that is known by identity.
    pub fn resource(&self) -> Option<ResourceId> {
        ResourceId::from_number(self.marks & !FLAGS)
    }

    pub fn outcome(&self) -> Outcome {
        match self.end() {
            _ if self.marks & READY != 0 => Outcome::Ready,
            None => Outcome::Pending,
            Some(_) if self.marks & UNTOLD != 0 => Outcome::Unknown,
            Some(_) => Outcome::Cancelled,
        }
    }
}

/// All awaits that are kept; the oldest go first when memory runs short.
#[derive(Clone, Debug, Default)]
pub struct Awaits {
    /// Awaits that are forgotten: a multiple of [`BLOCK_AWAITS`].
    dropped: usize,
    blocks: VecDeque<Block>,
    plain: VecDeque<Await>,
    /// Open ones that are older than what is plain: a person still looks at these.
    open: BTreeMap<AwaitId, Await>,
    /// Of those that are plain, how many are open in all, and in the oldest block of them.
    plain_open: usize,
    front_open: usize,
    /// The newest of those that ended after they were packed, and how many there ever were.
    late: VecDeque<(AwaitId, Await)>,
    late_count: u64,
}

impl Awaits {
    /// Tells whether that sealed a block, and of how many bytes.
    pub(super) fn start(&mut self, id: AwaitId, task: TaskId, site: SiteId, at: Nanos) -> Option<usize> {
        debug_assert_eq!(id.index(), self.first_plain() + self.plain.len(), "await ids are given in order at the door");
        if self.plain.len() < BLOCK_AWAITS {
            self.front_open += 1;
        }
        self.plain_open += 1;
        self.plain.push_back(Await { task, site, start: at, end: NEVER, polls: 0, marks: 0 });
        let is_over = self.front_open == 0 && self.plain.len() >= 2 * BLOCK_AWAITS;
        // What is over need not wait for a neighbour that is not.
        let is_crowded = self.plain.len() > PLAIN_MAX && self.plain.len() > 4 * self.plain_open;
        (is_over || is_crowded).then(|| self.seal())
    }

    /// The number, from 0, of the first one that is plain.
    fn first_plain(&self) -> usize {
        self.dropped + self.blocks.len() * BLOCK_AWAITS
    }

    /// Packs the oldest block of what is plain, and returns its bytes.
    #[cold]
    fn seal(&mut self) -> usize {
        let first = self.first_plain();
        let awaits = &mut [Await::NONE; BLOCK_AWAITS];
        for (index, (into, from)) in awaits.iter_mut().zip(self.plain.drain(..BLOCK_AWAITS)).enumerate() {
            *into = from;
            if from.end == NEVER {
                self.open.insert(AwaitId::from_index(first + index), from);
                self.plain_open -= 1;
            }
        }
        let block = Block::pack(awaits);
        let bytes = block.kept_bytes();
        self.blocks.push_back(block);
        self.front_open = self.plain.iter().take(BLOCK_AWAITS).filter(|found| found.end == NEVER).count();
        bytes
    }

    /// Counts so many polls more, and tells whose await it was if the first was among them.
    pub(super) fn polled(&mut self, id: AwaitId, polls: u32, ready: bool) -> Option<TaskId> {
        let found = self.open_mut(id)?;
        let is_first = found.polls == 0 && polls > 0;
        found.polls = found.polls.saturating_add(polls);
        found.marks |= if ready { READY } else { 0 };
        is_first.then_some(found.task)
    }

    pub(super) fn is_for(&mut self, id: AwaitId, resource: ResourceId) {
        if let Some(found) = self.open_mut(id) {
            found.marks = (found.marks & FLAGS) | (resource.number() & !FLAGS);
        }
    }

    pub(super) fn is_untold(&mut self, id: AwaitId) {
        if let Some(found) = self.open_mut(id) {
            found.marks |= UNTOLD;
        }
    }

    /// Tells whose await it was, and the bytes of a block that was sealed for it.
    pub(super) fn end(&mut self, id: AwaitId, at: Nanos) -> Option<(TaskId, Option<usize>)> {
        let Some(index) = id.index().checked_sub(self.first_plain()) else { return self.end_late(id, at) };
        let found = self.plain.get_mut(index)?;
        let was_open = found.end == NEVER;
        found.end = at.max(found.start).min(NEVER - 1);
        let task = found.task;
        if !was_open {
            return Some((task, None));
        }
        self.plain_open -= 1;
        if index >= BLOCK_AWAITS {
            return Some((task, None));
        }
        self.front_open -= 1;
        // One block of the newest stays plain: what has just ended is often told of once more.
        let is_over = self.front_open == 0 && self.plain.len() >= 2 * BLOCK_AWAITS;
        Some((task, is_over.then(|| self.seal())))
    }

    /// One that was packed as open is over: its block is packed again, which is rare.
    #[cold]
    fn end_late(&mut self, id: AwaitId, at: Nanos) -> Option<(TaskId, Option<usize>)> {
        let mut found = self.open.remove(&id)?;
        found.end = at.max(found.start).min(NEVER - 1);
        if self.late.len() == LATE_MAX {
            self.late.pop_front();
        }
        self.late.push_back((id, found));
        self.late_count += 1;
        self.repack(id, found);
        Some((found.task, None))
    }

    fn repack(&mut self, id: AwaitId, found: Await) {
        if let Some(index) = id.index().checked_sub(self.dropped)
            && let Some(block) = self.blocks.get_mut(index / BLOCK_AWAITS)
        {
            let mut awaits = block.all();
            awaits[index % BLOCK_AWAITS] = found;
            *block = Block::pack(&awaits);
        }
    }

    /// The site of one that is open.
    pub(super) fn site_of_open(&self, id: AwaitId) -> Option<SiteId> {
        match id.index().checked_sub(self.first_plain()) {
            Some(index) => self.plain.get(index).map(|found| found.site),
            None => self.open.get(&id).map(|found| found.site),
        }
    }

    /// One await; `None` where it was forgotten.
    pub fn get(&self, id: AwaitId) -> Option<Await> {
        let Some(index) = id.index().checked_sub(self.dropped) else { return self.open.get(&id).copied() };
        match self.blocks.get(index / BLOCK_AWAITS) {
            None => self.plain.get(index - self.blocks.len() * BLOCK_AWAITS).copied(),
            Some(block) => {
                let found = block.get(index % BLOCK_AWAITS)?;
                // Of one that is open the block knows only how it began.
                if found.end == NEVER { self.open.get(&id).copied().or(Some(found)) } else { Some(found) }
            }
        }
    }

    /// Where one was awaited, for less than all of it; `None` where it was forgotten.
    pub fn site_of(&self, id: AwaitId) -> Option<SiteId> {
        let block = id.index().checked_sub(self.dropped).and_then(|index| self.blocks.get(index / BLOCK_AWAITS));
        match block {
            Some(block) => block.site((id.index() - self.dropped) % BLOCK_AWAITS),
            None => self.get(id).map(|found| found.site),
        }
    }

    fn open_mut(&mut self, id: AwaitId) -> Option<&mut Await> {
        match id.index().checked_sub(self.first_plain()) {
            Some(index) => self.plain.get_mut(index),
            None => self.open.get_mut(&id),
        }
    }

    /// Every kept await with its id, in order of creation.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (AwaitId, Await)> + '_ {
        let dropped = AwaitId::from_index(self.dropped);
        let old = self.open.range(..dropped).map(|(id, found)| (*id, *found));
        old.chain(self.in_blocks(0)).chain(self.in_the_open(0))
    }

    /// What is packed, but for so many blocks.
    fn in_blocks(&self, skipped: usize) -> impl DoubleEndedIterator<Item = (AwaitId, Await)> + '_ {
        self.blocks.iter().enumerate().skip(skipped).flat_map(move |(number, block)| {
            let first = self.dropped + number * BLOCK_AWAITS;
            block.all().into_iter().enumerate().map(move |(index, found)| {
                let id = AwaitId::from_index(first + index);
                let open = if found.end == NEVER { self.open.get(&id) } else { None };
                (id, open.copied().unwrap_or(found))
            })
        })
    }

    /// What is plain, but for the first so many.
    fn in_the_open(&self, skipped: usize) -> impl DoubleEndedIterator<Item = (AwaitId, Await)> + '_ {
        let first = self.first_plain();
        let plain = self.plain.iter().enumerate().skip(skipped);
        plain.map(move |(index, found)| (AwaitId::from_index(first + index), *found))
    }

    /// The same from the `index`-th on that there ever was.
    pub fn from(&self, index: usize) -> impl Iterator<Item = (AwaitId, Await)> + '_ {
        let from = AwaitId::from_index(index);
        let dropped = AwaitId::from_index(self.dropped.max(index));
        let old = self.open.range(from..dropped).map(|(id, found)| (*id, *found));
        let packed = self.in_blocks(index.saturating_sub(self.dropped) / BLOCK_AWAITS);
        let plain = self.in_the_open(index.saturating_sub(self.first_plain()));
        old.chain(packed.skip_while(move |(id, _)| *id < from)).chain(plain)
    }

    /// How many are kept, without those that are kept only for being open.
    pub fn len(&self) -> usize {
        self.blocks.len() * BLOCK_AWAITS + self.plain.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn is_dropped(&self, id: AwaitId) -> bool {
        id.index() < self.dropped && !self.open.contains_key(&id)
    }

    /// Forgets the oldest block of awaits, but for those that are open. Returns the bytes that this frees and when the
    /// last of them began.
    pub(super) fn drop_oldest(&mut self) -> Option<(usize, Nanos)> {
        let block = self.blocks.pop_front()?;
        self.dropped += BLOCK_AWAITS;
        let last = block.get(BLOCK_AWAITS - 1).map_or(0, |last| last.start);
        Some((block.kept_bytes(), last))
    }

    /// Bytes of what is not packed.
    pub(super) fn plain_bytes(&self) -> usize {
        self.plain.capacity() * size_of::<Await>() + self.open.len() * (size_of::<Await>() + size_of::<AwaitId>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awaits_come_back_as_they_were_whenever_they_end() {
        const COUNT: usize = 40_000;
        let (mut awaits, mut told) = (Awaits::default(), vec![]);
        let mut sealed = 0;
        for index in 0..COUNT {
            let (id, task) = (AwaitId::from_index(index), TaskId::from_index(index % 100));
            sealed += usize::from(awaits.start(id, task, SiteId::from_index(index % 3), index as u64 * 7).is_some());
            told.push(Await {
                task,
                site: SiteId::from_index(index % 3),
                start: index as u64 * 7,
                end: NEVER,
                polls: 0,
                marks: 0,
            });
            if index % 5 == 0 {
                awaits.is_for(id, ResourceId::from_index(index % 9));
                told[index].marks |= ResourceId::from_index(index % 9).number();
            }
            let back = if index % 1_000 == 0 { 20_000 } else { 50 };
            for over in [index.checked_sub(50), index.checked_sub(20_000).filter(|over| over % 1_000 == 0)] {
                let Some(over) = over.filter(|over| back == 20_000 || over % 1_000 != 0) else { continue };
                let id = AwaitId::from_index(over);
                awaits.polled(id, 1, over % 2 == 0);
                sealed += usize::from(awaits.end(id, index as u64 * 7).is_some_and(|(_, sealed)| sealed.is_some()));
                let found = &mut told[over];
                (found.polls, found.end) = (found.polls + 1, index as u64 * 7);
                found.marks |= if over % 2 == 0 { READY } else { 0 };
            }
        }
        assert!(sealed > COUNT / BLOCK_AWAITS / 2 && sealed == awaits.blocks.len(), "{sealed} blocks");
        let open: Vec<usize> = (0..COUNT).filter(|index| told[*index].end == NEVER).collect();
        assert!(!awaits.open.is_empty() && open.len() > awaits.open.len(), "some are open that were packed");
        for (index, told) in told.iter().enumerate() {
            let id = AwaitId::from_index(index);
            assert_eq!(awaits.get(id).as_ref(), Some(told), "{index}");
            assert_eq!(awaits.site_of(id), Some(told.site), "{index}");
        }
        let listed: Vec<Await> = awaits.iter().map(|(_, found)| found).collect();
        assert_eq!(listed, told);
        assert_eq!(awaits.iter().rev().count(), COUNT);
        for _ in 0..400 {
            awaits.drop_oldest();
        }
        let kept = COUNT - 400 * BLOCK_AWAITS;
        assert_eq!((awaits.len(), awaits.get(AwaitId::from_index(1))), (kept, None));
        let first = AwaitId::from_index(open[0]);
        assert_eq!(awaits.get(first), Some(told[open[0]]), "what is open is kept");
        assert_eq!(awaits.site_of(first), Some(told[open[0]].site));
        assert!(awaits.end(first, 1 << 40).is_some() && awaits.get(first).is_none(), "until it ends");
    }
}
