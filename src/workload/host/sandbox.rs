//! The Lua sandbox: no access to the system, and limits on CPU time and memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use mlua::debug::Debug;
use mlua::{Error, Function, HookTriggers, Lua, LuaOptions, StdLib, Table, Value, VmState};

use super::errors::{fault_from_error, out_of_memory};
use super::limits::MEMORY_BYTES_MAX;
use super::lock::lock;
use super::prelude;
use super::script_host::ScriptHost;
use crate::workload::fault::{FaultKind, ScriptFault};

/// Extra memory above the limit before Lua's allocator fails. It lets the periodic check, which has the current line,
/// stop most scripts first.
const MEMORY_RESERVE_BYTES: usize = 32 << 20;

/// Number of Lua instructions between two checks: a few hundred microseconds.
const INSTRUCTIONS_PER_CHECK: u32 = 10_000;

/// Removed globals: they access the system, load code that errors cannot point into, or bypass the checks.
const REMOVED_GLOBALS: [&str; 8] =
    ["dofile", "loadfile", "load", "loadstring", "require", "collectgarbage", "coroutine", "warn"];

pub(super) fn open(host: &Arc<ScriptHost>) -> mlua::Result<Lua> {
    // Uses Lua's own `pcall`: mlua's variant, which lets Rust panics through, cannot suspend its body. The prelude
    // propagates uncatchable errors instead.
    let libraries = StdLib::COROUTINE | StdLib::STRING | StdLib::TABLE | StdLib::MATH | StdLib::UTF8;
    let lua = Lua::new_with(libraries, LuaOptions::new())?;
    lua.set_memory_limit(MEMORY_BYTES_MAX + MEMORY_RESERVE_BYTES)?;
    prelude::install(&lua, host)?;
    let globals = lua.globals();
    for name in REMOVED_GLOBALS {
        globals.set(name, Value::Nil)?;
    }
    globals.get::<Table>("string")?.set("dump", Value::Nil)?;
    refuse_finalizers(&lua, host)?;
    let checked = Arc::clone(host);
    let every = HookTriggers::new().every_nth_instruction(INSTRUCTIONS_PER_CHECK);
    lua.set_global_hook(every, move |lua, frame| check_limits(&checked, lua, frame))?;
    Ok(lua)
}

/// Rejects `__gc` metamethods. Lua runs finalizers with hooks disabled, so an endless one could not be stopped.
fn refuse_finalizers(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<()> {
    let original: Function = lua.globals().get("setmetatable")?;
    let host = Arc::clone(host);
    let guarded = lua.create_function(move |lua, (table, meta): (Value, Value)| {
        host.may_close.store(true, Ordering::Relaxed);
        if let Value::Table(meta) = &meta
            && !meta.raw_get::<Value>("__gc")?.is_nil()
        {
            let fault = ScriptFault::new("`__gc` is not available to workloads").token("__gc");
            return Err(host.usage_error(lua, fault.hint("clean up with a `<close>` variable instead")));
        }
        original.call::<Value>((table, meta)).map_err(|error| host.usage_error(lua, fault_from_error(&host, &error)))
    })?;
    lua.globals().set("setmetatable", guarded)
}

/// Checks for a stop, the CPU budget and the memory limit. It runs every [`INSTRUCTIONS_PER_CHECK`] instructions.
fn check_limits(host: &ScriptHost, lua: &Lua, frame: &Debug) -> mlua::Result<VmState> {
    let is_script = frame.source().short_src.is_some_and(|name| name == host.source.chunk());
    let line = if is_script { frame.current_line().and_then(|line| u32::try_from(line).ok()) } else { None };
    let line = host.record_line(line);
    host.checkpoint(line)?;
    if let Some(limit) = lock(&host.cpu_budget).exceeded_limit() {
        let limit = match limit.as_secs() {
            0 => format!("{} ms", limit.as_millis()),
            seconds => format!("{seconds} s"),
        };
        let (message, hint) = if host.is_running() {
            (
                format!("ran {limit} without awaiting"),
                "a coroutine blocks the loop until it awaits: call await(yield_now()) in a long loop, or work(d)",
            )
        } else {
            (
                format!("the script's top level ran {limit}"),
                "it must only build and return the manifest: move the work into main",
            )
        };
        return Err(Error::external(ScriptFault::new(message).line(line).hint(hint).kind(FaultKind::Limit)));
    }
    if lua.used_memory() > MEMORY_BYTES_MAX {
        // The used memory includes garbage that was not collected yet.
        lua.gc_collect()?;
        if lua.used_memory() > MEMORY_BYTES_MAX {
            return Err(Error::external(out_of_memory(host)));
        }
    }
    Ok(VmState::Continue)
}
