//! `await(x)`: the awaitable values and the only function that suspends a script.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use futures_util::TryFutureExt;
use futures_util::future::{BoxFuture, Either};
use mlua::{AnyUserData, Error, Function, Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};

use super::cancellable::cancellable;
use super::coroutine::{self, as_coroutine};
use super::inline_body::InlineBody;
use super::lock::lock;
use super::resource_label::ResourceLabel;
use super::script_host::ScriptHost;
use super::task::{as_task, read_task_name, run_awaitable, spawn_coroutine, spawn_future, wait_for_task};
use super::task_handle::ScriptTask;
use super::unawaited::AwaitableCreation;
use super::values::describe;
use crate::lab::{InstrumentedAwait, LoopHandle};
use crate::trace::{AwaitKind, AwaitSite, ResourceId};
use crate::workload::fault::ScriptFault;

/// Starts the future of an awaitable. It is called when the script awaits it; the arguments are the loop handle and the
/// line of the `await`.
pub(super) type StartFn = Box<dyn FnOnce(&LoopHandle, Option<u32>) -> StartedFuture + Send>;

/// The future of an awaitable that was started. It returns the results of the `await`.
pub(super) type StartedFuture = BoxFuture<'static, mlua::Result<MultiValue>>;

/// An awaitable value that is neither a coroutine nor a task. It can be awaited once.
pub(super) struct ScriptAwaitable {
    /// The kind of the await in the trace. `None` if it runs inline and only its inner awaits are traced.
    pub kind: Option<AwaitKind>,
    /// The function that created it: `sleep`.
    pub source: Arc<str>,
    /// The line that created it.
    pub line: Option<u32>,
    /// The resource that it waits for.
    pub resource: Option<ResourceId>,
    /// Whether its future takes a cancel of the awaiting body itself. Any other future is dropped.
    pub takes_cancel: bool,
    /// Taken by the first `await`.
    pub start: Mutex<Option<StartFn>>,
    /// Who created it; `None` if forgetting to await it is not reported.
    creation: Option<AwaitableCreation>,
}

impl Drop for ScriptAwaitable {
    fn drop(&mut self) {
        let is_forgotten = self.start.get_mut().is_ok_and(|start| start.is_some());
        if let (true, Some(creation)) = (is_forgotten, self.creation.take()) {
            creation.report(&self.source, self.line);
        }
    }
}

impl UserData for ScriptAwaitable {
    lua_type_name!("Awaitable");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("awaitable {}", this.source)));
    }
}

impl ScriptAwaitable {
    /// Takes the function that starts the awaitable.
    ///
    /// # Errors
    /// Fails if the awaitable was started before.
    fn take_start(&self) -> Result<StartFn, ScriptFault> {
        lock(&self.start).take().ok_or_else(|| {
            ScriptFault::new(format!("this {} was already awaited; it can be awaited only once", self.source))
        })
    }

    /// Wraps this awaitable's `start` so that the trace shows it as an await inside another one.
    ///
    /// Its location is the line that created it, because the outer await has the line of the `await`.
    fn traced(&self, host: &Arc<ScriptHost>, start: StartFn) -> StartFn {
        let Some(kind) = self.kind else { return start };
        let (host, source, resource, creation_line) =
            (Arc::clone(host), Arc::clone(&self.source), self.resource, self.line);
        Box::new(move |loop_handle, line| {
            let site = host.site(kind, &source, creation_line.or(line));
            Box::pin(traced_await(loop_handle, &site, resource, start(loop_handle, line)))
        })
    }
}

/// Wraps a future so that the trace shows it as an await.
fn traced_await(
    loop_handle: &LoopHandle,
    site: &AwaitSite,
    resource: Option<ResourceId>,
    future: StartedFuture,
) -> InstrumentedAwait<StartedFuture> {
    match resource {
        Some(resource) => loop_handle.await_resource(site, resource, future),
        None => loop_handle.await_at(site, future),
    }
}

/// Creates an awaitable. `source` is the name of the calling host function.
pub(super) fn make_awaitable(
    lua: &Lua,
    host: &ScriptHost,
    kind: AwaitKind,
    source: &Arc<str>,
    start: StartFn,
) -> mlua::Result<AnyUserData> {
    new_awaitable(lua, host, Some(kind), source, None, false, start)
}

/// Creates an awaitable that waits for a resource.
pub(super) fn make_resource_awaitable(
    lua: &Lua,
    host: &ScriptHost,
    kind: AwaitKind,
    source: &Arc<str>,
    resource: Option<ResourceId>,
    start: StartFn,
) -> mlua::Result<AnyUserData> {
    new_awaitable(lua, host, Some(kind), source, resource, false, start)
}

/// Creates an awaitable whose future takes a cancel of the awaiting body itself ([`ScriptHost::take_cancel`]).
pub(super) fn make_forwarding_awaitable(
    lua: &Lua,
    host: &ScriptHost,
    kind: AwaitKind,
    source: &Arc<str>,
    start: StartFn,
) -> mlua::Result<AnyUserData> {
    new_awaitable(lua, host, Some(kind), source, None, true, start)
}

