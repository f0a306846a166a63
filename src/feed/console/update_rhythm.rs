//! Detects that no update was published for much longer than usual: the app was stopped, or its console was starved.

use std::collections::VecDeque;

use crate::trace::Nanos;

/// Shortest interval that counts as a gap, in nanoseconds.
const GAP_MIN_NS: Nanos = 3_000_000_000;

/// How many times the usual interval a gap lasts at least.
const GAP_FACTOR: Nanos = 3;

/// Number of intervals that define what is usual.
const INTERVALS_MAX: usize = 8;

/// The intervals between the updates of one connection.
#[derive(Clone, Debug, Default)]
pub struct UpdateRhythm {
    /// Updates of this connection.
    updates: u64,
    /// The last ordinary intervals. The first interval of a connection is cut short and does not count.
    ordinary: VecDeque<Nanos>,
    /// A long interval from before any ordinary one. The next interval decides whether it is a gap.
    undecided: Option<(Nanos, Nanos)>,
    /// The last interval was a gap.
    was_gap: bool,
}

impl UpdateRhythm {
    /// Prepares for updates over a new connection.
    pub fn reconnect(&mut self) {
        (self.updates, self.undecided, self.was_gap) = (0, None, false);
    }

    /// Adds an update at loop time `at`, which follows one at `before`. Returns an interval without updates that is now
    /// certain to be a gap.
    pub fn observe(&mut self, before: Nanos, at: Nanos) -> Option<(Nanos, Nanos)> {
        self.updates = self.updates.saturating_add(1);
        if self.updates == 1 {
            return None;
        }
        let length = at.saturating_sub(before);
        let Some(usual) = self.ordinary.iter().max() else { return self.observe_first(before, at) };
        let is_gap = length >= GAP_MIN_NS.max(usual.saturating_mul(GAP_FACTOR));
        // Two in a row are a new rhythm.
        if is_gap && !std::mem::replace(&mut self.was_gap, true) {
            return Some((before, at));
        }
        self.was_gap = false;
        self.add_ordinary(length);
        None
    }

    /// Adds an interval while no ordinary one is known.
    fn observe_first(&mut self, before: Nanos, at: Nanos) -> Option<(Nanos, Nanos)> {
        let length = at.saturating_sub(before);
        match self.undecided.take() {
            None if length >= GAP_MIN_NS => {
                self.undecided = Some((before, at));
                None
            }
            // The first interval of a connection is a part of one.
            None if self.updates == 2 => None,
            undecided => {
                self.add_ordinary(length);
                undecided.filter(|(from, to)| to - from >= length.saturating_mul(GAP_FACTOR))
            }
        }
    }

    fn add_ordinary(&mut self, length: Nanos) {
        if self.ordinary.len() == INTERVALS_MAX {
            self.ordinary.pop_front();
        }
        self.ordinary.push_back(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the gaps between updates at these seconds, in seconds.
    fn gaps(updates: &[Nanos]) -> Vec<(Nanos, Nanos)> {
        const SECOND: Nanos = 1_000_000_000;
        let mut rhythm = UpdateRhythm::default();
        let mut before = 0;
        let mut found = Vec::new();
        for at in updates {
            found.extend(rhythm.observe(before * SECOND, at * SECOND).map(|(from, to)| (from / SECOND, to / SECOND)));
            before = *at;
        }
        found
    }

    #[test]
    fn finds_a_stop_of_the_app() {
        assert_eq!(gaps(&[5, 5, 6, 7, 17, 18, 19]), [(7, 17)]);
        assert_eq!(gaps(&[5, 15, 16, 17]), [(5, 15)], "right after the connection");
        assert_eq!(gaps(&[5, 6, 16, 17, 18]), [(6, 16)]);
    }

    #[test]
    fn slow_publishing_is_no_gap() {
        assert_eq!(gaps(&[5, 15, 25, 35]), []);
        assert_eq!(gaps(&[5, 9, 19, 29, 39]), [], "the first interval is cut short");
        assert_eq!(gaps(&[5, 6, 8, 10, 12]), []);
        assert_eq!(gaps(&[5, 6, 7, 11, 15, 19, 23]), [(7, 11)], "slower from now on");
    }
}
