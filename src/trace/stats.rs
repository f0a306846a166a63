//! Cumulative task statistics from feeds that report totals now and then, instead of every poll.
//!
//! Between two snapshots only the difference of their totals is known. A lane with snapshots is drawn from them, as
//! shares of each interval, and never as if single polls had been recorded.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::pack::{PackedColumn, push_bytes, push_column, push_varint, take_bytes, take_varint};
use super::storage::ALLOCATION_BYTES;
use super::storage::StorageDelta;
use super::time::Nanos;

/// Number of snapshots in a block, which is packed and evicted as a whole.
const BLOCK_SNAPSHOTS: usize = 16;

/// Cumulative statistics of a task since its spawn, and what the task is doing at the time of the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskStats {
    /// Polls so far.
    pub polls: u64,
    /// Time spent in polls, in nanoseconds.
    pub busy_ns: u64,
    /// Time spent scheduled, in nanoseconds.
    pub scheduled_ns: u64,
    /// What the task is doing.
    pub activity: TaskActivity,
    /// Clones of its waker that were created.
    pub waker_clones: u64,
    /// Clones of its waker that were dropped.
    pub waker_drops: u64,
}

/// What a live task was doing when its statistics were reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskActivity {
    /// It was being polled.
    Running,
    /// It was woken and not yet polled.
    Scheduled,
    /// It waited for a wake.
    #[default]
    Waiting,
}

/// Distribution of durations, as console-subscriber reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DurationHistogram {
    /// Non-empty buckets in ascending order: upper bound in nanoseconds, and count.
    pub buckets: Vec<(u64, u64)>,
    /// Number of durations above the highest value that the histogram can hold.
    pub outliers: u64,
    /// The longest of these, in nanoseconds.
    pub longest_outlier_ns: Option<u64>,
}

/// The two distributions that console-subscriber reports of each task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskHistograms {
    /// Durations of its polls.
    pub polls: DurationHistogram,
    /// Durations that it was scheduled.
    pub scheduled: DurationHistogram,
}

/// Details of an interval in a lane with sampled polls, in addition to the shares of running, scheduled and waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampledInterval {
    /// A sampled poll started in the interval.
    pub has_poll_start: bool,
    /// Polls between the snapshots around the interval that were not sampled.
    pub unsampled_polls: u64,
    /// A sampled poll spans the whole interval.
    pub is_within_poll: bool,
    /// The statistics of the start of the interval have been reported.
    pub is_reported: bool,
}

/// Cumulative statistics at one time, as a lane stores them.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct StatsSnapshot {
    pub at: Nanos,
    pub polls: u64,
    pub busy_ns: u64,
    pub scheduled_ns: u64,
    pub activity: TaskActivity,
}

/// Cumulative statistics at any time, interpolated linearly between two snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct InterpolatedStats {
    pub polls: u64,
    pub busy_ns: u64,
    pub scheduled_ns: u64,
}

/// The snapshots of one lane, oldest first. The newest are unsealed, older ones are in packed blocks.
#[derive(Clone, Debug, Default)]
pub(super) struct StatsHistory {
    blocks: VecDeque<StatsBlock>,
    unsealed: Vec<StatsSnapshot>,
    /// The newest evicted snapshot.
    last_evicted: Option<StatsSnapshot>,
}

/// A packed block of [`BLOCK_SNAPSHOTS`] snapshots, in columns: time, polls, busy, scheduled and activity.
#[derive(Clone, Debug)]
struct StatsBlock {
    at: Nanos,
    bytes: Box<[u8]>,
}

impl StatsBlock {
    fn pack(snapshots: &[StatsSnapshot]) -> Self {
        let mut bytes = Vec::new();
        let fields: [fn(&StatsSnapshot) -> u64; 5] =
            [|m| m.at, |m| m.polls, |m| m.busy_ns, |m| m.scheduled_ns, |m| m.activity as u64];
        for value in fields {
            let mut column = [0; BLOCK_SNAPSHOTS];
            column.iter_mut().zip(snapshots).for_each(|(into, snapshot)| *into = value(snapshot));
            push_column(&mut bytes, &column);
        }
        Self { at: snapshots.first().map_or(0, |first| first.at), bytes: bytes.into() }
    }

