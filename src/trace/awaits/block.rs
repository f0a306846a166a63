//! A sealed block of consecutive awaits, packed as columns. Any await can be read by itself.

use super::super::id::{SiteId, TaskId};
use super::super::pack::{PackedColumn, push_column, push_varint, take_varint};
use super::super::storage::ALLOCATION_BYTES;
use super::super::time::NEVER;
use super::{Await, FLAGS_MASK};

/// Number of awaits in a block.
pub(in crate::trace) const BLOCK_AWAITS: usize = 64;

/// [`BLOCK_AWAITS`] packed awaits.
#[derive(Clone, Debug)]
pub(in crate::trace) struct AwaitBlock {
    /// The start of the first await, then the six columns.
    bytes: Box<[u8]>,
}

impl Await {
    /// A placeholder value for arrays.
    pub(super) const PLACEHOLDER: Self =
        Self { task: TaskId::FIRST, site: SiteId::FIRST, start: 0, end: NEVER, polls: 0, marks: 0 };
}

impl AwaitBlock {
    /// Packs a full block.
    pub fn pack(awaits: &[Await; BLOCK_AWAITS]) -> Self {
        let mut bytes = Vec::with_capacity(BLOCK_AWAITS * 16);
        let first = awaits.iter().map(|found| found.start).min().unwrap_or(0);
        push_varint(&mut bytes, first);
        let values: [&dyn Fn(&Await) -> u64; 6] = [
            &|found| found.start - first,
            // The length of an open await is 0, so that it does not widen the column.
            &|found| if found.end == NEVER { 0 } else { found.end - found.start + 1 },
            &|found| found.task.number().into(),
            &|found| found.site.number().into(),
            &|found| found.polls.into(),
            &|found| u64::from(found.marks & !FLAGS_MASK) << 2 | u64::from(found.marks >> 30),
        ];
        for value in values {
            push_column(&mut bytes, &awaits.map(|found| value(&found)));
        }
        Self { bytes: bytes.into() }
    }

    /// Splits the block into its base time and columns: start, length, task, site, polls, marks.
    fn columns(&self) -> Option<(u64, [PackedColumn<'_>; 6])> {
        let mut rest = &*self.bytes;
        let first = take_varint(&mut rest)?;
        let mut columns = [PackedColumn::default(); 6];
        for column in &mut columns {
            *column = PackedColumn::take(&mut rest, BLOCK_AWAITS)?;
        }
        Some((first, columns))
    }

    /// Returns the packed bytes, as stored in the archive.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Decodes a block, and returns whether one of its awaits is open; `None` where the bytes are malformed.
    pub fn from_bytes(bytes: &[u8]) -> Option<(Self, bool)> {
        let block = Self { bytes: bytes.into() };
        let (_, [_, length, ..]) = block.columns()?;
        let has_open = length.least() == 0;
        Some((block, has_open))
    }

    /// Unpacks the await at `index`.
    pub fn get(&self, index: usize) -> Option<Await> {
        let (first, columns) = self.columns()?;
        Some(unpack(first, columns.map(|column| column.get(index))))
    }

    /// Returns the site of the await at `index`.
    pub fn site(&self, index: usize) -> Option<SiteId> {
        let mut rest = &*self.bytes;
        take_varint(&mut rest)?;
        let mut column = || PackedColumn::take(&mut rest, BLOCK_AWAITS);
        let (_, _, _, sites) = (column()?, column()?, column()?, column()?);
        Some(decode_site(sites.get(index)))
    }

    /// Unpacks every await.
    pub fn unpack_all(&self) -> [Await; BLOCK_AWAITS] {
        let Some((first, columns)) = self.columns() else { return [Await::PLACEHOLDER; BLOCK_AWAITS] };
        std::array::from_fn(|index| unpack(first, columns.map(|column| column.get(index))))
    }

    /// Returns the bytes of memory, allocator overhead included.
    pub fn retained_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + ALLOCATION_BYTES
    }
}

/// Decodes a site; an invalid number becomes the first site.
fn decode_site(number: u64) -> SiteId {
    u32::try_from(number).ok().and_then(SiteId::from_number).unwrap_or(SiteId::FIRST)
}

/// Unpacks one await. Invalid numbers, as a damaged file may have them, become the first id.
fn unpack(first: u64, [start, length, task, site, polls, marks]: [u64; 6]) -> Await {
    let number = |number: u64| u32::try_from(number).unwrap_or(0);
    let start = first.saturating_add(start).min(NEVER - 1);
    Await {
        task: TaskId::from_number(number(task)).unwrap_or(TaskId::FIRST),
        site: decode_site(site),
        start,
        end: length.checked_sub(1).map_or(NEVER, |length| start.saturating_add(length).min(NEVER - 1)),
        polls: number(polls),
        marks: number(marks >> 2) & !FLAGS_MASK | ((marks & 3) as u32) << 30,
    }
}
