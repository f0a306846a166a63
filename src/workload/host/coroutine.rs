//! `async(f)` and what calling it gives: a coroutine, which is a call that has not begun.

use std::sync::{Arc, Mutex};

use mlua::{AnyUserData, Error, Function, Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};

use super::{Host, locked, unawaited};
use crate::workload::fault::Fault;

/// A coroutine function, where it is written and what it is called there.
pub(in crate::workload) struct Definition {
    pub name: Arc<str>,
    pub line: Option<u32>,
    pub function: Function,
}

/// What `async(f)` returns: a thing to call.
pub(super) struct CoroutineFunction {
    definition: Arc<Definition>,
    host: Arc<Host>,
}

/// A call that has not begun. It is begun once.
pub(super) struct Coroutine {
    pub definition: Arc<Definition>,
    /// The line that made it.
    pub line: Option<u32>,
    /// The how many-th coroutine of the run it is.
    number: u64,
    arguments: Mutex<Option<MultiValue>>,
}

impl Coroutine {
    /// Begins it: its arguments, or the error that it was begun before.
    pub fn begin(&self, lua: &Lua, host: &Host, by: &str) -> mlua::Result<MultiValue> {
        locked(&host.unawaited).begun(self.number);
        locked(&self.arguments).take().ok_or_else(|| {
            let name = &self.definition.name;
            let fault = Fault::new(format!("this coroutine of `{name}` was awaited before; each one runs once"));
            host.misuse(lua, fault.token(by).hint(format!("make a new one: {by}({name}(…))")))
        })
    }
}

impl UserData for CoroutineFunction {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Call, |lua, this, arguments: MultiValue| {
            let line = this.host.caller_line(lua);
            let arguments = Mutex::new(Some(arguments));
            let number = unawaited::made(&this.host, &this.definition.name, line);
            lua.create_userdata(Coroutine { definition: Arc::clone(&this.definition), line, number, arguments })
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(format!("async function {}", this.definition.name))
        });
    }
}

impl UserData for Coroutine {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("coroutine {}", this.definition.name)));
    }
}

/// The function behind a value that `async` returned.
pub(in crate::workload) fn definition_of(value: &Value) -> Option<Arc<Definition>> {
    let function = value.as_userdata()?.borrow::<CoroutineFunction>().ok()?;
    Some(Arc::clone(&function.definition))
}

/// The coroutine that a value is.
pub(super) fn coroutine_of(value: &AnyUserData) -> Option<mlua::UserDataRef<Coroutine>> {
    value.borrow::<Coroutine>().ok()
}

pub(super) fn make_async(lua: &Lua, host: &Arc<Host>, value: Value) -> mlua::Result<AnyUserData> {
    let definition = Arc::new(define(lua, host, value, "async")?);
    lua.create_userdata(CoroutineFunction { definition, host: Arc::clone(host) })
}

/// A function that `by` makes something to await of, with what it is called in the script.
pub(super) fn define(lua: &Lua, host: &Host, value: Value, by: &str) -> mlua::Result<Definition> {
    let Value::Function(function) = value else {
        let got = super::language::describe(&value);
        let fault = Fault::new(format!("{by} needs a function, and got {got}")).token(by);
        return Err(host.misuse(lua, fault.hint(format!("write {by}(function(…) … end)"))));
    };
    let line = function.info().line_defined.and_then(|line| u32::try_from(line).ok());
    let called = host.caller_line(lua);
    let name = [line, called].into_iter().flatten().find_map(|line| host.source.name_of_function(line));
    let name: Arc<str> = name.unwrap_or("coroutine").into();
    if let Some(line) = line {
        locked(&host.functions).insert(line, Arc::clone(&name));
    }
    Ok(Definition { name, line, function })
}

/// The error for something else where a coroutine belongs.
pub(super) fn not_a_coroutine(lua: &Lua, host: &Host, value: &Value, by: &str) -> Error {
    let got = super::language::describe(value);
    let fault = Fault::new(format!("{by} needs a coroutine, and got {got}")).token(by);
    let hint = match (definition_of(value), value) {
        (Some(definition), _) => format!("call it first: {by}({}(…))", definition.name),
        (None, Value::Function(_)) => format!("make it one: {by}(async(function() … end)())"),
        _ => format!("call a coroutine function: {by}(count())"),
    };
    host.misuse(lua, fault.hint(hint))
}
