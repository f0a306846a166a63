//! One task's timeline as a row of cycles, in blocks that carry running totals.
//!
//! A cycle is one poll and what followed it until the next poll: running from its start to its end, waiting until the
//! task is woken, then scheduled. The newest cycles are stored unpacked. Each full block of cycles is sealed: packed
//! into a few bits per value. Each block stores the totals of everything before it, so the totals of any window are the
//! difference of two lookups. A lookup is a binary search over blocks and a scan within one block (`cursor`). The cost
//! of a frame therefore depends on its columns, not on the number of events.
//!
//! Where single polls cannot be observed, a lane receives cumulative statistics instead (`super::stats`). Such a lane
//! also has cycles, one for each poll that happened to be sampled, but its totals come from the statistics alone.

mod block;
mod block_cursor;
mod codec;
mod columns;
mod cursor;
mod cycle;
mod lookups;
mod of_worker;
mod sampled;
mod segments;
mod step_lookup;

pub use cycle::{Cycle, LaneTotals};

pub(super) use block::CycleBlock;
pub(super) use codec::LaneTail;
pub(super) use cursor::{DenseInterval, LaneCursor, LaneInterval};
#[cfg(test)]
pub(super) use lookups::LOOKUPS;
pub(super) use lookups::count_lookup;

use block::BLOCK_CYCLES;

use std::collections::VecDeque;

use super::await_site::AwaitKind;
use super::id::AwaitId;
use super::stats::StatsHistory;
use super::storage::StorageDelta;
use super::time::NEVER;
use super::time::Nanos;
use super::wake_source::WakeSource;

/// Number of polls before a first cycle that is no poll: -1, so that the sum is right from that cycle on.
const BEFORE_EMPTY_CYCLE: u64 = u64::MAX;

/// The timeline of one task, or of the loop itself.
///
/// The newest cycles stand unpacked in the tail; older ones are in sealed blocks. The totals of any window are the
/// difference of two lookups, whose cost grows with the logarithm of the number of cycles.
#[derive(Clone, Debug)]
pub struct Lane {
    spawned_at: Nanos,
    /// [`NEVER`] while the task lives.
    ended_at: Nanos,
    /// The newest cycle; it starts at [`NEVER`] where there is none.
    newest: Cycle,
    /// The cycles before the newest one that are not in a block yet.
    unsealed: Vec<Cycle>,
    /// Totals up to the start of the first unsealed cycle.
    totals_before_unsealed: LaneTotals,
    /// Sealed blocks, the oldest first.
    blocks: VecDeque<CycleBlock>,
    /// Totals of the whole lane, once all of its cycles have been evicted.
    evicted_totals: Option<Box<LaneTotals>>,
    /// Statistics snapshots, in a sampled lane.
    stats: Option<Box<StatsHistory>>,
}

impl Lane {
    /// Creates the empty lane of a task that was spawned at `spawned_at`.
    pub fn new(spawned_at: Nanos) -> Self {
        Self {
            spawned_at,
            ended_at: NEVER,
            newest: Cycle::new(NEVER, 0),
            unsealed: Vec::new(),
            totals_before_unsealed: LaneTotals::default(),
            blocks: VecDeque::new(),
            evicted_totals: None,
            stats: None,
        }
    }

    /// Returns the loop time at which the task was spawned.
    pub fn spawned_at(&self) -> Nanos {
        self.spawned_at
    }

    /// Returns the loop time at which the task ended; `None` while it lives.
    pub fn ended_at(&self) -> Option<Nanos> {
        (self.ended_at != NEVER).then_some(self.ended_at)
    }

    /// Returns the newest cycle; `None` before the first poll, and after eviction of the whole lane.
    pub fn last(&self) -> Option<&Cycle> {
        (self.newest.start != NEVER).then_some(&self.newest)
    }

    /// Starts a poll at `at`, the `step`-th poll of the loop. Seals a block when the unsealed cycles fill one.
    pub(super) fn start_poll(&mut self, at: Nanos, step: u32, scratch: &mut Vec<u8>) -> StorageDelta {
        let mut delta = StorageDelta::default();
        let previous = std::mem::replace(&mut self.newest, Cycle::new(at, step));
        if previous.start == NEVER {
            self.totals_before_unsealed.scheduled_ns = at.saturating_sub(self.spawned_at);
            return delta;
        }
        self.newest.start = at.max(previous.start);
        delta.reserve_one(&mut self.unsealed, BLOCK_CYCLES);
        self.unsealed.push(previous);
        if self.unsealed.len() == BLOCK_CYCLES {
            self.seal(&mut delta, scratch);
        }
        delta
    }

    /// Counts the first cycle and the time before it for nothing, because they were not recorded. Call it during that
    /// cycle.
    pub(super) fn leave_out_first_cycle(&mut self) {
        if self.blocks.is_empty() && self.unsealed.is_empty() {
            self.totals_before_unsealed = LaneTotals { polls: BEFORE_EMPTY_CYCLE, ..LaneTotals::default() };
        }
    }

