//! What is told in order of time with the recording, which comes a little later: output and pauses.

use std::collections::VecDeque;

use crate::trace::{Event, Nanos, Trace};

/// Facts that wait at once.
const WAITING_MAX: usize = 1 << 16;

/// See the module.
#[derive(Debug, Default)]
pub struct Timed(VecDeque<(Nanos, Event)>);

impl Timed {
    pub fn has_room(&self) -> bool {
        self.0.len() < WAITING_MAX
    }

    /// `event` happened at `at`, and is told when the recording has come as far.
    pub fn push(&mut self, at: Nanos, event: Event) {
        self.0.push_back((at, event));
    }

    /// Files `event`, and before it what happened earlier.
    pub fn before(&mut self, event: Event, trace: &mut Trace) {
        if let (false, Some(at)) = (self.0.is_empty(), at(&event)) {
            while self.0.front().is_some_and(|(waiting, _)| *waiting <= at) {
                self.0.pop_front().into_iter().for_each(|(_, earlier)| trace.apply(earlier));
            }
        }
        trace.apply(event);
    }

    /// Files everything.
    pub fn all(&mut self, trace: &mut Trace) {
        self.0.drain(..).for_each(|(_, event)| trace.apply(event));
    }
}

/// When something happened, of what moves time on.
fn at(event: &Event) -> Option<Nanos> {
    match event {
        Event::Spawn { at, .. }
        | Event::PollStart { at, .. }
        | Event::PollEnd { at, .. }
        | Event::Wake { at, .. }
        | Event::End { at, .. }
        | Event::AwaitStart { at, .. }
        | Event::AwaitEnd { at, .. }
        | Event::ManyThreads { at }
        | Event::Now { at } => Some(*at),
        _ => None,
    }
}
