//! Sealed blocks as bytes: whose each is, and then as it lies in memory.

use rustc_hash::FxHashMap;

use super::super::Trace;
use super::super::id::TaskId;
use super::super::pack::{push_number, take_number};
use super::super::retention::{Kept, Part};
use super::Cursor;

/// Whose a block is: a number in the file.
const LOOP: u64 = 0;
const LANE: u64 = 1;
const LOOP_MEASURES: u64 = 2;
const MEASURES: u64 = 3;
const AWAITS: u64 = 4;
const AWAITS_OF: u64 = 5;
const CALLS_OF: u64 = 6;
const WAKES_OF: u64 = 7;

fn owner(kept: Kept) -> Option<(u64, Option<TaskId>)> {
    Some(match kept {
        Kept::Loop => (LOOP, None),
        Kept::Of(id, Part::Lane) => (LANE, Some(id)),
        Kept::LoopMeasures => (LOOP_MEASURES, None),
        Kept::Of(id, Part::Measures) => (MEASURES, Some(id)),
        Kept::Awaits => (AWAITS, None),
        Kept::Of(id, Part::Awaits) => (AWAITS_OF, Some(id)),
        Kept::Of(id, Part::Calls) => (CALLS_OF, Some(id)),
        Kept::Of(id, Part::Wakes) => (WAKES_OF, Some(id)),
        // Nothing was sealed: its lane is over.
        Kept::Of(_, Part::Ended) => return None,
    })
}

/// Takes whose block comes next.
pub(super) fn take_owner(bytes: &mut &[u8]) -> Option<Kept> {
    let kind = take_number(bytes)?;
    let mut task = || TaskId::from_number(u32::try_from(take_number(bytes)?).ok()?);
    Some(match kind {
        LOOP => Kept::Loop,
        LANE => Kept::Of(task()?, Part::Lane),
        LOOP_MEASURES => Kept::LoopMeasures,
        MEASURES => Kept::Of(task()?, Part::Measures),
        AWAITS => Kept::Awaits,
        AWAITS_OF => Kept::Of(task()?, Part::Awaits),
        CALLS_OF => Kept::Of(task()?, Part::Calls),
        WAKES_OF => Kept::Of(task()?, Part::Wakes),
        _ => return None,
    })
}

impl Trace {
    /// Appends every block that was sealed since `cursor`, which it moves on. After each, `take` may take some away.
    pub fn sealed_since(&self, cursor: &mut Cursor, bytes: &mut Vec<u8>, mut take: impl FnMut(&mut Vec<u8>)) {
        let first = self.sealed_count - self.sealed.len() as u64;
        let lost_blocks = first.saturating_sub(cursor.blocks);
        if lost_blocks > 0 {
            let forgotten = self.gaps.iter().rfind(|gap| gap.is_forgotten());
            let (from, until) = (cursor.lost.map_or(cursor.until, |(from, _)| from), forgotten.map_or(0, |gap| gap.to));
            cursor.lost = Some((from.min(until), until));
        }
        cursor.lost_blocks += lost_blocks;
        cursor.until = self.now;
        let from = cursor.blocks.saturating_sub(first) as usize;
        cursor.blocks = self.sealed_count;
        // Of each owner the newest blocks are those that were sealed last.
        let mut left: FxHashMap<Kept, usize> = FxHashMap::default();
        for kept in self.sealed.range(from..) {
            *left.entry(*kept).or_default() += 1;
        }
        for kept in self.sealed.range(from..) {
            // The rows of some that are over may be forgotten before their blocks.
            if kept.task().is_some_and(|id| self.task(id).is_none()) {
                cursor.lost_blocks += u64::from(owner(*kept).is_some());
                continue;
            }
            let Some(back) = left.get_mut(kept) else { continue };
            let from_newest = *back;
            *back -= 1;
            let Some((kind, task)) = owner(*kept) else { continue };
            push_number(bytes, kind);
            if let Some(task) = task {
                push_number(bytes, task.number().into());
            }
            self.write_block(*kept, from_newest, bytes);
            take(bytes);
        }
    }

    /// Writes the block of `kept` that is so many from its newest, which is 1.
    fn write_block(&self, kept: Kept, from_newest: usize, bytes: &mut Vec<u8>) {
        match kept {
            Kept::Loop => self.loop_lane.write_block(from_newest, bytes),
            Kept::LoopMeasures => self.loop_lane.write_measures(from_newest, bytes),
            Kept::Awaits => self.awaits.write_block(from_newest, bytes),
            Kept::Of(id, part) => {
                let Some(task) = self.task(id) else { return };
                match (part, task.calls(), &task.wakes) {
                    (Part::Lane, ..) => task.lane.write_block(from_newest, bytes),
                    (Part::Measures, ..) => task.lane.write_measures(from_newest, bytes),
                    (Part::Awaits, ..) => task.awaits.write_block(from_newest, bytes),
                    (Part::Calls, Some(calls), _) => calls.write_block(from_newest, bytes),
                    (Part::Wakes, _, Some(wakes)) => wakes.write_block(from_newest, bytes),
                    (Part::Ended | Part::Calls | Part::Wakes, ..) => {}
                }
            }
        }
    }
}
