//! The script's host: what one run of a script shares with every function that the script may call.

/// Puts a host function into the globals.
macro_rules! word {
    ($lua:ident, $host:ident, $name:literal, $function:expr) => {{
        let host = Arc::clone($host);
        let source: Arc<str> = $name.into();
        let function = $function;
        let made = $lua.create_function(move |lua, arguments| function(lua, &host, &source, arguments))?;
        $lua.globals().set($name, made)?;
    }};
}

mod actor;
mod address;
mod awaitable;
mod channel;
mod choice;
mod coroutine;
mod file;
mod folder;
mod gather;
mod generator;
mod group;
mod holdings;
mod label;
mod language;
mod net;
mod payload;
mod random;
mod result;
mod sandbox;
mod stretch;
mod sync;
mod task;
mod time;
mod timeout;
mod trouble;
mod udp;
mod unawaited;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use mlua::{Function, Lua, MultiValue, Table, Value};

use super::fault::{Fault, ScriptError};
use super::manifest::{Manifest, ParamValue};
use super::permissions::Permissions;
use super::script;
use super::source::Source;
use crate::lab::{Program, TaskSpec, World};
use crate::trace::{AwaitKind, Site};

pub(super) use coroutine::definition_of;
pub use language::NAMES as WORDS;
pub(super) use language::{describe, number_of};
pub use sandbox::MEMORY_BYTES_MAX;
pub use stretch::{LISTING_MAX, LOADING_MAX, STRETCH_MAX};
pub use task::TASKS_MAX;

/// One script's run, shared by all of its host functions.
pub(super) struct Host {
    pub source: Source,
    permissions: Permissions,
    /// Where the script's files are, and how much it did with them.
    folder: folder::Folder,
    /// Empty while the script is only being read: then nothing can be awaited or spawned.
    world: OnceLock<World>,
    stretch: Mutex<stretch::Stretch>,
    random: Mutex<random::Random>,
    /// Chance of its own for `select`, so that choosing does not change what the script draws.
    choice: Mutex<random::Random>,
    /// What the task that is polled right now holds.
    holdings: Mutex<Arc<holdings::Holdings>>,
    /// The script has used a socket or a file, and a task has ended since anything was collected.
    uses_system: AtomicBool,
    must_collect: AtomicBool,
    /// How many tasks have ended: the order in which they did.
    tasks_ended: AtomicU64,
    tasks_live: AtomicU32,
    /// How many tasks each coroutine function's name was given to.
    names: Mutex<HashMap<Arc<str>, u64>>,
    /// Coroutines that have not begun.
    unawaited: Mutex<unawaited::Unawaited>,
    /// The coroutine functions, by the line where their body begins.
    functions: Mutex<HashMap<u32, Arc<str>>>,
    /// The line of the script that was seen last, for the one error that leaves no trace: out of memory.
    last_line: AtomicU32,
    /// Runs a coroutine's body so that a fault is told where it happens.
    run: OnceLock<Function>,
    /// Makes the `yield` of one generator.
    bind_reader: OnceLock<Function>,
}

impl Host {
    /// For a script that is only read.
    pub fn new(source: Source) -> Arc<Self> {
        Self::with(source, Permissions::default())
    }

    /// For a script that is one of many that are read.
    pub fn listed(source: Source) -> Arc<Self> {
        let host = Self::new(source);
        locked(&host.stretch).allow(LISTING_MAX);
        host
    }

    fn with(source: Source, permissions: Permissions) -> Arc<Self> {
        Arc::new(Self {
            source,
            folder: folder::Folder::new(permissions.folder.clone()),
            permissions,
            world: OnceLock::new(),
            stretch: Mutex::new(stretch::Stretch::new(LOADING_MAX)),
            random: Mutex::new(random::Random::new(0)),
            choice: Mutex::new(random::Random::new(0)),
            holdings: Mutex::default(),
            uses_system: AtomicBool::new(false),
            must_collect: AtomicBool::new(false),
            tasks_ended: AtomicU64::new(0),
            tasks_live: AtomicU32::new(0),
            names: Mutex::default(),
            unawaited: Mutex::default(),
            functions: Mutex::default(),
            last_line: AtomicU32::new(0),
            run: OnceLock::new(),
            bind_reader: OnceLock::new(),
        })
    }

    fn start(&self, world: World) {
        *locked(&self.random) = random::Random::new(world.seed());
        *locked(&self.choice) = random::Random::new(!world.seed());
        locked(&self.stretch).allow(STRETCH_MAX);
        let first = self.world.set(world).is_ok();
        assert!(first, "a program is run once");
    }

