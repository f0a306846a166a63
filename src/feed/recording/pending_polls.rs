//! Holds back polls until it is certain that they are polls.
//!
//! tracing enters a task's span once more to drop its future, and console-subscriber records that like a poll. Only
//! what follows distinguishes the two: after a drop the span closes right after its last exit. So each candidate is
//! held back, with all events behind it, until it is resolved. On one thread this takes one more line.

use std::collections::VecDeque;

use crate::trace::{Event, Nanos, TaskId, TaskOutcome};

/// Events held back; past that the oldest candidate is resolved as a poll.
const QUEUE_MAX: usize = 1 << 16;

/// A candidate that has not ended after 300 ms is a poll. A drop is short, but its thread may be preempted meanwhile.
const RUNNING_TIMEOUT_NS: u64 = 300_000_000;

/// A candidate without a wake must be a drop, unless lines are out of order; after 1 s it is one.
const UNWOKEN_TIMEOUT_NS: u64 = 1_000_000_000;

/// On several threads other lines may come between the last exit and the close, but not for longer than 50 ms.
const ENDED_TIMEOUT_NS: u64 = 50_000_000;

/// As [`ENDED_TIMEOUT_NS`], where no wake distinguishes a poll from a drop. Lines of different threads are out of order
/// by up to 90 ms, and the writer of the recording may be preempted.
const ENDED_UNKNOWN_TIMEOUT_NS: u64 = 300_000_000;

/// Whether a task was woken before it was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriorWake {
    /// It was woken, or is new.
    Woken,
    /// Its wakes are recorded, and there was none.
    NotWoken,
    /// Its wakes are not recorded: a future that a thread blocks on.
    Unknown,
}

/// An event that is held back.
#[derive(Debug)]
enum QueuedEvent {
    /// Emitted in turn.
    Final(Event),
    /// Start or end of an undecided candidate.
    Tentative(Event),
    /// Start or end of a drop.
    Removed,
}

/// One enter and exit of a task's span: a poll or a drop.
#[derive(Clone, Debug)]
struct PollCandidate {
    start: u64,
    end: Option<u64>,
    /// When it was entered; once it was exited, when that was.
    at: Nanos,
    prior_wake: PriorWake,
    /// How its task has ended if it turns out to be a drop whose span stays open.
    outcome: Option<TaskOutcome>,
    is_resolved: bool,
}

impl PollCandidate {
    fn timeout_ns(&self) -> u64 {
        match (self.prior_wake, self.end) {
            (PriorWake::NotWoken, _) => UNWOKEN_TIMEOUT_NS,
            (PriorWake::Woken | PriorWake::Unknown, None) => RUNNING_TIMEOUT_NS,
            (PriorWake::Woken, Some(_)) => ENDED_TIMEOUT_NS,
            (PriorWake::Unknown, Some(_)) => ENDED_UNKNOWN_TIMEOUT_NS,
        }
    }
}

/// Identifies a [`PollCandidate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CandidateId(u64);

/// Queue of events behind undecided polls.
#[derive(Debug, Default)]
pub struct PendingPolls {
    entries: VecDeque<QueuedEvent>,
    /// Sequence number of the first queued event.
    first: u64,
    candidates: VecDeque<PollCandidate>,
    /// Id of the first candidate.
    first_candidate: u64,
}

impl PendingPolls {
    /// Emits `event`, or queues it behind undecided candidates.
    pub fn emit(&mut self, event: Event, out: &mut impl FnMut(Event)) {
        if self.entries.is_empty() {
            return out(event);
        }
        self.entries.push_back(QueuedEvent::Final(event));
        if self.entries.len() > QUEUE_MAX {
            self.resolve_oldest(out);
        }
    }

    /// Adds a candidate that starts now.
    pub fn begin_candidate(&mut self, task: TaskId, at: Nanos, prior_wake: PriorWake) -> CandidateId {
        let start = self.first + self.entries.len() as u64;
        self.entries.push_back(QueuedEvent::Tentative(Event::PollStart { task, at }));
        self.candidates.push_back(PollCandidate {
            start,
            end: None,
            at,
            prior_wake,
            outcome: None,
            is_resolved: false,
        });
        CandidateId(self.first_candidate + self.candidates.len() as u64 - 1)
    }

