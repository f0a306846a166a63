//! Locks, semaphores and signals, based on tokio's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mlua::{AnyUserData, IntoLua, Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};
use tokio::sync;

use super::awaitable::make_tokio_awaitable;
use super::resource_label::{ResourceLabel, whole_number};
use super::script_guard::ScriptGuard;
use super::script_host::ScriptHost;
use crate::trace::{AwaitKind, ResourceKind};

/// Maximum number of permits of a semaphore and of tasks of a barrier.
const COUNT_MAX: usize = 1_000_000;

pub(super) fn install(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<()> {
    host_function!(lua, host, "mutex", |lua: &Lua, host: &Arc<ScriptHost>, _: &Arc<str>, options: Value| {
        let label = ResourceLabel::new(lua, host, "mutex", ResourceKind::Lock, 1, &options)?;
        Ok(ScriptMutex {
            lock: label.untraced(lua, || Arc::new(sync::Mutex::new(())))?,
            lock_source: label.await_source("lock"),
            label,
        })
    });
    host_function!(lua, host, "rwlock", |lua: &Lua, host: &Arc<ScriptHost>, _: &Arc<str>, options: Value| {
        let label = ResourceLabel::new(lua, host, "rwlock", ResourceKind::Lock, 1, &options)?;
        let lock = label.untraced(lua, || Arc::new(sync::RwLock::new(())))?;
        Ok(ScriptRwLock {
            lock,
            read_source: label.await_source("read"),
            write_source: label.await_source("write"),
            label,
        })
    });
    host_function!(
        lua,
        host,
        "semaphore",
        |lua: &Lua, host: &Arc<ScriptHost>, _: &Arc<str>, (count, options): (Value, Value)| {
            let count = whole_number(lua, host, "semaphore", &count, 0, COUNT_MAX)?;
            let label = ResourceLabel::new(lua, host, "semaphore", ResourceKind::Semaphore, count as u64, &options)?;
            let semaphore = label.untraced(lua, || Arc::new(sync::Semaphore::new(count)))?;
            Ok(ScriptSemaphore { semaphore, acquire_source: label.await_source("acquire"), label })
        }
    );
    host_function!(lua, host, "notify", |lua: &Lua, host: &Arc<ScriptHost>, _: &Arc<str>, options: Value| {
        let label = ResourceLabel::new(lua, host, "notify", ResourceKind::Signal, 0, &options)?;
        Ok(ScriptNotify {
            notify: Arc::default(),
            waiters: Arc::default(),
            notified_source: label.await_source("notified"),
            label,
        })
    });
    host_function!(lua, host, "barrier", |lua: &Lua,
                                          host: &Arc<ScriptHost>,
                                          _: &Arc<str>,
                                          (count, options): (Value, Value)| {
        let count = whole_number(lua, host, "barrier", &count, 1, COUNT_MAX)?;
        let label = ResourceLabel::new(lua, host, "barrier", ResourceKind::Other, count as u64, &options)?;
        let barrier = label.untraced(lua, || Arc::new(sync::Barrier::new(count)))?;
        Ok(ScriptBarrier { barrier, wait_source: label.await_source("wait"), label })
    });
    host_function!(lua, host, "event", |lua: &Lua, host: &Arc<ScriptHost>, _: &Arc<str>, options: Value| {
        let label = ResourceLabel::new(lua, host, "event", ResourceKind::Signal, 0, &options)?;
        Ok(ScriptEvent { state: Arc::default(), wait_source: label.await_source("wait"), label })
    });
    Ok(())
}

/// Creates an awaitable that returns a guard once `acquire` is ready.
fn make_guard_awaitable<F, G>(
    lua: &Lua,
    label: &ResourceLabel,
    source: &Arc<str>,
    acquire: impl FnOnce() -> F + Send + 'static,
) -> mlua::Result<AnyUserData>
where
    F: Future<Output = G> + Send + 'static,
    G: Send + 'static,
{
    let (host, resource) = (Arc::clone(&label.host), label.resource);
    let guard = ScriptGuard::new(&host);
    let owned = Arc::clone(&guard.owned);
    // Created now, because the future has no access to the Lua state.
    let guard = guard.into_lua(lua)?;
    make_tokio_awaitable(lua, label, AwaitKind::Sync, source, move || async move {
        let got = acquire().await;
        host.own_resource(&owned, resource, got);
        Ok(MultiValue::from_iter([guard]))
    })
}

/// Returns a guard if the acquisition succeeded immediately, else nil.
fn try_guard<G: Send + 'static>(lua: &Lua, label: &ResourceLabel, got: Option<G>) -> mlua::Result<Value> {
    let Some(got) = got else { return Ok(Value::Nil) };
    let guard = ScriptGuard::new(&label.host);
    label.host.own_resource(&guard.owned, label.resource, got);
    guard.into_lua(lua)
}

/// Adds `__tostring`, which returns the label.
macro_rules! add_tostring {
    ($methods:ident) => {
        $methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.label.to_string()));
    };
}

struct ScriptMutex {
    label: ResourceLabel,
    lock: Arc<sync::Mutex<()>>,
    lock_source: Arc<str>,
}