    fn columns(&self) -> Option<[PackedColumn<'_>; 5]> {
        let mut rest = &*self.bytes;
        let mut columns = [PackedColumn::default(); 5];
        for column in &mut columns {
            *column = PackedColumn::take(&mut rest, BLOCK_SNAPSHOTS)?;
        }
        Some(columns)
    }

    fn get(&self, index: usize) -> Option<StatsSnapshot> {
        let [at, polls, busy_ns, scheduled_ns, activity] = self.columns()?.map(|column| column.get(index));
        let activities = [TaskActivity::Running, TaskActivity::Scheduled, TaskActivity::Waiting];
        let activity = activities.into_iter().find(|known| *known as u64 == activity);
        Some(StatsSnapshot { at, polls, busy_ns, scheduled_ns, activity: activity.unwrap_or_default() })
    }

    /// Returns how many of its snapshots are at or before `at`.
    fn count_until(&self, at: Nanos) -> usize {
        let Some([times, ..]) = self.columns() else { return 0 };
        (0..BLOCK_SNAPSHOTS).take_while(|index| times.get(*index) <= at).count()
    }

    fn retained_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + ALLOCATION_BYTES
    }
}

impl StatsHistory {
    /// Appends a snapshot. Ignores one that is older than the last, and never lets a total decrease.
    pub fn push(&mut self, snapshot: StatsSnapshot) -> StorageDelta {
        let mut delta = StorageDelta::default();
        let Some(last) = self.last() else {
            self.reserve_one(&mut delta);
            self.unsealed.push(snapshot);
            return delta;
        };
        if snapshot.at < last.at {
            return delta;
        }
        let snapshot = StatsSnapshot {
            polls: snapshot.polls.max(last.polls),
            busy_ns: snapshot.busy_ns.max(last.busy_ns),
            scheduled_ns: snapshot.scheduled_ns.max(last.scheduled_ns),
            ..snapshot
        };
        // A second snapshot of the same time replaces the first.
        if last.at == snapshot.at {
            self.unsealed.pop();
        }
        // The newest snapshot stays unsealed, because another one of the same time may replace it.
        if self.unsealed.len() == BLOCK_SNAPSHOTS {
            let block = StatsBlock::pack(&self.unsealed);
            delta.bytes += block.retained_bytes() as isize;
            delta.has_sealed_block = true;
            self.blocks.push_back(block);
            self.unsealed.clear();
        }
        self.reserve_one(&mut delta);
        self.unsealed.push(snapshot);
        delta
    }

    fn reserve_one(&mut self, delta: &mut StorageDelta) {
        delta.reserve_one(&mut self.unsealed, BLOCK_SNAPSHOTS);
    }

    /// Returns the snapshots that are not in a block.
    pub fn unsealed(&self) -> &[StatsSnapshot] {
        &self.unsealed
    }

    /// Restores an unsealed snapshot, unless the unsealed ones fill a block already.
    pub fn push_unsealed(&mut self, snapshot: StatsSnapshot) {
        if self.unsealed.len() < BLOCK_SNAPSHOTS {
            self.push(snapshot);
        }
    }

    /// Returns the newest evicted snapshot.
    pub fn last_evicted(&self) -> Option<StatsSnapshot> {
        self.last_evicted
    }

    /// Sets the newest evicted snapshot, unless it does not precede the oldest retained block.
    pub fn set_last_evicted(&mut self, last_evicted: Option<StatsSnapshot>) {
        let first = self.blocks.front().and_then(|block| block.get(0));
        self.last_evicted = last_evicted
            .filter(|evicted| first.is_none_or(|first| evicted.at < first.at && evicted.polls <= first.polls));
    }

