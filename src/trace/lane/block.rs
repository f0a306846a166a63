//! A sealed block of a lane: its cycles as packed columns, which a lookup reads without unpacking the rest.
//!
//! A cycle is stored as three durations: running, waiting and scheduled. Its start is the block's start plus the
//! durations of the cycles before it, so finding an instant scans three columns. Values that are rarely needed (steps,
//! wakes, awaits) are read by index.

use super::super::pack::{PackedColumn, push_column, push_varint, take_varint};
use super::super::storage::ALLOCATION_BYTES;
use super::super::time::NEVER;
use super::super::time::Nanos;
use super::super::wake_source::WakeSource;
use super::super::wake_source::{decode_wake_source, encode_wake_source};
use super::columns::{
    AwaitColumn, DetailColumns, MarkColumn, NOT_ENDED, NOT_WOKEN, TimeColumns, WOKEN_IN_POLL, next_start,
};
use super::{BEFORE_EMPTY_CYCLE, Cycle, LaneTotals};

/// Number of cycles in a block: the longest scan that a lookup makes.
pub(in crate::trace) const BLOCK_CYCLES: usize = 32;

/// Up to [`BLOCK_CYCLES`] packed cycles.
#[derive(Clone, Debug)]
pub(in crate::trace) struct CycleBlock {
    /// Totals of the lane up to the start of the first cycle of this block.
    pub totals_before: LaneTotals,
    /// Loop time at which the first cycle starts.
    pub start: Nanos,
    /// Loop step of the first cycle.
    pub first_step: u32,
    /// Start of the cycle that follows this block.
    end: Nanos,
    count: u8,
    /// Number of cycles that have a wake with a known source.
    wake_count: u8,
    /// Number of such wakes in the earlier blocks of the lane.
    pub(super) wakes_before: u32,
    bytes: Box<[u8]>,
}

impl CycleBlock {
    /// Packs 1 to [`BLOCK_CYCLES`] cycles. The cycle after them starts at `until`. Also returns the totals up to
    /// `until`.
    pub fn pack(cycles: &[Cycle], before: LaneTotals, until: Nanos, scratch: &mut Vec<u8>) -> (Self, LaneTotals) {
        debug_assert!(!cycles.is_empty() && cycles.len() <= BLOCK_CYCLES);
        let count = cycles.len().min(BLOCK_CYCLES);
        let mut columns = [[0_u64; BLOCK_CYCLES]; 8];
        let [busy, mark_indices, wait, scheduled, awaits, steps, woken_steps, sources] = &mut columns;
        let (mut distinct, mut distinct_count) = ([0_u8; BLOCK_CYCLES], 0);
        let mut totals = before;
        let step = cycles[0].step;
        for (index, cycle) in cycles.iter().take(count).enumerate() {
            let next = cycles.get(index + 1).map_or(until, |next| next.start).max(cycle.start);
            let end = cycle.end.min(next);
            let woken = cycle.wake.clamp(end, next);
            busy[index] = end - cycle.start;
            scheduled[index] = next - woken;
            let mut mark = cycle.kind as u8;
            if cycle.end == NEVER {
                mark |= NOT_ENDED;
            }
            if cycle.wake == NEVER {
                mark |= NOT_WOKEN;
                wait[index] = next - end;
            } else {
                // A wake reported after the start of the next poll counts as coming at that start.
                let wake = cycle.wake.min(next);
                mark |= if wake < end { WOKEN_IN_POLL } else { 0 };
                wait[index] = wake.abs_diff(end);
                woken_steps[index] = u64::from(cycle.woken_step.saturating_sub(cycle.step));
            }
            let position = distinct[..distinct_count].iter().position(|known| *known == mark).unwrap_or_else(|| {
                distinct[distinct_count] = mark;
                distinct_count += 1;
                distinct_count - 1
            });
            mark_indices[index] = position as u64;
            awaits[index] = cycle.waiting_on.map_or(0, |id| u64::from(id.number()));
            steps[index] = u64::from(cycle.step.saturating_sub(step));
            sources[index] = encode_wake_source(cycle.wake_source);
            totals.busy_ns += end - cycle.start;
            totals.add_waiting(cycle.kind, woken - end);
            totals.scheduled_ns += next - woken;
        }
        totals.polls = totals.polls.wrapping_add(count as u64);
        let has_worker = cycles.iter().any(|cycle| cycle.worker > 0);
        scratch.clear();
        push_column(scratch, &busy[..count]);
        scratch.push(distinct_count as u8);
        scratch.extend_from_slice(&distinct[..distinct_count]);
        push_column(scratch, &mark_indices[..count]);
        for column in [wait, scheduled] {
            push_column(scratch, &column[..count]);
        }
        // No await is 0, and the other ids are stored relative to the least one, so that the 0 does not widen the
        // column.
        let base_id = awaits[..count].iter().copied().filter(|id| *id > 0).min().unwrap_or(1);
        awaits[..count].iter_mut().for_each(|id| *id = (*id + 1).saturating_sub(base_id));
        push_varint(scratch, base_id);
        for column in [awaits, steps, woken_steps, sources] {
            push_column(scratch, &column[..count]);
        }
        if has_worker {
            let mut workers = [0; BLOCK_CYCLES];
            workers.iter_mut().zip(cycles).for_each(|(number, cycle)| *number = cycle.worker.into());
            push_column(scratch, &workers[..count]);
        }
        let wakes = cycles.iter().filter(|cycle| cycle.first_wake().is_some()).count() as u8;
        let (start, bytes) = (cycles[0].start, scratch.as_slice().into());
        let (until, count, wakes_before) = (until.max(start), count as u8, 0);
        let block = Self {
            totals_before: before,
            start,
            first_step: step,
            end: until,
            count,
            wake_count: wakes,
            wakes_before,
            bytes,
        };
        (block, totals)
    }