    /// Packs the unsealed cycles into a block.
    #[cold]
    fn seal(&mut self, delta: &mut StorageDelta, scratch: &mut Vec<u8>) {
        let (block, totals) = CycleBlock::pack(&self.unsealed, self.totals_before_unsealed, self.newest.start, scratch);
        delta.bytes += block.retained_bytes() as isize;
        delta.has_sealed_block = true;
        self.push_block(block);
        self.unsealed.clear();
        self.totals_before_unsealed = totals;
    }

    /// Appends a block and sets its count of earlier wakes.
    fn push_block(&mut self, mut block: CycleBlock) {
        block.wakes_before = self.blocks.back().map_or(0, CycleBlock::wakes_through_end);
        self.blocks.push_back(block);
    }

    /// Ends the current poll. From `at` on the task waits on `waiting_on`.
    pub(super) fn end_poll(&mut self, at: Nanos, waiting_on: Option<(AwaitId, AwaitKind)>) {
        let cycle = &mut self.newest;
        if cycle.start == NEVER || cycle.end != NEVER {
            return;
        }
        cycle.end = at.max(cycle.start);
        if let Some((id, kind)) = waiting_on {
            cycle.waiting_on = Some(id);
            cycle.kind = kind;
        }
    }

    /// Names the await that the task has waited on since its last poll, if that has no name yet. Used for an await that
    /// began during that poll, at `at`, but is reported only after the end of the poll.
    pub(super) fn name_last_wait(&mut self, id: AwaitId, kind: AwaitKind, at: Nanos) {
        let cycle = &mut self.newest;
        if cycle.waiting_on.is_none() && cycle.end != NEVER && (cycle.start..=cycle.end).contains(&at) {
            (cycle.waiting_on, cycle.kind) = (Some(id), kind);
        }
    }

    /// Records the first wake since the last poll started. Returns `false` for later wakes, which change nothing here.
    pub(super) fn record_wake(&mut self, at: Nanos, step: u32, source: Option<WakeSource>) -> bool {
        let cycle = &mut self.newest;
        if cycle.start == NEVER || cycle.wake != NEVER {
            return false;
        }
        cycle.wake = at.max(cycle.start);
        cycle.woken_step = step;
        cycle.wake_source = source;
        true
    }

    /// Ends the lane and frees spare capacity, because nothing is appended any more.
    pub(super) fn end(&mut self, at: Nanos) -> StorageDelta {
        self.ended_at = at;
        let capacity = self.unsealed.capacity();
        self.unsealed.shrink_to_fit();
        let freed_bytes = (capacity - self.unsealed.capacity()) * size_of::<Cycle>();
        StorageDelta { bytes: -(freed_bytes as isize), has_sealed_block: true }
    }

    /// Returns the totals from the spawn to `at`. For an evicted time, returns the totals before the oldest retained
    /// block.
    pub fn totals_at(&self, at: Nanos) -> LaneTotals {
        match &self.stats {
            Some(stats) => self.sampled_totals_at(stats, at),
            None => self.lookup_at(at).0,
        }
    }

    /// Returns the totals from the spawn to `at`, and the last cycle that started at or before `at`. See
    /// [`LaneCursor::seek`] for what that cycle leaves out.
    pub(super) fn lookup_at(&self, at: Nanos) -> (LaneTotals, Option<Cycle>) {
        LaneCursor::new(self).seek(at)
    }

    /// Returns the totals up to `at`, which is before the first retained cycle.
    fn totals_before_first(&self, at: Nanos) -> LaneTotals {
        if let Some(totals) = &self.evicted_totals {
            return **totals;
        }
        match self.first_retained() {
            Some((_, _, before)) if before.has_polls() => *before,
            first => {
                let scheduled_ns_max = first.map_or(u64::MAX, |(.., before)| before.scheduled_ns);
                LaneTotals {
                    scheduled_ns: at.saturating_sub(self.spawned_at).min(scheduled_ns_max),
                    ..LaneTotals::default()
                }
            }
        }
    }

    /// Returns the unsealed cycles that satisfy `not_after`, without the newest one. `None` where no unsealed cycle,
    /// the newest included, satisfies it.
    fn unsealed_while(&self, not_after: impl Fn(&Cycle) -> bool) -> Option<&[Cycle]> {
        if self.newest.start != NEVER && not_after(&self.newest) {
            return Some(&self.unsealed);
        }
        let count = self.unsealed.partition_point(not_after);
        (count > 0).then(|| &self.unsealed[..count])
    }

    /// Returns the start, the loop step and the preceding totals of the first retained cycle.
    fn first_retained(&self) -> Option<(Nanos, u32, &LaneTotals)> {
        if let Some(block) = self.blocks.front() {
            return Some((block.start, block.first_step, &block.totals_before));
        }
        let first = self.unsealed.first().or(self.last())?;
        Some((first.start, first.step, &self.totals_before_unsealed))
    }

    /// Returns the last cycle that started at or before `at`.
    pub fn cycle_at(&self, at: Nanos) -> Option<Cycle> {
        if let Some(open) = self.unsealed_while(|cycle| cycle.start <= at) {
            let is_current = self.newest.start <= at;
            return Some(*open.last().filter(|_| !is_current).unwrap_or(&self.newest));
        }
        let index = self.blocks.partition_point(|block| block.start <= at);
        self.blocks.get(index.checked_sub(1)?)?.cycle_at(at)
    }
}