    /// Writes one block, counted from the newest, which is 1.
    pub fn write_block(&self, from_newest: usize, bytes: &mut Vec<u8>) {
        let index = self.blocks.len().checked_sub(from_newest);
        if let Some(block) = index.and_then(|index| self.blocks.get(index)) {
            push_varint(bytes, block.at);
            push_bytes(bytes, &block.bytes);
        }
    }

    /// Reads and appends the next block. Returns `None` if `bytes` do not hold one.
    pub fn read_block(&mut self, bytes: &mut &[u8]) -> Option<StorageDelta> {
        let block = StatsBlock { at: take_varint(bytes)?, bytes: take_bytes(bytes)?.into() };
        let follows = self.blocks.back().is_none_or(|last| last.at <= block.at);
        block.columns().filter(|_| follows)?;
        let delta = StorageDelta { bytes: block.retained_bytes() as isize, has_sealed_block: true };
        self.blocks.push_back(block);
        Some(delta)
    }

    /// Returns the last snapshot at or before `at`.
    pub fn snapshot_at(&self, at: Nanos) -> Option<StatsSnapshot> {
        self.neighbors(at).0
    }

    /// Returns the oldest retained snapshot.
    pub fn first(&self) -> Option<StatsSnapshot> {
        self.blocks.front().map_or_else(|| self.unsealed.first().copied(), |block| block.get(0))
    }

    /// Returns the newest snapshot.
    pub fn last(&self) -> Option<&StatsSnapshot> {
        self.unsealed.last()
    }

    /// Returns the last snapshot at or before `at`, and the first one after it.
    fn neighbors(&self, at: Nanos) -> (Option<StatsSnapshot>, Option<StatsSnapshot>) {
        let inside = self.unsealed.partition_point(|snapshot| snapshot.at <= at);
        if let Some(index) = inside.checked_sub(1) {
            return (self.unsealed.get(index).copied(), self.unsealed.get(inside).copied());
        }
        let after = self.blocks.partition_point(|block| block.at <= at);
        let next = self.blocks.get(after).map_or_else(|| self.unsealed.first().copied(), |block| block.get(0));
        let Some(block) = after.checked_sub(1).and_then(|index| self.blocks.get(index)) else {
            return (self.last_evicted, next);
        };
        let inside = block.count_until(at);
        let later = if inside < BLOCK_SNAPSHOTS { block.get(inside) } else { next };
        (inside.checked_sub(1).and_then(|index| block.get(index)), later)
    }

    /// Returns the totals from the spawn to `at`, interpolated linearly between two snapshots.
    ///
    /// Feeds report every change of activity, so after the last snapshot the task is assumed to continue what it did.
    pub fn stats_at(&self, spawned: Nanos, at: Nanos) -> InterpolatedStats {
        let (earlier, later) = self.neighbors(at);
        let from = earlier.map_or(spawned, |snapshot| snapshot.at);
        let stats = earlier.map_or_else(InterpolatedStats::default, |snapshot| InterpolatedStats {
            polls: snapshot.polls,
            busy_ns: snapshot.busy_ns,
            scheduled_ns: snapshot.scheduled_ns,
        });
        let Some(later) = later.filter(|_| at > from) else {
            let since = at.saturating_sub(from);
            return match earlier.map(|snapshot| snapshot.activity) {
                Some(TaskActivity::Running) => {
                    InterpolatedStats { busy_ns: stats.busy_ns.saturating_add(since), ..stats }
                }
                Some(TaskActivity::Scheduled) => {
                    InterpolatedStats { scheduled_ns: stats.scheduled_ns.saturating_add(since), ..stats }
                }
                Some(TaskActivity::Waiting) | None => stats,
            };
        };
        let (elapsed, total) = (u128::from(at - from), u128::from(later.at.saturating_sub(from).max(1)));
        let interpolate = |before: u64, after: u64| {
            before.saturating_add(
                u64::try_from(u128::from(after.saturating_sub(before)) * elapsed.min(total) / total)
                    .unwrap_or(u64::MAX),
            )
        };
        InterpolatedStats {
            polls: interpolate(stats.polls, later.polls),
            busy_ns: interpolate(stats.busy_ns, later.busy_ns),
            scheduled_ns: interpolate(stats.scheduled_ns, later.scheduled_ns),
        }
    }

