//! The length of a queue over time: that of the loop's ready queue, or the sampled depth of a runtime's queue.
//!
//! There is one entry per interval in which the length changed. Entries are grouped in blocks with maxima, so that the
//! peak of any window is found without a scan of all entries. When the entries reach their limit, each pair of
//! neighbours is merged and the interval doubles: the whole run is retained at a lower resolution.

use serde::{Deserialize, Serialize};

use super::time::Nanos;

/// Initial resolution: changes within 0.1 ms share an entry.
const RESOLUTION_NS: Nanos = 100_000;

/// Number of entries in a block, and of blocks in a large block.
const BLOCK_ENTRIES: usize = 32;

/// Maximum number of entries, which take 4 MiB.
pub(super) const ENTRIES_MAX: usize = 1 << 18;

/// Size of an entry in bytes.
pub(super) const ENTRY_BYTES: usize = size_of::<QueueEntry>();

/// The queue length within one interval.
#[derive(Clone, Copy, Debug)]
struct QueueEntry {
    /// Loop time at which the interval starts.
    at: Nanos,
    /// The greatest length in the interval.
    peak: u32,
    /// The length at the end of the interval, which holds until the next entry.
    last: u32,
}

/// The history of the length of a queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "QueueDeltas", into = "QueueDeltas")]
pub(super) struct QueueHistory {
    /// Length of an entry's interval.
    resolution_ns: Nanos,
    /// Entries in order of time.
    entries: Vec<QueueEntry>,
    /// Maxima of each full block of entries, and of each full block of blocks.
    blocks: Vec<QueueBlock>,
    large_blocks: Vec<QueueBlock>,
}

/// The start of a run of entries and the greatest length in it.
#[derive(Clone, Copy, Debug)]
struct QueueBlock {
    /// Loop time of the first entry.
    at: Nanos,
    /// The greatest length in the run.
    peak: u32,
}

/// The encoded form: the resolution, and for each entry the time since the previous one, the peak and the last length.
type QueueDeltas = (Nanos, Vec<(Nanos, u32, u32)>);

impl From<QueueDeltas> for QueueHistory {
    fn from((resolution_ns, deltas): QueueDeltas) -> Self {
        let mut history = Self { resolution_ns: resolution_ns.max(RESOLUTION_NS), ..Self::default() };
        let mut at: Nanos = 0;
        for (after, peak, last) in deltas.into_iter().take(ENTRIES_MAX) {
            at = at.saturating_add(after);
            history.push(QueueEntry { at, peak, last });
        }
        history
    }
}

impl From<QueueHistory> for QueueDeltas {
    fn from(history: QueueHistory) -> Self {
        let previous_times = [0].into_iter().chain(history.entries.iter().map(|entry| entry.at));
        let deltas = history.entries.iter().zip(previous_times);
        let deltas = deltas.map(|(entry, previous)| (entry.at.saturating_sub(previous), entry.peak, entry.last));
        (history.resolution_ns, deltas.collect())
    }
}

impl Default for QueueHistory {
    fn default() -> Self {
        Self { resolution_ns: RESOLUTION_NS, entries: Vec::new(), blocks: Vec::new(), large_blocks: Vec::new() }
    }
}

impl QueueHistory {
    /// Records that the queue has this length from `at` on. Returns whether earlier entries were merged to a lower
    /// resolution.
    #[inline]
    pub fn record(&mut self, at: Nanos, length: u32) -> bool {
        self.record_within(at, length, ENTRIES_MAX)
    }

    /// Records that the queue has this length from `at` on, in at most `entries_max` entries, but at least one. Returns
    /// whether earlier entries were merged to a lower resolution.
    #[inline]
    pub fn record_within(&mut self, at: Nanos, length: u32, entries_max: usize) -> bool {
        if let Some(entry) = self.entries.last_mut()
            && at < entry.at.saturating_add(self.resolution_ns)
        {
            entry.last = length;
            entry.peak = entry.peak.max(length);
            return false;
        }
        let is_full = self.entries.len() >= entries_max;
        self.restrict(entries_max.saturating_sub(1));
        self.push(QueueEntry { at, peak: length, last: length });
        is_full
    }

    /// Merges entries until there are at most `entries_max`, but at least one.
    pub fn restrict(&mut self, entries_max: usize) {
        while self.entries.len() > entries_max.max(1) {
            self.coarsen();
        }
    }

    /// Returns the length at `at`; `None` before the first entry. Within an interval it is that at its end.
    pub fn length_at(&self, at: Nanos) -> Option<u32> {
        let index = self.count_before(at.saturating_add(1)).checked_sub(1)?;
        Some(self.entries[index].last)
    }

    /// Returns the start of the newest entry. The history before it no longer changes, except for a loss of resolution.
    pub fn last_change(&self) -> Option<Nanos> {
        self.entries.last().map(|entry| entry.at)
    }

