//! `await(x)`: what can be awaited, and the one place where a script suspends.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use futures_util::TryFutureExt;
use futures_util::future::{BoxFuture, Either};
use mlua::{AnyUserData, Error, Function, Lua, MultiValue, UserData, Value};

use super::coroutine::{self, coroutine_of};
use super::label::Label;
use super::task::Task;
use super::{Host, locked};
use crate::lab::{Awaiting, World};
use crate::trace::{AwaitKind, ResourceId, Site};
use crate::workload::fault::Fault;

/// A future that begins when it is awaited, at this line of the script.
pub(super) type Start = Box<dyn FnOnce(&World, Option<u32>) -> Begun + Send>;

/// It has begun.
pub(super) type Begun = BoxFuture<'static, mlua::Result<MultiValue>>;

/// Something to await that is neither a coroutine nor a task. It is awaited once.
pub(super) struct Awaitable {
    /// `None` where it is no await of its own: it runs right here, and what it awaits is what is seen.
    pub kind: Option<AwaitKind>,
    /// What made it: `sleep`.
    pub source: Arc<str>,
    /// The line that made it.
    pub line: Option<u32>,
    /// What it is for, where tasks share it.
    pub resource: Option<ResourceId>,
    pub start: Mutex<Option<Start>>,
}

impl UserData for Awaitable {}

impl Awaitable {
    /// `start`, which is this one's, made visible as an await inside another: with the line that made it, for what awaits
    /// it says its own.
    pub fn seen(&self, host: &Arc<Host>, start: Start) -> Start {
        let Some(kind) = self.kind else { return start };
        let (host, source, resource, made) = (Arc::clone(host), Arc::clone(&self.source), self.resource, self.line);
        Box::new(move |world, line| {
            let site = host.site(kind, &source, made.or(line));
            Box::pin(visible(world, &site, resource, start(world, line)))
        })
    }
}

fn visible(world: &World, site: &Site, resource: Option<ResourceId>, future: Begun) -> Awaiting<Begun> {
    match resource {
        Some(resource) => world.await_of(site, resource, future),
        None => world.await_at(site, future),
    }
}

/// Makes an awaitable from within the host function called `source`.
pub(super) fn awaitable(
    lua: &Lua,
    host: &Host,
    kind: AwaitKind,
    source: &Arc<str>,
    start: Start,
) -> mlua::Result<AnyUserData> {
    awaitable_of(lua, host, kind, source, None, start)
}

/// The same, for a resource that is known by identity.
pub(super) fn awaitable_of(
    lua: &Lua,
    host: &Host,
    kind: AwaitKind,
    source: &Arc<str>,
    resource: Option<ResourceId>,
    start: Start,
) -> mlua::Result<AnyUserData> {
    let line = host.caller_line(lua);
    let (kind, source) = (Some(kind), Arc::clone(source));
    lua.create_userdata(Awaitable { kind, source, line, resource, start: Mutex::new(Some(start)) })
}

/// An awaitable that is no await of its own.
pub(super) fn unseen(lua: &Lua, host: &Host, source: &Arc<str>, start: Start) -> mlua::Result<AnyUserData> {
    let line = host.caller_line(lua);
    let (source, start) = (Arc::clone(source), Mutex::new(Some(start)));
    lua.create_userdata(Awaitable { kind: None, source, line, resource: None, start })
}

/// An awaitable over one of tokio's own futures, made and polled without tokio's own spans.
pub(super) fn waiting<F>(
    lua: &Lua,
    label: &Label,
    kind: AwaitKind,
    source: &Arc<str>,
    make: impl FnOnce() -> F + Send + 'static,
) -> mlua::Result<AnyUserData>
where
    F: Future<Output = Result<MultiValue, Fault>> + Send + 'static,
{
    let host = Arc::clone(&label.host);
    let start: Start = Box::new(move |world, line| {
        if kind == AwaitKind::Io {
            host.uses_system.store(true, Ordering::Relaxed);
        }
        Box::pin(world.quiet(make).map_err(move |fault| Error::external(fault.line(line))))
    });
    awaitable_of(lua, &label.host, kind, source, Some(label.resource), start)
}

/// A function of the script's, run by whoever polls this, on a Lua stack of its own.
pub(super) fn inline(host: &Host, function: Function, mut arguments: MultiValue) -> Begun {
    arguments.push_front(Value::Function(function));
    let call = host.run_function().call_async::<MultiValue>(arguments);
    Box::pin(async move {
        let mut values = call.await?;
        match (values.pop_front(), values.front()) {
            (Some(Value::Boolean(true)), _) => Ok(values),
            (_, Some(Value::Error(error))) => Err((**error).clone()),
            (_, other) => Err(Error::runtime(other.map_or_else(String::new, super::language::describe))),
        }
    })
}