    /// Returns the times of the last snapshot at or before `from` and of the first one at or after `to`, and the number
    /// of polls between them. If a snapshot is missing, the spawn or the nearest one stands in.
    pub fn polls_around(&self, spawned: Nanos, from: Nanos, to: Nanos) -> (Nanos, Nanos, u64) {
        let before = self.snapshot_at(from);
        let (earlier, later) = self.neighbors(to);
        let after = earlier.filter(|snapshot| snapshot.at == to).or(later).or(earlier);
        let polls = |snapshot: Option<StatsSnapshot>| snapshot.map_or(0, |snapshot| snapshot.polls);
        let begin = before.map_or(spawned, |snapshot| snapshot.at);
        (begin, after.map_or(begin, |snapshot| snapshot.at), polls(after).saturating_sub(polls(before)))
    }

    /// Returns their memory use in bytes.
    pub fn retained_bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(StatsBlock::retained_bytes).sum();
        blocks + self.unsealed.capacity() * size_of::<StatsSnapshot>()
    }

    /// Evicts the oldest block. Returns the number of bytes that this frees.
    pub fn evict_oldest_block(&mut self) -> Option<usize> {
        let block = self.blocks.pop_front()?;
        self.last_evicted = block.get(BLOCK_SNAPSHOTS - 1);
        Some(block.retained_bytes())
    }

    /// Returns the time up to which snapshots were evicted.
    pub fn evicted_until(&self) -> Option<Nanos> {
        self.last_evicted.map(|snapshot| snapshot.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(at: Nanos, polls: u64, busy_ns: u64) -> StatsSnapshot {
        StatsSnapshot { at, polls, busy_ns, scheduled_ns: 0, activity: TaskActivity::Waiting }
    }

    #[test]
    fn interpolates_totals_that_never_decrease() {
        let mut snapshots = StatsHistory::default();
        // A snapshot older than the last is ignored, and a decreasing total keeps its old value.
        for (at, polls, busy_ns) in [(100, 10, 50), (200, 20, 90), (150, 99, 99), (300, 5, 5)] {
            snapshots.push(snapshot(at, polls, busy_ns));
        }
        let totals = |at| {
            let stats = snapshots.stats_at(0, at);
            (stats.polls, stats.busy_ns)
        };
        assert_eq!([totals(0), totals(50), totals(100)], [(0, 0), (5, 25), (10, 50)]);
        assert_eq!([totals(150), totals(200), totals(300), totals(900)], [(15, 70), (20, 90), (20, 90), (20, 90)]);
    }

    #[test]
    fn eviction_keeps_later_totals_exact() {
        let mut snapshots = StatsHistory::default();
        for at in 1..=200 {
            snapshots.push(snapshot(at, at * 3, at));
        }
        assert_eq!(snapshots.blocks.len(), 12, "most snapshots are packed");
        for at in 0..=200 {
            assert_eq!(snapshots.stats_at(0, at).polls, at * 3);
            assert_eq!(snapshots.snapshot_at(at).map(|snapshot| snapshot.at), (at > 0).then_some(at));
        }
        assert!(snapshots.evict_oldest_block().is_some());
        assert_eq!(snapshots.evicted_until(), Some(16));
        assert_eq!(snapshots.stats_at(0, 150).polls, 450);
        while snapshots.evict_oldest_block().is_some() {}
        assert_eq!(snapshots.unsealed.len(), 8, "the newest snapshots stay");
        assert_eq!(snapshots.stats_at(0, 195).polls, 585);
    }
}
