//! Spawns and ends of tasks, holds, and numbers of wakers.

use super::StreamReplay;
use super::polls::PANICKED;
use crate::feed::app_probe::thread_context::{LastExit, ThreadContext};
use crate::feed::app_probe::timed_record::TimedRecord;
use crate::trace::{Event, Nanos, TaskKind, TaskMeta, TaskOutcome};

/// Message of a task that ended with an exception that was not stated.
const UNKNOWN_EXCEPTION: &str = "exception: unknown";

impl StreamReplay {
    /// Spawns a task on a thread in this context.
    pub(super) fn spawn(&mut self, record: &TimedRecord, context: &ThreadContext, at: Nanos, events: &mut Vec<Event>) {
        let (number, parent) = (record.subject, context.polled_task());
        let meta = self.definitions.task_meta(number, record.arguments[0]);
        if let Some(task) = self.tasks.spawn(number, meta.kind, at) {
            let kind = meta.kind;
            events.push(Event::Spawn { task, at, meta: Box::new(TaskMeta { parent, ..meta }) });
            if matches!(kind, TaskKind::Worker | TaskKind::Callback) {
                // A worker runs until the runtime ends, and its thread is what counts. Callbacks need no wake.
                events.push(Event::ObservedFrom { task, at });
            }
        }
    }

    /// Handles the report of how a task ended: `outcome` is 0 completed, 1 cancelled, 2 panicked, else unknown.
    pub(super) fn task_ended(&mut self, number: u64, outcome: u64, at: Nanos, events: &mut Vec<Event>) {
        let outcome = match outcome {
            0 => TaskOutcome::Completed,
            1 => TaskOutcome::Cancelled,
            2 => {
                let without_text = if self.definitions.states_kinds { UNKNOWN_EXCEPTION } else { PANICKED };
                let error = self.definitions.take_error(number);
                TaskOutcome::Failed(error.unwrap_or_else(|| without_text.into()))
            }
            _ => TaskOutcome::Unknown,
        };
        match self.tasks.get_mut(number) {
            Some(task) if task.polled_by.is_some() => task.outcome = Some(outcome),
            Some(_) => self.end_task(number, outcome, at, events),
            None => {}
        }
    }

    /// Handles that nothing remains of a task.
    pub(super) fn task_closed(&mut self, number: u64, last_exit: Option<LastExit>, at: Nanos, events: &mut Vec<Event>) {
        let gaps = self.tasks.gaps;
        let Some(task) = self.tasks.get_mut(number) else { return };
        if task.polled_by.is_some() {
            task.is_closed = true;
            return;
        }
        let last_exit = last_exit.filter(|exit| exit.number == number);
        // The last poll was the drop of the future.
        self.counts.doubtful += u64::from(last_exit.is_some_and(|exit| exit.is_probable));
        let inferred = match last_exit {
            _ if task.gaps != gaps => TaskOutcome::Unknown,
            Some(exit) if !exit.has_panicked => TaskOutcome::Completed,
            _ => TaskOutcome::Cancelled,
        };
        let outcome = task.outcome.take().unwrap_or(inferred);
        self.end_task(number, outcome, at, events);
    }

    /// Ends a task.
    pub(super) fn end_task(&mut self, number: u64, outcome: TaskOutcome, at: Nanos, events: &mut Vec<Event>) {
        let gaps = self.tasks.gaps;
        let Some(task) = self.tasks.end(number) else { return };
        let at = at.max(task.last_at);
        if let Some(suspension) = task.suspension {
            suspension.finish(at, Some(&outcome), gaps, events);
        }
        if let Some((clones, drops)) = task.wakers.filter(|_| task.has_new_wakers) {
            events.push(Event::WakerCounts { task: task.id, clones, drops });
        }
        events.push(Event::TaskEnd { task: task.id, at, outcome });
    }

    /// Handles that the user holds a task, or releases it.
    pub(super) fn hold(&mut self, number: u64, (is_held, at): (bool, Nanos), events: &mut Vec<Event>) {
        let gaps = self.tasks.gaps;
        let Some(live) = self.tasks.get_mut(number) else { return };
        let (task, at) = (live.id, live.advance(at, gaps));
        events.push(if is_held { Event::Hold { task, at } } else { Event::Release { task, at } });
    }

    /// Counts wakers of a task that were cloned and dropped.
    pub(super) fn count_wakers(&mut self, number: u64, (clones, drops): (u64, u64)) {
        let Some(task) = self.tasks.get_mut(number) else { return };
        let Some(wakers) = &mut task.wakers else { return };
        *wakers = (wakers.0 + clones, wakers.1 + drops);
        if !std::mem::replace(&mut task.has_new_wakers, true) {
            self.new_wakers.push(number);
        }
    }

    /// Reports the numbers of wakers that have changed.
    pub fn report_wakers(&mut self, events: &mut Vec<Event>) {
        for number in self.new_wakers.drain(..) {
            let Some(live) = self.tasks.get_mut(number).filter(|live| live.has_new_wakers) else { continue };
            live.has_new_wakers = false;
            // After a gap the numbers are not known.
            if live.gaps > 0 {
                live.wakers = None;
            }
            let task = live.id;
            events.extend(live.wakers.map(|(clones, drops)| Event::WakerCounts { task, clones, drops }));
        }
    }
}
