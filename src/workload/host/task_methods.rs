//! The methods of a task, and the functions that list tasks.

use std::sync::Arc;

use mlua::{Function, IntoLua, Lua, MetaMethod, MultiValue, UserData, UserDataMethods, UserDataRef, Value};

use super::script_host::ScriptHost;
use super::task::call_done_callback;
use super::task_error::TaskErrorValue;
use super::task_handle::{ScriptTask, ScriptTaskOutcome};
use super::values::describe;
use crate::workload::fault::ScriptFault;

pub(super) fn install(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<()> {
    lua.set_app_data(Arc::downgrade(host));
    host_function!(lua, host, "current_task", |lua: &Lua, host: &Arc<ScriptHost>, source: &Arc<str>, ()| {
        let current = host.loop_handle(lua, source)?.current_task();
        Ok(current.and_then(|id| host.tasks.find(id)))
    });
    host_function!(lua, host, "all_tasks", |lua: &Lua, host: &Arc<ScriptHost>, source: &Arc<str>, ()| {
        host.loop_handle(lua, source)?;
        lua.create_sequence_from(host.tasks.all())
    });
    Ok(())
}

/// Returns the host of this Lua state.
fn host_of(lua: &Lua) -> mlua::Result<Arc<ScriptHost>> {
    let host = lua.app_data_ref::<std::sync::Weak<ScriptHost>>().and_then(|host| host.upgrade());
    host.ok_or_else(|| mlua::Error::runtime("the run is over"))
}

/// Reads the optional message of `task:cancel(message)`.
fn read_message(lua: &Lua, message: &Value) -> mlua::Result<Option<Arc<str>>> {
    match message {
        Value::Nil => Ok(None),
        Value::String(text) => Ok(Some(text.to_string_lossy().into())),
        other => {
            let fault = ScriptFault::new(format!("cancel takes a message, but got {}", describe(other)));
            Err(host_of(lua)?.usage_error(lua, fault.token("cancel").hint("write task:cancel(\"reason\")")))
        }
    }
}

/// Returns the outcome of a task that has ended.
///
/// # Errors
/// Fails if the task has not ended. The message names `by`, the method that needs the outcome.
fn ended_outcome(lua: &Lua, task: &ScriptTask, by: &str) -> mlua::Result<ScriptTaskOutcome> {
    match task.outcome() {
        Some(outcome) => Ok(outcome.clone()),
        None => {
            let fault = ScriptFault::new(format!("the task {} has not ended", task.name())).token(by);
            Err(host_of(lua)?.usage_error(lua, fault.hint("await the task first, or check task:done()")))
        }
    }
}

impl UserData for ScriptTask {
    lua_type_name!("Task");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // Returns false if the task has ended.
        methods.add_method("cancel", |lua, this, message: Value| Ok(this.cancel(read_message(lua, &message)?)));
        methods.add_method("done", |_, this, ()| Ok(this.outcome().is_some()));
        methods.add_method("name", |_, this, ()| Ok(this.name().to_string()));
        methods
            .add_method("cancelled", |_, this, ()| Ok(matches!(this.outcome(), Some(ScriptTaskOutcome::Cancelled(_)))));
        // Returns the results, or raises the error.
        methods.add_method("result", |lua, this, ()| -> mlua::Result<MultiValue> {
            let outcome = ended_outcome(lua, this, "result")?;
            let host = host_of(lua)?;
            outcome.into_result(this.name(), host.caller_line(lua)).map_err(mlua::Error::external)
        });
        // Returns the error, or nil if the task completed. A cancelled task raises, as in asyncio.
        methods.add_method("exception", |lua, this, ()| {
            let outcome = ended_outcome(lua, this, "exception")?;
            let host = host_of(lua)?;
            let kind = outcome.kind_name();
            let was_cancelled = matches!(outcome, ScriptTaskOutcome::Cancelled(_));
            match outcome.into_result(this.name(), host.caller_line(lua)) {
                Ok(_) => Ok(Value::Nil),
                Err(fault) if was_cancelled => Err(mlua::Error::external(fault)),
                Err(fault) => TaskErrorValue::new(&host.source, kind, fault).into_lua(lua),
            }
        });
        // The function gets the task. It is called immediately if the task has ended.
        methods.add_method("add_done_callback", |lua, this, callback: Value| {
            let host = host_of(lua)?;
            let Value::Function(callback) = callback else {
                let fault =
                    ScriptFault::new(format!("add_done_callback needs a function, but got {}", describe(&callback)));
                return Err(host.usage_error(lua, fault.token("add_done_callback")));
            };
            add_done_callback(lua, &host, this, callback);
            Ok(())
        });
        methods.add_meta_method(MetaMethod::Eq, |_, this, other: UserDataRef<Self>| Ok(this.is_same(&other)));
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("task {}", this.name())));
    }
}

fn add_done_callback(lua: &Lua, host: &Arc<ScriptHost>, task: &ScriptTask, callback: Function) {
    if task.outcome().is_some() {
        call_done_callback(lua, host, task, &callback);
    } else {
        task.add_done_callback(callback);
    }
}
