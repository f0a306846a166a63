//! The await for which a task waits, in programs that state it when the task returns from a poll.

use crate::trace::{AwaitId, Event, Nanos, TaskOutcome};

/// How an await ended that the program has cancelled.
const CANCELLED: u64 = 1;

/// The await for which a task waits, or waited until the poll under way.
#[derive(Clone, Copy, Debug)]
pub struct Suspension {
    /// The await.
    pub id: AwaitId,
    /// Its number in the stream.
    pub number: u64,
    /// When the task was polled since.
    pub polled_at: Option<Nanos>,
    /// How it ended, if the program has stated that.
    pub end: Option<u64>,
    /// Number of gaps before it was stated.
    pub gaps: u32,
}

impl Suspension {
    /// Ends the await: when the task was polled, or else at `at`. `outcome` is that of the task, if it ends. `gaps` is the
    /// number of gaps so far.
    pub fn finish(self, at: Nanos, outcome: Option<&TaskOutcome>, gaps: u32, events: &mut Vec<Event>) {
        let Self { id, polled_at, .. } = self;
        let is_cancelled = match self.end {
            Some(end) => end == CANCELLED,
            None => outcome.is_some_and(|outcome| polled_at.is_none() || *outcome == TaskOutcome::Cancelled),
        };
        if self.end.is_none() && self.gaps != gaps {
            events.push(Event::AwaitPollsMissed { id });
        } else if !is_cancelled {
            events.push(Event::AwaitPoll { id, is_ready: true });
        }
        events.push(Event::AwaitEnd { id, at: polled_at.unwrap_or(at) });
    }
}
