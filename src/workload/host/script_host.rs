//! The state of one run of a script, shared by all of its host functions.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use mlua::{Error, Function, Lua, WeakLua};

use super::body::{BodyContext, CancelRequest};
use super::cpu_budget::CpuBudget;
use super::limits::{LISTING_CPU_MAX, LOADING_CPU_MAX, POLL_CPU_MAX};
use super::lock::lock;
use super::owned_guards::{OwnedGuard, OwnedGuards};
use super::random::Xoshiro256;
use super::script_folder::ScriptFolder;
use super::task_handle::TaskRegistry;
use super::unawaited::{AwaitableCreation, ForgottenAwaitables, PendingCoroutines, report_forgotten};
use crate::lab::{BoxFuture, LoopHandle};
use crate::trace::{AwaitKind, AwaitSite, ResourceId, TaskId};
use crate::workload::fault::{FaultKind, ScriptFault};
use crate::workload::permissions::Permissions;
use crate::workload::script_source::ScriptSource;

/// Maximum number of stack frames that are inspected. A runaway recursion has hundreds of thousands.
pub(super) const FRAMES_MAX: usize = 100;

/// The state of one script's run, shared by all of its host functions.
pub(in crate::workload) struct ScriptHost {
    pub source: ScriptSource,
    /// What the user allows the script beyond the defaults.
    pub(super) permissions: Permissions,
    /// The folder of the script's files, with its limits.
    pub(super) folder: ScriptFolder,
    /// Empty while the script is only being loaded. Then nothing can be awaited or spawned.
    loop_handle: OnceLock<LoopHandle>,
    pub(super) cpu_budget: Mutex<CpuBudget>,
    pub(super) random: Mutex<Xoshiro256>,
    /// Random numbers for `select`, separate from the script's own so that `select` does not change those.
    pub(super) select_random: Mutex<Xoshiro256>,
    /// The guards of the task that is being polled.
    pub(super) current_guards: Mutex<Arc<OwnedGuards>>,
    /// The body that is being polled.
    current_body: Mutex<Arc<BodyContext>>,
    /// The body of the task that is being polled.
    current_task_body: Mutex<Arc<BodyContext>>,
    /// The tasks that have not ended.
    pub(super) tasks: TaskRegistry,
    /// Whether the script has set a metatable, so that closing values of its own may exist.
    pub(super) may_close: Arc<AtomicBool>,
    /// The Lua state.
    pub(super) lua: OnceLock<WeakLua>,
    /// Whether the script has used a socket or a file.
    pub(super) uses_io: AtomicBool,
    /// Whether a task of a script that uses sockets or files has ended since the last garbage collection.
    pub(super) needs_collection: AtomicBool,
    /// Number of ended tasks. It numbers them in the order in which they end.
    pub(super) ended_tasks: AtomicU64,
    /// Number of tasks whose future is alive.
    pub(super) live_tasks: AtomicU32,
    /// The last number given to each name, for `count-1`, `count-2`.
    name_counters: Mutex<HashMap<Arc<str>, u64>>,
    /// Coroutines that were created and have not started.
    unawaited: Mutex<PendingCoroutines>,
    forgotten: ForgottenAwaitables,
    /// Names of the coroutine functions, by the line at which their body starts.
    pub(super) coroutine_names: Mutex<HashMap<u32, Arc<str>>>,
    /// The most recent line of the script, for out-of-memory errors, which carry no position.
    last_line: AtomicU32,
    /// Lua function that runs a coroutine's body and annotates errors where they are raised.
    pub(super) body_runner: OnceLock<Function>,
    /// Lua function that creates the `yield` function of one generator.
    pub(super) bind_yield: OnceLock<Function>,
}

impl ScriptHost {
    /// Creates the host for a script that is only loaded.
    pub fn new(source: ScriptSource) -> Arc<Self> {
        Self::with_permissions(source, Permissions::default())
    }

    /// Creates the host for a script that is loaded as part of a listing, with a smaller CPU budget.
    pub fn for_listing(source: ScriptSource) -> Arc<Self> {
        let host = Self::new(source);
        lock(&host.cpu_budget).reset(LISTING_CPU_MAX);
        host
    }

    /// Creates the host for a run with these permissions.
    pub fn with_permissions(source: ScriptSource, permissions: Permissions) -> Arc<Self> {
        Arc::new(Self {
            source,
            folder: ScriptFolder::new(permissions.folder.clone()),
            permissions,
            loop_handle: OnceLock::new(),
            cpu_budget: Mutex::new(CpuBudget::new(LOADING_CPU_MAX)),
            random: Mutex::new(Xoshiro256::new(0)),
            select_random: Mutex::new(Xoshiro256::new(0)),
            current_guards: Mutex::default(),
            current_body: Mutex::default(),
            current_task_body: Mutex::default(),
            tasks: TaskRegistry::default(),
            may_close: Arc::default(),
            lua: OnceLock::new(),
            uses_io: AtomicBool::new(false),
            needs_collection: AtomicBool::new(false),
            ended_tasks: AtomicU64::new(0),
            live_tasks: AtomicU32::new(0),
            name_counters: Mutex::default(),
            unawaited: Mutex::default(),
            forgotten: ForgottenAwaitables::default(),
            coroutine_names: Mutex::default(),
            last_line: AtomicU32::new(0),
            body_runner: OnceLock::new(),
            bind_yield: OnceLock::new(),
        })
    }

