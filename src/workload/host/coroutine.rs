//! `async(f)` creates a coroutine function. Calling that creates a coroutine: a call that has not started.

use std::sync::{Arc, Mutex};

use mlua::{AnyUserData, Error, Function, Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};

use super::lock::lock;
use super::script_host::ScriptHost;
use super::values::describe;
use crate::workload::fault::ScriptFault;

/// A coroutine function with its name and location in the script.
pub(in crate::workload) struct CoroutineDefinition {
    pub name: Arc<str>,
    pub line: Option<u32>,
    pub function: Function,
}

/// The callable value that `async(f)` returns.
pub(super) struct CoroutineFunction {
    definition: Arc<CoroutineDefinition>,
    host: Arc<ScriptHost>,
}

/// A call that has not started. It can be started once.
pub(super) struct Coroutine {
    pub definition: Arc<CoroutineDefinition>,
    /// The line that created it.
    pub line: Option<u32>,
    /// The sequence number of the coroutine in the run, counted from 1.
    number: u64,
    arguments: Mutex<Option<MultiValue>>,
}

impl Coroutine {
    /// Starts the coroutine and returns its arguments.
    ///
    /// # Errors
    /// Fails if it was started before. The message names `by`, the function that starts it.
    pub fn start(&self, lua: &Lua, host: &ScriptHost, by: &str) -> mlua::Result<MultiValue> {
        host.untrack_coroutine(self.number);
        lock(&self.arguments).take().ok_or_else(|| {
            let name = &self.definition.name;
            let fault =
                ScriptFault::new(format!("this coroutine of `{name}` was already awaited; it can run only once"));
            host.usage_error(lua, fault.token(by).hint(format!("make a new one: {by}({name}(…))")))
        })
    }
}

impl UserData for CoroutineFunction {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Call, |lua, this, arguments: MultiValue| {
            let line = this.host.caller_line(lua);
            let arguments = Mutex::new(Some(arguments));
            let number = this.host.track_coroutine(&this.definition.name, line);
            lua.create_userdata(Coroutine { definition: Arc::clone(&this.definition), line, number, arguments })
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(format!("coroutine function {}", this.definition.name))
        });
    }
}

impl UserData for Coroutine {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("coroutine {}", this.definition.name)));
    }
}

/// Returns the definition of a coroutine function, if the value is one.
pub(in crate::workload) fn definition_of(value: &Value) -> Option<Arc<CoroutineDefinition>> {
    let function = value.as_userdata()?.borrow::<CoroutineFunction>().ok()?;
    Some(Arc::clone(&function.definition))
}

/// Returns the value as a coroutine, if it is one.
pub(super) fn as_coroutine(value: &AnyUserData) -> Option<mlua::UserDataRef<Coroutine>> {
    value.borrow::<Coroutine>().ok()
}

pub(super) fn make_async(lua: &Lua, host: &Arc<ScriptHost>, value: Value) -> mlua::Result<AnyUserData> {
    let definition = Arc::new(define_function(lua, host, value, "async")?);
    lua.create_userdata(CoroutineFunction { definition, host: Arc::clone(host) })
}

/// Reads the function argument of `by` (`async` or `async_generator`) and finds its name in the script.
pub(super) fn define_function(
    lua: &Lua,
    host: &ScriptHost,
    value: Value,
    by: &str,
) -> mlua::Result<CoroutineDefinition> {
    let Value::Function(function) = value else {
        let got = describe(&value);
        let fault = ScriptFault::new(format!("{by} needs a function, but got {got}")).token(by);
        return Err(host.usage_error(lua, fault.hint(format!("write {by}(function(…) … end)"))));
    };
    let line = function.info().line_defined.and_then(|line| u32::try_from(line).ok());
    let called = host.caller_line(lua);
    let name = [line, called].into_iter().flatten().find_map(|line| host.source.coroutine_function_name(line));
    let name: Arc<str> = name.unwrap_or("coroutine").into();
    if let Some(line) = line {
        lock(&host.coroutine_names).insert(line, Arc::clone(&name));
    }
    Ok(CoroutineDefinition { name, line, function })
}

/// Returns the error for an argument of `by` that is not a coroutine.
pub(super) fn not_a_coroutine_error(lua: &Lua, host: &ScriptHost, value: &Value, by: &str) -> Error {
    let got = describe(value);
    let fault = ScriptFault::new(format!("{by} needs a coroutine, but got {got}")).token(by);
    let hint = match (definition_of(value), value) {
        (Some(definition), _) => format!("call it first: {by}({}(…))", definition.name),
        (None, Value::Function(_)) => format!("make it a coroutine: {by}(async(function() … end)())"),
        _ => format!("call a coroutine function: {by}(count())"),
    };
    host.usage_error(lua, fault.hint(hint))
}
