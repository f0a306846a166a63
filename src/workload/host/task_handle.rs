//! The handle to a task: its name, its outcome and its cancellation.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use mlua::{Function, MultiValue};
use tokio::task::AbortHandle;

use super::body::{BodyContext, CancelRequest};
use super::lock::lock;
use crate::trace::TaskId;
use crate::workload::fault::ScriptFault;

/// The script's handle to a task. Dropping it does not stop the task.
#[derive(Clone)]
pub(super) struct ScriptTask(Arc<TaskHandleState>);

struct TaskHandleState {
    /// The name from the options, or a numbered one.
    name: Arc<str>,
    id: OnceLock<TaskId>,
    abort: OnceLock<AbortHandle>,
    body: Arc<BodyContext>,
    /// Whether a closing value of the script may exist.
    may_close: Arc<AtomicBool>,
    /// The message of the last cancel.
    cancel_message: Mutex<Option<Arc<str>>>,
    slot: TaskResultSlot,
    done_callbacks: Mutex<Vec<Function>>,
}

/// The outcome of a task, for every task that awaits it.
#[derive(Clone)]
pub(super) enum ScriptTaskOutcome {
    Completed(MultiValue),
    Failed(ScriptFault),
    /// Cancelled, with the message of the cancel.
    Cancelled(Option<Arc<str>>),
    Panicked(String),
}

/// Stores the outcome of a task. The ending task itself wakes the waiting tasks, so it is their waker in the trace.
#[derive(Default)]
struct TaskResultSlot {
    /// The task's position in the order in which tasks ended, counted from 0, and its outcome.
    ended: OnceLock<(u64, ScriptTaskOutcome)>,
    waiting: Mutex<Vec<Waker>>,
}

impl TaskResultSlot {
    fn poll(&self, context: &mut Context<'_>) -> Poll<&(u64, ScriptTaskOutcome)> {
        if let Some(ended) = self.ended.get() {
            return Poll::Ready(ended);
        }
        let mut waiting = lock(&self.waiting);
        if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}

impl ScriptTask {
    /// Creates the handle to a task that is about to be spawned. `may_close` tells whether the script may have closing
    /// values.
    pub fn new(name: Arc<str>, may_close: &Arc<AtomicBool>) -> Self {
        Self(Arc::new(TaskHandleState {
            name,
            id: OnceLock::new(),
            abort: OnceLock::new(),
            body: Arc::default(),
            may_close: Arc::clone(may_close),
            cancel_message: Mutex::default(),
            slot: TaskResultSlot::default(),
            done_callbacks: Mutex::default(),
        }))
    }

    /// Records that the task was spawned. Main has no abort handle here.
    pub fn set_spawned(&self, id: TaskId, abort: Option<AbortHandle>) {
        let _ = self.0.id.set(id);
        if let Some(abort) = abort {
            let _ = self.0.abort.set(abort);
        }
    }

    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// Returns the task's id in the trace, once it is spawned.
    pub fn id(&self) -> Option<TaskId> {
        self.0.id.get().copied()
    }

    /// Returns the cancellation state of the task's body.
    pub fn body(&self) -> &Arc<BodyContext> {
        &self.0.body
    }

    /// Returns whether this is the same task.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Stores the outcome, with its position in the order in which tasks end, and wakes the waiting tasks.
    pub fn store(&self, order: u64, ended: ScriptTaskOutcome) {
        let _ = self.0.slot.ended.set((order, ended));
        let waiting = std::mem::take(&mut *lock(&self.0.slot.waiting));
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Returns the outcome, once the task has ended.
    pub fn outcome(&self) -> Option<&ScriptTaskOutcome> {
        self.0.slot.ended.get().map(|(_, outcome)| outcome)
    }

    /// Returns the task's position in the order in which tasks ended, once it has ended.
    pub fn end_order(&self) -> Option<u64> {
        self.0.slot.ended.get().map(|(order, _)| *order)
    }

    /// Waits for the task and returns its results, or its error as raised at `line`.
    pub fn result(&self, line: Option<u32>) -> impl Future<Output = mlua::Result<MultiValue>> + Send + 'static {
        let task = self.clone();
        async move { task.ended().await.into_result(task.name(), line).map_err(mlua::Error::external) }
    }

    /// Waits for the task's outcome.
    pub fn ended(&self) -> impl Future<Output = ScriptTaskOutcome> + Send + 'static {
        let task = self.clone();
        poll_fn(move |context| task.0.slot.poll(context).map(|(_, ended)| ended.clone()))
    }

