//! Merging output and pauses with the recording, which arrives later, by time.

use std::collections::VecDeque;

use crate::trace::{Event, Nanos, Trace};

/// Maximum number of queued events.
const QUEUED_EVENTS_MAX: usize = 1 << 16;

/// Events that are applied to the trace once the recording has reached their time.
#[derive(Debug, Default)]
pub struct TimeOrderedQueue(VecDeque<(Nanos, Event)>);

impl TimeOrderedQueue {
    /// Returns whether the queue has capacity for another event.
    pub fn has_room(&self) -> bool {
        self.0.len() < QUEUED_EVENTS_MAX
    }

    /// Queues `event`, which happened at `at`.
    pub fn push(&mut self, at: Nanos, event: Event) {
        self.0.push_back((at, event));
    }

    /// Applies the queued events up to the time of `event`, then `event` itself.
    pub fn apply_in_order(&mut self, event: Event, trace: &mut Trace) {
        if let (false, Some(at)) = (self.0.is_empty(), event_time(&event)) {
            while self.0.front().is_some_and(|(queued_at, _)| *queued_at <= at) {
                self.0.pop_front().into_iter().for_each(|(_, earlier)| trace.apply(earlier));
            }
        }
        trace.apply(event);
    }

    /// Applies all queued events.
    pub fn apply_all(&mut self, trace: &mut Trace) {
        self.0.drain(..).for_each(|(_, event)| trace.apply(event));
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
