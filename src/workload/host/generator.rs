//! Async generators: functions that hand over value after value and may await in between.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use mlua::{AnyUserData, Function, Lua, MetaMethod, MultiValue, ObjectLike, UserData, UserDataMethods, Value};

use super::awaitable::{Begun, Start, inline, unseen};
use super::coroutine::Definition;
use super::holdings::Held;
use super::{Host, coroutine, locked};
use crate::workload::fault::Fault;

/// What `async_generator(f)` returns: a thing to call.
struct GeneratorFunction {
    host: Arc<Host>,
    definition: Definition,
}

/// One run of it, which begins when its first value is asked for.
struct Generator {
    host: Arc<Host>,
    name: Arc<str>,
    source: Arc<str>,
    state: Arc<Mutex<State>>,
    held: Arc<Held>,
}

enum State {
    New(Function, MultiValue),
    Running(Running),
    /// Somebody waits for its next value.
    Busy,
    Over,
}

struct Running {
    body: Begun,
    handed: Handed,
}

/// The value that was handed over and not taken yet.
type Handed = Arc<Mutex<Option<MultiValue>>>;

pub(super) fn install(lua: &Lua, host: &Arc<Host>) -> mlua::Result<()> {
    word!(lua, host, "async_generator", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, value: Value| {
        let definition = coroutine::define(lua, host, value, "async_generator")?;
        Ok(GeneratorFunction { host: Arc::clone(host), definition })
    });
    Ok(())
}

impl UserData for GeneratorFunction {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Call, |_, this, arguments: MultiValue| {
            Ok(Generator {
                host: Arc::clone(&this.host),
                name: Arc::clone(&this.definition.name),
                source: "async_generator".into(),
                state: Arc::new(Mutex::new(State::New(this.definition.function.clone(), arguments))),
                held: Arc::default(),
            })
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(format!("async generator function {}", this.definition.name))
        });
    }
}

impl UserData for Generator {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // What it hands over next; nil once it is over.
        methods.add_method("next", |lua, this, ()| this.next(lua));
        methods.add_method("close", |_, this, ()| {
            this.close();
            Ok(())
        });
        methods.add_meta_method(MetaMethod::Close, |_, this, _: MultiValue| {
            this.close();
            Ok(())
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("async generator {}", this.name)));
    }
}

impl Generator {
    fn close(&self) {
        if !self.held.let_go() {
            *locked(&self.state) = State::Over;
        }
    }

    /// Unseen, for it runs right here: what it awaits is what its reader waits for.
    fn next(&self, lua: &Lua) -> mlua::Result<AnyUserData> {
        let (host, state, held) = (Arc::clone(&self.host), Arc::clone(&self.state), Arc::clone(&self.held));
        let name = Arc::clone(&self.name);
        let yielded = Handed::default();
        let reader = Reader(Arc::clone(&yielded));
        let hand_over: Function = self.host.bind_reader().call(reader)?;
        let start: Start = Box::new(move |_, line| {
            Box::pin(async move {
                let before = std::mem::replace(&mut *locked(&state), State::Busy);
                let mut running = match before {
                    State::Running(running) => running,
                    State::New(function, mut arguments) => {
                        arguments.push_front(Value::Function(hand_over));
                        let ended = Arc::clone(&state);
                        host.own(&held, move || {
                            // Dropping the body runs its way out, which may come back here: not under the lock.
                            let before = std::mem::replace(&mut *locked(&ended), State::Over);
                            drop(before);
                        });
                        Running { body: inline(&host, function, arguments), handed: yielded }
                    }
                    State::Over => {
                        *locked(&state) = State::Over;
                        return Ok(MultiValue::from_iter([Value::Nil]));
                    }
                    State::Busy => {
                        let fault = Fault::new(format!("the generator {name} is being waited for already"));
                        return Err(mlua::Error::external(fault.line(line).hint("one reader at a time")));
                    }
                };
                let ended = poll_fn(|context| {
                    if let Poll::Ready(ended) = running.body.as_mut().poll(context) {
                        return Poll::Ready(Err(ended));
                    }
                    locked(&running.handed).take().map_or(Poll::Pending, |values| Poll::Ready(Ok(values)))
                })
                .await;
                match ended {
                    Ok(values) => {
                        *locked(&state) = State::Running(running);
                        Ok(values)
                    }
                    Err(ended) => {
                        drop(running);
                        held.let_go();
                        ended.map(|_| MultiValue::from_iter([Value::Nil]))
                    }
                }
            })
        });
        unseen(lua, &self.host, &self.source, start)
    }
}

/// The method that `each` calls for one value after the other.
pub(super) fn next_of(lua: &Lua, host: &Host, source: &Value) -> mlua::Result<Function> {
    let next = source.as_userdata().and_then(|source| source.get::<Function>("next").ok());
    next.ok_or_else(|| {
        let got = super::language::describe(source);
        let fault = Fault::new(format!("each needs something that gives one value after the other, and got {got}"));
        host.misuse(lua, fault.token("each").hint("a generator, a channel, an interval or as_completed(…) does"))
    })
}

/// What is to be closed when a loop over it is left: a generator, which would otherwise stay where it is.
pub(super) fn closer_of(source: Value) -> Value {
    let is_generator = source.as_userdata().is_some_and(AnyUserData::is::<Generator>);
    if is_generator { source } else { Value::Nil }
}

/// What a generator's body calls to hand over values: it goes on when the next one is asked for. The first argument
/// says to whom; the prelude binds it.
pub(super) fn hand_over(lua: &Lua) -> mlua::Result<Function> {
    lua.create_async_function(|_, mut values: MultiValue| async move {
        let reader = values.pop_front().unwrap_or_default();
        let handed = reader.as_userdata().and_then(|reader| Some(reader.borrow::<Reader>().ok()?.0.clone()));
        let Some(handed) = handed else { return Ok(()) };
        *locked(&handed) = Some(values);
        // Nobody needs to be woken: whoever takes the value is who polls.
        poll_fn(|_| if locked(&handed).is_some() { Poll::Pending } else { Poll::Ready(()) }).await;
        Ok(())
    })
}

/// Where a generator's body leaves its values.
struct Reader(Handed);

impl UserData for Reader {}
