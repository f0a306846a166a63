//! Spans of a recording that are to be resolved again, because the console may describe them late.

use std::collections::VecDeque;

use rustc_hash::FxHashSet;

/// Spans, in the order in which they are resolved again. Most of them are resolved otherwise before their turn.
#[derive(Debug, Default)]
pub struct ResolveQueue(VecDeque<u64>);

impl ResolveQueue {
    /// Adds a span. If more than `count_max` are queued, those that are no longer unresolved are removed.
    pub fn push(&mut self, span: u64, count_max: usize, is_unresolved: impl Fn(u64) -> bool) {
        if self.0.len() >= count_max {
            // A span id that was reused may be queued twice.
            let mut queued = FxHashSet::default();
            self.0.retain(|span| is_unresolved(*span) && queued.insert(*span));
        }
        self.0.push_back(span);
    }

    /// Takes up to `count_max` unresolved spans, and removes the others before them.
    pub fn take(&mut self, count_max: usize, is_unresolved: impl Fn(u64) -> bool) -> Vec<u64> {
        let mut taken = Vec::new();
        while taken.len() < count_max
            && let Some(span) = self.0.pop_front()
        {
            taken.extend(is_unresolved(span).then_some(span));
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolved_spans_do_not_accumulate() {
        let mut queue = ResolveQueue::default();
        let is_unresolved = |span| span % 100 == 0;
        for span in (0..10_000).chain(0..10_000) {
            queue.push(span, 200, is_unresolved);
            assert!(queue.0.len() <= 200);
        }
        assert_eq!(queue.take(3, is_unresolved), [0, 100, 200]);
        assert_eq!(queue.take(usize::MAX, is_unresolved).len(), 97, "each once");
    }
}
