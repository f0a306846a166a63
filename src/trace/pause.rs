//! Pauses: marks on the axis, for loop time stands still meanwhile.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::event::Nanos;

/// Where it was paused, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub at: Nanos,
    pub cause: PauseCause,
}

/// Why it was paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PauseCause {
    /// A person said so, there and then.
    Person,
    /// A breakpoint, in the words in which it was set.
    Breakpoint(Box<str>),
    /// It came as far as a person had asked for: steps, a turn, a time.
    Step,
    /// The whole of loopscope stood still, as after Ctrl-Z.
    Suspended,
}

/// All that are kept, in order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Pauses {
    kept: VecDeque<Pause>,
    /// How many there ever were.
    count: u64,
}

impl Pauses {
    /// One more. Whoever steps on within one moment does not pause anew.
    pub fn push(&mut self, pause: Pause) {
        if self.kept.back() != Some(&pause) {
            super::push_mark(&mut self.kept, pause);
            self.count = self.count.saturating_add(1);
        }
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Pause> + ExactSizeIterator {
        self.kept.iter()
    }

    /// Those that came after the first `count` ones, as far as they are kept.
    pub fn since(&self, count: u64) -> impl Iterator<Item = &Pause> {
        let new = usize::try_from(self.count.saturating_sub(count)).unwrap_or(usize::MAX);
        self.kept.range(self.kept.len().saturating_sub(new)..)
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// Makes the words in which breakpoints were set safe to show, where somebody else wrote them down.
    pub fn clean(&mut self, clean: impl Fn(&str) -> Cow<'_, str>) {
        for pause in &mut self.kept {
            if let PauseCause::Breakpoint(words) = &mut pause.cause {
                *words = clean(words).into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_are_kept_and_all_are_counted() {
        let mut pauses = Pauses::default();
        let count = super::super::MARKS_MAX as u64 + 5;
        for at in 0..count {
            // Twice the same is one.
            pauses.push(Pause { at, cause: PauseCause::Step });
            pauses.push(Pause { at, cause: PauseCause::Step });
        }
        pauses.push(Pause { at: count - 1, cause: PauseCause::Person });
        assert_eq!((pauses.count(), pauses.iter().len()), (count + 1, super::super::MARKS_MAX));
        assert_eq!((pauses.since(count - 1).count(), pauses.since(0).count()), (2, super::super::MARKS_MAX));
    }
}
