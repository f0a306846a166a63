//! How many tasks were ready, over time: the length of the loop's queue.
//!
//! One entry per stretch of time in which it changed, in blocks that know their maximum, so that the most in any window
//! is found without walking all of it. Once there is no room for more, two neighbours become one and a stretch is twice
//! as long: the whole run stays, more coarsely.

use serde::{Deserialize, Serialize};

use super::event::Nanos;

/// Changes closer together than this share an entry at first: 0.1 ms.
const RESOLUTION_NS: Nanos = 100_000;

const BLOCK_ENTRIES: usize = 64;

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
    /// The most in each full block of entries.
    blocks: Vec<u32>,
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
        Self { resolution_ns: RESOLUTION_NS, entries: Vec::new(), blocks: Vec::new() }
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
        if self.entries.len().is_multiple_of(BLOCK_ENTRIES) && !self.entries.is_empty() {
            let full = &self.entries[self.entries.len() - BLOCK_ENTRIES..];
            self.blocks.push(full.iter().map(|entry| entry.most).max().unwrap_or(0));
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
        old.chunks(2).for_each(|pair| self.push(merged(pair)));
    }

    /// The most that were ready at any time from `from` up to, not including, `to`.
    pub fn most(&self, from: Nanos, to: Nanos) -> u32 {
        let first = self.entries.partition_point(|entry| entry.at < from);
        let end = first + self.entries[first..].partition_point(|entry| entry.at < to);
        // What was in force when the window began.
        let mut most = first.checked_sub(1).map_or(0, |index| self.entries[index].last);
        let mut index = first;
        while index < end {
            let block = index / BLOCK_ENTRIES;
            let is_whole = index.is_multiple_of(BLOCK_ENTRIES) && index + BLOCK_ENTRIES <= end;
            match self.blocks.get(block).filter(|_| is_whole) {
                Some(whole) => {
                    most = most.max(*whole);
                    index += BLOCK_ENTRIES;
                }
                None => {
                    most = most.max(self.entries[index].most);
                    index += 1;
                }
            }
        }
        most
    }

    pub fn kept_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.blocks.capacity() * size_of::<u32>()
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
        for index in 0..3_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (at, value) = (index * RESOLUTION_NS, (state >> 40) as u32 % 100);
            ready.note(at, value);
            noted.push((at, value));
        }
        for (from, to) in [(0, 1), (5, 9), (100, 2_000), (255, 257), (256, 512), (700, 2_999), (2_999, 5_000)] {
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
