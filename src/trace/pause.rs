//! Pauses: marks on the axis, for loop time stands still meanwhile.

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
    /// Nobody told: an archive from before this was kept.
    Unknown,
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
#[derive(Clone, Debug, Default)]
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
            self.count += 1;
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

    /// Pauses of which somebody else kept only the times.
    pub fn from_times(times: impl Iterator<Item = Nanos>) -> Self {
        let mut pauses = Self::default();
        for at in times {
            super::push_mark(&mut pauses.kept, Pause { at, cause: PauseCause::Unknown });
            pauses.count += 1;
        }
        pauses
    }

    /// Takes over the causes of `told`, which are in order, as far as they are of the same pauses.
    pub fn explain(&mut self, told: Self) {
        let mut told = told.kept.into_iter().rev().peekable();
        for pause in self.kept.iter_mut().rev() {
            while told.next_if(|told| told.at > pause.at).is_some() {}
            if let Some(Pause { cause, .. }) = told.next_if(|told| told.at == pause.at) {
                pause.cause = cause;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_that_are_told_apart_find_the_pauses_that_they_are_of() {
        let told = |at, cause| Pause { at, cause };
        let mut pauses = Pauses::from_times([1, 1, 5, 8].into_iter());
        assert_eq!(pauses.iter().map(|pause| &pause.cause).collect::<Vec<_>>(), [&PauseCause::Unknown; 4]);
        let breakpoint = PauseCause::Breakpoint("poll main".into());
        // Told of one that is not there yet, and not of the first.
        let mut causes = Pauses::default();
        causes.push(told(1, PauseCause::Step));
        causes.push(told(5, PauseCause::Person));
        causes.push(told(8, breakpoint.clone()));
        causes.push(told(9, PauseCause::Person));
        pauses.explain(causes);
        let causes: Vec<_> = pauses.iter().map(|pause| pause.cause.clone()).collect();
        assert_eq!(causes, [PauseCause::Unknown, PauseCause::Step, PauseCause::Person, breakpoint]);
    }

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
