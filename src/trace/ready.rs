//! How many tasks were ready, over time: the length of the loop's queue.
//!
//! One entry per stretch of [`RESOLUTION_NS`] in which it changed, in blocks that know their maximum, so that the most
//! in any window is found without walking all of it.

use std::collections::VecDeque;

use super::event::Nanos;

/// Changes closer together than this share an entry: 0.1 ms.
const RESOLUTION_NS: Nanos = 100_000;

const BLOCK_ENTRIES: usize = 256;

/// Blocks that are kept: a million entries. The oldest go first.
const BLOCKS_MAX: usize = 4096;

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Nanos,
    most: u32,
    /// What it was at the end of the stretch, and stayed until the next entry.
    last: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Ready {
    blocks: VecDeque<(u32, Vec<Entry>)>,
}

impl Ready {
    /// From `at` on, `ready` tasks are ready.
    pub fn note(&mut self, at: Nanos, ready: u32) {
        if let Some((most, entries)) = self.blocks.back_mut() {
            if let Some(entry) = entries.last_mut().filter(|entry| at < entry.at.saturating_add(RESOLUTION_NS)) {
                entry.last = ready;
                entry.most = entry.most.max(ready);
                *most = (*most).max(ready);
                return;
            }
            if entries.len() < BLOCK_ENTRIES {
                entries.push(Entry { at, most: ready, last: ready });
                *most = (*most).max(ready);
                return;
            }
        }
        if self.blocks.len() == BLOCKS_MAX {
            self.blocks.pop_front();
        }
        self.blocks.push_back((ready, vec![Entry { at, most: ready, last: ready }]));
    }

    /// The most that were ready at any time from `from` up to, not including, `to`.
    pub fn most(&self, from: Nanos, to: Nanos) -> u32 {
        let begins_before = |block: &(u32, Vec<Entry>), at| block.1.first().is_some_and(|entry| entry.at < at);
        // The block of the entry that was in force at `from`, and the first that begins after the window.
        let first = self.blocks.partition_point(|block| begins_before(block, from.saturating_add(1))).saturating_sub(1);
        let end = self.blocks.partition_point(|block| begins_before(block, to));
        let mut most = 0;
        for (index, (block_most, entries)) in self.blocks.range(first..end.max(first)).enumerate() {
            let is_edge = index == 0 || first + index + 1 == end;
            most = most.max(if is_edge { most_of(entries, from, to) } else { *block_most });
        }
        most
    }
}

fn most_of(entries: &[Entry], from: Nanos, to: Nanos) -> u32 {
    let first = entries.partition_point(|entry| entry.at < from);
    let before = first.checked_sub(1).map_or(0, |index| entries[index].last);
    let inside = entries[first..].iter().take_while(|entry| entry.at < to).map(|entry| entry.most);
    inside.max().unwrap_or(0).max(before)
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
        [1, 9, 2].into_iter().for_each(|value| ready.note(50, value));
        assert_eq!((ready.most(50, 51), ready.most(51, 1_000)), (9, 2));
    }
}