    /// Ends a candidate. `outcome` is how its task has ended if it is a drop whose span stays open.
    pub fn end_candidate(
        &mut self,
        id: CandidateId,
        (task, at): (TaskId, Nanos),
        outcome: Option<TaskOutcome>,
        out: &mut impl FnMut(Event),
    ) {
        let end = self.first + self.entries.len() as u64;
        let event = Event::PollEnd { task, at };
        match self.candidate_mut(id) {
            Some(candidate) if !candidate.is_resolved => {
                (candidate.end, candidate.at, candidate.outcome) = (Some(end), at, outcome);
                self.entries.push_back(QueuedEvent::Tentative(event));
            }
            _ => self.emit(event, out),
        }
    }

    /// Whether the next line decides about the candidate: it is undecided, and its task may have been woken before.
    pub fn is_decided_next(&mut self, id: CandidateId) -> bool {
        self.candidate_mut(id)
            .is_some_and(|candidate| !candidate.is_resolved && candidate.prior_wake != PriorWake::NotWoken)
    }

    /// Resolves a candidate as a poll or a drop.
    pub fn resolve(&mut self, id: CandidateId, is_poll: bool, out: &mut impl FnMut(Event)) {
        let first = self.first;
        let Some(candidate) = self.candidate_mut(id).filter(|candidate| !candidate.is_resolved) else { return };
        candidate.is_resolved = true;
        let (start, end) = (candidate.start, candidate.end);
        for number in std::iter::once(start).chain(end) {
            let index = usize::try_from(number - first).unwrap_or(usize::MAX);
            let Some(entry) = self.entries.get_mut(index) else { continue };
            *entry = match std::mem::replace(entry, QueuedEvent::Removed) {
                QueuedEvent::Tentative(event) if is_poll => QueuedEvent::Final(event),
                QueuedEvent::Tentative(_) => QueuedEvent::Removed,
                other => other,
            };
        }
        self.flush(out);
    }

    /// Resolves the candidates that have waited long enough at `now`, by the recording's time.
    pub fn resolve_expired(&mut self, now: Nanos, out: &mut impl FnMut(Event)) {
        while self.candidates.front().is_some_and(|first| now.saturating_sub(first.at) > first.timeout_ns()) {
            self.resolve_oldest(out);
        }
    }

    /// Resolves candidates after no input for `quiet_ns`, by any clock.
    pub fn flush_idle(&mut self, quiet_ns: u64, out: &mut impl FnMut(Event)) {
        // A candidate with more patience blocks those behind it, not the other way round.
        while self.candidates.front().is_some_and(|first| quiet_ns > first.timeout_ns().min(UNWOKEN_TIMEOUT_NS)) {
            self.resolve_oldest(out);
        }
    }

    fn resolve_oldest(&mut self, out: &mut impl FnMut(Event)) {
        let id = CandidateId(self.first_candidate);
        match self.candidates.front() {
            // A poll needs a wake. The span of a task stays open as long as blocking work that it started.
            Some(PollCandidate { prior_wake: PriorWake::NotWoken, end: Some(end), outcome: Some(outcome), .. }) => {
                let (end, outcome) = (*end, outcome.clone());
                self.end_task_at(end, outcome);
                self.resolve(id, false, out);
            }
            _ => self.resolve(id, true, out),
        }
    }

    /// Replaces the tentative end of a poll by the end of its task.
    fn end_task_at(&mut self, number: u64, outcome: TaskOutcome) {
        let index = usize::try_from(number - self.first).unwrap_or(usize::MAX);
        if let Some(entry) = self.entries.get_mut(index)
            && let QueuedEvent::Tentative(Event::PollEnd { task, at }) = *entry
        {
            *entry = QueuedEvent::Final(Event::TaskEnd { task, at, outcome });
        }
    }

    /// Records that the task of a candidate was woken before it, in a line that came later.
    pub fn mark_woken(&mut self, id: CandidateId) {
        if let Some(candidate) = self.candidate_mut(id) {
            candidate.prior_wake = PriorWake::Woken;
        }
    }

    fn candidate_mut(&mut self, id: CandidateId) -> Option<&mut PollCandidate> {
        let index = id.0.checked_sub(self.first_candidate)?;
        self.candidates.get_mut(usize::try_from(index).ok()?)
    }

    fn flush(&mut self, out: &mut impl FnMut(Event)) {
        while self.candidates.front().is_some_and(|candidate| candidate.is_resolved) {
            self.candidates.pop_front();
            self.first_candidate += 1;
        }
        while let Some(entry) = self.entries.front_mut() {
            match std::mem::replace(entry, QueuedEvent::Removed) {
                QueuedEvent::Final(event) => out(event),
                QueuedEvent::Removed => {}
                QueuedEvent::Tentative(event) => {
                    *entry = QueuedEvent::Tentative(event);
                    return;
                }
            }
            self.entries.pop_front();
            self.first += 1;
        }
    }
}
