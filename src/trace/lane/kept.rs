//! A lane as bytes: its sealed blocks one by one, and the rest of it.

use serde::{Deserialize, Serialize};

use super::super::event::Nanos;
use super::super::measure::{Measure, Measures};
use super::super::pack::{push_bytes, push_number, take_bytes, take_number};
use super::block::BLOCK_CYCLES;
use super::{Block, Cycle, Filed, Lane, NEVER, Totals};

/// What no block has yet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::trace) struct LaneRest {
    ended: Option<Nanos>,
    open_before: Totals,
    /// The newest cycles, with the one that goes on; `None` where they are forgotten.
    cycles: Option<Vec<Cycle>>,
    /// Totals of everything, where all of it is forgotten.
    forgotten: Option<Box<Totals>>,
    /// The newest measures, in a lane that has any, and the last one that is forgotten.
    measures: Option<(Vec<Measure>, Option<Measure>)>,
}

impl Totals {
    fn values(&self) -> [u64; 11] {
        let [a, b, c, d, e, f, g, h] = self.waiting_ns;
        [self.busy_ns, self.scheduled_ns, self.polls, a, b, c, d, e, f, g, h]
    }

    /// Which are not 0, and those.
    fn write(&self, bytes: &mut Vec<u8>) {
        let values = self.values();
        let which = values.iter().rev().fold(0, |which, value| which << 1 | u64::from(*value > 0));
        push_number(bytes, which);
        values.iter().filter(|value| **value > 0).for_each(|value| push_number(bytes, *value));
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let which = take_number(bytes)?;
        let mut values = [0; 11];
        for (index, value) in values.iter_mut().enumerate() {
            if which >> index & 1 == 1 {
                *value = take_number(bytes)?;
            }
        }
        let [busy_ns, scheduled_ns, polls, waiting_ns @ ..] = values;
        Some(Self { busy_ns, scheduled_ns, waiting_ns, polls })
    }
}

impl Lane {
    /// Writes the block that is so many from the newest, which is 1.
    pub(in crate::trace) fn write_block(&self, from_newest: usize, bytes: &mut Vec<u8>) {
        let index = self.blocks.len().checked_sub(from_newest);
        if let Some(block) = index.and_then(|index| self.blocks.get(index)) {
            block.before.write(bytes);
            push_number(bytes, block.start);
            push_number(bytes, block.step.into());
            block.write(bytes);
        }
    }

    /// Reads the block that follows; `None` where it is none.
    pub(in crate::trace) fn read_block(&mut self, bytes: &mut &[u8]) -> Option<Filed> {
        let before = Totals::take(bytes)?;
        let start = take_number(bytes)?;
        let step = u32::try_from(take_number(bytes)?).ok()?;
        let block = Block::take(before, start, step, bytes)?;
        if start < self.sealed_until() || block.until() == NEVER {
            return None;
        }
        // Unless what follows its blocks is known already.
        let until = before.polls.saturating_add(block.len() as u64);
        self.open_before.polls = self.open_before.polls.max(until);
        let filed = Filed { bytes: block.kept_bytes() as isize, is_sealed: true };
        self.push_block(block);
        Some(filed)
    }

    /// When what follows its blocks starts; 0 where it has none.
    pub(in crate::trace) fn sealed_until(&self) -> Nanos {
        self.blocks.back().map_or(0, Block::until)
    }

    pub(in crate::trace) fn write_measures(&self, from_newest: usize, bytes: &mut Vec<u8>) {
        if let Some(measures) = &self.measures {
            measures.write_block(from_newest, bytes);
        }
    }

    pub(in crate::trace) fn read_measures(&mut self, bytes: &mut &[u8]) -> Option<Filed> {
        self.measures.get_or_insert_default().read_block(bytes)
    }

    pub(in crate::trace) fn rest(&self) -> LaneRest {
        LaneRest {
            ended: self.ended(),
            open_before: self.open_before,
            cycles: self.forgotten.is_none().then(|| self.open.iter().chain(self.last()).copied().collect()),
            forgotten: self.forgotten.clone(),
            measures: self.measures.as_ref().map(|measures| (measures.unpacked().to_vec(), measures.forgotten())),
        }
    }

    /// Takes what no block has. Cycles that no clock could have told are made to be such that one could.
    pub(in crate::trace) fn set_rest(&mut self, rest: LaneRest) {
        self.ended = rest.ended.unwrap_or(NEVER);
        if let Some((measures, forgotten)) = rest.measures {
            let kept = self.measures.get_or_insert_default();
            kept.set_forgotten(forgotten);
            measures.into_iter().for_each(|measure| kept.set_unpacked(measure));
        }
        let Some(mut cycles) = rest.cycles else {
            // What was forgotten where it was recorded may be here all the same.
            self.forgotten = rest.forgotten.filter(|_| self.first_kept().is_none());
            return;
        };
        self.open_before = rest.open_before;
        let most = u64::from(u32::MAX);
        self.open_before.polls = self.open_before.polls.min(most);
        cycles.truncate(BLOCK_CYCLES);
        let mut from = self.sealed_until();
        for cycle in &mut cycles {
            cycle.start = cycle.start.clamp(from, NEVER - 1);
            for after in [&mut cycle.end, &mut cycle.wake] {
                *after = (*after).max(cycle.start);
            }
            from = cycle.start;
        }
        for index in 1..cycles.len() {
            let next = cycles[index].start;
            let before = &mut cycles[index - 1];
            for after in [&mut before.end, &mut before.wake] {
                *after = if *after == NEVER { NEVER } else { (*after).min(next) };
            }
        }
        self.current = cycles.pop().unwrap_or_else(|| Cycle::begin(NEVER, 0));
        self.open = cycles;
    }
}

impl Measures {
    /// Takes one of those that no block has.
    fn set_unpacked(&mut self, measure: Measure) {
        if self.unpacked().len() < super::super::measure::BLOCK_MEASURES {
            self.push(measure);
        }
    }
}

impl Block {
    fn write(&self, bytes: &mut Vec<u8>) {
        let (until, count, wakes, packed) = self.parts();
        push_number(bytes, until - self.start);
        bytes.extend([count, wakes]);
        push_bytes(bytes, packed);
    }

    fn take(before: Totals, start: Nanos, step: u32, bytes: &mut &[u8]) -> Option<Self> {
        let until = start.checked_add(take_number(bytes)?)?;
        let (&[count, wakes], rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Self::from_parts(before, (start, step), (until, count, wakes, take_bytes(bytes)?))
    }
}