/// Creates an awaitable that runs inline: the trace shows only its inner awaits. Its future takes a cancel itself.
pub(super) fn make_inline_awaitable(
    lua: &Lua,
    host: &ScriptHost,
    source: &Arc<str>,
    start: StartFn,
) -> mlua::Result<AnyUserData> {
    new_awaitable(lua, host, None, source, None, true, start)
}

/// Creates an awaitable of any sort. The parameters are the fields of [`ScriptAwaitable`].
fn new_awaitable(
    lua: &Lua,
    host: &ScriptHost,
    kind: Option<AwaitKind>,
    source: &Arc<str>,
    resource: Option<ResourceId>,
    takes_cancel: bool,
    start: StartFn,
) -> mlua::Result<AnyUserData> {
    // A task runs whether or not it is awaited.
    let is_reported = kind.is_some_and(|kind| kind != AwaitKind::Task);
    lua.create_userdata(ScriptAwaitable {
        kind,
        source: Arc::clone(source),
        line: host.caller_line(lua),
        resource,
        takes_cancel,
        start: Mutex::new(Some(start)),
        creation: if is_reported { host.awaitable_creation() } else { None },
    })
}

/// Creates an awaitable from a tokio future, which is created and polled without tokio's own tracing spans.
pub(super) fn make_tokio_awaitable<F>(
    lua: &Lua,
    label: &ResourceLabel,
    kind: AwaitKind,
    source: &Arc<str>,
    make: impl FnOnce() -> F + Send + 'static,
) -> mlua::Result<AnyUserData>
where
    F: Future<Output = Result<MultiValue, ScriptFault>> + Send + 'static,
{
    let host = Arc::clone(&label.host);
    let start: StartFn = Box::new(move |loop_handle, line| {
        if kind == AwaitKind::Io {
            host.uses_io.store(true, Ordering::Relaxed);
        }
        Box::pin(loop_handle.untraced(make).map_err(move |fault| Error::external(fault.line(line))))
    });
    make_resource_awaitable(lua, &label.host, kind, source, Some(label.resource), start)
}

/// One branch of a `select` or `timeout`. Dropping its future cancels its task.
pub(super) struct PreparedBranch {
    pub start: StartFn,
    /// Whether the future takes a cancel of the awaiting body itself.
    pub takes_cancel: bool,
}

/// Prepares a value as one branch of a `select` or `timeout`.
pub(super) fn prepare_branch(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    value: &Value,
    by: &str,
) -> mlua::Result<PreparedBranch> {
    if let Some(other) = value.as_userdata().and_then(|userdata| userdata.borrow::<ScriptAwaitable>().ok()) {
        let start = other.take_start().map_err(|fault| host.usage_error(lua, fault.token(by)))?;
        return Ok(PreparedBranch { start: other.traced(host, start), takes_cancel: other.takes_cancel });
    }
    let (task, host) = (ensure_task(lua, host, value, None, by)?, Arc::clone(host));
    let start: StartFn = Box::new(move |_, line| Box::pin(wait_for_task(&host, task, line)));
    Ok(PreparedBranch { start, takes_cancel: true })
}

/// Returns the value as a task: a task itself, a coroutine or another awaitable as a new task with the name `name`.
pub(super) fn ensure_task(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    value: &Value,
    name: Option<String>,
    by: &str,
) -> mlua::Result<ScriptTask> {
    match value.as_userdata().and_then(as_task) {
        Some(task) => Ok(task),
        None => create_task(lua, host, value, name, by),
    }
}

/// `create_task(x, options)`: spawns a coroutine or another awaitable as a task. A task is returned as it is.
pub(super) fn create_task_with_options(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    value: &Value,
    options: &Value,
) -> mlua::Result<ScriptTask> {
    let name = read_task_name(lua, host, options)?;
    ensure_task(lua, host, value, name, "create_task")
}

/// Spawns a coroutine or another awaitable as a task, for the host function `by`.
fn create_task(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    value: &Value,
    name: Option<String>,
    by: &str,
) -> mlua::Result<ScriptTask> {
    let Some(awaitable) = value.as_userdata().and_then(|userdata| userdata.borrow::<ScriptAwaitable>().ok()) else {
        let task = spawn_coroutine(lua, host, value, name, by)?;
        return task.ok_or_else(|| coroutine::not_a_coroutine_error(lua, host, value, by));
    };
    let loop_handle = host.loop_handle(lua, by)?.clone();
    let start = awaitable.take_start().map_err(|fault| host.usage_error(lua, fault.token(by)))?;
    let start = awaitable.traced(host, start);
    let line = host.caller_line(lua).or(awaitable.line);
    let takes_cancel = awaitable.takes_cancel;
    let name = name.unwrap_or_else(|| host.numbered_name(&awaitable.source));
    // A lock that the task acquires belongs to the task that asked for it.
    let guards = Arc::clone(&lock(&host.current_guards));
    let make = |task: &ScriptTask| {
        let (host, body) = (Arc::clone(host), Arc::clone(task.body()));
        async move {
            let inner_host = Arc::clone(&host);
            let future = async move {
                let future = start(&loop_handle, line);
                cancellable(inner_host, future, takes_cancel, line).await
            };
            run_awaitable(host, body, guards, future).await
        }
    };
    spawn_future(lua, host, name, line.map(|line| host.source.location(line)), by, make)
}

