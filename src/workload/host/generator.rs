//! Async generators: functions that yield values one by one and may await in between.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use mlua::{AnyUserData, Function, Lua, MetaMethod, MultiValue, ObjectLike, UserData, UserDataMethods, Value};

use super::awaitable::{StartFn, make_inline_awaitable};
use super::coroutine;
use super::coroutine::CoroutineDefinition;
use super::errors::fault_from_error;
use super::inline_body::InlineBody;
use super::lock::lock;
use super::owned_guards::OwnedGuard;
use super::script_host::ScriptHost;
use super::values::describe;
use crate::workload::fault::{FaultKind, ScriptFault};

/// The callable value that `async_generator(f)` returns.
struct GeneratorFunction {
    host: Arc<ScriptHost>,
    definition: CoroutineDefinition,
}

/// One call of a generator function. Its body starts when the first value is requested.
struct ScriptGenerator {
    host: Arc<ScriptHost>,
    name: Arc<str>,
    source: Arc<str>,
    state: Arc<Mutex<GeneratorState>>,
    owned: Arc<OwnedGuard>,
}

/// The state of a [`ScriptGenerator`].
enum GeneratorState {
    /// Not started: the body and its arguments.
    New(Function, MultiValue),
    /// Suspended at a `yield`.
    Running(RunningGenerator),
    /// A reader is waiting for the next value.
    Busy,
    /// Finished or closed.
    Finished,
}

/// A generator body that has started.
struct RunningGenerator {
    body: InlineBody,
    yield_slot: YieldSlot,
}

/// What a poll of a generator body leads to.
enum GeneratorStep {
    /// The body yielded these values.
    Yielded(MultiValue),
    /// The body ended.
    Ended(mlua::Result<MultiValue>),
}

impl RunningGenerator {
    /// Polls the body until it yields or ends.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<GeneratorStep> {
        if let Poll::Ready(ended) = Pin::new(&mut self.body).poll(context) {
            return Poll::Ready(GeneratorStep::Ended(ended));
        }
        lock(&self.yield_slot).take().map_or(Poll::Pending, |values| Poll::Ready(GeneratorStep::Yielded(values)))
    }
}

/// Stores a body that is suspended at a `yield`. If the generator was closed meanwhile, the body is dropped.
fn suspend(state: &Mutex<GeneratorState>, running: RunningGenerator) {
    let mut state = lock(state);
    if matches!(*state, GeneratorState::Busy) {
        *state = GeneratorState::Running(running);
    } else {
        // Dropping the body runs its `<close>` handlers, which may call back: not under the lock.
        drop(state);
        drop(running);
    }
}

/// Holds the values of a `yield` until the reader takes them.
type YieldSlot = Arc<Mutex<Option<MultiValue>>>;

pub(super) fn install(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<()> {
    host_function!(lua, host, "async_generator", |lua: &Lua, host: &Arc<ScriptHost>, _: &Arc<str>, value: Value| {
        let definition = coroutine::define_function(lua, host, value, "async_generator")?;
        Ok(GeneratorFunction { host: Arc::clone(host), definition })
    });
    Ok(())
}

impl UserData for GeneratorFunction {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Call, |_, this, arguments: MultiValue| {
            Ok(ScriptGenerator {
                host: Arc::clone(&this.host),
                name: Arc::clone(&this.definition.name),
                source: "async_generator".into(),
                state: Arc::new(Mutex::new(GeneratorState::New(this.definition.function.clone(), arguments))),
                owned: Arc::default(),
            })
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(format!("generator function {}", this.definition.name))
        });
    }
}

impl UserData for ScriptGenerator {
    lua_type_name!("Generator");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // Returns the next yielded values; nil at the end.
        methods.add_method("next", |lua, this, ()| this.next(lua));
        methods.add_method("close", |_, this, ()| {
            this.close();
            Ok(())
        });
        methods.add_meta_method(MetaMethod::Close, |_, this, _: MultiValue| {
            this.close();
            Ok(())
        });
        // Closes the generator and waits until its body has ended.
        methods.add_method("aclose", |lua, this, ()| this.close_and_wait(lua));
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("async generator {}", this.name)));
    }
}

impl ScriptGenerator {
    fn close(&self) {
        if !self.owned.release() {
            *lock(&self.state) = GeneratorState::Finished;
        }
    }

    /// Creates the awaitable that cancels the body at its `yield` and waits for its end, as `aclose` in asyncio.
    fn close_and_wait(&self, lua: &Lua) -> mlua::Result<AnyUserData> {
        let (host, state, owned) = (Arc::clone(&self.host), Arc::clone(&self.state), Arc::clone(&self.owned));
        let name = Arc::clone(&self.name);
        let start: StartFn = Box::new(move |_, line| {
            Box::pin(async move {
                let before = std::mem::replace(&mut *lock(&state), GeneratorState::Finished);
                let GeneratorState::Running(mut running) = before else {
                    owned.release();
                    return Ok(MultiValue::new());
                };
                running.body.cancel();
                lock(&running.yield_slot).take();
                let ended = poll_fn(|context| running.poll(context)).await;
                let request = running.body.cancel_from_task().cloned();
                drop(running);
                owned.release();
                match (ended, request) {
                    (_, Some(request)) => Err(mlua::Error::external(request.fault(line))),
                    (GeneratorStep::Yielded(_), None) => {
                        let fault =
                            ScriptFault::new(format!("the generator {name} yielded a value while it was closed"));
                        Err(mlua::Error::external(fault.line(line).hint("do not yield in a closing value")))
                    }
                    (GeneratorStep::Ended(Err(error)), None)
                        if fault_from_error(&host, &error).kind != FaultKind::Cancelled =>
                    {
                        Err(error)
                    }
                    _ => Ok(MultiValue::new()),
                }
            })
        });
        make_inline_awaitable(lua, &self.host, &self.source, start)
    }

