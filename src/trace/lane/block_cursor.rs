//! A cursor within a block of cycles: it scans from the nearer end.

use super::super::time::Nanos;
use super::block::CycleBlock;
use super::columns::{AwaitColumn, TimeColumns, next_start};
use super::lookups::count_lookup;
use super::{Cycle, LaneTotals};

/// A position in a block: the cycle at `index`, its start, and the totals up to its start.
pub(super) struct BlockCursor<'a> {
    pub block: &'a CycleBlock,
    pub times: TimeColumns<'a>,
    /// The packed columns behind the time columns.
    pub detail_bytes: &'a [u8],
    /// The await column, once it has been read.
    pub await_column: Option<AwaitColumn<'a>>,
    pub index: usize,
    pub start: Nanos,
    pub totals: LaneTotals,
}

impl BlockCursor<'_> {
    /// Advances to the last cycle that starts at or before `at`.
    #[inline]
    pub fn advance_to(&mut self, at: Nanos) {
        while self.index + 1 < self.block.len() {
            count_lookup();
            let (durations, kind) = self.times.durations(self.index);
            let next = next_start(self.start, durations, self.block.end());
            if next > at {
                break;
            }
            self.add(durations, kind, u64::wrapping_add);
            (self.index, self.start) = (self.index + 1, next);
        }
    }

    /// Moves back to the last cycle that starts at or before `at`, or to the first one.
    #[inline]
    pub fn rewind_to(&mut self, at: Nanos) {
        while self.index > 0 && (self.start > at || self.index == self.block.len()) {
            count_lookup();
            self.index -= 1;
            let (durations, kind) = self.times.durations(self.index);
            let (busy, wait, scheduled) = durations;
            // The durations of a damaged file may reach back beyond the start of the block.
            self.start = self.start.saturating_sub(busy).saturating_sub(wait).saturating_sub(scheduled);
            self.start = self.start.max(self.block.start);
            self.add(durations, kind, u64::wrapping_sub);
        }
    }

    /// Adds or subtracts the cycle at `index` by `count`, which wraps: the totals of a damaged file may be any numbers.
    #[inline]
    fn add(&mut self, (busy, wait, scheduled): (u64, u64, u64), kind: usize, count: impl Fn(u64, u64) -> u64) {
        let totals = &mut self.totals;
        totals.busy_ns = count(totals.busy_ns, busy);
        totals.scheduled_ns = count(totals.scheduled_ns, scheduled);
        totals.waiting_ns[kind] = count(totals.waiting_ns[kind], wait);
        totals.polls = count(totals.polls, 1);
    }

    /// Returns the totals up to `at` and the current cycle, without its step and its wake source.
    #[inline]
    pub fn current(&mut self, at: Nanos) -> (LaneTotals, Cycle) {
        let (mut totals, mut cycle) = (self.totals, self.times.cycle(self.index, self.start, self.block.end()));
        totals.add_cycle(&cycle, at.max(self.start));
        if cycle.is_waiting_at(at) {
            let awaits = self.await_column.or_else(|| self.block.await_column(self.detail_bytes));
            (self.await_column, cycle.waiting_on) = (awaits, awaits.and_then(|awaits| awaits.get(self.index)));
        }
        (totals, cycle)
    }
}

impl CycleBlock {
    /// Returns a cursor at the last cycle that starts at or before `at`, which is not before this block. With `after`,
    /// the totals up to its end, the scan starts from the nearer end.
    #[inline]
    pub(super) fn cursor_at(&self, at: Nanos, after: Option<&LaneTotals>) -> Option<BlockCursor<'_>> {
        let (times, detail_bytes) = self.time_columns()?;
        let is_in_second_half = at.saturating_sub(self.start) > self.end().saturating_sub(self.start) / 2;
        let (start, totals) = (self.start, self.totals_before);
        let mut cursor = BlockCursor { block: self, times, detail_bytes, await_column: None, index: 0, start, totals };
        match after.filter(|_| is_in_second_half) {
            Some(after) => {
                (cursor.index, cursor.start, cursor.totals) = (self.len(), self.end(), *after);
                cursor.rewind_to(at);
            }
            None => cursor.advance_to(at),
        }
        Some(cursor)
    }

    /// Returns the last cycle that starts at or before `at`.
    pub fn cycle_at(&self, at: Nanos) -> Option<Cycle> {
        let cursor = self.cursor_at(at, None)?;
        let mut cycle = cursor.times.cycle(cursor.index, cursor.start, self.end());
        self.fill_details(cursor.detail_bytes, cursor.index, &mut cycle)?;
        Some(cycle)
    }
}
