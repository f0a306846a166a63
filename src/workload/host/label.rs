//! What locks and channels are called, in errors and on the timeline.

use std::fmt;
use std::sync::Arc;

use mlua::{Lua, Value};

use super::Host;
use super::language::{describe, number_of};
use crate::trace::{Resource, ResourceId, ResourceKind};
use crate::workload::fault::Fault;

/// One lock or channel: its sort, and the name that the script may have given it.
pub(super) struct Label {
    pub host: Arc<Host>,
    /// By what the trace knows it.
    pub resource: ResourceId,
    sort: &'static str,
    name: Option<String>,
}

impl Label {
    /// Reads `{name = "…"}`, which may be left out, and tells the trace of it. What `size` counts depends on the kind.
    pub fn new(
        lua: &Lua,
        host: &Arc<Host>,
        sort: &'static str,
        kind: ResourceKind,
        size: u64,
        options: &Value,
    ) -> mlua::Result<Self> {
        let refuse = |got: &Value| {
            let fault = Fault::new(format!("{sort} takes {{name = \"…\"}}, and got {}", describe(got)));
            host.misuse(lua, fault.token(sort))
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
        let world = host.world(lua, sort)?;
        let told = name.clone().unwrap_or_else(|| host.next_name(&sort.into()));
        let location = host.caller_line(lua).map(|line| host.source.location(line));
        let resource = world.resource(Resource { kind, name: told.into(), location, size });
        Ok(Self { host: Arc::clone(host), resource, sort, name })
    }

    /// What an await of it is called: `mutex.lock`, or `mutex.lock(orders)` where it has a name.
    pub fn source(&self, method: &str) -> Arc<str> {
        match &self.name {
            Some(name) => format!("{}.{method}({name})", self.sort).into(),
            None => format!("{}.{method}", self.sort).into(),
        }
    }

    /// Makes something of tokio's without tokio's own spans.
    pub fn made<R>(&self, lua: &Lua, make: impl FnOnce() -> R) -> mlua::Result<R> {
        Ok(self.host.world(lua, self.sort)?.quietly(make))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} {name}", self.sort),
            None => f.write_str(self.sort),
        }
    }
}

/// A whole number within bounds, given to `by`.
pub(super) fn whole(lua: &Lua, host: &Host, by: &str, value: &Value, min: usize, max: usize) -> mlua::Result<usize> {
    let number = number_of(value).filter(|number| number.fract() == 0.0);
    match number.filter(|number| (min as f64..=max as f64).contains(number)) {
        Some(number) => Ok(number as usize),
        None => {
            let got = describe(value);
            let fault = Fault::new(format!("{by} needs a whole number from {min} to {max}, and got {got}"));
            Err(host.misuse(lua, fault.token(by)))
        }
    }
}
