//! Locks, permits and signals, on tokio's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mlua::{AnyUserData, IntoLua, Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};
use tokio::sync;

use super::Host;
use super::awaitable::waiting;
use super::holdings::Guard;
use super::label::{Label, whole};
use crate::trace::{AwaitKind, ResourceKind};

/// Permits of one semaphore, and tasks of one barrier.
const COUNT_MAX: usize = 1_000_000;

pub(super) fn install(lua: &Lua, host: &Arc<Host>) -> mlua::Result<()> {
    word!(lua, host, "mutex", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, options: Value| {
        let label = Label::new(lua, host, "mutex", ResourceKind::Lock, 1, &options)?;
        Ok(Mutex { lock: label.made(lua, || Arc::new(sync::Mutex::new(())))?, at_lock: label.source("lock"), label })
    });
    word!(lua, host, "rwlock", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, options: Value| {
        let label = Label::new(lua, host, "rwlock", ResourceKind::Lock, 1, &options)?;
        let lock = label.made(lua, || Arc::new(sync::RwLock::new(())))?;
        Ok(RwLock { lock, at_read: label.source("read"), at_write: label.source("write"), label })
    });
    word!(lua, host, "semaphore", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, (count, options): (Value, Value)| {
        let count = whole(lua, host, "semaphore", &count, 0, COUNT_MAX)?;
        let label = Label::new(lua, host, "semaphore", ResourceKind::Semaphore, count as u64, &options)?;
        let semaphore = label.made(lua, || Arc::new(sync::Semaphore::new(count)))?;
        Ok(Semaphore { semaphore, at_acquire: label.source("acquire"), label })
    });
    word!(lua, host, "notify", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, options: Value| {
        let label = Label::new(lua, host, "notify", ResourceKind::Signal, 0, &options)?;
        Ok(Notify { notify: Arc::default(), listening: Arc::default(), at_notified: label.source("notified"), label })
    });
    word!(lua, host, "barrier", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, (count, options): (Value, Value)| {
        let count = whole(lua, host, "barrier", &count, 1, COUNT_MAX)?;
        let label = Label::new(lua, host, "barrier", ResourceKind::Other, count as u64, &options)?;
        let barrier = label.made(lua, || Arc::new(sync::Barrier::new(count)))?;
        Ok(Barrier { barrier, at_wait: label.source("wait"), label })
    });
    word!(lua, host, "event", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, options: Value| {
        let label = Label::new(lua, host, "event", ResourceKind::Signal, 0, &options)?;
        Ok(Event { state: Arc::default(), at_wait: label.source("wait"), label })
    });
    Ok(())
}

/// An awaitable that gives a guard once `acquire` has what it guards.
fn guarded<F, G>(
    lua: &Lua,
    label: &Label,
    source: &Arc<str>,
    acquire: impl FnOnce() -> F + Send + 'static,
) -> mlua::Result<AnyUserData>
where
    F: Future<Output = G> + Send + 'static,
    G: Send + 'static,
{
    let (host, resource) = (Arc::clone(&label.host), label.resource);
    let guard = Guard::new(&host);
    let held = Arc::clone(&guard.held);
    // Made beforehand: later no Lua is at hand.
    let guard = guard.into_lua(lua)?;
    waiting(lua, label, AwaitKind::Sync, source, move || async move {
        let got = acquire().await;
        host.hold(&held, resource, got);
        Ok(MultiValue::from_iter([guard]))
    })
}

/// A guard if there was something to get at once, else nil.
fn tried<G: Send + 'static>(lua: &Lua, label: &Label, got: Option<G>) -> mlua::Result<Value> {
    let Some(got) = got else { return Ok(Value::Nil) };
    let guard = Guard::new(&label.host);
    label.host.hold(&guard.held, label.resource, got);
    guard.into_lua(lua)
}

/// What each of them tells of itself.
macro_rules! told_as {
    ($methods:ident) => {
        $methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.label.to_string()));
    };
}

struct Mutex {
    label: Label,
    lock: Arc<sync::Mutex<()>>,
    at_lock: Arc<str>,
}

impl UserData for Mutex {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("lock", |lua, this, ()| {
            let lock = Arc::clone(&this.lock);
            guarded(lua, &this.label, &this.at_lock, move || lock.lock_owned())
        });
        methods.add_method("try_lock", |lua, this, ()| {
            tried(lua, &this.label, Arc::clone(&this.lock).try_lock_owned().ok())
        });
        methods.add_method("locked", |_, this, ()| Ok(this.lock.try_lock().is_err()));
        told_as!(methods);
    }
}

