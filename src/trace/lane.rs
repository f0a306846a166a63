//! The lane: one task's life as a row of cycles, in blocks that carry running totals.
//!
//! A cycle is one poll and what followed it: running from `start` to its end, waiting until woken, scheduled until the
//! next cycle starts. The newest cycles are plain; a full block of them is sealed, packed into a few bytes a cycle. Each
//! block remembers the totals of everything before it, so the totals of any window are a difference of two look-ups, each
//! a search over blocks and a walk through one (`walk`): what a frame costs depends on its columns, not on how much
//! happened.
//!
//! Where single polls cannot be seen, a lane is told sums now and then instead; see [`super::measure`]. Such a lane has
//! cycles too, one for each poll that happened to be seen, and its totals come from the measures alone.

mod block;
mod cycle;
mod kept;
mod rows;
mod steps;
mod walk;

pub use cycle::{Cycle, Totals};

pub(super) use block::{Block, cause_code, cause_of};
pub(super) use kept::LaneRest;
#[cfg(test)]
pub(super) use walk::LOOKED;
pub(super) use walk::{Crowd, Stretch, Sweep, looked};

use block::BLOCK_CYCLES;

use std::collections::VecDeque;

use super::event::{AwaitKind, Cause, Nanos};
use super::id::AwaitId;
use super::measure::{Measure, Measures};

/// Not yet.
pub(super) const NEVER: Nanos = Nanos::MAX;

/// One task's row; see the module.
#[derive(Clone, Debug)]
pub struct Lane {
    spawned: Nanos,
    ended: Nanos,
    /// The newest cycle; it starts at [`NEVER`] where there is none.
    current: Cycle,
    /// Those before it that no block has yet, and the totals up to the first of all of these.
    open: Vec<Cycle>,
    open_before: Totals,
    blocks: VecDeque<Block>,
    /// Totals of everything, once all of it is forgotten.
    forgotten: Option<Box<Totals>>,
    measures: Option<Box<Measures>>,
}

/// What filing something took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Filed {
    /// Bytes that are kept now and were not before, less those that no longer are.
    pub bytes: isize,
    /// A block was sealed by beginning the next.
    pub is_sealed: bool,
}

impl Filed {
    /// Makes room in `open` for one more, of `most` that there will be.
    pub fn make_room<T>(&mut self, open: &mut Vec<T>, most: usize) {
        let capacity = open.capacity();
        if open.len() == capacity {
            open.reserve_exact(capacity.max(4).min(most.saturating_sub(capacity)).max(1));
            self.bytes += ((open.capacity() - capacity) * size_of::<T>()) as isize;
        }
    }
}

impl Lane {
    pub fn new(spawned: Nanos) -> Self {
        Self {
            spawned,
            ended: NEVER,
            current: Cycle::begin(NEVER, 0),
            open: Vec::new(),
            open_before: Totals::default(),
            blocks: VecDeque::new(),
            forgotten: None,
            measures: None,
        }
    }

    /// Its totals are measures: what happened between two of them is known only in sum.
    pub fn is_measured(&self) -> bool {
        self.measures.is_some()
    }

    /// Takes a measure.
    pub(super) fn measure(&mut self, measure: Measure) -> Filed {
        self.measures.get_or_insert_default().push(measure)
    }

    /// The last measure at or before `at`.
    pub(super) fn measure_at(&self, at: Nanos) -> Option<Measure> {
        self.measures.as_ref()?.at(at)
    }

    pub(super) fn measures(&self) -> Option<&Measures> {
        self.measures.as_deref()
    }

    fn measured_totals_at(&self, measures: &Measures, at: Nanos) -> Totals {
        let at = at.min(self.ended).max(self.spawned);
        let sums = measures.sums_at(self.spawned, at);
        let mut waiting_ns = [0; AwaitKind::ALL.len()];
        waiting_ns[AwaitKind::Other as usize] =
            at.saturating_sub(self.spawned).saturating_sub(sums.busy_ns.saturating_add(sums.scheduled_ns));
        Totals { busy_ns: sums.busy_ns, scheduled_ns: sums.scheduled_ns, waiting_ns, polls: sums.polls }
    }

    pub fn spawned(&self) -> Nanos {
        self.spawned
    }

    pub fn ended(&self) -> Option<Nanos> {
        (self.ended != NEVER).then_some(self.ended)
    }

    pub fn last(&self) -> Option<&Cycle> {
        (self.current.start != NEVER).then_some(&self.current)
    }

    /// A poll starts at `at`, the `step`-th of the loop.
    pub(super) fn poll_start(&mut self, at: Nanos, step: u32, scratch: &mut Vec<u8>) -> Filed {
        let mut filed = Filed::default();
        let before = std::mem::replace(&mut self.current, Cycle::begin(at, step));
        if before.start == NEVER {
            self.open_before.scheduled_ns = at.saturating_sub(self.spawned);
            return filed;
        }
        self.current.start = at.max(before.start);
        filed.make_room(&mut self.open, BLOCK_CYCLES);
        self.open.push(before);
        if self.open.len() == BLOCK_CYCLES {
            self.seal(&mut filed, scratch);
        }
        filed
    }

