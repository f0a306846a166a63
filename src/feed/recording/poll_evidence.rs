//! Infers which task polls a span, from what a recording shows of its polls.
//!
//! A recording has no thread ids. While a span is entered, any of the tasks that are polled at that time may be polling
//! it. Two things narrow that down. The same task polls it again, so only tasks that were polled at each of its polls
//! remain. And a poll that returns pending stores a clone of the task's waker, which is recorded with the task's id.

use crate::trace::{Nanos, TaskId};

/// A task that is being polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolledTask {
    /// Span id of the task.
    pub span: u64,
    /// The task.
    pub task: TaskId,
    /// Clones of its waker are recorded. Those of a future that a thread blocks on are not.
    pub has_recorded_waker: bool,
}

/// One enter of a span: when, and which tasks were being polled.
#[derive(Clone, Debug, Default)]
pub struct SpanEnter {
    /// Loop time of the enter.
    pub at: Nanos,
    /// The tasks that were being polled.
    pub polled: Vec<PolledTask>,
}

impl SpanEnter {
    /// Returns the task with this span id, if it was being polled.
    pub fn task(&self, span: u64) -> Option<TaskId> {
        self.polled.iter().find(|polled| polled.span == span).map(|polled| polled.task)
    }
}

/// What a recording shows of the polls of one span.
#[derive(Clone, Debug, Default)]
pub struct PollEvidence {
    /// Number of enters.
    pub enters: u64,
    /// Loop time of the first enter.
    pub first_at: Nanos,
    /// The second enter. The first enter of an operation creates it, so the second one is its first poll.
    pub second: Option<SpanEnter>,
    /// The last enter.
    pub last: SpanEnter,
    /// The tasks that were being polled at each enter.
    possible: Vec<PolledTask>,
    /// Those of them whose wakers were cloned during each poll, or whose clones are not recorded.
    evident: Vec<PolledTask>,
    /// During one of its polls no waker of a possible task was cloned.
    lacks_evidence: bool,
    /// It is entered now.
    is_entered: bool,
    /// Span ids of the tasks whose wakers were cloned since the last enter.
    cloned: Vec<u64>,
}

impl PollEvidence {
    /// Records an enter.
    pub fn enter(&mut self, at: Nanos, polled: &[PolledTask]) {
        self.enters += 1;
        match self.enters {
            1 => {
                self.first_at = at;
                self.possible = polled.to_vec();
                self.evident = polled.to_vec();
            }
            number => {
                self.possible.retain(|task| polled.contains(task));
                self.evident.retain(|task| polled.contains(task));
                if number == 2 {
                    self.second = Some(SpanEnter { at, polled: polled.to_vec() });
                }
            }
        }
        self.last.at = at;
        self.last.polled.clear();
        self.last.polled.extend_from_slice(polled);
        self.is_entered = true;
        self.cloned.clear();
    }

    /// Records that the waker of the task with this span id was cloned. Ignored unless the span is entered.
    pub fn waker_cloned(&mut self, span: u64) {
        if self.is_entered && !self.cloned.contains(&span) {
            self.cloned.push(span);
        }
    }

    /// Records an exit.
    pub fn exit(&mut self) {
        if !std::mem::take(&mut self.is_entered) {
            return;
        }
        self.lacks_evidence |= !self.last.polled.iter().any(|task| self.cloned.contains(&task.span));
        self.evident.retain(|task| !task.has_recorded_waker || self.cloned.contains(&task.span));
    }

    /// Returns the only task that can have polled the span each time, if there is exactly one.
    pub fn poller(&self) -> Option<TaskId> {
        match (self.possible.as_slice(), self.evident.as_slice()) {
            ([only], _) => Some(only.task),
            (_, [only]) if !self.is_entered && !self.lacks_evidence => Some(only.task),
            _ => None,
        }
    }

    /// Returns the task that only its waker shows to have polled the span, if it was entered once.
    pub fn likely_poller(&self) -> Option<TaskId> {
        self.poller().filter(|_| self.enters == 1 && self.possible.len() > 1)
    }

    /// Rejects [`Self::likely_poller`].
    pub fn reject_likely_poller(&mut self) {
        self.lacks_evidence = true;
    }

    /// Whether no task was being polled at some enter, so that no task can have polled the span each time.
    pub fn is_impossible(&self) -> bool {
        self.possible.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A future that a thread blocks on.
    const MAIN: u64 = 9;

    fn tasks(spans: &[u64]) -> Vec<PolledTask> {
        let task = |span: &u64| PolledTask {
            span: *span,
            task: TaskId::from_index(*span as usize),
            has_recorded_waker: *span != MAIN,
        };
        spans.iter().map(task).collect()
    }

    fn evidence(polls: &[(&[u64], &[u64])]) -> Option<u64> {
        let mut evidence = PollEvidence::default();
        for (at, (polled, cloned)) in polls.iter().enumerate() {
            evidence.enter(at as u64, &tasks(polled));
            cloned.iter().for_each(|span| evidence.waker_cloned(*span));
            evidence.exit();
        }
        evidence.poller().map(|task| task.index() as u64)
    }

    #[test]
    fn only_polled_task_is_the_poller() {
        assert_eq!(evidence(&[(&[1], &[])]), Some(1));
        assert_eq!(evidence(&[(&[], &[])]), None);
    }

    #[test]
    fn task_polled_each_time_is_the_poller() {
        assert_eq!(evidence(&[(&[1, 2], &[])]), None);
        assert_eq!(evidence(&[(&[1, 2], &[]), (&[2, 3], &[])]), Some(2));
        assert_eq!(evidence(&[(&[1, 2], &[]), (&[1, 2], &[])]), None, "it could be either");
    }

    #[test]
    fn clone_of_one_waker_shows_the_poller() {
        assert_eq!(evidence(&[(&[1, 2], &[2])]), Some(2));
        assert_eq!(evidence(&[(&[1, 2], &[7, 2])]), Some(2), "task 7 was not being polled");
        assert_eq!(evidence(&[(&[1, 2], &[1, 2])]), None, "both were cloned");
        assert_eq!(evidence(&[(&[1, 2], &[1, 2]), (&[1, 2], &[1])]), Some(1));
        assert_eq!(evidence(&[(&[1, 2], &[1]), (&[1, 2], &[2])]), None, "contradictory");
        assert_eq!(evidence(&[(&[1, 2], &[1]), (&[1, 2], &[])]), None, "the task's waker is not used each time");
        assert_eq!(evidence(&[(&[1, MAIN], &[1])]), None, "clones of main's waker are not recorded");
        assert_eq!(evidence(&[(&[1, MAIN], &[]), (&[2, MAIN], &[])]), Some(MAIN));
    }
}