struct RwLock {
    label: Label,
    lock: Arc<sync::RwLock<()>>,
    at_read: Arc<str>,
    at_write: Arc<str>,
}

impl UserData for RwLock {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("read", |lua, this, ()| {
            let lock = Arc::clone(&this.lock);
            guarded(lua, &this.label, &this.at_read, move || lock.read_owned())
        });
        methods.add_method("write", |lua, this, ()| {
            let lock = Arc::clone(&this.lock);
            guarded(lua, &this.label, &this.at_write, move || lock.write_owned())
        });
        told_as!(methods);
    }
}

struct Semaphore {
    label: Label,
    semaphore: Arc<sync::Semaphore>,
    at_acquire: Arc<str>,
}

impl Semaphore {
    fn count(&self, lua: &Lua, by: &str, count: &Value) -> mlua::Result<u32> {
        if count.is_nil() {
            return Ok(1);
        }
        Ok(whole(lua, &self.label.host, by, count, 1, COUNT_MAX)? as u32)
    }
}

impl UserData for Semaphore {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("acquire", |lua, this, count: Value| {
            let (count, semaphore) = (this.count(lua, "acquire", &count)?, Arc::clone(&this.semaphore));
            guarded(lua, &this.label, &this.at_acquire, move || semaphore.acquire_many_owned(count))
        });
        methods.add_method("try_acquire", |lua, this, count: Value| {
            let count = this.count(lua, "try_acquire", &count)?;
            tried(lua, &this.label, Arc::clone(&this.semaphore).try_acquire_many_owned(count).ok())
        });
        methods.add_method("available", |_, this, ()| Ok(this.semaphore.available_permits()));
        told_as!(methods);
    }
}

struct Notify {
    label: Label,
    notify: Arc<sync::Notify>,
    /// How many listen right now.
    listening: Arc<AtomicUsize>,
    at_notified: Arc<str>,
}

/// Counts whoever listens, for as long as they do.
struct Listening(Arc<AtomicUsize>);

impl Listening {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl UserData for Notify {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("notified", |lua, this, ()| {
            let (notify, listening) = (Arc::clone(&this.notify), Arc::clone(&this.listening));
            waiting(lua, &this.label, AwaitKind::Sync, &this.at_notified, move || async move {
                let _listening = Listening::new(&listening);
                notify.notified().await;
                Ok(MultiValue::new())
            })
        });
        methods.add_method("notify_one", |_, this, ()| {
            this.notify.notify_one();
            Ok(())
        });
        methods.add_method("notify_waiters", |lua, this, ()| {
            if this.listening.load(Ordering::Relaxed) == 0 {
                this.label.host.world(lua, "notify")?.unheard(this.label.resource);
            }
            this.notify.notify_waiters();
            Ok(())
        });
        told_as!(methods);
    }
}

struct Barrier {
    label: Label,
    barrier: Arc<sync::Barrier>,
    at_wait: Arc<str>,
}

impl UserData for Barrier {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("wait", |lua, this, ()| {
            let barrier = Arc::clone(&this.barrier);
            waiting(lua, &this.label, AwaitKind::Sync, &this.at_wait, move || async move {
                let leads = barrier.wait().await.is_leader();
                Ok(MultiValue::from_iter([Value::Boolean(leads)]))
            })
        });
        told_as!(methods);
    }
}

/// asyncio's Event. tokio has none; its documentation builds it of a flag and a Notify, as here.
struct Event {
    label: Label,
    state: Arc<(AtomicBool, sync::Notify)>,
    at_wait: Arc<str>,
}

impl UserData for Event {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("set", |_, this, ()| {
            this.state.0.store(true, Ordering::Release);
            this.state.1.notify_waiters();
            Ok(())
        });
        methods.add_method("clear", |_, this, ()| {
            this.state.0.store(false, Ordering::Release);
            Ok(())
        });
        methods.add_method("is_set", |_, this, ()| Ok(this.state.0.load(Ordering::Acquire)));
        methods.add_method("wait", |lua, this, ()| {
            let state = Arc::clone(&this.state);
            waiting(lua, &this.label, AwaitKind::Sync, &this.at_wait, move || async move {
                let (is_set, notify) = &*state;
                // Asked for before looking: a set in between must not be missed.
                let set = notify.notified();
                if !is_set.load(Ordering::Acquire) {
                    set.await;
                }
                Ok(MultiValue::new())
            })
        });
        told_as!(methods);
    }
}
