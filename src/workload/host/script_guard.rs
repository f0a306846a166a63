//! The script's handle to a lock or permit.

use std::sync::Arc;

use mlua::{MetaMethod, UserData, UserDataMethods};

use super::owned_guards::OwnedGuard;
use super::script_host::ScriptHost;
use crate::workload::fault::ScriptFault;

/// The script's handle to a lock or permit. `local guard <close> = …` releases it at the end of its block.
pub(super) struct ScriptGuard {
    pub host: Arc<ScriptHost>,
    pub owned: Arc<OwnedGuard>,
}

impl ScriptGuard {
    pub fn new(host: &Arc<ScriptHost>) -> Self {
        Self { host: Arc::clone(host), owned: Arc::default() }
    }
}

impl UserData for ScriptGuard {
    lua_type_name!("Guard");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        for name in ["release", "unlock"] {
            methods.add_method(name, move |lua, this, ()| {
                if this.owned.release() {
                    return Ok(());
                }
                let fault = ScriptFault::new("this guard was already released").token(name);
                Err(this.host.usage_error(lua, fault.hint("release each lock and permit once")))
            });
        }
        methods.add_meta_method(MetaMethod::Close, |_, this, _: mlua::MultiValue| {
            this.owned.release();
            Ok(())
        });
        methods.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("guard"));
    }
}
