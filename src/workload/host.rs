//! The script host: the sandboxed Lua state of a script and all functions that the script can call.

/// Defines a global function of the script, implemented in Rust.
macro_rules! host_function {
    ($lua:ident, $host:ident, $name:literal, $function:expr) => {{
        let host = Arc::clone($host);
        let source: Arc<str> = $name.into();
        let function = $function;
        let lua_function = $lua.create_function(move |lua, arguments| function(lua, &host, &source, arguments))?;
        $lua.globals().set($name, lua_function)?;
    }};
}

/// Sets the type name that Lua's error messages show for a userdata type, such as `Mutex` for `ScriptMutex`.
macro_rules! lua_type_name {
    ($name:literal) => {
        fn add_fields<F: mlua::UserDataFields<Self>>(fields: &mut F) {
            fields.add_meta_field(mlua::MetaMethod::Type, $name);
        }
    };
}

mod actor;
mod address;
mod awaitable;
mod body;
mod cancellable;
mod channel;
pub(super) mod coroutine;
pub(super) mod cpu_budget;
pub(super) mod errors;
mod file;
mod gather;
mod generator;
pub(super) mod global_names;
mod globals;
mod inline_body;
mod key_order;
mod limits;
mod lock;
mod outgoing_text;
mod owned_guards;
mod prelude;
mod random;
mod resource_label;
pub(super) mod result_json;
mod sandbox;
mod script_folder;
mod script_guard;
pub(super) mod script_host;
mod select;
pub(super) mod shutdown;
mod sort;
mod sync;
pub(super) mod task;
mod task_error;
mod task_group;
mod task_handle;
mod task_methods;
mod tcp;
mod time;
mod timeout;
mod udp;
mod unawaited;
mod unfinished_jobs;
pub(super) mod values;
mod wait;

use std::sync::Arc;

use mlua::Lua;

use script_host::ScriptHost;

/// Creates a sandboxed Lua state with all functions of the language.
pub(super) fn open(host: &Arc<ScriptHost>) -> mlua::Result<Lua> {
    let lua = sandbox::open(host)?;
    let _ = host.lua.set(lua.weak());
    globals::install(&lua, host)?;
    Ok(lua)
}