    /// Creates the awaitable for the next value. The body runs inline, so the trace shows only its own awaits.
    fn next(&self, lua: &Lua) -> mlua::Result<AnyUserData> {
        let (host, state, owned) = (Arc::clone(&self.host), Arc::clone(&self.state), Arc::clone(&self.owned));
        let name = Arc::clone(&self.name);
        let yield_slot = YieldSlot::default();
        let target = YieldTarget(Arc::clone(&yield_slot));
        let yield_value: Function = self.host.bind_yield().call(target)?;
        let start: StartFn = Box::new(move |_, line| {
            Box::pin(async move {
                let before = std::mem::replace(&mut *lock(&state), GeneratorState::Busy);
                let mut running = match before {
                    GeneratorState::Running(running) => running,
                    GeneratorState::New(function, mut arguments) => {
                        arguments.push_front(Value::Function(yield_value));
                        let ended = Arc::clone(&state);
                        host.own_guard(&owned, move || {
                            // Dropping the body runs its `<close>` handlers, which may call back: not under the lock.
                            let before = std::mem::replace(&mut *lock(&ended), GeneratorState::Finished);
                            drop(before);
                        });
                        RunningGenerator { body: InlineBody::new(&host, function, arguments), yield_slot }
                    }
                    GeneratorState::Finished => {
                        *lock(&state) = GeneratorState::Finished;
                        return Ok(MultiValue::from_iter([Value::Nil]));
                    }
                    GeneratorState::Busy => {
                        let fault = ScriptFault::new(format!("the generator {name} already has a waiting reader"));
                        return Err(mlua::Error::external(fault.line(line).hint("read it from one task at a time")));
                    }
                };
                let _reader = ReaderGuard(Arc::clone(&state));
                match poll_fn(|context| running.poll(context)).await {
                    GeneratorStep::Yielded(values) => {
                        suspend(&state, running);
                        Ok(values)
                    }
                    GeneratorStep::Ended(ended) => {
                        drop(running);
                        owned.release();
                        ended.map(|_| MultiValue::from_iter([Value::Nil]))
                    }
                }
            })
        });
        make_inline_awaitable(lua, &self.host, &self.source, start)
    }
}

/// Finishes the generator if its reader is dropped, for example by a `select`: the body is dropped with it.
struct ReaderGuard(Arc<Mutex<GeneratorState>>);

impl Drop for ReaderGuard {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        if matches!(*state, GeneratorState::Busy) {
            *state = GeneratorState::Finished;
        }
    }
}

/// Returns the `next` method of an iterable, for `each`.
pub(super) fn next_method(lua: &Lua, host: &ScriptHost, source: &Value) -> mlua::Result<Function> {
    let next = source.as_userdata().and_then(|source| source.get::<Function>("next").ok());
    next.ok_or_else(|| {
        let got = describe(source);
        let fault = ScriptFault::new(format!("each needs something to iterate over, but got {got}"));
        host.usage_error(lua, fault.token("each").hint("pass a generator, a channel, an interval or as_completed(…)"))
    })
}

/// Returns whether `source` is a generator, which a `for` loop over it closes at its end.
pub(super) fn is_generator(source: &Value) -> bool {
    source.as_userdata().is_some_and(AnyUserData::is::<ScriptGenerator>)
}

/// Creates the function behind `yield`. It stores the values and suspends the body until the next value is requested.
///
/// The first argument is the [`YieldTarget`], which the prelude binds.
pub(super) fn yield_value(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<Function> {
    let host = Arc::clone(host);
    lua.create_async_function(move |lua, mut values: MultiValue| {
        let (host, line) = (Arc::clone(&host), host.caller_line(&lua));
        async move {
            let target = values.pop_front().unwrap_or_default();
            let yield_slot =
                target.as_userdata().and_then(|target| Some(target.borrow::<YieldTarget>().ok()?.0.clone()));
            let Some(yield_slot) = yield_slot else { return Ok(()) };
            *lock(&yield_slot) = Some(values);
            // No waker is needed: the reader that takes the values is also the one that polls.
            poll_fn(|_| match host.take_cancel() {
                Some(request) => Poll::Ready(Err(mlua::Error::external(request.fault(line)))),
                None if lock(&yield_slot).is_some() => Poll::Pending,
                None => Poll::Ready(Ok(())),
            })
            .await
        }
    })
}

/// The userdata through which a generator's body passes its values.
struct YieldTarget(YieldSlot);

impl UserData for YieldTarget {}
