//! `sleep(d, {actor = "player"})`: names the actor whose exclusive time a sleep stands for.
//!
//! An actor does one thing at a time. The inspector cannot infer from the outside whether two sleeps may overlap;
//! the actor's name makes overlapping sleeps of one actor detectable.

use mlua::{Lua, Value};

use super::script_host::ScriptHost;
use super::values::describe;
use crate::trace::ResourceId;
use crate::workload::fault::ScriptFault;

/// Reads the actor from the options of `source`.
pub(super) fn named(lua: &Lua, host: &ScriptHost, source: &str, options: &Value) -> mlua::Result<Option<ResourceId>> {
    let refuse = |got: String| {
        let fault =
            ScriptFault::new(format!("{source} takes {{actor = \"…\"}} in addition to the duration, but got {got}"));
        host.usage_error(lua, fault.token(source))
    };
    let name = match options {
        Value::Nil => return Ok(None),
        Value::Table(table) => match table.get::<Value>("actor")? {
            Value::String(name) => name.to_string_lossy(),
            other => return Err(refuse(format!("actor = {}", describe(&other)))),
        },
        other => return Err(refuse(describe(other))),
    };
    Ok(Some(host.loop_handle(lua, source)?.actor(&name)))
}
