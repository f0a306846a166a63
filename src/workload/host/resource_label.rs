//! Labels of locks, channels and other resources, for error messages and the timeline.

use std::fmt;
use std::sync::Arc;

use mlua::{Lua, Value};

use super::script_host::ScriptHost;
use super::values::{describe, number_of};
use crate::trace::{Resource, ResourceId, ResourceKind};
use crate::workload::fault::ScriptFault;

/// The label of one resource: its kind, and the name if the script gave it one.
pub(super) struct ResourceLabel {
    /// The host of the script that created the resource.
    pub host: Arc<ScriptHost>,
    /// The resource's id in the trace.
    pub resource: ResourceId,
    /// The function that created it: `mutex`.
    kind_name: &'static str,
    /// The name from the options.
    name: Option<String>,
}

impl ResourceLabel {
    /// Reads the optional `{name = "…"}` and registers the resource in the trace. `size` is that of [`Resource`].
    pub fn new(
        lua: &Lua,
        host: &Arc<ScriptHost>,
        kind_name: &'static str,
        kind: ResourceKind,
        size: u64,
        options: &Value,
    ) -> mlua::Result<Self> {
        let refuse = |got: &Value| {
            let fault = ScriptFault::new(format!("{kind_name} takes {{name = \"…\"}}, but got {}", describe(got)));
            host.usage_error(lua, fault.token(kind_name))
        };
        let name = match options {
            Value::Nil => None,
            Value::Table(table) => match table.get::<Value>("name")? {
                Value::Nil => None,
                Value::String(name) => Some(name.to_string_lossy()),
                other => return Err(refuse(&other)),
            },
            other => return Err(refuse(other)),
        };
        let loop_handle = host.loop_handle(lua, kind_name)?;
        let trace_name = name.clone().unwrap_or_else(|| host.numbered_name(&kind_name.into()));
        let location = host.caller_line(lua).map(|line| host.source.location(line));
        let resource = loop_handle.register_resource(Resource { kind, name: trace_name.into(), location, size });
        Ok(Self { host: Arc::clone(host), resource, kind_name, name })
    }

    /// Returns the source of awaits on a method: `mutex.lock`, or `mutex.lock(orders)` if the resource has a name.
    pub fn await_source(&self, method: &str) -> Arc<str> {
        match &self.name {
            Some(name) => format!("{}.{method}({name})", self.kind_name).into(),
            None => format!("{}.{method}", self.kind_name).into(),
        }
    }

    /// Creates a tokio primitive without tokio's own tracing spans.
    pub fn untraced<R>(&self, lua: &Lua, make: impl FnOnce() -> R) -> mlua::Result<R> {
        Ok(self.host.loop_handle(lua, self.kind_name)?.without_tracing(make))
    }
}

impl fmt::Display for ResourceLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} {name}", self.kind_name),
            None => f.write_str(self.kind_name),
        }
    }
}

/// Reads a whole-number argument of `by`, with inclusive bounds.
pub(super) fn whole_number(
    lua: &Lua,
    host: &ScriptHost,
    by: &str,
    value: &Value,
    min: usize,
    max: usize,
) -> mlua::Result<usize> {
    let number = number_of(value).filter(|number| number.fract() == 0.0);
    match number.filter(|number| (min as f64..=max as f64).contains(number)) {
        Some(number) => Ok(number as usize),
        None => {
            let got = describe(value);
            let fault = ScriptFault::new(format!("{by} needs a whole number from {min} to {max}, but got {got}"));
            Err(host.usage_error(lua, fault.token(by)))
        }
    }
}