    /// Returns the number of cycles.
    pub fn len(&self) -> usize {
        self.count.into()
    }

    /// Returns the number of wakes with a known source in this block and in the earlier blocks of the lane.
    pub fn wakes_through_end(&self) -> u32 {
        self.wakes_before.wrapping_add(self.wake_count.into())
    }

    /// Start of the cycle that follows this block.
    pub fn end(&self) -> Nanos {
        self.end
    }

    /// Returns the end, the numbers of cycles and wakes, and the packed columns: what the archive stores of a block.
    pub fn parts(&self) -> (Nanos, u8, u8, &[u8]) {
        (self.end, self.count, self.wake_count, &self.bytes)
    }

    /// Builds a block from its parts; `None` where the columns or the number of wakes are inconsistent.
    pub fn from_parts(
        before: LaneTotals,
        (start, step): (Nanos, u32),
        (until, count, wakes, bytes): (Nanos, u8, u8, &[u8]),
    ) -> Option<Self> {
        let block = Self {
            totals_before: before,
            start,
            first_step: step,
            end: until,
            count,
            wake_count: wakes,
            wakes_before: 0,
            bytes: bytes.into(),
        };
        if !(1..=BLOCK_CYCLES).contains(&block.len()) {
            return None;
        }
        let (times, rest) = block.time_columns()?;
        let (details, after) = block.detail_columns(rest)?;
        let has_source = |index: &usize| {
            times.marks.get(*index) & NOT_WOKEN == 0 && decode_wake_source(details.wake_sources.get(*index)).is_some()
        };
        let count = (0..block.len()).filter(has_source).count();
        let mut after = after;
        let has_worker_column = after.is_empty() || PackedColumn::take(&mut after, block.len()).is_some();
        (has_worker_column && after.is_empty() && count == usize::from(wakes)).then_some(block)
    }

