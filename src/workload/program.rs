//! Builds the program for the lab that runs a workload.

use std::sync::Arc;

use mlua::{Lua, MultiValue, Table, Value};

use super::fault::ScriptError;
use super::host::coroutine::definition_of;
use super::host::errors::fault_from_error;
use super::host::script_host::ScriptHost;
use super::host::{result_json, shutdown, task};
use super::manifest::{Manifest, ParamValue};
use super::permissions::Permissions;
use super::script;
use super::script_source::ScriptSource;
use crate::lab::{LoopHandle, LoopProgram, TaskSpec};

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
    let source = ScriptSource::new(&manifest.file, &manifest.text);
    let host = ScriptHost::with_permissions(source, permissions);
    let loaded = script::load(&host)?;
    let main = definition_of(&loaded.main).ok_or_else(|| script::main_not_async_error(&host.source))?;
    let name = manifest.name.clone();
    Ok(Box::new(move |loop_handle: LoopHandle| {
        host.start(loop_handle);
        host.collect_when_idle(&loaded.lua);
        shutdown::install(&host);
        let spec = TaskSpec { name: "main".to_owned(), location: main.line.map(|line| host.source.location(line)) };
        let future = async move {
            let lua = loaded.lua;
            let _folder = FolderCleanup(Arc::clone(&host));
            let fail = |error: &mlua::Error| fault_from_error(&host, error).to_error(&host.source).to_string();
            let params_table = params_table(&lua, values).map_err(|error| fail(&error))?;
            let arguments = MultiValue::from_iter([Value::Table(params_table)]);
            let values = task::run_main(&host, &lua, &main, arguments).await?;
            // What the script dropped is known only once it is collected.
            let _ = lua.gc_collect();
            host.report_never_awaited();
            let value = values.into_iter().next().unwrap_or_default();
            result_json::to_json(&value)
                .map_err(|reason| format!("{name}: cannot convert main's result to JSON: {reason}"))
        };
        (spec, Box::pin(future))
    }))
}

/// Deletes the temporary folder of the script's files when main ends, however it ends.
struct FolderCleanup(Arc<ScriptHost>);

impl Drop for FolderCleanup {
    fn drop(&mut self) {
        self.0.delete_temporary_folder();
    }
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
