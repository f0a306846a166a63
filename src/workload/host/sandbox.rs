//! A Lua that cannot reach the machine, cannot run for ever unnoticed, and cannot eat all memory.

use std::sync::Arc;

use mlua::debug::Debug;
use mlua::{Error, Function, HookTriggers, Lua, LuaOptions, StdLib, Table, Value, VmState};

use super::{Host, locked};
use crate::workload::fault::{Fault, Weight};

/// What a script may hold in memory.
pub const MEMORY_BYTES_MAX: usize = 256 << 20;

/// Room above the limit, so that most scripts are stopped by the check below, which knows the line.
const MEMORY_RESERVE_BYTES: usize = 32 << 20;

/// Instructions between two checks: some hundred microseconds.
const INSTRUCTIONS_PER_CHECK: u32 = 10_000;

/// What would reach the machine, or load code that no error could point into, or get around the checks.
const REMOVED: [&str; 8] =
    ["dofile", "loadfile", "load", "loadstring", "require", "collectgarbage", "coroutine", "warn"];

pub(super) fn open(host: &Arc<Host>) -> mlua::Result<Lua> {
    // Panics are let through by hand, for Lua's own pcall is the one that lets a body await.
    let libraries = StdLib::COROUTINE | StdLib::STRING | StdLib::TABLE | StdLib::MATH | StdLib::UTF8;
    let lua = Lua::new_with(libraries, LuaOptions::new())?;
    lua.set_memory_limit(MEMORY_BYTES_MAX + MEMORY_RESERVE_BYTES)?;
    install_prelude(&lua, host)?;
    let globals = lua.globals();
    for name in REMOVED {
        globals.set(name, Value::Nil)?;
    }
    globals.get::<Table>("string")?.set("dump", Value::Nil)?;
    refuse_finalizers(&lua, host)?;
    let checked = Arc::clone(host);
    let every = HookTriggers::new().every_nth_instruction(INSTRUCTIONS_PER_CHECK);
    lua.set_global_hook(every, move |lua, frame| checked.check(lua, frame))?;
    Ok(lua)
}

/// The functions that have to be Lua's own: see `prelude.lua`.
fn install_prelude(lua: &Lua, host: &Arc<Host>) -> mlua::Result<()> {
    let globals = lua.globals();
    let (a, b, c) = (Arc::clone(host), Arc::clone(host), Arc::clone(host));
    let caught = lua.create_function(move |lua, value: Value| a.caught(lua, value))?;
    let is_mine = lua.create_function(move |_, value: Value| Ok(b.is_mine(&value)))?;
    let on_fault = lua.create_function(move |lua, value: Value| Ok(c.on_fault(lua, &value)))?;
    let (enter, suspend) = super::awaitable::functions(lua, host)?;
    let keys_of = lua.create_function(super::language::sorted_keys)?;
    let each = Arc::clone(host);
    let next_of = lua.create_function(move |lua, source: Value| super::generator::next_of(lua, &each, &source))?;
    let closer_of = lua.create_function(|_, source: Value| Ok(super::generator::closer_of(source)))?;
    let hand_over = super::generator::hand_over(lua)?;
    let (pcall, xpcall) = (globals.get::<Function>("pcall")?, globals.get::<Function>("xpcall")?);
    let prelude: Table = lua
        .load(include_str!("../prelude.lua"))
        .set_name("=loopscope")
        .call((pcall, xpcall, caught, is_mine, on_fault, enter, suspend, keys_of, next_of, closer_of, hand_over))?;
    for name in ["await", "each", "pcall", "xpcall", "pairs"] {
        globals.set(name, prelude.get::<Function>(name)?)?;
    }
    let first = host.run.set(prelude.get("run")?).is_ok() && host.bind_reader.set(prelude.get("bind_reader")?).is_ok();
    assert!(first, "one Lua for each host");
    Ok(())
}

/// Lua runs finalizers with its checks switched off: an endless one could never be stopped.
fn refuse_finalizers(lua: &Lua, host: &Arc<Host>) -> mlua::Result<()> {
    let original: Function = lua.globals().get("setmetatable")?;
    let host = Arc::clone(host);
    let guarded = lua.create_function(move |lua, (table, meta): (Value, Value)| {
        if let Value::Table(meta) = &meta
            && !meta.raw_get::<Value>("__gc")?.is_nil()
        {
            let fault = Fault::new("`__gc` is not available to workloads").token("__gc");
            return Err(host.misuse(lua, fault.hint("clean up where the work ends")));
        }
        original.call::<Value>((table, meta)).map_err(|error| host.misuse(lua, host.fault_of(&error)))
    })?;
    lua.globals().set("setmetatable", guarded)
}

impl Host {
    /// Called every [`INSTRUCTIONS_PER_CHECK`] instructions.
    fn check(&self, lua: &Lua, frame: &Debug) -> mlua::Result<VmState> {
        let ours = frame.source().short_src.is_some_and(|name| name == self.source.chunk());
        let line = if ours { frame.current_line().and_then(|line| u32::try_from(line).ok()) } else { None };
        let line = self.saw(line);
        if let Some(world) = self.world.get() {
            world.checkpoint().map_err(|stopped| {
                Error::external(Fault::new(stopped.to_string()).line(line).weight(Weight::Stopped))
            })?;
        }
        if let Some(limit) = locked(&self.stretch).passed() {
            let limit = match limit.as_secs() {
                0 => format!("{} ms", limit.as_millis()),
                seconds => format!("{seconds} s"),
            };
            let (message, hint) = match self.world.get() {
                Some(_) => (
                    format!("ran {limit} without awaiting"),
                    "a coroutine keeps the whole loop until it awaits: await(yield_now()) in a long loop, or work(d)",
                ),
                None => (
                    format!("the script's top level ran {limit}"),
                    "it must only build and return the manifest: move the work into main",
                ),
            };
            return Err(Error::external(Fault::new(message).line(line).hint(hint).weight(Weight::Limit)));
        }
        if lua.used_memory() > MEMORY_BYTES_MAX {
            // What is used includes garbage that was not swept yet.
            lua.gc_collect()?;
            if lua.used_memory() > MEMORY_BYTES_MAX {
                return Err(Error::external(self.out_of_memory()));
            }
        }
        Ok(VmState::Continue)
    }
}
