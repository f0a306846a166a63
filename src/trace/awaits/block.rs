//! A block of awaits that were made one after the other, as columns; any of them is read by itself.

use super::super::ALLOCATION_BYTES;
use super::super::id::{SiteId, TaskId};
use super::super::pack::{Column, push_column, push_number, take_number};
use super::{Await, FLAGS, NEVER};

/// Awaits in a block.
pub(in crate::trace) const BLOCK_AWAITS: usize = 64;

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::trace) struct Block {
    bytes: Box<[u8]>,
}

impl Await {
    pub(super) const NONE: Self =
        Self { task: TaskId::ONE, site: SiteId::ONE, start: 0, end: NEVER, polls: 0, marks: 0 };
}

impl Block {
    pub fn pack(awaits: &[Await; BLOCK_AWAITS]) -> Self {
        let mut bytes = Vec::with_capacity(BLOCK_AWAITS * 16);
        let first = awaits.iter().map(|found| found.start).min().unwrap_or(0);
        push_number(&mut bytes, first);
        let of: [&dyn Fn(&Await) -> u64; 6] = [
            &|found| found.start - first,
            // An open one is 0, so that it does not make all the others wide.
            &|found| if found.end == NEVER { 0 } else { found.end - found.start + 1 },
            &|found| found.task.number().into(),
            &|found| found.site.number().into(),
            &|found| found.polls.into(),
            &|found| u64::from(found.marks & !FLAGS) << 2 | u64::from(found.marks >> 30),
        ];
        for value in of {
            push_column(&mut bytes, &awaits.map(|found| value(&found)));
        }
        Self { bytes: bytes.into() }
    }

    fn columns(&self) -> Option<(u64, [Column<'_>; 6])> {
        let mut rest = &*self.bytes;
        let first = take_number(&mut rest)?;
        let mut columns = [Column::default(); 6];
        for column in &mut columns {
            *column = Column::take(&mut rest, BLOCK_AWAITS)?;
        }
        Some((first, columns))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A block that lies in `bytes`, and whether one of its awaits is open; `None` where they are something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<(Self, bool)> {
        let block = Self { bytes: bytes.into() };
        let (_, [_, length, ..]) = block.columns()?;
        let has_open = length.least() == 0;
        Some((block, has_open))
    }

    pub fn get(&self, index: usize) -> Option<Await> {
        let (first, columns) = self.columns()?;
        Some(unpack(first, columns.map(|column| column.get(index))))
    }

    /// Where the await at `index` was made.
    pub fn site(&self, index: usize) -> Option<SiteId> {
        let mut rest = &*self.bytes;
        take_number(&mut rest)?;
        let mut column = || Column::take(&mut rest, BLOCK_AWAITS);
        let (_, _, _, sites) = (column()?, column()?, column()?, column()?);
        Some(site(sites.get(index)))
    }

    pub fn all(&self) -> [Await; BLOCK_AWAITS] {
        let Some((first, columns)) = self.columns() else { return [Await::NONE; BLOCK_AWAITS] };
        std::array::from_fn(|index| unpack(first, columns.map(|column| column.get(index))))
    }

    pub fn kept_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + ALLOCATION_BYTES
    }
}

fn site(number: u64) -> SiteId {
    u32::try_from(number).ok().and_then(SiteId::from_number).unwrap_or(SiteId::ONE)
}

/// Numbers of a file that lies may be any: those that nothing has become the first.
fn unpack(first: u64, [start, length, task, site, polls, marks]: [u64; 6]) -> Await {
    let number = |number: u64| u32::try_from(number).unwrap_or(0);
    let start = first.saturating_add(start).min(NEVER - 1);
    Await {
        task: TaskId::from_number(number(task)).unwrap_or(TaskId::ONE),
        site: self::site(site),
        start,
        end: length.checked_sub(1).map_or(NEVER, |length| start.saturating_add(length).min(NEVER - 1)),
        polls: number(polls),
        marks: number(marks >> 2) & !FLAGS | ((marks & 3) as u32) << 30,
    }
}
