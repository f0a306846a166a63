//! Merging output and pauses with the recording, which arrives later, by time.
//!
//! A recording shows a panic like a return. If the app printed a panic during the last poll of a task, it is not known
//! whether that task returned.

use std::collections::VecDeque;

use crate::trace::{Event, Nanos, Task, TaskId, TaskOutcome, Trace};

/// Maximum number of queued events.
const QUEUED_EVENTS_MAX: usize = 1 << 16;

/// Maximum number of printed panics that are remembered.
const PANICS_MAX: usize = 256;

/// Longest time between the end of a poll that panicked and the arrival of its message: 500 ms in nanoseconds.
const PANIC_DELAY_MAX_NS: Nanos = 500_000_000;

/// Events that are applied to the trace once the recording has reached their time.
#[derive(Debug, Default)]
pub struct TimeOrderedQueue {
    events: VecDeque<(Nanos, Event)>,
    /// When messages of panics arrived, the newest last.
    panics: VecDeque<Nanos>,
}

impl TimeOrderedQueue {
    /// Returns whether the queue has capacity for another event.
    pub fn has_room(&self) -> bool {
        self.events.len() < QUEUED_EVENTS_MAX
    }

    /// Queues `event`, which happened at `at`.
    pub fn push(&mut self, at: Nanos, event: Event) {
        if matches!(&event, Event::Output { text, .. } if text.contains("panicked at")) {
            self.panics.push_back(at);
            if self.panics.len() > PANICS_MAX {
                self.panics.pop_front();
            }
        }
        self.events.push_back((at, event));
    }

    /// Applies the queued events up to the time of `event`, then `event` itself.
    pub fn apply_in_order(&mut self, event: Event, trace: &mut Trace) {
        if let (false, Some(at)) = (self.events.is_empty(), event_time(&event)) {
            while self.events.front().is_some_and(|(queued_at, _)| *queued_at <= at) {
                self.events.pop_front().into_iter().for_each(|(_, earlier)| trace.apply(earlier));
            }
        }
        match event {
            Event::TaskEnd { task, at, outcome: TaskOutcome::Completed } if self.may_have_panicked(task, trace) => {
                trace.apply(Event::TaskEnd { task, at, outcome: TaskOutcome::Unknown });
            }
            event => trace.apply(event),
        }
    }

    /// Applies all queued events.
    pub fn apply_all(&mut self, trace: &mut Trace) {
        self.events.drain(..).for_each(|(_, event)| trace.apply(event));
    }

    /// Whether a panic was printed that may be of the last poll of `task`.
    fn may_have_panicked(&self, task: TaskId, trace: &Trace) -> bool {
        let is_task = |task: &&Task| task.meta.kind.is_task();
        let last = || trace.task(task).filter(is_task).and_then(|task| task.lane.last().copied());
        !self.panics.is_empty()
            && last().is_some_and(|poll| {
                let latest = poll.end().unwrap_or(Nanos::MAX).saturating_add(PANIC_DELAY_MAX_NS);
                self.panics.iter().any(|at| (poll.start..=latest).contains(at))
            })
    }
}

/// Returns the time of an event that advances the trace.
fn event_time(event: &Event) -> Option<Nanos> {
    match event {
        Event::Spawn { at, .. }
        | Event::PollStart { at, .. }
        | Event::PollEnd { at, .. }
        | Event::Wake { at, .. }
        | Event::TaskEnd { at, .. }
        | Event::AwaitStart { at, .. }
        | Event::AwaitEnd { at, .. }
        | Event::MultiThreadDetected { at }
        | Event::Advance { at } => Some(*at),
        _ => None,
    }
}
