//! What the loop calls in its program: at the end of the run, and when the user cancels a task.

use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::boxed_future::BoxFuture;
use crate::trace::TaskId;

type CleanupFn = Box<dyn FnOnce() -> BoxFuture<()> + Send>;
type CancelFn = Box<dyn Fn(TaskId) -> bool + Send + Sync>;

/// The functions of the program that the loop calls.
#[derive(Default)]
pub struct ProgramHooks {
    cleanup: Mutex<Option<CleanupFn>>,
    cancel: OnceLock<CancelFn>,
}

impl ProgramHooks {
    /// Sets what runs at the end of the run.
    pub fn set_cleanup(&self, cleanup: impl FnOnce() -> BoxFuture<()> + Send + 'static) {
        *self.cleanup.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(cleanup));
    }

    /// Returns the future to run at the end of the run, once.
    pub fn take_cleanup(&self) -> Option<BoxFuture<()>> {
        let cleanup = self.cleanup.lock().unwrap_or_else(PoisonError::into_inner).take();
        cleanup.map(|cleanup| cleanup())
    }

    /// Sets what cancels a task. Only the first call has an effect.
    pub fn set_cancel(&self, cancel: impl Fn(TaskId) -> bool + Send + Sync + 'static) {
        let _ = self.cancel.set(Box::new(cancel));
    }

    /// Cancels a task through the program. Returns false if the program does not know it.
    pub fn cancel(&self, task: TaskId) -> bool {
        self.cancel.get().is_some_and(|cancel| cancel(task))
    }
}

impl fmt::Debug for ProgramHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProgramHooks")
    }
}
