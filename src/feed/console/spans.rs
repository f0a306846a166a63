//! What a span id of the wire means. A program uses an id again once its span is closed, and tells some things twice:
//! the moment of creation says which is which.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::stamps::Stamp;

/// Things that are remembered though they are gone: a program that is joined again tells of its dead once more.
const GONE_MAX: usize = 1 << 16;

/// Those of them, the newest, of which more is remembered than that they were: what is told may still refer to them.
const WHOLE_MAX: usize = 1 << 13;

#[derive(Debug)]
struct Known<T> {
    created: Option<Stamp>,
    is_gone: bool,
    thing: T,
}

/// What is known of one kind of thing, by span id.
#[derive(Debug)]
pub struct Spans<T> {
    known: FxHashMap<u64, Known<T>>,
    /// What is gone, in the order of going.
    gone: VecDeque<(u64, Option<Stamp>)>,
    /// Of what has been gone for long: when it was created.
    past: FxHashMap<u64, Option<Stamp>>,
    live: usize,
}

impl<T> Default for Spans<T> {
    fn default() -> Self {
        Self { known: FxHashMap::default(), gone: VecDeque::new(), past: FxHashMap::default(), live: 0 }
    }
}

impl<T> Spans<T> {
    /// What `span` means now, also where that has just gone.
    pub fn get(&self, span: u64) -> Option<&T> {
        self.known.get(&span).map(|known| &known.thing)
    }

    pub fn get_mut(&mut self, span: u64) -> Option<&mut T> {
        self.known.get_mut(&span).map(|known| &mut known.thing)
    }

    /// What `span` means, unless that is gone.
    pub fn live_mut(&mut self, span: u64) -> Option<&mut T> {
        self.known.get_mut(&span).filter(|known| !known.is_gone).map(|known| &mut known.thing)
    }

    /// How many there are that are not gone.
    pub fn live(&self) -> usize {
        self.live
    }

    /// `span` is known, and means what was created then.
    pub fn is_known(&self, span: u64, created: Option<Stamp>) -> bool {
        self.known.get(&span).is_some_and(|known| known.created == created) || self.past.get(&span) == Some(&created)
    }

    pub fn is_gone(&self, span: u64) -> bool {
        self.known.get(&span).is_some_and(|known| known.is_gone)
    }

    /// From now on `span` means `thing`. Gives what it meant before, if nobody has said that this is gone.
    pub fn meet(&mut self, span: u64, created: Option<Stamp>, thing: T) -> Option<T> {
        let before = self.known.insert(span, Known { created, is_gone: false, thing });
        let replaced = before.filter(|before| !before.is_gone);
        self.live += usize::from(replaced.is_none());
        replaced.map(|before| before.thing)
    }

    /// What `span` means is gone. Tells whether that is news.
    pub fn end(&mut self, span: u64) -> bool {
        let Some(known) = self.known.get_mut(&span).filter(|known| !known.is_gone) else { return false };
        known.is_gone = true;
        self.live -= 1;
        self.gone.push_back((span, known.created));
        let old = self.gone.len().checked_sub(WHOLE_MAX + 1).and_then(|index| self.gone.get(index).copied());
        if let Some((old, created)) = old
            && self.known.get(&old).is_some_and(|known| known.is_gone && known.created == created)
        {
            self.known.remove(&old);
            self.past.insert(old, created);
        }
        if self.gone.len() > GONE_MAX
            && let Some((oldest, created)) = self.gone.pop_front()
            && self.past.get(&oldest) == Some(&created)
        {
            self.past.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_used_again_means_something_new_and_what_is_told_twice_does_not() {
        let (first, second) = (Some(Stamp::from_nanos(1)), Some(Stamp::from_nanos(2)));
        let mut spans = Spans::default();
        assert_eq!(spans.meet(7, first, "old"), None);
        assert!(spans.is_known(7, first) && !spans.is_known(7, second));
        assert_eq!(spans.meet(7, second, "new"), Some("old"), "nobody told that it went");
        assert!(spans.end(7) && !spans.end(7) && spans.is_gone(7));
        assert_eq!((spans.get(7), spans.live()), (Some(&"new"), 0));
        assert_eq!(spans.live_mut(7), None);
        assert!(spans.is_known(7, second), "it is remembered");
        let go = |spans: &mut Spans<_>, ids: std::ops::Range<usize>| {
            for span in ids {
                spans.meet(span as u64, first, "more");
                spans.end(span as u64);
            }
        };
        go(&mut spans, 8..8 + WHOLE_MAX);
        assert_eq!((spans.get(7), spans.is_known(7, second), spans.is_known(7, first)), (None, true, false));
        go(&mut spans, 8 + WHOLE_MAX..8 + GONE_MAX);
        assert!(!spans.is_known(7, second) && spans.is_known(8, first), "but not for ever");
        spans.meet(8, second, "new");
        assert!(spans.is_known(8, second) && spans.live() == 1);
    }
}