    /// The world, or the error for a script that wants it while it is only being read.
    fn world(&self, lua: &Lua, wanted: &str) -> mlua::Result<&World> {
        self.world.get().ok_or_else(|| {
            let fault = Fault::new(format!("`{wanted}` outside a coroutine: nothing runs while the script is read"));
            self.misuse(lua, fault.token(wanted).hint("move it into main = async(function(p) … end)"))
        })
    }

    fn site(&self, kind: AwaitKind, name: &Arc<str>, line: Option<u32>) -> Site {
        Site { kind, source: Arc::clone(name), location: line.map(|line| self.source.location(line)) }
    }

    /// `count-1`, `count-2`: the next name for a task that was given none.
    fn next_name(&self, function: &Arc<str>) -> String {
        let mut names = locked(&self.names);
        let count = names.entry(Arc::clone(function)).or_insert(0);
        *count += 1;
        format!("{function}-{count}")
    }

    /// What a task used of the system goes with it, once nobody else can reach it: at the latest when the loop has nothing
    /// else to do. Lua alone would let a peer wait for its collector.
    fn collect_when_idle(self: &Arc<Self>, lua: &Lua) {
        let (host, lua) = (Arc::downgrade(self), lua.weak());
        let Some(world) = self.world.get() else { return };
        world.when_idle(move || {
            let wanted = host.upgrade().is_some_and(|host| host.must_collect.swap(false, Ordering::Relaxed));
            if let Some(lua) = lua.try_upgrade().filter(|_| wanted) {
                // Twice, as what is closed by the first may have kept others.
                let _ = lua.gc_collect().and_then(|()| lua.gc_collect());
            }
        });
    }

    fn run_function(&self) -> &Function {
        self.run.get().expect("the sandbox sets it before any script is loaded")
    }

    fn bind_reader(&self) -> &Function {
        self.bind_reader.get().expect("the sandbox sets it before any script is loaded")
    }

    fn saw(&self, line: Option<u32>) -> Option<u32> {
        if let Some(line) = line {
            self.last_line.store(line, Ordering::Relaxed);
        }
        line
    }
}

/// The guarded value; a panicking task must not take the others with it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A Lua that knows the whole language and is at nobody's mercy.
pub(super) fn open(host: &Arc<Host>) -> mlua::Result<Lua> {
    let lua = sandbox::open(host)?;
    language::install(&lua, host)?;
    Ok(lua)
}

/// Makes a workload ready to run with these values, one for each of its parameters.
///
/// The script is read again, in a Lua of its own, so that a run never sees what an earlier one left behind.
pub fn program(manifest: &Manifest, values: Vec<(String, ParamValue)>) -> Result<Program, ScriptError> {
    program_with(manifest, values, Permissions::default())
}

/// The same, for a script that the person allows more than to reach this machine's own sockets and a folder of its own.
pub fn program_with(
    manifest: &Manifest,
    values: Vec<(String, ParamValue)>,
    permissions: Permissions,
) -> Result<Program, ScriptError> {
    let host = Host::with(Source::of(manifest), permissions);
    let loaded = script::load(&host)?;
    let main = coroutine::definition_of(&loaded.main).ok_or_else(|| script::main_is_not_async(&host.source))?;
    let name = manifest.name.clone();
    Ok(Box::new(move |world: World| {
        host.start(world);
        host.collect_when_idle(&loaded.lua);
        let spec = TaskSpec { name: "main".to_owned(), location: main.line.map(|line| host.source.location(line)) };
        let future = async move {
            let lua = loaded.lua;
            let _folder = folder::GoesWithRun(Arc::clone(&host));
            let fail = |error: &mlua::Error| host.fault_of(error).report(&host.source).to_string();
            let parameters = parameters(&lua, values).map_err(|error| fail(&error))?;
            let arguments = MultiValue::from_iter([Value::Table(parameters)]);
            let values = task::body(&host, "main".into(), &main, arguments)
                .await
                .map_err(|fault| fault.report(&host.source).to_string())?;
            unawaited::tell(&host);
            let value = values.into_iter().next().unwrap_or_default();
            result::to_json(&value).map_err(|reason| format!("{name}: main's result cannot be shown: {reason}"))
        };
        (spec, Box::pin(future))
    }))
}

fn parameters(lua: &Lua, values: Vec<(String, ParamValue)>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (name, value) in values {
        match value {
            // A whole number stays whole in the script, so that it prints as 3 and not as 3.0.
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