/// `unconstrained(coroutine)`: runs a coroutine inline, without tokio's cooperative budget.
pub(super) fn unconstrained(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    source: &Arc<str>,
    value: Value,
) -> mlua::Result<AnyUserData> {
    let Some(coroutine) = value.as_userdata().and_then(as_coroutine) else {
        return Err(coroutine::not_a_coroutine_error(lua, host, &value, source));
    };
    host.loop_handle(lua, source)?;
    let arguments = coroutine.start(lua, host, source)?;
    let (owned_host, function) = (Arc::clone(host), coroutine.definition.function.clone());
    let start: StartFn =
        Box::new(move |_, _| Box::pin(tokio::task::unconstrained(InlineBody::new(&owned_host, function, arguments))));
    make_inline_awaitable(lua, host, source, start)
}

/// Creates the two Rust functions of `await`, which the prelude calls in this order.
///
/// `enter` returns a coroutine's body and arguments, which the prelude runs inline. For any other awaitable it returns
/// nil and the line, and then `suspend` waits for the future.
pub(super) fn await_functions(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<(Function, Function)> {
    let entered = Arc::clone(host);
    let enter = lua.create_function(move |lua, value: Value| enter(lua, &entered, &value))?;
    let (host, task) = (Arc::clone(host), Arc::from("task"));
    let suspend = lua.create_async_function(move |lua, (value, line): (AnyUserData, Option<u32>)| {
        let started = start(&lua, &host, &value, line, &task);
        let host = Arc::clone(&host);
        async move {
            let (future, takes_cancel) = started?;
            cancellable(host, future, takes_cancel, line).await
        }
    })?;
    Ok((enter, suspend))
}

fn enter(lua: &Lua, host: &ScriptHost, value: &Value) -> mlua::Result<MultiValue> {
    host.loop_handle(lua, "await")?;
    if let Some(userdata) = value.as_userdata() {
        if let Some(coroutine) = as_coroutine(userdata) {
            let mut values = coroutine.start(lua, host, "await")?;
            values.push_front(Value::Function(coroutine.definition.function.clone()));
            return Ok(values);
        }
        if userdata.is::<ScriptAwaitable>() || userdata.is::<ScriptTask>() {
            let line = host.caller_line(lua).map_or(Value::Nil, |line| Value::Integer(line.into()));
            return Ok(MultiValue::from_iter([Value::Nil, line]));
        }
    }
    Err(not_awaitable_error(lua, host, value))
}

/// Starts an awaitable or the wait for a task, and traces it as an await at `line`. Also returns whether the future takes
/// a cancel itself.
fn start(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    value: &AnyUserData,
    line: Option<u32>,
    task_source: &Arc<str>,
) -> mlua::Result<(Either<InstrumentedAwait<StartedFuture>, StartedFuture>, bool)> {
    let loop_handle = host.loop_handle(lua, "await")?;
    if let Ok(task) = value.borrow::<ScriptTask>() {
        let site = host.site(AwaitKind::Task, task_source, line);
        let future = Box::pin(wait_for_task(host, task.clone(), line));
        return Ok((Either::Left(traced_await(loop_handle, &site, None, future)), true));
    }
    let awaitable = value.borrow::<ScriptAwaitable>()?;
    let line = line.or(awaitable.line);
    let start = awaitable.take_start().map_err(|fault| {
        let hint = format!("make a new one: await({}(…))", awaitable.source);
        Error::external(fault.line(line).token("await").hint(hint))
    })?;
    let future = start(loop_handle, line);
    let takes_cancel = awaitable.takes_cancel;
    let Some(kind) = awaitable.kind else { return Ok((Either::Right(future), takes_cancel)) };
    let site = host.site(kind, &awaitable.source, line);
    Ok((Either::Left(traced_await(loop_handle, &site, awaitable.resource, future)), takes_cancel))
}

fn not_awaitable_error(lua: &Lua, host: &ScriptHost, value: &Value) -> Error {
    let got = describe(value);
    let fault = ScriptFault::new(format!("await needs an awaitable, but got {got}")).token("await");
    let hint = match (coroutine::definition_of(value), value) {
        (Some(definition), _) => format!("call it first: await({}(…))", definition.name),
        (None, Value::Nil) => "does the called function return anything?".to_owned(),
        (None, Value::Number(_) | Value::Integer(_)) => "to pause, write await(sleep(seconds))".to_owned(),
        (None, Value::Table(_)) => "to await several, write await(gather(list))".to_owned(),
        _ => "coroutines, tasks, sleep(…) and gather(…) can be awaited".to_owned(),
    };
    host.usage_error(lua, fault.hint(hint))
}
