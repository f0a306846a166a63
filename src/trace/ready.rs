//! How many tasks were ready, over time: the length of the loop's queue.
//!
//! One entry per stretch of time in which it changed, in blocks that know their maximum, so that the most in any window
//! is found without walking all of it. Once there is no room for more, two neighbours become one and a stretch is twice
//! as long: the whole run stays, more coarsely.

use serde::{Deserialize, Serialize};

use super::event::Nanos;

/// Changes closer together than this share an entry at first: 0.1 ms.
const RESOLUTION_NS: Nanos = 100_000;

/// Entries in a block, and blocks in a large one.
const BLOCK_ENTRIES: usize = 32;

/// Entries that are kept at most: 4 MiB.
const ENTRIES_MAX: usize = 1 << 18;

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Nanos,
    most: u32,
    /// What it was at the end of the stretch, and stayed until the next entry.
    last: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Told", into = "Told")]
pub(super) struct Ready {
    resolution_ns: Nanos,
    entries: Vec<Entry>,
    /// Of each full block of entries, and of each full block of these.
    blocks: Vec<Block>,
    large: Vec<Block>,
}

/// When the first of some entries was, and the most in all of them.
#[derive(Clone, Copy, Debug)]
struct Block {
    at: Nanos,
    most: u32,
}

/// How long after the one before, the most, and the last.
type Told = (Nanos, Vec<(Nanos, u32, u32)>);

impl From<Told> for Ready {
    fn from((resolution_ns, told): Told) -> Self {
        let mut ready = Self { resolution_ns: resolution_ns.max(RESOLUTION_NS), ..Self::default() };
        let mut at: Nanos = 0;
        for (after, most, last) in told.into_iter().take(ENTRIES_MAX) {
            at = at.saturating_add(after);
            ready.push(Entry { at, most, last });
        }
        ready
    }
}

impl From<Ready> for Told {
    fn from(ready: Ready) -> Self {
        let befores = [0].into_iter().chain(ready.entries.iter().map(|entry| entry.at));
        let told = ready.entries.iter().zip(befores);
        let told = told.map(|(entry, before)| (entry.at.saturating_sub(before), entry.most, entry.last));
        (ready.resolution_ns, told.collect())
    }
}

impl Default for Ready {
    fn default() -> Self {
        Self { resolution_ns: RESOLUTION_NS, entries: Vec::new(), blocks: Vec::new(), large: Vec::new() }
    }
}

impl Ready {
    /// From `at` on, `ready` tasks are ready. Tells whether what was noted before is known more coarsely now.
    #[inline]
    pub fn note(&mut self, at: Nanos, ready: u32) -> bool {
        if let Some(entry) = self.entries.last_mut()
            && at < entry.at.saturating_add(self.resolution_ns)
        {
            entry.last = ready;
            entry.most = entry.most.max(ready);
            return false;
        }
        let is_full = self.entries.len() == ENTRIES_MAX;
        if is_full {
            self.coarsen();
        }
        self.push(Entry { at, most: ready, last: ready });
        is_full
    }

    /// The time of the newest entry: what was before it does not change.
    pub fn changed_last(&self) -> Option<Nanos> {
        self.entries.last().map(|entry| entry.at)
    }

    fn push(&mut self, entry: Entry) {
        let full = |length: usize| length.is_multiple_of(BLOCK_ENTRIES) && length > 0;
        if full(self.entries.len()) {
            let block = &self.entries[self.entries.len() - BLOCK_ENTRIES..];
            let most = block.iter().map(|entry| entry.most).max().unwrap_or(0);
            self.blocks.push(Block { at: block[0].at, most });
            if full(self.blocks.len()) {
                let large = &self.blocks[self.blocks.len() - BLOCK_ENTRIES..];
                let most = large.iter().map(|block| block.most).max().unwrap_or(0);
                self.large.push(Block { at: large[0].at, most });
            }
        }
        self.entries.push(entry);
    }

