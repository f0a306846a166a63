//! The functions of the language that must be written in Lua (`prelude.lua`), and the Rust functions that they call.

use std::sync::Arc;

use mlua::{Function, Lua, MultiValue, Table, Value};

use super::awaitable::await_functions;
use super::errors::{add_traceback, cancel_parts, is_uncatchable, to_catchable};
use super::generator;
use super::key_order::sorted_keys;
use super::script_host::ScriptHost;
use super::sort;
use super::values::{describe, to_text};
use crate::workload::fault::ScriptFault;

/// The functions of `prelude.lua` that become globals.
const GLOBALS: [&str; 7] = ["await", "catch_cancelled", "each", "next", "pairs", "pcall", "xpcall"];

/// The functions of Lua that the prelude calls.
const LUA_FUNCTIONS: [&str; 8] = ["pcall", "xpcall", "error", "setmetatable", "rawequal", "rawget", "select", "type"];

/// Installs the prelude.
pub(super) fn install(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<()> {
    let globals = lua.globals();
    let natives = lua.create_table()?;
    for name in LUA_FUNCTIONS {
        natives.set(format!("raw_{name}"), globals.get::<Function>(name)?)?;
    }
    install_errors(lua, host, &natives)?;
    let (enter, suspend) = await_functions(lua, host)?;
    natives.set("enter", enter)?;
    natives.set("suspend", suspend)?;
    let (keys, next) = (Arc::clone(host), Arc::clone(host));
    natives.set(
        "sorted_keys",
        lua.create_function(move |lua, (value, by): (Value, String)| sorted_keys(lua, &keys, &value, &by))?,
    )?;
    natives.set(
        "next_method",
        lua.create_function(move |lua, source: Value| generator::next_method(lua, &next, &source))?,
    )?;
    natives.set("is_generator", lua.create_function(|_, source: Value| Ok(generator::is_generator(&source)))?)?;
    natives.set("yield_value", generator::yield_value(lua, host)?)?;
    let string: Table = globals.get("string")?;
    natives.set("raw_format", string.get::<Function>("format")?)?;
    natives.set("raw_gsub", string.get::<Function>("gsub")?)?;
    natives.set("raw_find", string.get::<Function>("find")?)?;
    natives.set("raw_unpack", globals.get::<Table>("table")?.get::<Function>("unpack")?)?;
    natives.set("to_text", lua.create_function(|lua, value: Value| to_text(lua, &value))?)?;

    let prelude: Table = lua.load(include_str!("../prelude.lua")).set_name("=loopscope").call(natives)?;
    for name in GLOBALS {
        globals.set(name, prelude.get::<Function>(name)?)?;
    }
    string.set("format", prelude.get::<Function>("format")?)?;
    sort::install(lua, host, prelude.get("less")?)?;
    let first =
        host.body_runner.set(prelude.get("run")?).is_ok() && host.bind_yield.set(prelude.get("bind_yield")?).is_ok();
    assert!(first, "each host has one Lua state");
    Ok(())
}

/// Defines what the prelude needs to raise, catch and convert errors.
fn install_errors(lua: &Lua, host: &Arc<ScriptHost>, natives: &Table) -> mlua::Result<()> {
    let owned = || Arc::clone(host);
    let (catching, checking, tracing, cancelling, entered, left) =
        (owned(), owned(), owned(), owned(), owned(), owned());
    natives.set("to_catchable", lua.create_function(move |lua, value: Value| to_catchable(&catching, lua, value))?)?;
    natives
        .set("is_uncatchable", lua.create_function(move |_, value: Value| Ok(is_uncatchable(&checking, &value)))?)?;
    natives.set("on_error", lua.create_function(move |lua, value: Value| Ok(add_traceback(&tracing, lua, &value)))?)?;
    natives.set(
        "cancel_parts",
        lua.create_function(move |lua, value: Value| match cancel_parts(&cancelling, &value) {
            Some((message, cancel)) => Ok(MultiValue::from_iter([Value::String(lua.create_string(message)?), cancel])),
            None => Ok(MultiValue::new()),
        })?,
    )?;
    natives.set(
        "enter_handler",
        lua.create_function(move |_, ()| {
            entered.enter_handler();
            Ok(())
        })?,
    )?;
    natives.set(
        "leave_handler",
        lua.create_function(move |_, ()| {
            left.leave_handler();
            Ok(())
        })?,
    )?;
    let unknown = owned();
    natives.set(
        "unknown_key",
        lua.create_function(move |lua, key: Value| -> mlua::Result<()> {
            let fault = ScriptFault::new(format!("next: the table has no key {}", describe(&key)));
            Err(unknown.usage_error(lua, fault.token("next").hint("pass a key that an earlier call returned")))
        })?,
    )
}