    /// Attaches the loop at the start of the run, and seeds the random numbers.
    pub fn start(&self, loop_handle: LoopHandle) {
        *lock(&self.random) = Xoshiro256::new(loop_handle.seed());
        *lock(&self.select_random) = Xoshiro256::new(!loop_handle.seed());
        lock(&self.cpu_budget).reset(POLL_CPU_MAX);
        let first = self.loop_handle.set(loop_handle).is_ok();
        assert!(first, "a program runs only once");
    }

    /// Returns the loop handle.
    ///
    /// # Errors
    /// Fails while the script is only being loaded. The message names `wanted`, the function that needs the loop.
    pub fn loop_handle(&self, lua: &Lua, wanted: &str) -> mlua::Result<&LoopHandle> {
        self.loop_handle.get().ok_or_else(|| {
            let fault = ScriptFault::new(format!("`{wanted}` outside a coroutine: the loop is not running yet"));
            self.usage_error(lua, fault.token(wanted).hint("move it into main = async(function(p) … end)"))
        })
    }

    /// Takes the cancel request of the body that is being polled, if there is one.
    #[inline]
    pub(super) fn take_cancel(&self) -> Option<CancelRequest> {
        lock(&self.current_body).take_cancel()
    }

    /// Sets the body of the task that is being polled.
    pub(super) fn enter_task(&self, body: &Arc<BodyContext>) {
        *lock(&self.current_body) = Arc::clone(body);
        *lock(&self.current_task_body) = Arc::clone(body);
    }

    /// Counts a call of `pcall` or the like that begins, in the body that is being polled.
    pub(super) fn enter_handler(&self) {
        lock(&self.current_body).enter_handler();
    }

    /// Counts a call of `pcall` or the like that ended.
    pub(super) fn leave_handler(&self) {
        lock(&self.current_body).leave_handler();
    }

    /// Returns the body that is being polled.
    pub(super) fn current_body(&self) -> Arc<BodyContext> {
        Arc::clone(&lock(&self.current_body))
    }

    /// Returns the body of the task that is being polled.
    pub(super) fn current_task_body(&self) -> Arc<BodyContext> {
        Arc::clone(&lock(&self.current_task_body))
    }

    /// Runs `poll` with `body` as the body that is being polled.
    pub(super) fn with_body<R>(&self, body: &Arc<BodyContext>, poll: impl FnOnce() -> R) -> R {
        let outer = std::mem::replace(&mut *lock(&self.current_body), Arc::clone(body));
        let result = poll();
        *lock(&self.current_body) = outer;
        result
    }

    /// Returns whether closing values of the script may exist.
    pub(super) fn may_close(&self) -> bool {
        self.may_close.load(Ordering::Relaxed)
    }

    /// Returns the Lua state, unless it is gone.
    pub(super) fn lua(&self) -> Option<Lua> {
        self.lua.get().and_then(WeakLua::try_upgrade)
    }

    /// Returns the id of the task that is being polled, if any.
    pub(super) fn current_task_id(&self) -> Option<TaskId> {
        self.loop_handle.get().and_then(LoopHandle::current_task)
    }

    /// Records that the task that is being polled ends because it was cancelled.
    pub(super) fn mark_cancelled(&self) {
        if let Some(loop_handle) = self.loop_handle.get() {
            loop_handle.mark_cancelled();
        }
    }

    /// Sets what the loop runs at the end of the run, before it drops the remaining tasks.
    pub(super) fn on_run_end(&self, cleanup: impl FnOnce() -> BoxFuture<()> + Send + 'static) {
        if let Some(loop_handle) = self.loop_handle.get() {
            loop_handle.on_run_end(cleanup);
        }
    }

    /// Sets what cancels a task that the user cancels.
    pub(super) fn on_user_cancel(&self, cancel: impl Fn(TaskId) -> bool + Send + Sync + 'static) {
        if let Some(loop_handle) = self.loop_handle.get() {
            loop_handle.on_cancel(cancel);
        }
    }

    /// Returns a sleep, unless the script is only being loaded.
    pub(super) fn sleep(&self, duration: Duration) -> Option<BoxFuture<()>> {
        self.loop_handle.get().map(|loop_handle| -> BoxFuture<()> { Box::pin(loop_handle.sleep(duration)) })
    }

    /// Outputs an error that no await can raise.
    pub(super) fn log_error(&self, text: &str) {
        if let Some(loop_handle) = self.loop_handle.get() {
            loop_handle.print(&format!("[error] {text}"));
        }
    }

    /// Returns the await site for a line of the script.
    pub fn site(&self, kind: AwaitKind, name: &Arc<str>, line: Option<u32>) -> AwaitSite {
        AwaitSite { kind, source: Arc::clone(name), location: line.map(|line| self.source.location(line)), chain: None }
    }

