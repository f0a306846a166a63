//! The script host: the state of one run of a script, shared by all functions that the script can call.

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
mod channel;
mod coroutine;
mod cpu_budget;
mod errors;
mod file;
mod gather;
mod generator;
mod globals;
mod outgoing_text;
mod owned_guards;
mod random;
mod resource_label;
mod result_json;
mod sandbox;
mod script_folder;
mod select;
mod sync;
mod task;
mod task_group;
mod tcp;
mod time;
mod timeout;
mod udp;
mod unawaited;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use mlua::{Function, Lua, MultiValue, Table, Value};

use super::fault::{ScriptError, ScriptFault};
use super::manifest::{Manifest, ParamValue};
use super::permissions::Permissions;
use super::script;
use super::script_source::ScriptSource;
use crate::lab::{LoopHandle, LoopProgram, TaskSpec};
use crate::trace::{AwaitKind, AwaitSite};

pub(super) use coroutine::definition_of;
pub use cpu_budget::{LISTING_CPU_MAX, LOADING_CPU_MAX, POLL_CPU_MAX};
pub use globals::GLOBAL_NAMES as SCRIPT_GLOBALS;
pub(super) use globals::{describe, number_of};
pub use sandbox::MEMORY_BYTES_MAX;
pub use task::TASKS_MAX;

/// The state of one script's run, shared by all of its host functions.
pub(super) struct ScriptHost {
    pub source: ScriptSource,
    permissions: Permissions,
    /// The folder of the script's files, with its limits.
    folder: script_folder::ScriptFolder,
    /// Empty while the script is only being loaded. Then nothing can be awaited or spawned.
    loop_handle: OnceLock<LoopHandle>,
    cpu_budget: Mutex<cpu_budget::CpuBudget>,
    random: Mutex<random::Xoshiro256>,
    /// Random numbers for `select`, separate from the script's own so that `select` does not change those.
    select_random: Mutex<random::Xoshiro256>,
    /// The guards of the task that is being polled.
    current_guards: Mutex<Arc<owned_guards::OwnedGuards>>,
    /// Whether the script has used a socket or a file.
    uses_io: AtomicBool,
    /// Whether a task of a script that uses sockets or files has ended since the last garbage collection.
    needs_collection: AtomicBool,
    /// Number of ended tasks. It numbers them in the order in which they end.
    ended_tasks: AtomicU64,
    /// Number of tasks whose future is alive.
    live_tasks: AtomicU32,
    /// The last number given to each name, for `count-1`, `count-2`.
    name_counters: Mutex<HashMap<Arc<str>, u64>>,
    /// Coroutines that were created and have not started.
    unawaited: Mutex<unawaited::PendingCoroutines>,
    /// Names of the coroutine functions, by the line at which their body starts.
    coroutine_names: Mutex<HashMap<u32, Arc<str>>>,
    /// The most recent line of the script, for out-of-memory errors, which carry no position.
    last_line: AtomicU32,
    /// Lua function that runs a coroutine's body and annotates errors where they are raised.
    body_runner: OnceLock<Function>,
    /// Lua function that creates the `yield` function of one generator.
    bind_yield: OnceLock<Function>,
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

    fn with_permissions(source: ScriptSource, permissions: Permissions) -> Arc<Self> {
        Arc::new(Self {
            source,
            folder: script_folder::ScriptFolder::new(permissions.folder.clone()),
            permissions,
            loop_handle: OnceLock::new(),
            cpu_budget: Mutex::new(cpu_budget::CpuBudget::new(LOADING_CPU_MAX)),
            random: Mutex::new(random::Xoshiro256::new(0)),
            select_random: Mutex::new(random::Xoshiro256::new(0)),
            current_guards: Mutex::default(),
            uses_io: AtomicBool::new(false),
            needs_collection: AtomicBool::new(false),
            ended_tasks: AtomicU64::new(0),
            live_tasks: AtomicU32::new(0),
            name_counters: Mutex::default(),
            unawaited: Mutex::default(),
            coroutine_names: Mutex::default(),
            last_line: AtomicU32::new(0),
            body_runner: OnceLock::new(),
            bind_yield: OnceLock::new(),
        })
    }

    /// Attaches the loop at the start of the run, and seeds the random numbers.
    fn start(&self, loop_handle: LoopHandle) {
        *lock(&self.random) = random::Xoshiro256::new(loop_handle.seed());
        *lock(&self.select_random) = random::Xoshiro256::new(!loop_handle.seed());
        lock(&self.cpu_budget).reset(POLL_CPU_MAX);
        let first = self.loop_handle.set(loop_handle).is_ok();
        assert!(first, "a program runs only once");
    }