    #[cold]
    fn seal(&mut self, filed: &mut Filed, scratch: &mut Vec<u8>) {
        let (block, totals) = Block::pack(&self.open, self.open_before, self.current.start, scratch);
        filed.bytes += block.kept_bytes() as isize;
        filed.is_sealed = true;
        self.push_block(block);
        self.open.clear();
        self.open_before = totals;
    }

    fn push_block(&mut self, mut block: Block) {
        block.wakes_before = self.blocks.back().map_or(0, Block::wakes_until);
        self.blocks.push_back(block);
    }

    /// The poll that is under way ends; from now the task waits on `waiting_on`.
    pub(super) fn poll_end(&mut self, at: Nanos, waiting_on: Option<(AwaitId, AwaitKind)>) {
        let cycle = &mut self.current;
        if cycle.start == NEVER || cycle.end != NEVER {
            return;
        }
        cycle.end = at.max(cycle.start);
        if let Some((id, kind)) = waiting_on {
            cycle.waiting_on = Some(id);
            cycle.kind = kind;
        }
    }

    /// An await that began in the last poll, at `at`, is told of only now that the poll is over: what followed it, and had no
    /// name, was waiting on that.
    pub(super) fn waits_on(&mut self, id: AwaitId, kind: AwaitKind, at: Nanos) {
        let cycle = &mut self.current;
        if cycle.waiting_on.is_none() && cycle.end != NEVER && (cycle.start..=cycle.end).contains(&at) {
            (cycle.waiting_on, cycle.kind) = (Some(id), kind);
        }
    }

    /// The first wake since the last poll's start counts; tells whether it was that, for later ones change nothing here.
    pub(super) fn woken(&mut self, at: Nanos, step: u32, cause: Option<Cause>) -> bool {
        let cycle = &mut self.current;
        if cycle.start == NEVER || cycle.wake != NEVER {
            return false;
        }
        cycle.wake = at.max(cycle.start);
        cycle.woken_step = step;
        cycle.cause = cause;
        true
    }

    /// Its task is over. What will not grow any more takes only the room that it needs.
    pub(super) fn end(&mut self, at: Nanos) -> Filed {
        self.ended = at;
        let capacity = self.open.capacity();
        self.open.shrink_to_fit();
        let freed_bytes = (capacity - self.open.capacity()) * size_of::<Cycle>();
        Filed { bytes: -(freed_bytes as isize), is_sealed: true }
    }

    /// Totals from the spawn to `at`. Falls back to the oldest kept block's totals for times that were dropped.
    pub fn totals_at(&self, at: Nanos) -> Totals {
        match &self.measures {
            Some(measures) => self.measured_totals_at(measures, at),
            None => self.glance_at(at).0,
        }
    }

    /// The totals from the spawn to `at`, and the last cycle that started at or before that; see [`Sweep::glance_at`].
    pub(super) fn glance_at(&self, at: Nanos) -> (Totals, Option<Cycle>) {
        Sweep::new(self).glance_at(at)
    }

    /// Totals up to `at`, which is before the first cycle that is kept.
    fn totals_before_first(&self, at: Nanos) -> Totals {
        if let Some(forgotten) = &self.forgotten {
            return **forgotten;
        }
        match self.first_kept() {
            Some((_, _, before)) if before.polls > 0 => *before,
            first => {
                let first_start = first.map_or(NEVER, |(start, ..)| start);
                Totals { scheduled_ns: at.min(first_start).saturating_sub(self.spawned), ..Totals::default() }
            }
        }
    }

    /// The open cycles that are in time, if there is any, or if only the newest one is there and is.
    fn open_until(&self, not_after: impl Fn(&Cycle) -> bool) -> Option<&[Cycle]> {
        if self.current.start != NEVER && not_after(&self.current) {
            return Some(&self.open);
        }
        let inside = self.open.partition_point(not_after);
        (inside > 0).then(|| &self.open[..inside])
    }

    /// When the first cycle that is kept starts, as the how many-th of the loop, and the totals up to there.
    fn first_kept(&self) -> Option<(Nanos, u32, &Totals)> {
        if let Some(block) = self.blocks.front() {
            return Some((block.start, block.step, &block.before));
        }
        let first = self.open.first().or(self.last())?;
        Some((first.start, first.step, &self.open_before))
    }

    /// The last cycle that started at or before `at`.
    pub fn cycle_at(&self, at: Nanos) -> Option<Cycle> {
        if let Some(open) = self.open_until(|cycle| cycle.start <= at) {
            let is_current = self.current.start <= at;
            return Some(*open.last().filter(|_| !is_current).unwrap_or(&self.current));
        }
        let index = self.blocks.partition_point(|block| block.start <= at);
        self.blocks.get(index.checked_sub(1)?)?.cycle_at(at)
    }
}
