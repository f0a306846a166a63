//! Loads a script: runs its top level in a sandbox, where nothing can be awaited, and reads the table that it returns.

use std::sync::Arc;

use mlua::{Function, Lua, Table, Value};

use super::closest_match::closest_match;
use super::fault::{ScriptError, ScriptFault};
use super::host;
use super::host::coroutine::definition_of;
use super::host::errors::{fault_from_error, fault_from_value};
use super::host::script_host::ScriptHost;
use super::host::values::describe;
use super::manifest::{Expectations, Manifest, Param};
use super::script_source::ScriptSource;
use crate::control::ClockKind;

mod param;

/// The keys that a manifest may contain.
const MANIFEST_KEYS: [&str; 6] = ["title", "lesson", "clock", "params", "expects", "main"];

/// A script after its top level has run.
pub(super) struct LoadedScript {
    pub lua: Lua,
    pub table: Table,
    pub main: Value,
}

/// Loads a script and returns its manifest. `name` is the workload's name; errors and locations use `file`.
///
/// # Errors
/// Fails if the script is not valid Lua, if its top level raises an error, or if its manifest is invalid.
pub fn read_manifest(name: &str, file: &str, text: &str) -> Result<Manifest, ScriptError> {
    read_manifest_with(ScriptHost::new, name, file, text)
}

/// Loads a script as part of a listing: its top level gets less CPU time than in [`read_manifest`].
pub(super) fn read_manifest_for_listing(name: &str, file: &str, text: &str) -> Result<Manifest, ScriptError> {
    read_manifest_with(ScriptHost::for_listing, name, file, text)
}

fn read_manifest_with(
    host: impl FnOnce(ScriptSource) -> Arc<ScriptHost>,
    name: &str,
    file: &str,
    text: &str,
) -> Result<Manifest, ScriptError> {
    let source = ScriptSource::new(file, text);
    let loaded = load(&host(source.clone()))?;
    let reader = ManifestReader { source: &source };
    reader.manifest(name, &loaded).map_err(|error| error.into_error(&source))
}

/// Runs a script's top level.
pub(super) fn load(host: &Arc<ScriptHost>) -> Result<LoadedScript, ScriptError> {
    let source = &host.source;
    let render = |fault: ScriptFault| fault.to_error(source);
    let lua = host::open(host).map_err(|error| render(fault_from_error(host, &error)))?;
    let chunk = lua.load(&*source.text).set_name(format!("={}", source.chunk())).set_mode(mlua::chunk::ChunkMode::Text);
    let body = chunk.into_function().map_err(|error| render(with_syntax_hint(fault_from_error(host, &error))))?;
    let returned = run_top_level(host, &body).map_err(render)?;
    let Value::Table(table) = returned else {
        let got = describe(&returned);
        let fault = ScriptFault::new(format!("the script must return its manifest, but got {got}"));
        return Err(render(fault.hint("end it with: return { title = \"…\", main = async(function(p) … end) }")));
    };
    let main = table.raw_get("main").map_err(|error| render(fault_from_error(host, &error)))?;
    Ok(LoadedScript { lua, table, main })
}

/// Calls the chunk of a script and returns the value that it returns.
fn run_top_level(host: &ScriptHost, body: &Function) -> Result<Value, ScriptFault> {
    host.restart_cpu_budget();
    match host.body_runner().call::<(bool, Value)>(body) {
        Ok((true, value)) => Ok(value),
        Ok((false, raised)) => Err(fault_from_value(host, &raised)),
        Err(error) => Err(fault_from_error(host, &error)),
    }
}

/// Returns the error for a `main` that was not created by `async`.
pub(super) fn main_not_async_error(source: &ScriptSource) -> ScriptError {
    let error = ManifestError::at(&["main"], "main must be a coroutine function");
    error.hint("write main = async(function(p) … end)").into_error(source)
}

fn with_syntax_hint(fault: ScriptFault) -> ScriptFault {
    let hint = match fault.message.as_str() {
        message if message.contains("near <eof>") => "the script ends too early: is an `end` or a `}` missing?",
        message if message.contains("'=' expected") || message.contains("'}' expected") => {
            "is a comma, a `=` or a bracket missing just before?"
        }
        _ => "the script is not valid Lua here",
    };
    fault.hint(hint)
}

/// An error at a key of the manifest.
pub(super) struct ManifestError {
    path: Vec<String>,
    // Boxed to keep `Result`s with this error small.
    fault: Box<ScriptFault>,
}

impl ManifestError {
    /// Creates an error at the key with this path, such as `params`, `counters`, `min`.
    pub fn at(path: &[&str], message: impl Into<String>) -> Self {
        Self { path: path.iter().map(|&key| key.to_owned()).collect(), fault: Box::new(ScriptFault::new(message)) }
    }

    /// Sets the hint that the message shows after `help:`.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        *self.fault = self.fault.hint(hint.into());
        self
    }

    fn into_error(self, source: &ScriptSource) -> ScriptError {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        // A missing key is reported at the table that should contain it.
        let found = (1..=path.len())
            .rev()
            .find_map(|length| Some((source.position_of_key(&path[..length])?, path[length - 1])));
        match found {
            Some(((line, column), key)) => self.fault.line(Some(line)).token(key).to_error_at(source, Some(column)),
            None => self.fault.to_error(source),
        }
    }
}

/// Reads the manifest table of a loaded script.
struct ManifestReader<'a> {
    source: &'a ScriptSource,
}

