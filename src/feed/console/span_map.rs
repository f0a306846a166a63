//! Resolves span ids. A program reuses the id of a closed span, and repeats some updates; the creation time tells a
//! reused id from a repeated one.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::wire_clock::WireTimestamp;

/// Closed spans whose creation time is remembered: after a reconnect a program reports closed spans once more.
const CLOSED_MAX: usize = 1 << 16;

/// The newest of them, whose values are kept: later updates may still refer to them.
const VALUES_MAX: usize = 1 << 13;

#[derive(Debug)]
struct SpanEntry<T> {
    created: Option<WireTimestamp>,
    is_closed: bool,
    value: T,
}

/// Values of one kind by span id.
#[derive(Debug)]
pub struct SpanMap<T> {
    entries: FxHashMap<u64, SpanEntry<T>>,
    /// Closed spans, in the order of closing.
    closed: VecDeque<(u64, Option<WireTimestamp>)>,
    /// Creation times of spans whose values were evicted.
    evicted: FxHashMap<u64, Option<WireTimestamp>>,
    open: usize,
}

impl<T> Default for SpanMap<T> {
    fn default() -> Self {
        Self { entries: FxHashMap::default(), closed: VecDeque::new(), evicted: FxHashMap::default(), open: 0 }
    }
}

impl<T> SpanMap<T> {
    /// Returns the value of `span`, also if it was closed recently.
    pub fn get(&self, span: u64) -> Option<&T> {
        self.entries.get(&span).map(|entry| &entry.value)
    }

    /// Returns the value of `span` for modification, also if it was closed recently.
    pub fn get_mut(&mut self, span: u64) -> Option<&mut T> {
        self.entries.get_mut(&span).map(|entry| &mut entry.value)
    }

    /// Returns the value of `span` unless it is closed.
    pub fn open_mut(&mut self, span: u64) -> Option<&mut T> {
        self.entries.get_mut(&span).filter(|entry| !entry.is_closed).map(|entry| &mut entry.value)
    }

    /// Returns the number of open spans.
    pub fn open_count(&self) -> usize {
        self.open
    }

    /// Whether `span`, created at `created`, was inserted before.
    pub fn is_known(&self, span: u64, created: Option<WireTimestamp>) -> bool {
        self.entries.get(&span).is_some_and(|entry| entry.created == created)
            || self.evicted.get(&span) == Some(&created)
    }

    /// Whether `span` is closed and its value not evicted yet.
    pub fn is_closed(&self, span: u64) -> bool {
        self.entries.get(&span).is_some_and(|entry| entry.is_closed)
    }

    /// Inserts a span. Returns the value of the open span that it replaces, if the close of that one was not reported.
    pub fn insert(&mut self, span: u64, created: Option<WireTimestamp>, value: T) -> Option<T> {
        let before = self.entries.insert(span, SpanEntry { created, is_closed: false, value });
        let replaced = before.filter(|before| !before.is_closed);
        self.open += usize::from(replaced.is_none());
        replaced.map(|before| before.value)
    }

    /// Closes `span`. Returns `false` if it is unknown or closed already.
    pub fn close(&mut self, span: u64) -> bool {
        let Some(entry) = self.entries.get_mut(&span).filter(|entry| !entry.is_closed) else { return false };
        entry.is_closed = true;
        self.open -= 1;
        self.closed.push_back((span, entry.created));
        let old = self.closed.len().checked_sub(VALUES_MAX + 1).and_then(|index| self.closed.get(index).copied());
        if let Some((old, created)) = old
            && self.entries.get(&old).is_some_and(|entry| entry.is_closed && entry.created == created)
        {
            self.entries.remove(&old);
            self.evicted.insert(old, created);
        }
        if self.closed.len() > CLOSED_MAX
            && let Some((oldest, created)) = self.closed.pop_front()
            && self.evicted.get(&oldest) == Some(&created)
        {
            self.evicted.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_reused_ids_from_repeated_updates() {
        let (first, second) = (Some(WireTimestamp::from_nanos(1)), Some(WireTimestamp::from_nanos(2)));
        let mut spans = SpanMap::default();
        assert_eq!(spans.insert(7, first, "old"), None);
        assert!(spans.is_known(7, first) && !spans.is_known(7, second));
        assert_eq!(spans.insert(7, second, "new"), Some("old"), "its close was not reported");
        assert!(spans.close(7) && !spans.close(7) && spans.is_closed(7));
        assert_eq!((spans.get(7), spans.open_count()), (Some(&"new"), 0));
        assert_eq!(spans.open_mut(7), None);
        assert!(spans.is_known(7, second), "closed spans are remembered");
        let go = |spans: &mut SpanMap<_>, ids: std::ops::Range<usize>| {
            for span in ids {
                spans.insert(span as u64, first, "more");
                spans.close(span as u64);
            }
        };
        go(&mut spans, 8..8 + VALUES_MAX);
        assert_eq!((spans.get(7), spans.is_known(7, second), spans.is_known(7, first)), (None, true, false));
        go(&mut spans, 8 + VALUES_MAX..8 + CLOSED_MAX);
        assert!(!spans.is_known(7, second) && spans.is_known(8, first), "the oldest are evicted");
        spans.insert(8, second, "new");
        assert!(spans.is_known(8, second) && spans.open_count() == 1);
    }
}