    /// Waits until the task has ended. Returns its position in the order in which tasks ended.
    pub fn poll_ended(&self, context: &mut Context<'_>) -> Poll<u64> {
        self.0.slot.poll(context).map(|(order, _)| *order)
    }

    /// Returns whether the task failed or panicked. A cancelled task has not failed.
    pub fn has_failed(&self) -> bool {
        matches!(self.outcome(), Some(ScriptTaskOutcome::Failed(_) | ScriptTaskOutcome::Panicked(_)))
    }

    /// Returns whether dropping the task where it waits would have the same effect as a cancel.
    pub fn can_be_dropped(&self) -> bool {
        self.has_no_cleanup() && self.0.body.has_no_forwarding_awaits()
    }

    /// Returns whether the script has no code to run if the task is cancelled.
    pub fn has_no_cleanup(&self) -> bool {
        self.0.body.has_no_handlers()
            && !self.0.may_close.load(Ordering::Relaxed)
            && !self.0.body.is_polled()
            && lock(&self.0.done_callbacks).is_empty()
    }

    /// Cancels the task. Returns false if it has ended.
    ///
    /// If the script has code to run for that, the task is woken and the await under way raises an error. Otherwise the
    /// task is dropped where it waits.
    pub fn cancel(&self, message: Option<Arc<str>>) -> bool {
        if self.outcome().is_some() {
            return false;
        }
        *lock(&self.0.cancel_message) = message.clone();
        match self.0.abort.get().filter(|_| self.can_be_dropped()) {
            Some(abort) => abort.abort(),
            None => self.0.body.request_cancel(CancelRequest { message }),
        }
        true
    }

    /// Returns the message of the last cancel.
    pub fn cancel_message(&self) -> Option<Arc<str>> {
        lock(&self.0.cancel_message).clone()
    }

    /// Adds a function to call when the task ends.
    pub fn add_done_callback(&self, callback: Function) {
        lock(&self.0.done_callbacks).push(callback);
    }

    /// Removes and returns the functions to call when the task ends.
    pub fn take_done_callbacks(&self) -> Vec<Function> {
        std::mem::take(&mut *lock(&self.0.done_callbacks))
    }
}

impl ScriptTaskOutcome {
    /// Returns the results, or the error that an await of the task `name` at `line` raises.
    ///
    /// # Errors
    /// Fails if the task did not complete.
    pub fn into_result(self, name: &str, line: Option<u32>) -> Result<MultiValue, ScriptFault> {
        let failure = |how: String| ScriptFault::new(format!("the task {name} {how}")).line(line).token("await");
        match self {
            Self::Completed(values) => Ok(values),
            Self::Failed(fault) => Err(fault),
            Self::Cancelled(None) => Err(failure("was cancelled".to_owned())),
            Self::Cancelled(Some(message)) => Err(failure(format!("was cancelled: {message}"))),
            Self::Panicked(message) => Err(failure(format!("panicked: {message}"))),
        }
    }

    /// Returns the name of the outcome, for scripts.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Completed(_) => "completed",
            Self::Failed(_) => "error",
            Self::Cancelled(_) => "cancelled",
            Self::Panicked(_) => "panicked",
        }
    }
}

/// Cancels its remaining tasks when the future that waits for them is dropped.
pub(super) struct CancelOnDrop {
    /// The tasks to cancel. Clear the list to let them run on.
    pub tasks: Vec<ScriptTask>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.tasks.iter().for_each(|task| {
            task.cancel(None);
        });
    }
}

/// The tasks of a script that have not ended, in the order of their creation.
#[derive(Default)]
pub(super) struct TaskRegistry(Mutex<BTreeMap<TaskId, ScriptTask>>);

impl TaskRegistry {
    /// Adds a task that was spawned.
    pub fn insert(&self, id: TaskId, task: ScriptTask) {
        lock(&self.0).insert(id, task);
    }

    /// Removes a task that ended.
    pub fn remove(&self, id: TaskId) {
        lock(&self.0).remove(&id);
    }

    /// Returns the task with this id, unless it has ended.
    pub fn find(&self, id: TaskId) -> Option<ScriptTask> {
        lock(&self.0).get(&id).cloned()
    }

    /// Returns all tasks that have not ended.
    pub fn all(&self) -> Vec<ScriptTask> {
        lock(&self.0).values().cloned().collect()
    }
}
