//! The future that tokio polls for each task, which wraps the task's own future and its waker.
//!
//! It reports every poll and the end to the probe, exactly. It suppresses the polls of a held task.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::gate::{BreakpointTrigger, GatedTask};
use super::loop_shared::TaskControl;
use super::loop_thread;
use crate::trace::{Event, TaskOutcome};

/// The future that tokio polls: wraps a task's own future and reports its polls and its end.
pub struct TaskFuture<F> {
    control: Arc<TaskControl>,
    waker: Waker,
    inner: Option<Pin<Box<F>>>,
}

impl<F> TaskFuture<F> {
    /// Wraps `inner`, the future of the task behind `control`.
    pub fn new(control: Arc<TaskControl>, inner: F) -> Self {
        Self { waker: Waker::from(control.clone()), control, inner: Some(Box::pin(inner)) }
    }

    fn finish(&mut self, outcome: TaskOutcome) {
        let task = self.control.id();
        loop_thread::run_as_task(task, || self.inner = None);
        self.control.mark_ended();
        let shared = self.control.shared();
        shared.emit(|at| {
            shared.gate.check_breakpoints(&*self.control, BreakpointTrigger::End, at);
            Event::TaskEnd { task, at, outcome }
        });
        shared.live_tasks().remove(task);
    }
}

impl<T, F: Future<Output = Result<T, String>>> Future for TaskFuture<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let control = &*this.control;
        let shared = control.shared();
        control.init_tokio_waker(context.waker());
        if control.defer_wake_if_held() {
            shared.emit(|at| Event::PollSuppressed { task: control.id(), at });
            return Poll::Pending;
        }
        let Some(inner) = &mut this.inner else { return Poll::Pending };
        let polled = shared.poll_instrumented(control, || {
            catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll(&mut Context::from_waker(&this.waker))))
        });
        let polled = match polled {
            Ok(polled) => polled,
            Err(panic) => {
                // Record the message in the trace, then pass the panic on to tokio as in any program.
                this.finish(TaskOutcome::Failed(format!("panicked: {}", panic_message(&*panic)).into()));
                resume_unwind(panic)
            }
        };
        if let Poll::Ready(result) = &polled {
            let outcome = match result {
                Ok(_) => TaskOutcome::Completed,
                Err(_) if control.is_cancelled() => TaskOutcome::Cancelled,
                // A task that returns an error because the run is being stopped was cancelled.
                Err(_) if shared.gate.is_quitting() => TaskOutcome::Cancelled,
                Err(message) => TaskOutcome::Failed(message.as_str().into()),
            };
            this.finish(outcome);
        }
        polled
    }
}

impl<F> Drop for TaskFuture<F> {
    fn drop(&mut self) {
        if self.inner.is_some() {
            self.finish(TaskOutcome::Cancelled);
        }
    }
}

/// Installs a panic hook that does not print panics of tasks: the lane, the report and the awaiting task show them.
/// Other panics are printed as before.
pub fn silence_task_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if loop_thread::current_task().is_none() {
                previous(info);
            }
        }));
    });
}

/// Returns the message of a panic, or a placeholder if its payload is not a string.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}