    /// Appends an entry, and a block once enough entries precede it.
    fn push(&mut self, entry: QueueEntry) {
        let is_full = |length: usize| length.is_multiple_of(BLOCK_ENTRIES) && length > 0;
        if is_full(self.entries.len()) {
            let block = &self.entries[self.entries.len() - BLOCK_ENTRIES..];
            let peak = block.iter().map(|entry| entry.peak).max().unwrap_or(0);
            self.blocks.push(QueueBlock { at: block[0].at, peak });
            if is_full(self.blocks.len()) {
                let large = &self.blocks[self.blocks.len() - BLOCK_ENTRIES..];
                let peak = large.iter().map(|block| block.peak).max().unwrap_or(0);
                self.large_blocks.push(QueueBlock { at: large[0].at, peak });
            }
        }
        self.entries.push(entry);
    }

    /// Merges each pair of entries and doubles the interval.
    #[cold]
    fn coarsen(&mut self) {
        self.resolution_ns = self.resolution_ns.saturating_mul(2);
        let merged = |pair: &[QueueEntry]| QueueEntry {
            at: pair[0].at,
            peak: pair.iter().map(|entry| entry.peak).max().unwrap_or(0),
            last: pair.last().map_or(0, |entry| entry.last),
        };
        let old = std::mem::take(&mut self.entries);
        self.entries = Vec::with_capacity(old.len());
        self.blocks.clear();
        self.large_blocks.clear();
        old.chunks(2).for_each(|pair| self.push(merged(pair)));
    }

    /// Returns the peak from `from` up to, not including, `to`.
    pub fn peak(&self, from: Nanos, to: Nanos) -> u32 {
        let (first, end) = (self.count_before(from), self.count_before(to));
        // The length at the start of the window.
        let mut peak = first.checked_sub(1).map_or(0, |index| self.entries[index].last);
        let mut index = first;
        while index < end {
            let whole_block = |blocks: &[QueueBlock], entries: usize| {
                let is_whole = index.is_multiple_of(entries) && index + entries <= end;
                blocks.get(index / entries).filter(|_| is_whole).map(|block| (block.peak, entries))
            };
            let block = whole_block(&self.large_blocks, BLOCK_ENTRIES * BLOCK_ENTRIES)
                .or_else(|| whole_block(&self.blocks, BLOCK_ENTRIES));
            let (block_peak, count) = block.unwrap_or((self.entries[index].peak, 1));
            peak = peak.max(block_peak);
            index += count;
        }
        peak
    }

    /// Returns the number of entries before `at`. Searches the large blocks, then the blocks of the last large one that
    /// begins before `at` and what follows it, then the entries likewise.
    fn count_before(&self, at: Nanos) -> usize {
        let search_range = |count: usize, of: usize| {
            let first = count.saturating_sub(1) * BLOCK_ENTRIES;
            first..of.min(first + 2 * BLOCK_ENTRIES)
        };
        let is_before = |block: &QueueBlock| block.at < at;
        let blocks = search_range(self.large_blocks.partition_point(is_before), self.blocks.len());
        let count = blocks.start + self.blocks[blocks].partition_point(is_before);
        let entries = search_range(count, self.entries.len());
        entries.start + self.entries[entries].partition_point(|entry| entry.at < at)
    }

    /// Returns the bytes of memory behind this struct.
    pub fn retained_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<QueueEntry>()
            + (self.blocks.capacity() + self.large_blocks.capacity()) * size_of::<QueueBlock>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_equals_linear_scan() {
        let mut history = QueueHistory::default();
        let mut recorded = vec![];
        let mut state = 7_u64;
        for index in 0..9_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (at, value) = (index * RESOLUTION_NS, (state >> 40) as u32 % 100);
            history.record(at, value);
            recorded.push((at, value));
        }
        for (from, to) in
            [(0, 1), (5, 9), (100, 2_000), (255, 257), (256, 512), (700, 2_999), (1_000, 8_100), (8_999, 9_900)]
        {
            let (from, to) = (from * RESOLUTION_NS + 3, to * RESOLUTION_NS + 5);
            let inside = recorded.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, value)| *value);
            let at_start = recorded.iter().rev().find(|(at, _)| *at < from).map_or(0, |(_, value)| *value);
            assert_eq!(history.peak(from, to), inside.max().unwrap_or(0).max(at_start), "{from} to {to}");
        }
    }

    #[test]
    fn changes_at_one_instant_keep_peak() {
        let mut history = QueueHistory::default();
        for value in [1, 9, 2] {
            history.record(50, value);
        }
        assert_eq!((history.peak(50, 51), history.peak(51, 1_000)), (9, 2));
    }

    #[test]
    fn long_run_loses_resolution() {
        let mut history = QueueHistory::default();
        for index in 0..=ENTRIES_MAX as u64 {
            history.record(index * RESOLUTION_NS, if index == 1_001 { 77 } else { 3 });
        }
        assert_eq!((history.entries.len(), history.resolution_ns), (ENTRIES_MAX / 2 + 1, 2 * RESOLUTION_NS));
        assert_eq!(history.peak(0, Nanos::MAX), 77);
        assert_eq!(history.peak(1_000 * RESOLUTION_NS, 1_002 * RESOLUTION_NS), 77);
        assert_eq!(history.peak(1_003 * RESOLUTION_NS, Nanos::MAX), 3);
    }
}
