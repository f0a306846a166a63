//! Looks up a lane by loop steps: the order of polls without time.

use super::super::await_site::AwaitKind;
use super::super::id::AwaitId;
use super::super::pack::partition_point;
use super::block::CycleBlock;
use super::columns::{KIND_MASK, NOT_WOKEN};
use super::cursor::LaneCursor;

/// The state of a lane at one step of the loop.
#[derive(Clone, Copy, Debug)]
pub(in crate::trace) struct StepLookup {
    /// Number of polls of the lane up to and including that step.
    pub polls: u64,
    /// Number of polls that the loop had started when the task was woken after the last of them; `None` without a wake.
    pub woken_step: Option<u32>,
    /// The await that the task waited on after that poll, and its kind.
    pub waiting_on: (Option<AwaitId>, AwaitKind),
}

impl CycleBlock {
    /// Looks up the loop's `step`-th poll; `None` where this block has no poll at or before it.
    pub fn lookup_step(&self, step: u32) -> Option<StepLookup> {
        let (times, rest) = self.time_columns()?;
        let (details, _) = self.detail_columns(rest)?;
        let step_of = |index: usize| self.first_step.wrapping_add(details.steps.get(index) as u32);
        let polls = partition_point(0..self.len(), |index| step_of(index) <= step);
        let index = polls.checked_sub(1)?;
        let mark = times.marks.get(index);
        let is_woken = mark & NOT_WOKEN == 0;
        let woken_step = is_woken.then(|| step_of(index).wrapping_add(details.woken_steps.get(index) as u32));
        let waiting_on = details.awaits.get(index);
        let kind = AwaitKind::ALL[usize::from(mark & KIND_MASK)];
        let polls = self.totals_before.polls.wrapping_add(polls as u64);
        Some(StepLookup { polls, woken_step, waiting_on: (waiting_on, kind) })
    }
}

impl LaneCursor<'_> {
    /// Returns the state at the loop's `step`-th poll; `None` where the lane has no retained poll up to then.
    pub fn seek_step(&mut self, step: u32) -> Option<StepLookup> {
        let lane = self.lane;
        if let Some(unsealed) = lane.unsealed_while(|cycle| cycle.step <= step) {
            let current = lane.last().filter(|current| current.step <= step);
            let passed = unsealed.len() as u64 + u64::from(current.is_some());
            let polls = lane.totals_before_unsealed.polls.wrapping_add(passed);
            let last = current.or(unsealed.last())?;
            return Some(StepLookup { polls, woken_step: last.woken_step(), waiting_on: last.waiting_on() });
        }
        let index = self.last_block(|block| block.first_step <= step)?;
        lane.blocks.get(index)?.lookup_step(step)
    }

    /// Counts the polls of the blocks that begin within the loop's polls `first` to `last`, without reading a block.
    /// `None` where no block begins there, or where the lane is still growing there.
    pub fn dense_polls_in_steps(&mut self, first: u32, last: u32) -> Option<u64> {
        if self.lane.immutable_until_step() <= last {
            return None;
        }
        let before = first.checked_sub(1)?;
        let before = self.last_block(|block| block.first_step <= before)?;
        let end = self.last_block(|block| block.first_step <= last)?;
        let (first, end) = (self.lane.blocks.get(before + 1)?, self.lane.blocks.get(end)?);
        let polls = end.totals_before.polls.wrapping_add(end.len() as u64).wrapping_sub(first.totals_before.polls);
        (first.first_step <= last).then_some(polls)
    }

    /// Counts the polls of the lane within the loop's polls `first` to `last`, both included. Also returns the state at
    /// `last`.
    pub fn polls_in_steps(&mut self, first: u32, last: u32) -> (u64, Option<StepLookup>) {
        // One poll may span many columns, so this interval may be the same as the last one.
        let earlier = match first.checked_sub(1) {
            None => 0,
            Some(_) if self.interval_end == u64::from(first) => self.interval_totals.polls,
            Some(before) => self.seek_step(before).map_or(0, |lookup| lookup.polls),
        };
        let lookup = self.seek_step(last);
        self.interval_end = u64::from(last) + 1;
        self.interval_totals.polls = lookup.map_or(0, |lookup| lookup.polls);
        (self.interval_totals.polls.saturating_sub(earlier), lookup)
    }
}