    /// Returns the next numbered name, for a task or resource that has none: `count-1`, `count-2`.
    pub fn numbered_name(&self, function: &Arc<str>) -> String {
        let mut name_counters = lock(&self.name_counters);
        let count = name_counters.entry(Arc::clone(function)).or_insert(0);
        *count += 1;
        format!("{function}-{count}")
    }

    /// Collects garbage before the loop parks, if a task that may have used sockets or files has ended.
    ///
    /// This closes its unreachable sockets and files promptly. Without it, a peer would wait for Lua's collector.
    pub fn collect_when_idle(self: &Arc<Self>, lua: &Lua) {
        let (host, lua) = (Arc::downgrade(self), lua.weak());
        let Some(loop_handle) = self.loop_handle.get() else { return };
        loop_handle.on_idle(move || {
            let wanted = host.upgrade().is_some_and(|host| host.needs_collection.swap(false, Ordering::Relaxed));
            if let Some(lua) = lua.try_upgrade().filter(|_| wanted) {
                // The second pass collects objects that the first pass made unreachable.
                let _ = lua.gc_collect().and_then(|()| lua.gc_collect());
            }
        });
    }

    /// Returns the Lua function that runs a coroutine's body.
    ///
    /// The function returns `true` and the results, or `false` and the error.
    pub fn body_runner(&self) -> &Function {
        self.body_runner.get().expect("the sandbox sets it before any script is loaded")
    }

    /// Returns the Lua function that creates the `yield` function of one generator.
    pub fn bind_yield(&self) -> &Function {
        self.bind_yield.get().expect("the sandbox sets it before any script is loaded")
    }

    /// Stores the most recent line of the script and returns it.
    pub fn record_line(&self, line: Option<u32>) -> Option<u32> {
        if let Some(line) = line {
            self.last_line.store(line, Ordering::Relaxed);
        }
        line
    }

    /// Restarts the measurement of the CPU time, before Lua code runs.
    pub fn restart_cpu_budget(&self) {
        lock(&self.cpu_budget).restart();
    }

    /// Returns whether the loop runs. It does not while the script is only being loaded.
    pub fn is_running(&self) -> bool {
        self.loop_handle.get().is_some()
    }

    /// Returns an error if the user has stopped the run. The error has the line `line`.
    pub fn checkpoint(&self, line: Option<u32>) -> mlua::Result<()> {
        let checked = self.loop_handle.get().map_or(Ok(()), LoopHandle::checkpoint);
        checked.map_err(|stopped| {
            Error::external(ScriptFault::new(stopped.to_string()).line(line).kind(FaultKind::Stopped))
        })
    }

    /// Returns the most recent line of the script.
    pub fn last_line(&self) -> Option<u32> {
        let line = self.last_line.load(Ordering::Relaxed);
        (line > 0).then_some(line)
    }

    /// Returns the line of the script that called the current host function.
    ///
    /// Returns `None` for a tail call (`return f()`), because Lua drops the caller's frame before it.
    pub fn caller_line(&self, lua: &Lua) -> Option<u32> {
        for level in 0..FRAMES_MAX {
            let frame = lua.inspect_stack(level, |frame| {
                let is_script = frame.source().short_src.is_some_and(|name| name == self.source.chunk());
                (if is_script { frame.current_line() } else { None }, frame.is_tail_call())
            })?;
            match frame {
                (Some(line), _) => return self.record_line(u32::try_from(line).ok()),
                (None, true) => return None,
                (None, false) => {}
            }
        }
        None
    }

    /// Returns an error for incorrect use of a host function, located at the line that called it.
    pub fn usage_error(&self, lua: &Lua, fault: ScriptFault) -> Error {
        let line = fault.line.or_else(|| self.caller_line(lua));
        Error::external(fault.line(line))
    }

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
        let current_guards = Arc::clone(&lock(&self.current_guards));
        current_guards.own(owned, Box::new(release));
    }

    /// Deletes the temporary folder of the script's files, if there is one.
    pub fn delete_temporary_folder(&self) {
        self.folder.delete_temporary();
    }

    /// Tracks a new coroutine until it starts, and returns its sequence number.
    pub fn track_coroutine(&self, name: &Arc<str>, line: Option<u32>) -> u64 {
        lock(&self.unawaited).track(self.loop_handle.get(), name, line)
    }

    /// Stops tracking a coroutine, because it starts.
    pub fn untrack_coroutine(&self, number: u64) {
        lock(&self.unawaited).remove(number);
    }

    /// Returns the record of an awaitable that is created now; `None` before the loop runs.
    pub(super) fn awaitable_creation(&self) -> Option<AwaitableCreation> {
        self.loop_handle.get().map(|loop_handle| AwaitableCreation::now(loop_handle, &self.forgotten))
    }

    /// Reports each coroutine that has not started, and each awaitable that was dropped without an `await`, at the end
    /// of main.
    pub fn report_never_awaited(&self) {
        let pending = std::mem::take(&mut *lock(&self.unawaited));
        if let Some(loop_handle) = self.loop_handle.get() {
            pending.report_never_awaited(loop_handle, &self.source);
            report_forgotten(&self.forgotten, loop_handle, &self.source);
        }
    }
}