impl UserData for ScriptMutex {
    lua_type_name!("Mutex");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("lock", |lua, this, ()| {
            let lock = Arc::clone(&this.lock);
            make_guard_awaitable(lua, &this.label, &this.lock_source, move || lock.lock_owned())
        });
        methods.add_method("try_lock", |lua, this, ()| {
            try_guard(lua, &this.label, Arc::clone(&this.lock).try_lock_owned().ok())
        });
        methods.add_method("locked", |_, this, ()| Ok(this.lock.try_lock().is_err()));
        add_tostring!(methods);
    }
}

struct ScriptRwLock {
    label: ResourceLabel,
    lock: Arc<sync::RwLock<()>>,
    read_source: Arc<str>,
    write_source: Arc<str>,
}

impl UserData for ScriptRwLock {
    lua_type_name!("RwLock");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("read", |lua, this, ()| {
            let lock = Arc::clone(&this.lock);
            make_guard_awaitable(lua, &this.label, &this.read_source, move || lock.read_owned())
        });
        methods.add_method("write", |lua, this, ()| {
            let lock = Arc::clone(&this.lock);
            make_guard_awaitable(lua, &this.label, &this.write_source, move || lock.write_owned())
        });
        add_tostring!(methods);
    }
}

struct ScriptSemaphore {
    label: ResourceLabel,
    semaphore: Arc<sync::Semaphore>,
    acquire_source: Arc<str>,
}

impl ScriptSemaphore {
    fn count(&self, lua: &Lua, by: &str, count: &Value) -> mlua::Result<u32> {
        if count.is_nil() {
            return Ok(1);
        }
        Ok(whole_number(lua, &self.label.host, by, count, 1, COUNT_MAX)? as u32)
    }
}

impl UserData for ScriptSemaphore {
    lua_type_name!("Semaphore");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("acquire", |lua, this, count: Value| {
            let (count, semaphore) = (this.count(lua, "acquire", &count)?, Arc::clone(&this.semaphore));
            make_guard_awaitable(lua, &this.label, &this.acquire_source, move || semaphore.acquire_many_owned(count))
        });
        methods.add_method("try_acquire", |lua, this, count: Value| {
            let count = this.count(lua, "try_acquire", &count)?;
            try_guard(lua, &this.label, Arc::clone(&this.semaphore).try_acquire_many_owned(count).ok())
        });
        methods.add_method("available", |_, this, ()| Ok(this.semaphore.available_permits()));
        add_tostring!(methods);
    }
}

struct ScriptNotify {
    label: ResourceLabel,
    notify: Arc<sync::Notify>,
    /// Number of tasks that are waiting.
    waiters: Arc<AtomicUsize>,
    notified_source: Arc<str>,
}

/// Counts one waiting task until it is dropped.
struct WaiterCount(Arc<AtomicUsize>);

impl WaiterCount {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for WaiterCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl UserData for ScriptNotify {
    lua_type_name!("Notify");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("notified", |lua, this, ()| {
            let (notify, waiters) = (Arc::clone(&this.notify), Arc::clone(&this.waiters));
            make_tokio_awaitable(lua, &this.label, AwaitKind::Sync, &this.notified_source, move || async move {
                let _listening = WaiterCount::new(&waiters);
                notify.notified().await;
                Ok(MultiValue::new())
            })
        });
        methods.add_method("notify_one", |_, this, ()| {
            this.notify.notify_one();
            Ok(())
        });
        methods.add_method("notify_waiters", |lua, this, ()| {
            if this.waiters.load(Ordering::Relaxed) == 0 {
                this.label.host.loop_handle(lua, "notify")?.notify_lost(this.label.resource);
            }
            this.notify.notify_waiters();
            Ok(())
        });
        add_tostring!(methods);
    }
}

struct ScriptBarrier {
    label: ResourceLabel,
    barrier: Arc<sync::Barrier>,
    wait_source: Arc<str>,
}

impl UserData for ScriptBarrier {
    lua_type_name!("Barrier");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("wait", |lua, this, ()| {
            let barrier = Arc::clone(&this.barrier);
            make_tokio_awaitable(lua, &this.label, AwaitKind::Sync, &this.wait_source, move || async move {
                let leads = barrier.wait().await.is_leader();
                Ok(MultiValue::from_iter([Value::Boolean(leads)]))
            })
        });
        add_tostring!(methods);
    }
}

/// Like asyncio's `Event`. tokio has no equivalent; its documentation builds one from a flag and a `Notify`, as here.
struct ScriptEvent {
    label: ResourceLabel,
    state: Arc<(AtomicBool, sync::Notify)>,
    wait_source: Arc<str>,
}

impl UserData for ScriptEvent {
    lua_type_name!("Event");

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
            make_tokio_awaitable(lua, &this.label, AwaitKind::Sync, &this.wait_source, move || async move {
                let (is_set, notify) = &*state;
                // Subscribe before the check, so that a concurrent `set` is not missed.
                let set = notify.notified();
                if !is_set.load(Ordering::Acquire) {
                    set.await;
                }
                Ok(MultiValue::new())
            })
        });
        add_tostring!(methods);
    }
}
