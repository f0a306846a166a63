//! Merging output and pauses with the recording, which arrives later, by time.
//!
//! A recording shows a panic like a return. If the app printed a panic during the last poll of a task, it is not known
//! whether that task returned. The message may arrive before the end of the task, or after it.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use crate::trace::{Event, Nanos, TaskId, TaskOutcome, Trace};

/// Maximum number of queued events.
const QUEUED_EVENTS_MAX: usize = 1 << 16;

/// Maximum number of printed panics that are remembered.
const PANICS_MAX: usize = 256;

/// Maximum number of completed tasks for which a panic message is awaited.
const COMPLETED_MAX: usize = 1 << 14;

/// Longest time between the end of a poll that panicked and the arrival of its message: 500 ms in nanoseconds.
const PANIC_DELAY_MAX_NS: Nanos = 500_000_000;

/// Events that are applied to the trace once the recording has reached their time.
#[derive(Debug, Default)]
pub struct TimeOrderedQueue {
    events: VecDeque<(Nanos, Event)>,
    /// When messages of panics arrived, the newest last.
    panics: VecDeque<Nanos>,
    /// Tasks that seem to have completed, and when a message of their panic would arrive, in order of their ends.
    completed: VecDeque<(TaskId, RangeInclusive<Nanos>)>,
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
            let doubted = self.completed.iter().filter(|(_, window)| window.contains(&at));
            self.events.extend(doubted.map(|(task, _)| (at, Event::TaskOutcomeDoubted { task: *task })));
            self.completed.retain(|(_, window)| !window.contains(&at));
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
        if let Event::TaskEnd { task, at, outcome: TaskOutcome::Completed } = event
            && let Some(window) = panic_window(task, trace)
        {
            if self.panics.iter().any(|panic| window.contains(panic)) {
                return trace.apply(Event::TaskEnd { task, at, outcome: TaskOutcome::Unknown });
            }
            self.await_panic(task, window, at);
        }
        trace.apply(event);
    }

    /// Applies all queued events.
    pub fn apply_all(&mut self, trace: &mut Trace) {
        self.events.drain(..).for_each(|(_, event)| trace.apply(event));
    }

    /// Remembers a task that ended at `at`, as long as a message of its panic may arrive.
    fn await_panic(&mut self, task: TaskId, window: RangeInclusive<Nanos>, at: Nanos) {
        while self.completed.len() >= COMPLETED_MAX
            || self.completed.front().is_some_and(|(_, first)| *first.end() < at)
        {
            self.completed.pop_front();
        }
        self.completed.push_back((task, window));
    }
}

/// Returns when a message of a panic in the last poll of `task` would arrive; `None` if it is no task.
fn panic_window(task: TaskId, trace: &Trace) -> Option<RangeInclusive<Nanos>> {
    let last = trace.task(task).filter(|task| task.meta.kind.is_task())?.lane.last().copied()?;
    Some(last.start..=last.end().unwrap_or(Nanos::MAX).saturating_add(PANIC_DELAY_MAX_NS))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::TaskMeta;

    const MILLISECOND: Nanos = 1_000_000;

    /// Ends a task after a poll of one millisecond, and queues a line that arrives at `line_at`, before or after that.
    fn outcome(line: &str, line_at: Nanos, is_late: bool) -> (TaskOutcome, u32) {
        let (mut queue, mut trace) = (TimeOrderedQueue::default(), Trace::default());
        let task = TaskId::from_index(0);
        let line = Event::Output { task: None, at: line_at, text: line.into() };
        let mut line = Some(line);
        trace.apply(Event::Spawn { task, at: 0, meta: Box::new(TaskMeta::default()) });
        let polled = [
            Event::PollStart { task, at: 2 * MILLISECOND },
            Event::PollEnd { task, at: 3 * MILLISECOND },
            Event::TaskEnd { task, at: 3 * MILLISECOND, outcome: TaskOutcome::Completed },
        ];
        if !is_late {
            line.take().into_iter().for_each(|line| queue.push(line_at, line));
        }
        polled.into_iter().for_each(|event| queue.apply_in_order(event, &mut trace));
        line.into_iter().for_each(|line| queue.push(line_at, line));
        queue.apply_all(&mut trace);
        (trace.task(task).and_then(|task| task.outcome.clone()).expect("it has ended"), trace.task_counts().completed)
    }

    #[test]
    fn printed_panic_makes_the_outcome_unknown() {
        let panic = "! thread 'main' panicked at src/main.rs:1:1:";
        for is_late in [false, true] {
            assert_eq!(outcome(panic, 4 * MILLISECOND, is_late), (TaskOutcome::Unknown, 0), "late: {is_late}");
            assert_eq!(outcome("! fine", 4 * MILLISECOND, is_late), (TaskOutcome::Completed, 1));
            assert_eq!(outcome(panic, MILLISECOND, is_late), (TaskOutcome::Completed, 1), "before the poll");
            assert_eq!(outcome(panic, 600 * MILLISECOND, is_late), (TaskOutcome::Completed, 1), "too late");
        }
    }
}
