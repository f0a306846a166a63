//! Tasks: coroutines and other awaitables that the loop runs concurrently.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use futures_util::FutureExt;
use mlua::{AnyUserData, Error, Function, Lua, MultiValue, Value};

use super::body::BodyContext;
use super::coroutine::{CoroutineDefinition, as_coroutine};
use super::errors::{fault_from_error, task_fault};
use super::limits::TASKS_MAX;
use super::lock::lock;
use super::owned_guards::OwnedGuards;
use super::script_host::ScriptHost;
use super::task_handle::{CancelOnDrop, ScriptTask, ScriptTaskOutcome};
use super::values::describe;
use crate::lab::{TaskSpec, panic_message};
use crate::trace::Location;
use crate::workload::fault::{FaultKind, ScriptFault};

/// Ends a task: stores its outcome and calls its done callbacks. If it is dropped before, then the task was cancelled.
///
/// It keeps the Lua state alive, because a task that main does not await outlives main.
struct OutcomeGuard {
    task: ScriptTask,
    host: Arc<ScriptHost>,
    lua: Lua,
}

impl OutcomeGuard {
    fn store(&self, ended: ScriptTaskOutcome) {
        if let Some(id) = self.task.id() {
            self.host.tasks.remove(id);
        }
        self.task.store(self.host.ended_tasks.fetch_add(1, Ordering::Relaxed), ended);
    }
}

impl Drop for OutcomeGuard {
    fn drop(&mut self) {
        if self.task.outcome().is_some() {
            return;
        }
        self.store(ScriptTaskOutcome::Cancelled(self.task.cancel_message()));
        // The script was able to add callbacks after the cancel. tokio drops a task outside all polls, so no Lua code
        // is running here. Once the run is being stopped, none starts.
        let callbacks = self.task.take_done_callbacks();
        if !callbacks.is_empty() && self.host.checkpoint(None).is_ok() {
            self.host.restart_cpu_budget();
            self.host.enter_task(self.task.body());
            *lock(&self.host.current_guards) = Arc::default();
            call_done_callbacks(&self.lua, &self.host, &self.task, &callbacks);
        }
    }
}

