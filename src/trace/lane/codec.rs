//! Encodes and decodes lanes: sealed blocks one by one, and the unsealed tail.

use serde::{Deserialize, Serialize};

use super::super::pack::{push_bytes, push_varint, take_bytes, take_varint};
use super::super::stats::StatsSnapshot;
use super::super::storage::StorageDelta;
use super::super::time::NEVER;
use super::super::time::Nanos;
use super::block::BLOCK_CYCLES;
use super::{Cycle, CycleBlock, Lane, LaneTotals};

/// The state of a lane that is not in sealed blocks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::trace) struct LaneTail {
    ended_at: Option<Nanos>,
    totals_before_unsealed: LaneTotals,
    /// The unsealed cycles, the current one included; `None` where they have been evicted.
    cycles: Option<Vec<Cycle>>,
    /// Totals of the whole lane, where all of it has been evicted.
    evicted_totals: Option<Box<LaneTotals>>,
    /// The unsealed statistics snapshots, for a lane that has any, and the last evicted one.
    stats: Option<(Vec<StatsSnapshot>, Option<StatsSnapshot>)>,
}

impl LaneTotals {
    /// All eleven totals, in encoding order.
    fn values(&self) -> [u64; 11] {
        let [a, b, c, d, e, f, g, h] = self.waiting_ns;
        [self.busy_ns, self.scheduled_ns, self.polls, a, b, c, d, e, f, g, h]
    }

    /// Appends a bit set of the totals that are not 0, then those totals.
    fn write(&self, bytes: &mut Vec<u8>) {
        let values = self.values();
        let non_zero = values.iter().rev().fold(0, |bits, value| bits << 1 | u64::from(*value > 0));
        push_varint(bytes, non_zero);
        values.iter().filter(|value| **value > 0).for_each(|value| push_varint(bytes, *value));
    }

    /// Decodes totals from the front of `bytes`.
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let non_zero = take_varint(bytes)?;
        let mut values = [0; 11];
        for (index, value) in values.iter_mut().enumerate() {
            if non_zero >> index & 1 == 1 {
                *value = take_varint(bytes)?;
            }
        }
        let [busy_ns, scheduled_ns, polls, waiting_ns @ ..] = values;
        Some(Self { busy_ns, scheduled_ns, waiting_ns, polls })
    }
}

impl Lane {
    /// Appends the `from_newest`-th block, where the newest is 1.
    pub(in crate::trace) fn write_block(&self, from_newest: usize, bytes: &mut Vec<u8>) {
        let index = self.blocks.len().checked_sub(from_newest);
        if let Some(block) = index.and_then(|index| self.blocks.get(index)) {
            block.totals_before.write(bytes);
            push_varint(bytes, block.start);
            push_varint(bytes, block.first_step.into());
            block.write(bytes);
        }
    }

    /// Decodes a block and appends it; `None` where the bytes are malformed or the block does not follow the last one.
    pub(in crate::trace) fn read_block(&mut self, bytes: &mut &[u8]) -> Option<StorageDelta> {
        let before = LaneTotals::take(bytes)?;
        let start = take_varint(bytes)?;
        let step = u32::try_from(take_varint(bytes)?).ok()?;
        let block = CycleBlock::take(before, start, step, bytes)?;
        if start < self.sealed_until() || block.end() == NEVER {
            return None;
        }
        // The totals after the blocks may already be known.
        let until = before.polls.wrapping_add(block.len() as u64);
        self.totals_before_unsealed.polls = self.totals_before_unsealed.polls.max(until);
        let delta = StorageDelta { bytes: block.retained_bytes() as isize, has_sealed_block: true };
        self.push_block(block);
        Some(delta)
    }

    /// Start of the cycle that follows the sealed blocks; 0 where there are none.
    pub(in crate::trace) fn sealed_until(&self) -> Nanos {
        self.blocks.back().map_or(0, CycleBlock::end)
    }

    /// Appends the `from_newest`-th block of statistics, where the newest is 1.
    pub(in crate::trace) fn write_stats(&self, from_newest: usize, bytes: &mut Vec<u8>) {
        if let Some(stats) = &self.stats {
            stats.write_block(from_newest, bytes);
        }
    }

    /// Decodes a block of statistics and appends it.
    pub(in crate::trace) fn read_stats(&mut self, bytes: &mut &[u8]) -> Option<StorageDelta> {
        self.stats.get_or_insert_default().read_block(bytes)
    }

    /// Returns the state that is not in sealed blocks.
    pub(in crate::trace) fn tail(&self) -> LaneTail {
        LaneTail {
            ended_at: self.ended_at(),
            totals_before_unsealed: self.totals_before_unsealed,
            cycles: self.evicted_totals.is_none().then(|| self.unsealed.iter().chain(self.last()).copied().collect()),
            evicted_totals: self.evicted_totals.clone(),
            stats: self.stats.as_ref().map(|stats| (stats.unsealed().to_vec(), stats.last_evicted())),
        }
    }

    /// Restores the unsealed state. Corrects cycles whose times contradict each other, as a damaged file may have them.
    pub(in crate::trace) fn restore_tail(&mut self, tail: LaneTail) {
        self.ended_at = tail.ended_at.unwrap_or(NEVER);
        if let Some((snapshots, last_evicted)) = tail.stats {
            let stats = self.stats.get_or_insert_default();
            stats.set_last_evicted(last_evicted);
            snapshots.into_iter().for_each(|snapshot| stats.push_unsealed(snapshot));
        }
        let Some(mut cycles) = tail.cycles else {
            // Cycles that were evicted while recording may still be in the file.
            self.evicted_totals = tail.evicted_totals.filter(|_| self.first_retained().is_none());
            return;
        };
        self.totals_before_unsealed = tail.totals_before_unsealed;
        if self.totals_before_unsealed.has_polls() {
            self.totals_before_unsealed.polls = self.totals_before_unsealed.polls.min(u64::from(u32::MAX));
        }
        cycles.truncate(BLOCK_CYCLES);
        let mut from = self.sealed_until();
        for cycle in &mut cycles {
            cycle.start = cycle.start.clamp(from, NEVER - 1);
            for time in [&mut cycle.end, &mut cycle.wake] {
                *time = (*time).max(cycle.start);
            }
            from = cycle.start;
        }
        for index in 1..cycles.len() {
            let next = cycles[index].start;
            let previous = &mut cycles[index - 1];
            for time in [&mut previous.end, &mut previous.wake] {
                *time = if *time == NEVER { NEVER } else { (*time).min(next) };
            }
        }
        self.newest = cycles.pop().unwrap_or_else(|| Cycle::new(NEVER, 0));
        self.unsealed = cycles;
    }
}

impl CycleBlock {
    /// Appends the parts of the block that its header does not have.
    fn write(&self, bytes: &mut Vec<u8>) {
        let (until, count, wakes, packed) = self.parts();
        push_varint(bytes, until - self.start);
        bytes.extend([count, wakes]);
        push_bytes(bytes, packed);
    }

    /// Decodes a block whose header has been decoded already.
    fn take(before: LaneTotals, start: Nanos, step: u32, bytes: &mut &[u8]) -> Option<Self> {
        let until = start.checked_add(take_varint(bytes)?)?;
        let (&[count, wakes], rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Self::from_parts(before, (start, step), (until, count, wakes, take_bytes(bytes)?))
    }
}
