//! A lane by the loop's steps: order without time.

use super::super::event::AwaitKind;
use super::super::id::AwaitId;
use super::Sweep;

/// What a lane tells of one step of the loop.
#[derive(Clone, Copy, Debug)]
pub(in crate::trace) struct StepGlance {
    /// Polls of the lane up to and including that step.
    pub polls: u64,
    /// Of the last of them: polls that the loop had started when its wake came, if it did.
    pub woken_step: Option<u32>,
    /// What the task awaited when it ended.
    pub waiting_on: (Option<AwaitId>, AwaitKind),
}

impl Sweep<'_> {
    /// What the lane tells of the loop's `step`-th poll; `None` where it had none until then that is kept.
    pub fn glance_at_step(&mut self, step: u32) -> Option<StepGlance> {
        let lane = self.lane;
        if let Some(open) = lane.open_until(|cycle| cycle.step <= step) {
            let current = lane.last().filter(|current| current.step <= step);
            let polls = lane.open_before.polls + open.len() as u64 + u64::from(current.is_some());
            let last = current.or(open.last())?;
            return Some(StepGlance { polls, woken_step: last.woken_step(), waiting_on: last.waiting_on() });
        }
        let index = self.last_block(|block| block.step <= step)?;
        lane.blocks.get(index)?.glance_at_step(step)
    }

    /// How many polls began in the blocks that begin among the loop's polls `first` to `last`, by the blocks alone; `None`
    /// where none does, or where the lane is still being written.
    pub fn crowd_of_steps(&mut self, first: u32, last: u32) -> Option<u64> {
        if self.lane.settled_until_step() <= last {
            return None;
        }
        let before = first.checked_sub(1)?;
        let before = self.last_block(|block| block.step <= before)?;
        let end = self.last_block(|block| block.step <= last)?;
        let (first, end) = (self.lane.blocks.get(before + 1)?, self.lane.blocks.get(end)?);
        let polls = end.before.polls.wrapping_add(end.len() as u64).wrapping_sub(first.before.polls);
        (first.step <= last).then_some(polls)
    }

    /// Polls of the lane among the loop's polls `first` to `last`, both included, and what it tells of the last.
    pub fn stretch_of_steps(&mut self, first: u32, last: u32) -> (u64, Option<StepGlance>) {
        // One poll may be many columns wide, so the last stretch may have been the same one.
        let earlier = match first.checked_sub(1) {
            None => 0,
            Some(_) if self.end == u64::from(first) => self.totals.polls,
            Some(before) => self.glance_at_step(before).map_or(0, |glance| glance.polls),
        };
        let glance = self.glance_at_step(last);
        self.end = u64::from(last) + 1;
        self.totals.polls = glance.map_or(0, |glance| glance.polls);
        (self.totals.polls.saturating_sub(earlier), glance)
    }
}
