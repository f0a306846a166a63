//! What locks and channels are called, in errors and on the timeline.

use std::fmt;
use std::sync::Arc;

use mlua::{Lua, Value};

use super::Host;
use super::language::{describe, number_of};
use crate::lab::Taken;
use crate::trace::{Resource, ResourceId, ResourceKind};
use crate::workload::fault::Fault;

/// One lock or channel: its sort, and the name that the script may have given it.
pub(super) struct Label {
    pub host: Arc<Host>,
    /// By what the trace knows it. None while the script is only read: then nothing is made either.
    pub resource: Option<ResourceId>,
    sort: &'static str,
    name: Option<String>,
}

impl Label {
    /// Reads `{name = "…"}`, which may be left out.
    pub fn new(lua: &Lua, host: &Arc<Host>, sort: &'static str, options: &Value) -> mlua::Result<Self> {
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
        let resource = host.world.get().map(|world| {
            let name = name.as_deref().map_or_else(|| host.next_name(&sort.into()).into(), Arc::from);
            let location = host.caller_line(lua).map(|line| host.source.location(line));
            world.resource(Resource { kind: kind_of(sort), name, location, size: 0 })
        });
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

/// Lets the task that is polled hold `resource`, until what is returned is dropped.
pub(super) fn take(host: &Host, resource: Option<ResourceId>) -> Option<Taken> {
    Some(host.world.get()?.take(resource?))
}

fn kind_of(sort: &str) -> ResourceKind {
    match sort {
        "mutex" | "rwlock" => ResourceKind::Lock,
        "semaphore" => ResourceKind::Semaphore,
        "notify" | "event" => ResourceKind::Signal,
        "channel" | "oneshot" | "broadcast" | "watch" => ResourceKind::Channel,
        _ => ResourceKind::Other,
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