impl ManifestReader<'_> {
    fn manifest(&self, name: &str, loaded: &LoadedScript) -> Result<Manifest, ManifestError> {
        let table = &loaded.table;
        check_keys(table, &[], &MANIFEST_KEYS)?;
        if definition_of(&loaded.main).is_none() {
            let got = describe(&loaded.main);
            let error = ManifestError::at(&["main"], format!("main must be a coroutine function, but is {got}"));
            return Err(error.hint("write main = async(function(p) … end)"));
        }
        let expects = read_expectations(table)?;
        Ok(Manifest {
            name: name.to_owned(),
            title: required_string(table, "title")?,
            lesson: required_string(table, "lesson")?,
            clock: read_clock(table)?,
            params: read_params(table)?,
            expects,
            file: self.source.file.to_string(),
            path: None,
            text: self.source.text.to_string(),
        })
    }
}

fn read_expectations(table: &Table) -> Result<Expectations, ManifestError> {
    let expects = match raw_value(table, "expects") {
        Value::Nil => return Ok(Expectations::default()),
        Value::Table(expects) => expects,
        other => return Err(wrong_type_error(&["expects"], "a table", &other)),
    };
    check_keys(&expects, &["expects"], &["findings", "outcome"])?;
    let findings = match raw_value(&expects, "findings") {
        Value::Nil => Vec::new(),
        Value::Table(list) => string_list(&list, &["expects", "findings"])?,
        other => return Err(wrong_type_error(&["expects", "findings"], "a list of names", &other)),
    };
    let outcome = match raw_value(&expects, "outcome") {
        Value::Nil => "completed".to_owned(),
        Value::String(outcome) => outcome.to_string_lossy(),
        other => return Err(wrong_type_error(&["expects", "outcome"], "\"completed\" or \"failed\"", &other)),
    };
    match outcome.as_str() {
        "completed" | "failed" => Ok(Expectations { findings, must_fail: outcome == "failed" }),
        _ => {
            let message = format!("`{outcome}` is not an outcome; help: use \"completed\" or \"failed\"");
            Err(ManifestError::at(&["expects", "outcome"], message))
        }
    }
}

fn read_clock(table: &Table) -> Result<ClockKind, ManifestError> {
    let text = match raw_value(table, "clock") {
        Value::Nil => return Ok(ClockKind::Virtual),
        Value::String(text) => text.to_string_lossy(),
        other => return Err(wrong_type_error(&["clock"], "\"virtual\" or \"real\"", &other)),
    };
    match text.as_str() {
        "virtual" => Ok(ClockKind::Virtual),
        "real" => Ok(ClockKind::Real),
        _ => Err(ManifestError::at(&["clock"], format!("`{text}` is not a clock; help: use \"virtual\" or \"real\""))),
    }
}

fn read_params(table: &Table) -> Result<Vec<Param>, ManifestError> {
    let described = match raw_value(table, "params") {
        Value::Nil => return Ok(Vec::new()),
        Value::Table(described) => described,
        other => return Err(wrong_type_error(&["params"], "a table of parameters", &other)),
    };
    let mut params = Vec::new();
    for pair in described.pairs::<Value, Value>() {
        let (name, value) = pair.map_err(|error| ManifestError::at(&["params"], error.to_string()))?;
        let Value::String(name) = name else {
            let error = ManifestError::at(&["params"], "a parameter has no name");
            return Err(error.hint("write params = { counters = { default = 3, … } }"));
        };
        params.push(param::read_param(&name.to_string_lossy(), &value)?);
    }
    params.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(params)
}

/// Returns a key's value and ignores metatables.
fn raw_value(table: &Table, key: &str) -> Value {
    table.raw_get(key).unwrap_or_default()
}

fn required_string(table: &Table, key: &str) -> Result<String, ManifestError> {
    match raw_value(table, key) {
        Value::String(text) => Ok(text.to_string_lossy()),
        Value::Nil => {
            Err(ManifestError::at(&[key], format!("the manifest has no `{key}`")).hint(format!("add {key} = \"…\"")))
        }
        other => Err(wrong_type_error(&[key], "a string", &other)),
    }
}

fn wrong_type_error(path: &[&str], wanted: &str, got: &Value) -> ManifestError {
    let (key, got) = (path.join("."), describe(got));
    ManifestError::at(path, format!("`{key}` must be {wanted}, but is {got}"))
}

fn string_list(list: &Table, path: &[&str]) -> Result<Vec<String>, ManifestError> {
    list.sequence_values::<Value>()
        .map(|value| match value {
            Ok(Value::String(text)) => Ok(text.to_string_lossy()),
            Ok(other) => Err(wrong_type_error(path, "a list of strings", &other)),
            Err(error) => Err(ManifestError::at(path, error.to_string())),
        })
        .collect()
}

/// Rejects unknown keys, which are most likely misspelled.
fn check_keys(table: &Table, path: &[&str], known: &[&str]) -> Result<(), ManifestError> {
    for pair in table.pairs::<Value, Value>() {
        let (key, _) = pair.map_err(|error| ManifestError::at(path, error.to_string()))?;
        let key = match key {
            Value::String(key) => key.to_string_lossy(),
            other => {
                return Err(ManifestError::at(path, format!("unknown key: {}", describe(&other))));
            }
        };
        if !known.contains(&key.as_str()) {
            let advice = match closest_match(&key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("valid keys are {}", known.join(", ")),
            };
            let path: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
            return Err(ManifestError::at(&path, format!("unknown key `{key}`")).hint(advice));
        }
    }
    Ok(())
}