/// Runs the body of a task to its end, stores its outcome and calls its done callbacks. Returns the text of its error.
///
/// # Panics
/// Passes on the body's panic.
async fn run_to_outcome(
    guard: &OutcomeGuard,
    body: impl Future<Output = Result<MultiValue, ScriptFault>>,
) -> Result<(), String> {
    let host = &guard.host;
    let (outcome, result) = match AssertUnwindSafe(body).catch_unwind().await {
        Ok(Ok(values)) => (ScriptTaskOutcome::Completed(values), Ok(Ok(()))),
        Ok(Err(fault)) if fault.kind == FaultKind::Cancelled => {
            host.mark_cancelled();
            (ScriptTaskOutcome::Cancelled(fault.cancel_message.clone()), Ok(Err(fault.message)))
        }
        Ok(Err(fault)) => {
            let text = fault.to_error(&host.source).to_string();
            (ScriptTaskOutcome::Failed(fault), Ok(Err(text)))
        }
        Err(panic) => (ScriptTaskOutcome::Panicked(panic_message(&*panic).to_owned()), Err(panic)),
    };
    guard.store(outcome);
    call_done_callbacks(&guard.lua, host, &guard.task, &guard.task.take_done_callbacks());
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Waits for a task and returns its results, or raises its error at `line`.
///
/// A cancel of the awaiting body is passed on to the task, as in asyncio: the await ends when the task has ended. If it
/// completed in spite of the cancel, the await returns its results. Dropping the future cancels the task.
pub(super) fn wait_for_task(
    host: &Arc<ScriptHost>,
    task: ScriptTask,
    line: Option<u32>,
) -> impl Future<Output = mlua::Result<MultiValue>> + Send + 'static {
    let host = Arc::clone(host);
    async move {
        if task.id().is_some() && task.id() == host.current_task_id() {
            let fault = ScriptFault::new(format!("the task {} awaits itself", task.name())).line(line);
            return Err(Error::external(fault.token("await").hint("it would wait for ever")));
        }
        let mut guard = CancelOnDrop { tasks: vec![task.clone()] };
        let mut request = None;
        let ended = poll_fn(|context| {
            if let Some(taken) = host.take_cancel() {
                let is_running = task.cancel(taken.message.clone());
                // A second cancel also ends the await: two tasks that await each other would cancel each other for ever.
                if !is_running || request.is_some() {
                    return Poll::Ready(Err(Error::external(taken.fault(line))));
                }
                request = Some(taken);
            }
            task.poll_ended(context).map(Ok)
        })
        .await;
        guard.tasks.clear();
        ended?;
        match (task.outcome().cloned(), request) {
            (Some(ScriptTaskOutcome::Cancelled(_)), Some(request)) => Err(Error::external(request.fault(line))),
            (Some(outcome), _) => outcome.into_result(task.name(), line).map_err(Error::external),
            (None, _) => Ok(MultiValue::new()),
        }
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

/// Spawns a coroutine as a task, for the host function `by`: `create_task`, `gather` and others. Returns `None` if
/// `value` is not a coroutine.
pub(super) fn spawn_coroutine(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    value: &Value,
    name: Option<String>,
    by: &str,
) -> mlua::Result<Option<ScriptTask>> {
    host.loop_handle(lua, by)?;
    let Some(coroutine) = value.as_userdata().and_then(as_coroutine) else { return Ok(None) };
    let line = host.caller_line(lua).or(coroutine.line);
    let arguments = coroutine.start(lua, host, by)?;
    let definition = Arc::clone(&coroutine.definition);
    let name = name.unwrap_or_else(|| host.numbered_name(&definition.name));
    let make = |task: &ScriptTask| {
        let (host, name, body) = (Arc::clone(host), Arc::clone(task.name()), Arc::clone(task.body()));
        async move { run_body(&host, &body, name, &definition, arguments).await }
    };
    spawn_future(lua, host, name, line.map(|line| host.source.location(line)), by, make).map(Some)
}

/// Spawns the future that `make` returns as the task `name`.
///
/// # Errors
/// Fails if the script has too many live tasks.
pub(super) fn spawn_future<F>(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    name: String,
    location: Option<Location>,
    by: &str,
    make: impl FnOnce(&ScriptTask) -> F,
) -> mlua::Result<ScriptTask>
where
    F: Future<Output = Result<MultiValue, ScriptFault>> + Send + 'static,
{
    let loop_handle = host.loop_handle(lua, by)?.clone();
    let live_task = LiveTaskGuard::new(host).ok_or_else(|| {
        let fault = ScriptFault::new(format!("more than {TASKS_MAX} live tasks")).token(by).kind(FaultKind::Limit);
        host.usage_error(lua, fault.hint("await some tasks before you create more"))
    })?;
    let task = ScriptTask::new(name.into(), &host.may_close);
    let body = make(&task);
    let guard = OutcomeGuard { task: task.clone(), host: Arc::clone(host), lua: lua.clone() };
    let future = async move {
        let result = run_to_outcome(&guard, body).await;
        drop((live_task, guard));
        result
    };
    let spec = TaskSpec { name: task.name().to_string(), location };
    let (id, handle) = loop_handle.spawn_with_id(spec, future);
    task.set_spawned(id, Some(handle.abort_handle()));
    host.tasks.insert(id, task.clone());
    Ok(task)
}

/// Calls functions that were added with `task:add_done_callback`. Their errors are logged.
fn call_done_callbacks(lua: &Lua, host: &Arc<ScriptHost>, task: &ScriptTask, callbacks: &[Function]) {
    callbacks.iter().for_each(|callback| call_done_callback(lua, host, task, callback));
}

/// Calls one such function with the task. Its error is logged.
pub(super) fn call_done_callback(lua: &Lua, host: &Arc<ScriptHost>, task: &ScriptTask, callback: &Function) {
    let called = lua
        .create_userdata(task.clone())
        .and_then(|task| host.body_runner().call::<(bool, Value)>((callback.clone(), task)));
    let raised = match called {
        Ok((true, _)) => return,
        Ok((false, raised)) => raised,
        Err(error) => Value::Error(Box::new(error)),
    };
    let fault = task_fault(host, &raised, task.name());
    host.log_error(&format!("done callback of {}: {}", task.name(), fault.position_and_message(&host.source)));
}

/// Runs main's body as a task of the script. Returns its results, or the text of its error.
pub(in crate::workload) async fn run_main(
    host: &Arc<ScriptHost>,
    lua: &Lua,
    definition: &CoroutineDefinition,
    arguments: MultiValue,
) -> Result<MultiValue, String> {
    let task = ScriptTask::new("main".into(), &host.may_close);
    if let Some(id) = host.current_task_id() {
        task.set_spawned(id, None);
        host.tasks.insert(id, task.clone());
    }
    let guard = OutcomeGuard { task: task.clone(), host: Arc::clone(host), lua: lua.clone() };
    run_to_outcome(&guard, run_body(host, task.body(), "main".into(), definition, arguments)).await?;
    match task.outcome() {
        Some(ScriptTaskOutcome::Completed(values)) => Ok(values.clone()),
        _ => Ok(MultiValue::new()),
    }
}

/// Runs a coroutine's body as the task `name`.
///
/// # Panics
/// Panics if the script calls `panic(message)`. The panic starts here, outside Lua, and unwinds into the task's poll.
async fn run_body(
    host: &Arc<ScriptHost>,
    body: &Arc<BodyContext>,
    name: Arc<str>,
    definition: &CoroutineDefinition,
    mut arguments: MultiValue,
) -> Result<MultiValue, ScriptFault> {
    arguments.push_front(Value::Function(definition.function.clone()));
    // Created before the call and so dropped after it: the guards of a task outlive its code.
    let owner = GuardOwner { host: Arc::clone(host), guards: Arc::default() };
    // Cancelled before its first poll: the body never starts.
    if let Some(request) = body.take_cancel() {
        return Err(request.fault(definition.line));
    }
    let call = host.body_runner().call_async::<MultiValue>(arguments);
    let raised = match poll_as_task(host, body, &owner.guards, call).await {
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

/// Runs a future that is not a coroutine's body as a task. `guards` gets the locks that it acquires.
pub(super) async fn run_awaitable(
    host: Arc<ScriptHost>,
    body: Arc<BodyContext>,
    guards: Arc<OwnedGuards>,
    future: impl Future<Output = mlua::Result<MultiValue>> + Send,
) -> Result<MultiValue, ScriptFault> {
    let ended = poll_as_task(&host, &body, &guards, future).await;
    ended.map_err(|error| fault_from_error(&host, &error))
}

/// Polls the future of a task with its state: its guards, its cancellation and its CPU budget.
async fn poll_as_task<T>(
    host: &Arc<ScriptHost>,
    body: &Arc<BodyContext>,
    guards: &Arc<OwnedGuards>,
    future: impl Future<Output = T>,
) -> T {
    let mut future = pin!(future);
    poll_fn(|context| {
        host.restart_cpu_budget();
        *lock(&host.current_guards) = Arc::clone(guards);
        host.enter_task(body);
        body.init_waker(context.waker());
        body.set_polled(true);
        let polled = future.as_mut().poll(context);
        body.set_polled(false);
        if polled.is_pending() && body.has_request() {
            // The task cancelled itself after the await that it now waits on was polled.
            context.waker().wake_by_ref();
        }
        polled
    })
    .await
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
