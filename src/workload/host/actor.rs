//! `{actor = "player"}`: a script says whose own work a wait stands for.
//!
//! A sleep says how long something takes and not who does it; whether two of them may overlap cannot be told from
//! outside. Where the script names an actor, who can do one thing at a time, it can.

use mlua::{Lua, Value};

use super::Host;
use super::language::describe;
use crate::trace::ResourceId;
use crate::workload::fault::Fault;

/// The actor in the options of `source`, if there is one.
pub(super) fn named(lua: &Lua, host: &Host, source: &str, options: &Value) -> mlua::Result<Option<ResourceId>> {
    let refuse = |got: String| {
        let fault = Fault::new(format!("{source} takes {{actor = \"…\"}} beside the duration, and got {got}"));
        host.misuse(lua, fault.token(source))
    };
    let name = match options {
        Value::Nil => return Ok(None),
        Value::Table(table) => match table.get::<Value>("actor")? {
            Value::String(name) => name.to_string_lossy(),
            other => return Err(refuse(format!("actor = {}", describe(&other)))),
        },
        other => return Err(refuse(describe(other))),
    };
    Ok(Some(host.world(lua, source)?.actor(&name)))
}