/// `unconstrained(coroutine)`: runs it right here, and tokio never makes it give others a turn.
pub(super) fn unconstrained(lua: &Lua, host: &Arc<Host>, source: &Arc<str>, value: Value) -> mlua::Result<AnyUserData> {
    let Some(coroutine) = value.as_userdata().and_then(coroutine_of) else {
        return Err(coroutine::not_a_coroutine(lua, host, &value, source));
    };
    host.world(lua, source)?;
    let arguments = coroutine.begin(lua, host, source)?;
    let (host_then, function) = (Arc::clone(host), coroutine.definition.function.clone());
    let start: Start =
        Box::new(move |_, _| Box::pin(tokio::task::unconstrained(inline(&host_then, function, arguments))));
    unseen(lua, host, source, start)
}

/// The two halves of `await`. `enter` looks at what is awaited: a coroutine's body and arguments come back to be run on
/// the spot, else nothing and the line. `suspend` then waits for a future.
pub(super) fn functions(lua: &Lua, host: &Arc<Host>) -> mlua::Result<(Function, Function)> {
    let entered = Arc::clone(host);
    let enter = lua.create_function(move |lua, value: Value| enter(lua, &entered, &value))?;
    let (host, task) = (Arc::clone(host), Arc::from("task"));
    let suspend = lua.create_async_function(move |lua, (value, line): (AnyUserData, Option<u32>)| {
        let started = start(&lua, &host, &value, line, &task);
        async move { started?.await }
    })?;
    Ok((enter, suspend))
}

fn enter(lua: &Lua, host: &Host, value: &Value) -> mlua::Result<MultiValue> {
    host.world(lua, "await")?;
    if let Some(userdata) = value.as_userdata() {
        if let Some(coroutine) = coroutine_of(userdata) {
            let mut values = coroutine.begin(lua, host, "await")?;
            values.push_front(Value::Function(coroutine.definition.function.clone()));
            return Ok(values);
        }
        if userdata.is::<Awaitable>() || userdata.is::<Task>() {
            let line = host.caller_line(lua).map_or(Value::Nil, |line| Value::Integer(line.into()));
            return Ok(MultiValue::from_iter([Value::Nil, line]));
        }
    }
    Err(not_awaitable(lua, host, value))
}

/// The future to wait for, made visible as an await at this line.
fn start(
    lua: &Lua,
    host: &Host,
    value: &AnyUserData,
    line: Option<u32>,
    task_source: &Arc<str>,
) -> mlua::Result<Either<Awaiting<Begun>, Begun>> {
    let world = host.world(lua, "await")?;
    if let Ok(task) = value.borrow::<Task>() {
        let site = host.site(AwaitKind::Task, task_source, line);
        return Ok(Either::Left(visible(world, &site, None, Box::pin(task.result(line)))));
    }
    let awaitable = value.borrow::<Awaitable>()?;
    let line = line.or(awaitable.line);
    let Some(start) = locked(&awaitable.start).take() else {
        let source = &awaitable.source;
        let fault = Fault::new(format!("this {source} was awaited before; each one is awaited once"));
        let hint = format!("make a new one: await({source}(…))");
        return Err(Error::external(fault.line(line).token("await").hint(hint)));
    };
    let future = start(world, line);
    let Some(kind) = awaitable.kind else { return Ok(Either::Right(future)) };
    let site = host.site(kind, &awaitable.source, line);
    Ok(Either::Left(visible(world, &site, awaitable.resource, future)))
}

fn not_awaitable(lua: &Lua, host: &Host, value: &Value) -> Error {
    let got = super::language::describe(value);
    let fault = Fault::new(format!("await needs something to wait for, and got {got}")).token("await");
    let hint = match (coroutine::definition_of(value), value) {
        (Some(definition), _) => format!("call it first: await({}(…))", definition.name),
        (None, Value::Nil) => "does the function that was called return anything?".to_owned(),
        (None, Value::Number(_) | Value::Integer(_)) => "for a pause write await(sleep(seconds))".to_owned(),
        (None, Value::Table(_)) => "for several at once write await(gather(list))".to_owned(),
        _ => "coroutines, tasks, sleep(…) and gather(…) can be awaited".to_owned(),
    };
    host.misuse(lua, fault.hint(hint))
}