    /// Returns the loop handle.
    ///
    /// # Errors
    /// Fails while the script is only being loaded. The message names `wanted`, the function that needs the loop.
    fn loop_handle(&self, lua: &Lua, wanted: &str) -> mlua::Result<&LoopHandle> {
        self.loop_handle.get().ok_or_else(|| {
            let fault = ScriptFault::new(format!("`{wanted}` outside a coroutine: the loop is not running yet"));
            self.usage_error(lua, fault.token(wanted).hint("move it into main = async(function(p) … end)"))
        })
    }

    /// Returns the await site for a line of the script.
    fn site(&self, kind: AwaitKind, name: &Arc<str>, line: Option<u32>) -> AwaitSite {
        AwaitSite { kind, source: Arc::clone(name), location: line.map(|line| self.source.location(line)) }
    }

    /// Returns the next numbered name, for a task or resource that has none: `count-1`, `count-2`.
    fn numbered_name(&self, function: &Arc<str>) -> String {
        let mut name_counters = lock(&self.name_counters);
        let count = name_counters.entry(Arc::clone(function)).or_insert(0);
        *count += 1;
        format!("{function}-{count}")
    }

    /// Collects garbage before the loop parks, if a task that may have used sockets or files has ended.
    ///
    /// This closes its unreachable sockets and files promptly. Without it, a peer would wait for Lua's collector.
    fn collect_when_idle(self: &Arc<Self>, lua: &Lua) {
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
    fn body_runner(&self) -> &Function {
        self.body_runner.get().expect("the sandbox sets it before any script is loaded")
    }

    /// Returns the Lua function that creates the `yield` function of one generator.
    fn bind_yield(&self) -> &Function {
        self.bind_yield.get().expect("the sandbox sets it before any script is loaded")
    }

    /// Stores the most recent line of the script and returns it.
    fn record_line(&self, line: Option<u32>) -> Option<u32> {
        if let Some(line) = line {
            self.last_line.store(line, Ordering::Relaxed);
        }
        line
    }
}

/// Locks a mutex and ignores poisoning, so that one task's panic does not affect the others.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Creates a sandboxed Lua state with all functions of the language.
pub(super) fn open(host: &Arc<ScriptHost>) -> mlua::Result<Lua> {
    let lua = sandbox::open(host)?;
    globals::install(&lua, host)?;
    Ok(lua)
}

/// Builds a program that runs a workload with these values, one for each of its parameters.
///
/// The script is loaded again into its own Lua state, so that runs do not affect each other.
///
/// # Errors
/// Fails if the script cannot be loaded.
pub fn build_program(manifest: &Manifest, values: Vec<(String, ParamValue)>) -> Result<LoopProgram, ScriptError> {
    build_program_with(manifest, values, Permissions::default())
}

/// Builds a program that runs a workload with additional permissions. [`build_program`] grants none.
///
/// # Errors
/// Fails if the script cannot be loaded.
pub fn build_program_with(
    manifest: &Manifest,
    values: Vec<(String, ParamValue)>,
    permissions: Permissions,
) -> Result<LoopProgram, ScriptError> {
    let host = ScriptHost::with_permissions(ScriptSource::from_manifest(manifest), permissions);
    let loaded = script::load(&host)?;
    let main = coroutine::definition_of(&loaded.main).ok_or_else(|| script::main_not_async_error(&host.source))?;
    let name = manifest.name.clone();
    Ok(Box::new(move |loop_handle: LoopHandle| {
        host.start(loop_handle);
        host.collect_when_idle(&loaded.lua);
        let spec = TaskSpec { name: "main".to_owned(), location: main.line.map(|line| host.source.location(line)) };
        let future = async move {
            let lua = loaded.lua;
            let _folder = script_folder::FolderCleanup(Arc::clone(&host));
            let fail = |error: &mlua::Error| host.fault_from_error(error).to_error(&host.source).to_string();
            let params_table = params_table(&lua, values).map_err(|error| fail(&error))?;
            let arguments = MultiValue::from_iter([Value::Table(params_table)]);
            let values = task::run_body(&host, "main".into(), &main, arguments)
                .await
                .map_err(|fault| fault.to_error(&host.source).to_string())?;
            unawaited::report_never_awaited(&host);
            let value = values.into_iter().next().unwrap_or_default();
            result_json::to_json(&value)
                .map_err(|reason| format!("{name}: cannot convert main's result to JSON: {reason}"))
        };
        (spec, Box::pin(future))
    }))
}

/// Creates the table `p` that `main` receives.
fn params_table(lua: &Lua, values: Vec<(String, ParamValue)>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (name, value) in values {
        match value {
            // Whole numbers become Lua integers, so that the script prints 3 and not 3.0.
            ParamValue::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
                table.set(name, number as i64)?;
            }
            ParamValue::Number(number) => table.set(name, number)?,
            ParamValue::Duration(duration) => table.set(name, duration.as_secs_f64())?,
            ParamValue::Boolean(yes) => table.set(name, yes)?,
            ParamValue::Text(text) => table.set(name, text)?,
        }
    }
    Ok(table)
}
