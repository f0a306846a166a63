//! The spans that are entered now, on all threads, and what follows from them: which task is polled, and which one wakes
//! another.

use super::poll_evidence::PolledTask;
use crate::trace::{TaskId, TaskKind, WakeSource};

/// Spans entered at once, on all threads. Past this, lines with their exits must have been lost.
pub const ENTERED_MAX: usize = 4_096;

/// A span that is entered now.
#[derive(Clone, Copy, Debug)]
struct EnteredSpan {
    span: u64,
    /// The task that it stands for, unless that is a closure on the blocking pool.
    task: Option<TaskId>,
    /// The task or closure that it stands for, unless that is a worker of the runtime.
    poller: Option<PolledTask>,
}

/// The entered spans, in order of their enters.
#[derive(Debug, Default)]
pub struct EnteredSpans {
    spans: Vec<EnteredSpan>,
    /// Several threads poll.
    pub is_multi_threaded: bool,
    /// Live workers of multi-threaded runtimes.
    pub worker_count: usize,
    /// Polls of two tasks overlapped, so several threads poll tasks.
    has_overlapping_tasks: bool,
}

impl EnteredSpans {
    /// Whether [`ENTERED_MAX`] is reached, so that no further span can be entered.
    pub fn is_full(&self) -> bool {
        self.spans.len() >= ENTERED_MAX
    }

    /// Enters the span of a resource or an operation.
    pub fn enter_other(&mut self, span: u64) {
        self.spans.push(EnteredSpan { span, task: None, poller: None });
    }

    /// Enters the span of a task.
    pub fn enter_task(&mut self, span: u64, task: TaskId, kind: TaskKind) {
        let poller = PolledTask { span, task, has_recorded_waker: kind.is_task() };
        self.spans.push(EnteredSpan {
            span,
            // Runtime workers are closures on the blocking pool, and poll other tasks inside.
            task: (!kind.is_off_loop()).then_some(task),
            poller: (kind != TaskKind::Worker).then_some(poller),
        });
    }

    /// Exits a span. `None` if it is not entered; otherwise whether it is a task's while a task that was entered later
    /// is still entered, and therefore on another thread.
    pub fn exit(&mut self, span: u64) -> Option<bool> {
        let index = self.spans.iter().rposition(|entered| entered.span == span)?;
        let left = self.spans.remove(index);
        let is_task = |entered: &EnteredSpan| entered.poller.is_some_and(|poller| poller.has_recorded_waker);
        self.has_overlapping_tasks |= is_task(&left) && self.spans[index..].iter().any(is_task);
        Some(left.task.is_some() && self.spans[index..].iter().any(|after| after.task.is_some()))
    }

    /// Removes a span that was closed.
    pub fn close(&mut self, span: u64) {
        self.spans.retain(|entered| entered.span != span);
    }

    /// Removes all spans.
    pub fn clear(&mut self) {
        self.spans.clear();
    }

    /// Returns the task that is being polled, innermost first; `None` if that is ambiguous.
    pub fn polled_task(&self) -> Option<TaskId> {
        let mut polled = self.spans.iter().rev().filter_map(|entered| entered.task);
        let last = polled.next();
        // On several threads it could be any of them.
        if self.is_multi_threaded && polled.next().is_some() { None } else { last }
    }

    /// Returns the tasks that may be polled where a span is entered now.
    pub fn pollers(&self) -> impl Iterator<Item = PolledTask> + '_ {
        // On one thread it is the task that was entered last.
        let most = if self.is_multi_threaded { usize::MAX } else { 1 };
        self.spans.iter().rev().filter_map(|entered| entered.poller).take(most)
    }

    /// Returns what called a waker just now. On several threads it is known only if there is no other possibility.
    pub fn wake_source(&self) -> WakeSource {
        if self.is_multi_threaded {
            let mut polled = self.spans.iter().filter_map(|entered| entered.poller);
            return match (polled.next(), polled.next()) {
                // The only thread that polls tasks polls this one, so it does not run the driver.
                (Some(PolledTask { task, has_recorded_waker: true, .. }), None)
                    if self.worker_count <= 1 && !self.has_overlapping_tasks =>
                {
                    WakeSource::Task(task)
                }
                (None, _) => WakeSource::Driver,
                _ => WakeSource::Unknown,
            };
        }
        match self.polled_task() {
            Some(task) => WakeSource::Task(task),
            None if self.spans.iter().any(|entered| entered.task.is_some()) => WakeSource::Thread,
            None => WakeSource::Driver,
        }
    }
}
