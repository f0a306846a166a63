//! Guards that a task owns: locks, permits, and generators that it has started.
//!
//! Lua's garbage collector would release them some time after the task has ended. The task owns them instead, and they
//! are released as soon as it ends, however it ends.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use mlua::{MetaMethod, UserData, UserDataMethods};

use super::{ScriptHost, lock};
use crate::trace::ResourceId;
use crate::workload::fault::ScriptFault;

/// Number of guards of a task below which released guards are not swept out of its list.
const SWEEP_MIN: usize = 32;

/// Releases a guard.
type ReleaseFn = Box<dyn FnOnce() + Send>;

/// A guard until it is released: a lock, a permit or a started generator.
#[derive(Default)]
pub(super) struct OwnedGuard(Mutex<Option<ReleaseFn>>);

impl OwnedGuard {
    /// Releases the guard. Returns false if it was released before.
    pub fn release(&self) -> bool {
        let release = lock(&self.0).take();
        // Releasing wakes other tasks and may run any code: not under the lock.
        release.map(|release| release()).is_some()
    }

    fn is_held(&self) -> bool {
        lock(&self.0).is_some()
    }
}

/// All guards of one task.
#[derive(Default)]
pub(super) struct OwnedGuards(Mutex<Vec<Arc<OwnedGuard>>>);

impl OwnedGuards {
    fn add(&self, owned: Arc<OwnedGuard>) {
        let mut all = lock(&self.0);
        if all.len() >= SWEEP_MIN && all.len() == all.capacity() {
            all.retain(|owned| owned.is_held());
        }
        all.push(owned);
    }

    fn release_all(&self) {
        let all = std::mem::take(&mut *lock(&self.0));
        all.iter().for_each(|owned| {
            owned.release();
        });
    }
}

/// Releases all guards of a task when the task's body is dropped.
pub(super) struct GuardOwner {
    pub host: Arc<ScriptHost>,
    pub guards: Arc<OwnedGuards>,
}

impl Drop for GuardOwner {
    fn drop(&mut self) {
        self.guards.release_all();
        // Sockets and files can be shared by tasks, so the garbage collector closes them once they are unreachable.
        self.host.needs_collection.store(self.host.uses_io.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl ScriptHost {
    /// Makes the currently polled task the owner of `got`, which is a lock or permit of this resource.
    pub(super) fn own_resource(&self, owned: &Arc<OwnedGuard>, resource: ResourceId, got: impl Send + 'static) {
        let taken = self.loop_handle.get().map(|loop_handle| loop_handle.acquire(resource));
        self.own_guard(owned, move || {
            // Report the release first: dropping `got` wakes the task that takes it next.
            drop(taken);
            drop(got);
        });
    }

    /// Makes the currently polled task the owner of a guard that `release` releases.
    pub(super) fn own_guard(&self, owned: &Arc<OwnedGuard>, release: impl FnOnce() + Send + 'static) {
        *lock(&owned.0) = Some(Box::new(release));
        let current_guards = Arc::clone(&lock(&self.current_guards));
        current_guards.add(Arc::clone(owned));
    }
}

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
                let fault = ScriptFault::new("this guard was released before").token(name);
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