    /// Returns the bytes of memory, allocator overhead included.
    pub fn retained_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + ALLOCATION_BYTES
    }

    /// Splits off the time columns; also returns the bytes after them. Never `None` for a block that was packed here or
    /// passed [`Self::from_parts`].
    pub(super) fn time_columns(&self) -> Option<(TimeColumns<'_>, &[u8])> {
        let (mut rest, count) = (&*self.bytes, self.len());
        let busy = PackedColumn::take(&mut rest, count)?;
        let (distinct_count, after) = rest.split_first()?;
        let (distinct, after) = after.split_at_checked(usize::from(*distinct_count))?;
        rest = after;
        let indices = PackedColumn::take(&mut rest, count)?;
        let wait = PackedColumn::take(&mut rest, count)?;
        let scheduled = PackedColumn::take(&mut rest, count)?;
        Some((TimeColumns { busy, marks: MarkColumn { distinct, indices }, wait, scheduled }, rest))
    }

    /// Splits off the detail columns; also returns the bytes after them.
    pub(super) fn detail_columns<'a>(&self, mut rest: &'a [u8]) -> Option<(DetailColumns<'a>, &'a [u8])> {
        let (base_id, count) = (take_varint(&mut rest)?, self.len());
        let awaits = PackedColumn::take(&mut rest, count)?;
        let steps = PackedColumn::take(&mut rest, count)?;
        let woken_steps = PackedColumn::take(&mut rest, count)?;
        let sources = PackedColumn::take(&mut rest, count)?;
        Some((
            DetailColumns { awaits: AwaitColumn { base_id, ids: awaits }, steps, woken_steps, wake_sources: sources },
            rest,
        ))
    }

    /// Reads the column of workers in `rest`, the bytes behind the detail columns. Blocks of which no worker is known have
    /// none, and all of its values are 0.
    fn worker_column<'a>(&self, mut rest: &'a [u8]) -> PackedColumn<'a> {
        if rest.is_empty() {
            return PackedColumn::default();
        }
        PackedColumn::take(&mut rest, self.len()).unwrap_or_default()
    }

    /// Reads everything about the cycle at `index` that the time columns do not have. `rest` are the bytes behind those.
    pub(super) fn fill_details(&self, rest: &[u8], index: usize, cycle: &mut Cycle) -> Option<()> {
        let (details, rest) = self.detail_columns(rest)?;
        details.fill(index, self.first_step, cycle);
        cycle.worker = self.worker_column(rest).get(index) as u16;
        Some(())
    }

    /// Reads the await column at the front of `rest`, the bytes behind the time columns.
    pub(super) fn await_column<'a>(&self, mut rest: &'a [u8]) -> Option<AwaitColumn<'a>> {
        let base_id = take_varint(&mut rest)?;
        Some(AwaitColumn { base_id, ids: PackedColumn::take(&mut rest, self.len())? })
    }

    /// Iterates over the lengths of the polls with a known end, in nanoseconds, the newest first.
    pub fn poll_lengths_ns(&self) -> impl Iterator<Item = u64> + '_ {
        let times = self.time_columns().map(|(times, _)| times);
        let length =
            |times: &TimeColumns<'_>, index| (times.marks.get(index) & NOT_ENDED == 0).then(|| times.busy.get(index));
        let first = usize::from(self.totals_before.polls == BEFORE_EMPTY_CYCLE);
        (first..self.len()).rev().filter_map(move |index| times.as_ref().and_then(|times| length(times, index)))
    }

    /// Returns the wakes with a known source, in order, each with the index of its cycle. Reads no other column.
    pub fn wakes(&self) -> Vec<(usize, Nanos, WakeSource)> {
        let Some((times, rest)) = self.time_columns() else { return Vec::new() };
        let Some((details, _)) = self.detail_columns(rest) else { return Vec::new() };
        let (mut start, mut wakes) = (self.start, Vec::with_capacity(self.wake_count.into()));
        for index in 0..self.len() {
            if let Some(source) = decode_wake_source(details.wake_sources.get(index)) {
                let wake = times.cycle(index, start, self.end).wake;
                wakes.extend((wake != NEVER).then_some((index, wake, source)));
            }
            start = next_start(start, times.durations(index).0, self.end);
        }
        wakes
    }

    /// Unpacks every cycle, in order.
    pub fn cycles(&self) -> Vec<Cycle> {
        let Some((times, rest)) = self.time_columns() else { return Vec::new() };
        let Some((details, rest)) = self.detail_columns(rest) else { return Vec::new() };
        let (mut start, workers) = (self.start, self.worker_column(rest));
        (0..self.len())
            .map(|index| {
                let mut cycle = times.cycle(index, start, self.end);
                details.fill(index, self.first_step, &mut cycle);
                cycle.worker = workers.get(index) as u16;
                start = next_start(start, times.durations(index).0, self.end);
                cycle
            })
            .collect()
    }
}
