//! Tasks: coroutines that the loop runs concurrently.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use mlua::{AnyUserData, Error, Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};
use tokio::task::AbortHandle;

use super::coroutine::{CoroutineDefinition, as_coroutine, not_a_coroutine_error};
use super::errors::task_fault;
use super::limits::TASKS_MAX;
use super::lock::lock;
use super::owned_guards::OwnedGuards;
use super::script_host::ScriptHost;
use super::values::describe;
use crate::lab::{TaskSpec, panic_message};
use crate::workload::fault::{FaultKind, ScriptFault};

/// The script's handle to a task. Dropping it does not stop the task.
#[derive(Clone)]
pub(super) struct ScriptTask {
    /// The name from the options, or a numbered one.
    pub name: Arc<str>,
    abort: AbortHandle,
    slot: Arc<TaskResultSlot>,
}

/// The outcome of a task, for every task that awaits it.
#[derive(Clone)]
enum ScriptTaskOutcome {
    Completed(MultiValue),
    Failed(ScriptFault),
    Cancelled,
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
    /// Stores the outcome and wakes the waiting tasks.
    fn store(&self, host: &ScriptHost, ended: ScriptTaskOutcome) {
        let _ = self.ended.set((host.ended_tasks.fetch_add(1, Ordering::Relaxed), ended));
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        waiting.into_iter().for_each(Waker::wake);
    }

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

/// Stores the outcome `Cancelled` when it is dropped, unless an outcome was stored before.
struct OutcomeGuard(Arc<TaskResultSlot>, Arc<ScriptHost>);

impl Drop for OutcomeGuard {
    fn drop(&mut self) {
        if self.0.ended.get().is_none() {
            self.0.store(&self.1, ScriptTaskOutcome::Cancelled);
        }
    }
}

impl ScriptTask {
    /// Waits for the task and returns its results, or raises its error at `line`.
    pub fn result(&self, line: Option<u32>) -> impl Future<Output = mlua::Result<MultiValue>> + Send + 'static {
        let (slot, name) = (Arc::clone(&self.slot), Arc::clone(&self.name));
        async move {
            let failure = |how: String| {
                Error::external(ScriptFault::new(format!("the task {name} {how}")).line(line).token("await"))
            };
            match poll_fn(|context| slot.poll(context).map(|(_, ended)| ended.clone())).await {
                ScriptTaskOutcome::Completed(values) => Ok(values),
                ScriptTaskOutcome::Failed(fault) => Err(Error::external(fault)),
                ScriptTaskOutcome::Cancelled => Err(failure("was cancelled".to_owned())),
                ScriptTaskOutcome::Panicked(message) => Err(failure(format!("panicked: {message}"))),
            }
        }
    }

    /// Waits until the task has ended. Returns its position in the order in which tasks ended.
    pub fn poll_ended(&self, context: &mut Context<'_>) -> Poll<u64> {
        self.slot.poll(context).map(|(order, _)| *order)
    }

    /// Returns whether the task failed or panicked. A cancelled task has not failed.
    pub fn has_failed(&self) -> bool {
        matches!(self.slot.ended.get(), Some((_, ScriptTaskOutcome::Failed(_) | ScriptTaskOutcome::Panicked(_))))
    }

    /// Cancels the task. Its future is dropped where it waits.
    pub fn cancel(&self) {
        self.abort.abort();
    }
}

impl UserData for ScriptTask {
    lua_type_name!("Task");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("cancel", |_, this, ()| {
            this.cancel();
            Ok(())
        });
        methods.add_method("done", |_, this, ()| Ok(this.abort.is_finished()));
        methods.add_method("name", |_, this, ()| Ok(this.name.to_string()));
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("task {}", this.name)));
    }
}

/// Reads the optional `{name = "…"}` of `create_task`.
pub(super) fn read_task_name(lua: &Lua, host: &ScriptHost, options: &Value) -> mlua::Result<Option<String>> {
    let refuse = |got: String| {
        let fault =
            ScriptFault::new(format!("create_task takes {{name = \"…\"}} in addition to the coroutine, but got {got}"));
        host.usage_error(lua, fault.token("create_task"))
    };
    match options {
        Value::Nil => Ok(None),
        Value::Table(table) => match table.get::<Value>("name")? {
            Value::Nil => Ok(None),
            Value::String(name) => Ok(Some(name.to_string_lossy())),
            other => Err(refuse(format!("name = {}", describe(&other)))),
        },
        other => Err(refuse(describe(other))),
    }
}

