//! Serialization of sealed blocks: the owner of each, followed by the block as it is in memory.

use rustc_hash::FxHashMap;

use super::super::Trace;
use super::super::block_owner::{BlockOwner, TaskBlockKind};
use super::super::id::{TaskId, WorkerId};
use super::super::pack::{push_varint, take_varint};
use super::ArchiveCursor;

/// Codes of block owners in the file.
const LOOP_LANE: u64 = 0;
const TASK_LANE: u64 = 1;
const LOOP_STATS: u64 = 2;
const TASK_STATS: u64 = 3;
const AWAITS: u64 = 4;
const TASK_AWAITS: u64 = 5;
const TASK_CALLS: u64 = 6;
const TASK_WAKES: u64 = 7;
const WORKER_LANE: u64 = 8;

/// Returns the code of an owner, and the number of its task or worker, if it is one. Returns `None` if there is no block.
fn owner_code(owner: BlockOwner) -> Option<(u64, Option<u32>)> {
    Some(match owner {
        BlockOwner::Loop => (LOOP_LANE, None),
        BlockOwner::Task(id, TaskBlockKind::Lane) => (TASK_LANE, Some(id.number())),
        BlockOwner::LoopStats => (LOOP_STATS, None),
        BlockOwner::Task(id, TaskBlockKind::Stats) => (TASK_STATS, Some(id.number())),
        BlockOwner::Awaits => (AWAITS, None),
        BlockOwner::Task(id, TaskBlockKind::Awaits) => (TASK_AWAITS, Some(id.number())),
        BlockOwner::Task(id, TaskBlockKind::BlockingCalls) => (TASK_CALLS, Some(id.number())),
        BlockOwner::Task(id, TaskBlockKind::Wakes) => (TASK_WAKES, Some(id.number())),
        BlockOwner::Worker(id) => (WORKER_LANE, Some(id.number())),
        // Marks the end of a lane; there is no block.
        BlockOwner::Task(_, TaskBlockKind::LaneTail) => return None,
    })
}

/// Reads the owner of the next block. Returns `None` if `bytes` do not hold one.
pub(super) fn read_owner(bytes: &mut &[u8]) -> Option<BlockOwner> {
    let kind = take_varint(bytes)?;
    let mut number = || u32::try_from(take_varint(bytes)?).ok();
    if kind == WORKER_LANE {
        return number().and_then(WorkerId::from_number).map(BlockOwner::Worker);
    }
    let mut task = || TaskId::from_number(number()?);
    Some(match kind {
        LOOP_LANE => BlockOwner::Loop,
        TASK_LANE => BlockOwner::Task(task()?, TaskBlockKind::Lane),
        LOOP_STATS => BlockOwner::LoopStats,
        TASK_STATS => BlockOwner::Task(task()?, TaskBlockKind::Stats),
        AWAITS => BlockOwner::Awaits,
        TASK_AWAITS => BlockOwner::Task(task()?, TaskBlockKind::Awaits),
        TASK_CALLS => BlockOwner::Task(task()?, TaskBlockKind::BlockingCalls),
        TASK_WAKES => BlockOwner::Task(task()?, TaskBlockKind::Wakes),
        _ => return None,
    })
}

impl Trace {
    /// Appends to `bytes` every block that was sealed since `cursor`, and advances it.
    ///
    /// Calls `flush` after each block, which may remove bytes.
    pub fn encode_blocks(&self, cursor: &mut ArchiveCursor, bytes: &mut Vec<u8>, mut flush: impl FnMut(&mut Vec<u8>)) {
        let first = self.retention.first_retained();
        let lost_blocks = first.saturating_sub(cursor.blocks);
        if lost_blocks > 0 {
            let evicted = self.history.gaps.iter().rfind(|gap| gap.is_evicted());
            let (from, until) =
                (cursor.lost_interval.map_or(cursor.until, |(from, _)| from), evicted.map_or(0, |gap| gap.to));
            cursor.lost_interval = Some((from.min(until), until));
        }
        cursor.lost_blocks += lost_blocks;
        cursor.until = self.loop_state.now;
        let sealed = self.retention.sealed_since(cursor.blocks);
        cursor.blocks = self.retention.sealed_count();
        // The blocks that were sealed last are the newest of their owners.
        let mut remaining: FxHashMap<BlockOwner, usize> = FxHashMap::default();
        for owner in sealed.clone() {
            *remaining.entry(*owner).or_default() += 1;
        }
        for owner in sealed {
            // The row of an ended task may be evicted before its blocks.
            if owner.task().is_some_and(|id| self.task(id).is_none()) {
                cursor.lost_blocks += u64::from(owner_code(*owner).is_some());
                continue;
            }
            let Some(count) = remaining.get_mut(owner) else { continue };
            let from_newest = *count;
            *count -= 1;
            let Some((kind, number)) = owner_code(*owner) else { continue };
            push_varint(bytes, kind);
            if let Some(number) = number {
                push_varint(bytes, number.into());
            }
            self.write_block(*owner, from_newest, bytes);
            flush(bytes);
        }
    }

    /// Writes one block of `owner`, counted from the newest, which is 1.
    fn write_block(&self, owner: BlockOwner, from_newest: usize, bytes: &mut Vec<u8>) {
        match owner {
            BlockOwner::Loop => self.history.loop_lane.write_block(from_newest, bytes),
            BlockOwner::LoopStats => self.history.loop_lane.write_stats(from_newest, bytes),
            BlockOwner::Worker(id) => {
                if let Some(worker) = self.worker(id) {
                    worker.lane.write_block(from_newest, bytes);
                }
            }
            BlockOwner::Awaits => self.history.awaits.write_block(from_newest, bytes),
            BlockOwner::Task(id, part) => {
                let Some(task) = self.task(id) else { return };
                match (part, task.blocking_calls(), &task.wakes) {
                    (TaskBlockKind::Lane, ..) => task.lane.write_block(from_newest, bytes),
                    (TaskBlockKind::Stats, ..) => task.lane.write_stats(from_newest, bytes),
                    (TaskBlockKind::Awaits, ..) => task.awaits.write_block(from_newest, bytes),
                    (TaskBlockKind::BlockingCalls, Some(calls), _) => calls.write_block(from_newest, bytes),
                    (TaskBlockKind::Wakes, _, Some(wakes)) => wakes.write_block(from_newest, bytes),
                    (TaskBlockKind::LaneTail | TaskBlockKind::BlockingCalls | TaskBlockKind::Wakes, ..) => {}
                }
            }
        }
    }
}
