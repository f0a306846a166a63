//! Open awaits of a recording, and which of them each task polls.

use crate::feed::await_resolver::Readiness;
use crate::trace::{AwaitId, Event, Nanos, TaskId};

/// Resolution of tokio's timers in nanoseconds.
const TIMER_TICK_NS: u64 = 1_000_000;

/// An open await.
#[derive(Clone, Copy, Debug)]
pub struct OpenAwait {
    /// The await.
    pub id: AwaitId,
    /// The task that polls it.
    pub task: TaskId,
    started_at: Nanos,
    /// Loop time of its last poll.
    pub last_polled_at: Nanos,
    /// Loop time of the last exit of its span.
    pub last_exited_at: Nanos,
    polls: u32,
    /// It was polled during the current poll of its task.
    pub is_just_polled: bool,
    /// Its span was also entered while its task was not polled: as an operation by what completes it, or as a sleep by
    /// another task.
    pub is_polled_elsewhere: bool,
}

impl OpenAwait {
    /// Creates an await that was first polled at `at`.
    pub fn new(id: AwaitId, task: TaskId, at: Nanos) -> Self {
        Self {
            id,
            task,
            started_at: at,
            last_polled_at: at,
            last_exited_at: at,
            polls: 0,
            is_just_polled: false,
            is_polled_elsewhere: false,
        }
    }

    /// Records a poll.
    pub fn add_poll(&mut self, at: Nanos, out: &mut impl FnMut(Event)) {
        self.last_polled_at = at;
        // Until its span is exited, the poll is not over.
        self.last_exited_at = Nanos::MAX;
        self.polls = self.polls.saturating_add(1);
        out(Event::AwaitPoll { id: self.id, is_ready: false });
    }

    /// Returns the event that its last poll returned ready.
    pub fn ready_event(&self) -> Event {
        Event::AwaitPollCount { id: self.id, polls: self.polls, is_ready: true }
    }

    /// Decides whether a sleep of `duration_ns`, which is dropped now, has elapsed.
    ///
    /// A sleep that was not due at its last poll was not ready. One that was due and is dropped within the same poll
    /// was.
    pub fn sleep_readiness(&self, duration_ns: Option<u64>) -> Readiness {
        let Some(duration_ns) = duration_ns.filter(|_| !self.is_polled_elsewhere) else { return Readiness::Unknown };
        let elapsed_ns = self.last_polled_at.saturating_sub(self.started_at);
        if elapsed_ns.saturating_add(TIMER_TICK_NS) < duration_ns {
            Readiness::NotReady
        } else if self.is_just_polled {
            Readiness::Ready
        } else {
            Readiness::Unknown
        }
    }
}

/// The awaits that one task polls, as span ids. It waits on those that its last poll polled.
#[derive(Debug, Default)]
pub struct PolledAwaits {
    /// Polled during its last poll.
    pub last: Vec<u64>,
    /// Polled during its current poll.
    pub current: Vec<u64>,
}
