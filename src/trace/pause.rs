//! Pauses: marks on the axis, because loop time stands still during a pause.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::marks::push_mark;
use super::time::Nanos;

/// A pause of the loop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Loop time of the pause.
    pub at: Nanos,
    /// Why the loop paused.
    pub reason: PauseReason,
}

/// Why the loop paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PauseReason {
    /// The user paused it.
    User,
    /// A breakpoint, in its source text.
    Breakpoint(Box<str>),
    /// A step ended: after the requested polls, at the end of a turn, or at the requested time.
    Step,
    /// loopscope itself was suspended, for example by Ctrl-Z.
    Suspended,
}

/// The newest pauses, in order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Pauses {
    /// The retained pauses, the oldest first.
    recent: VecDeque<Pause>,
    /// Number of pauses so far, with those no longer retained.
    count: u64,
}

impl Pauses {
    /// Adds a pause. A pause equal to the last one is a step within one instant, and is ignored.
    pub fn push(&mut self, pause: Pause) {
        if self.recent.back() != Some(&pause) {
            push_mark(&mut self.recent, pause);
            self.count = self.count.saturating_add(1);
        }
    }

    /// Iterates over the retained pauses, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Pause> + ExactSizeIterator {
        self.recent.iter()
    }

    /// Iterates over the retained pauses after the first `count`.
    pub fn since(&self, count: u64) -> impl Iterator<Item = &Pause> {
        let new = usize::try_from(self.count.saturating_sub(count)).unwrap_or(usize::MAX);
        self.recent.range(self.recent.len().saturating_sub(new)..)
    }

    /// Returns the number of pauses so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sanitizes the breakpoint texts, which may come from an untrusted file.
    pub fn sanitize(&mut self, clean: impl Fn(&str) -> Cow<'_, str>) {
        for pause in &mut self.recent {
            if let PauseReason::Breakpoint(text) = &mut pause.reason {
                *text = clean(text).into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::marks::MARKS_MAX;
    use super::*;

    #[test]
    fn keeps_newest_and_counts_all() {
        let mut pauses = Pauses::default();
        let count = MARKS_MAX as u64 + 5;
        for at in 0..count {
            // Equal pauses in a row count once.
            pauses.push(Pause { at, reason: PauseReason::Step });
            pauses.push(Pause { at, reason: PauseReason::Step });
        }
        pauses.push(Pause { at: count - 1, reason: PauseReason::User });
        assert_eq!((pauses.count(), pauses.iter().len()), (count + 1, MARKS_MAX));
        assert_eq!((pauses.since(count - 1).count(), pauses.since(0).count()), (2, MARKS_MAX));
    }
}