/// Spawns a coroutine as a task, for the host function `by`: `create_task`, `gather` and others.
pub(super) fn create_task(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    value: &Value,
    name: Option<String>,
    by: &str,
) -> mlua::Result<ScriptTask> {
    let loop_handle = host.loop_handle(lua, by)?.clone();
    let line = host.caller_line(lua);
    let Some(coroutine) = value.as_userdata().and_then(as_coroutine) else {
        return Err(not_a_coroutine_error(lua, host, value, by));
    };
    let arguments = coroutine.start(lua, host, by)?;
    let definition = Arc::clone(&coroutine.definition);
    let name: Arc<str> = name.unwrap_or_else(|| host.numbered_name(&definition.name)).into();
    let live_task = LiveTaskGuard::new(host).ok_or_else(|| {
        let fault = ScriptFault::new(format!("more than {TASKS_MAX} live tasks")).token(by).kind(FaultKind::Limit);
        host.usage_error(lua, fault.hint("await some tasks before you create more"))
    })?;
    let spec =
        TaskSpec { name: name.to_string(), location: line.or(coroutine.line).map(|line| host.source.location(line)) };
    let slot = Arc::<TaskResultSlot>::default();
    let future = {
        let (lua, host, name) = (lua.clone(), Arc::clone(host), Arc::clone(&name));
        let outcome_guard = OutcomeGuard(Arc::clone(&slot), Arc::clone(&host));
        async move {
            // Keeps the Lua state alive, because a task that main does not await outlives main.
            let _keep_alive = (live_task, lua);
            let ended = AssertUnwindSafe(run_body(&host, name, &definition, arguments)).catch_unwind().await;
            let (ended, result) = match ended {
                Ok(Ok(values)) => (ScriptTaskOutcome::Completed(values), Ok(())),
                Ok(Err(fault)) => {
                    let text = fault.to_error(&host.source).to_string();
                    (ScriptTaskOutcome::Failed(fault), Err(text))
                }
                Err(panic) => {
                    outcome_guard.0.store(&host, ScriptTaskOutcome::Panicked(panic_message(&*panic).to_owned()));
                    resume_unwind(panic)
                }
            };
            outcome_guard.0.store(&host, ended);
            result
        }
    };
    let abort = loop_handle.spawn(spec, future).abort_handle();
    Ok(ScriptTask { name, abort, slot })
}

/// Runs a coroutine's body as the task `name`.
///
/// # Panics
/// Panics if the script calls `panic(message)`. The panic starts here, outside Lua, and unwinds into the task's poll.
pub(in crate::workload) async fn run_body(
    host: &Arc<ScriptHost>,
    name: Arc<str>,
    definition: &CoroutineDefinition,
    mut arguments: MultiValue,
) -> Result<MultiValue, ScriptFault> {
    arguments.push_front(Value::Function(definition.function.clone()));
    // Created before the call and so dropped after it: the guards of a task outlive its code.
    let owner = GuardOwner { host: Arc::clone(host), guards: Arc::default() };
    let outcome = {
        let mut call = pin!(host.body_runner().call_async::<MultiValue>(arguments));
        poll_fn(|context| {
            host.restart_cpu_budget();
            *lock(&host.current_guards) = Arc::clone(&owner.guards);
            call.as_mut().poll(context)
        })
        .await
    };
    let raised = match outcome {
        Ok(mut values) => match values.pop_front() {
            Some(Value::Boolean(true)) => return Ok(values),
            _ => values.pop_front().unwrap_or_default(),
        },
        Err(error) => Value::Error(Box::new(error)),
    };
    let fault = task_fault(host, &raised, &name);
    if fault.kind == FaultKind::Panic {
        panic!("{}", fault.message);
    }
    Err(fault)
}

/// Releases all guards of a task when the task's body is dropped.
struct GuardOwner {
    host: Arc<ScriptHost>,
    guards: Arc<OwnedGuards>,
}

impl Drop for GuardOwner {
    fn drop(&mut self) {
        self.guards.release_all();
        // Sockets and files can be shared by tasks, so the garbage collector closes them once they are unreachable.
        self.host.needs_collection.store(self.host.uses_io.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Counts one live task until it is dropped.
struct LiveTaskGuard(Arc<ScriptHost>);

impl LiveTaskGuard {
    fn new(host: &Arc<ScriptHost>) -> Option<Self> {
        let before = host.live_tasks.fetch_add(1, Ordering::Relaxed);
        // Created in any case: if the limit is reached, dropping it decrements the count.
        let live_task = Self(Arc::clone(host));
        (before < TASKS_MAX).then_some(live_task)
    }
}

impl Drop for LiveTaskGuard {
    fn drop(&mut self) {
        self.0.live_tasks.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns the value as a task, if it is one.
pub(super) fn as_task(value: &AnyUserData) -> Option<ScriptTask> {
    value.borrow::<ScriptTask>().ok().map(|task| task.clone())
}

/// Cancels its remaining tasks when the future that waits for them is dropped.
pub(super) struct CancelOnDrop {
    /// The tasks to cancel. Clear the list to let them run on.
    pub tasks: Vec<ScriptTask>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.tasks.iter().for_each(ScriptTask::cancel);
    }
}
