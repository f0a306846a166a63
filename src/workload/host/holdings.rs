//! What a task holds: locks, permits, and generators that it has begun.
//!
//! Lua's garbage collector would let go of them some time after their task is gone. They belong to the task instead, and
//! are let go of in the moment in which it ends, however it ends.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use mlua::{MetaMethod, UserData, UserDataMethods};

use super::{Host, locked};
use crate::trace::ResourceId;
use crate::workload::fault::Fault;

/// Entries below which nobody looks for those that were let go of.
const SWEEP_MIN: usize = 32;

type LetGo = Box<dyn FnOnce() + Send>;

/// One thing that is held, until somebody lets go of it.
#[derive(Default)]
pub(super) struct Held(Mutex<Option<LetGo>>);

impl Held {
    /// False where it was let go of before.
    pub fn let_go(&self) -> bool {
        let let_go = locked(&self.0).take();
        // Letting go wakes others and may run anything: not under the lock.
        let_go.map(|let_go| let_go()).is_some()
    }

    fn is_held(&self) -> bool {
        locked(&self.0).is_some()
    }
}

/// Everything that one task holds.
#[derive(Default)]
pub(super) struct Holdings(Mutex<Vec<Arc<Held>>>);

impl Holdings {
    fn keep(&self, held: Arc<Held>) {
        let mut all = locked(&self.0);
        if all.len() >= SWEEP_MIN && all.len() == all.capacity() {
            all.retain(|held| held.is_held());
        }
        all.push(held);
    }

    fn let_go_of_all(&self) {
        let all = std::mem::take(&mut *locked(&self.0));
        all.iter().for_each(|held| {
            held.let_go();
        });
    }
}

/// Lets go of everything when the task's body is dropped.
pub(super) struct Owner {
    pub host: Arc<Host>,
    pub holdings: Arc<Holdings>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.holdings.let_go_of_all();
        // A socket or a file may be everybody's: it goes once nobody can reach it any more.
        self.host.must_collect.store(self.host.uses_system.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Host {
    /// Makes the task that is polled the holder of `got`, which is (a permit of) this resource.
    pub(super) fn hold(&self, held: &Arc<Held>, resource: ResourceId, got: impl Send + 'static) {
        let taken = self.world.get().map(|world| world.take(resource));
        self.own(held, move || {
            // First told, then given back: giving back wakes who takes it next.
            drop(taken);
            drop(got);
        });
    }

    /// Makes the task that is polled the owner of something that `let_go` lets go of.
    pub(super) fn own(&self, held: &Arc<Held>, let_go: impl FnOnce() + Send + 'static) {
        *locked(&held.0) = Some(Box::new(let_go));
        let holdings = Arc::clone(&locked(&self.holdings));
        holdings.keep(Arc::clone(held));
    }
}

/// A lock or a permit as the script holds it. `local guard <close> = …` lets go at the end of its block.
pub(super) struct Guard {
    pub host: Arc<Host>,
    pub held: Arc<Held>,
}

impl Guard {
    pub fn new(host: &Arc<Host>) -> Self {
        Self { host: Arc::clone(host), held: Arc::default() }
    }
}

impl UserData for Guard {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        for name in ["release", "unlock"] {
            methods.add_method(name, move |lua, this, ()| {
                if this.held.let_go() {
                    return Ok(());
                }
                let fault = Fault::new("this was let go of before").token(name);
                Err(this.host.misuse(lua, fault.hint("each lock and each permit is let go of once")))
            });
        }
        methods.add_meta_method(MetaMethod::Close, |_, this, _: mlua::MultiValue| {
            this.held.let_go();
            Ok(())
        });
        methods.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("guard"));
    }
}