    #[cold]
    fn coarsen(&mut self) {
        self.resolution_ns = self.resolution_ns.saturating_mul(2);
        let merged = |pair: &[Entry]| Entry {
            at: pair[0].at,
            most: pair.iter().map(|entry| entry.most).max().unwrap_or(0),
            last: pair.last().map_or(0, |entry| entry.last),
        };
        let old = std::mem::take(&mut self.entries);
        self.entries = Vec::with_capacity(old.capacity());
        self.blocks.clear();
        self.large.clear();
        old.chunks(2).for_each(|pair| self.push(merged(pair)));
    }

    /// The most that were ready at any time from `from` up to, not including, `to`.
    pub fn most(&self, from: Nanos, to: Nanos) -> u32 {
        let (first, end) = (self.count_before(from), self.count_before(to));
        // What was in force when the window began.
        let mut most = first.checked_sub(1).map_or(0, |index| self.entries[index].last);
        let mut index = first;
        while index < end {
            let whole = |blocks: &[Block], entries: usize| {
                let is_whole = index.is_multiple_of(entries) && index + entries <= end;
                blocks.get(index / entries).filter(|_| is_whole).map(|block| (block.most, entries))
            };
            let of_blocks =
                whole(&self.large, BLOCK_ENTRIES * BLOCK_ENTRIES).or_else(|| whole(&self.blocks, BLOCK_ENTRIES));
            let (of_these, count) = of_blocks.unwrap_or((self.entries[index].most, 1));
            most = most.max(of_these);
            index += count;
        }
        most
    }

    /// Entries before `at`: looked for among the large blocks, which are few enough to be at hand, then among the blocks of
    /// the last of these that begins before it, and of what follows, and then among entries alike.
    fn count_before(&self, at: Nanos) -> usize {
        let near = |count: usize, of: usize| {
            let first = count.saturating_sub(1) * BLOCK_ENTRIES;
            first..of.min(first + 2 * BLOCK_ENTRIES)
        };
        let is_before = |block: &Block| block.at < at;
        let blocks = near(self.large.partition_point(is_before), self.blocks.len());
        let count = blocks.start + self.blocks[blocks].partition_point(is_before);
        let entries = near(count, self.entries.len());
        entries.start + self.entries[entries].partition_point(|entry| entry.at < at)
    }

    pub fn kept_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + (self.blocks.capacity() + self.large.capacity()) * size_of::<Block>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_in_any_window_is_what_a_slow_walk_finds() {
        let mut ready = Ready::default();
        let mut noted = vec![];
        let mut state = 7_u64;
        for index in 0..9_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (at, value) = (index * RESOLUTION_NS, (state >> 40) as u32 % 100);
            ready.note(at, value);
            noted.push((at, value));
        }
        for (from, to) in
            [(0, 1), (5, 9), (100, 2_000), (255, 257), (256, 512), (700, 2_999), (1_000, 8_100), (8_999, 9_900)]
        {
            let (from, to) = (from * RESOLUTION_NS + 3, to * RESOLUTION_NS + 5);
            let inside = noted.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, value)| *value);
            let in_force = noted.iter().rev().find(|(at, _)| *at < from).map_or(0, |(_, value)| *value);
            assert_eq!(ready.most(from, to), inside.max().unwrap_or(0).max(in_force), "{from} to {to}");
        }
    }

    #[test]
    fn changes_at_one_instant_keep_their_maximum() {
        let mut ready = Ready::default();
        for value in [1, 9, 2] {
            ready.note(50, value);
        }
        assert_eq!((ready.most(50, 51), ready.most(51, 1_000)), (9, 2));
    }

    #[test]
    fn a_long_run_is_kept_whole_and_more_coarsely() {
        let mut ready = Ready::default();
        for index in 0..=ENTRIES_MAX as u64 {
            ready.note(index * RESOLUTION_NS, if index == 1_001 { 77 } else { 3 });
        }
        assert_eq!((ready.entries.len(), ready.resolution_ns), (ENTRIES_MAX / 2 + 1, 2 * RESOLUTION_NS));
        assert_eq!(ready.most(0, Nanos::MAX), 77);
        assert_eq!(ready.most(1_000 * RESOLUTION_NS, 1_002 * RESOLUTION_NS), 77);
        assert_eq!(ready.most(1_003 * RESOLUTION_NS, Nanos::MAX), 3);
    }
}
