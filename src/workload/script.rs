//! Reads a script: runs its top level in a sandbox, where nothing can be awaited, and reads the table it returns.

use mlua::{Lua, Table, Value};

use super::fault::{Fault, ScriptError};
use super::host::{self, Host};
use super::manifest::{Manifest, Param};
use super::params::nearest;
use super::source::Source;
use crate::control::ClockKind;

mod param;

/// What the table may hold.
const KEYS: [&str; 6] = ["title", "lesson", "clock", "params", "expects", "main"];

/// What the inspector must find in a run of the script, and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectations {
    /// Names of findings.
    pub findings: Vec<String>,
    /// Whether the run is to fail, as a deadlock does.
    pub fails: bool,
}

/// A script whose top level has run.
pub(super) struct Loaded {
    pub lua: Lua,
    pub table: Table,
    pub main: Value,
}

/// Reads what a script says of itself. `name` is what a person types to run it, `file` what errors call it.
pub fn read(name: &str, file: &str, text: &str) -> Result<Manifest, ScriptError> {
    read_by(Host::new, name, file, text)
}

/// The same, for one of many: it is given up sooner.
pub(super) fn read_listed(name: &str, file: &str, text: &str) -> Result<Manifest, ScriptError> {
    read_by(Host::listed, name, file, text)
}

fn read_by(
    host: impl FnOnce(Source) -> std::sync::Arc<Host>,
    name: &str,
    file: &str,
    text: &str,
) -> Result<Manifest, ScriptError> {
    let source = Source::new(file, text);
    let loaded = load(&host(source.clone()))?;
    let reader = Reader { source: &source };
    reader.manifest(name, &loaded).map_err(|trouble| trouble.report(&source))
}

/// What a script says that the inspector must find.
pub fn expectations(manifest: &Manifest) -> Result<Expectations, ScriptError> {
    let source = Source::of(manifest);
    let loaded = load(&Host::new(source.clone()))?;
    let reader = Reader { source: &source };
    reader.expectations(&loaded.table).map_err(|trouble| trouble.report(&source))
}

/// Runs the top level.
pub(super) fn load(host: &std::sync::Arc<Host>) -> Result<Loaded, ScriptError> {
    let source = &host.source;
    let refuse = |fault: Fault| fault.report(source);
    let lua = host::open(host).map_err(|error| refuse(host.fault_of(&error)))?;
    let chunk = lua.load(&*source.text).set_name(format!("={}", source.chunk())).set_mode(mlua::chunk::ChunkMode::Text);
    let body = chunk.into_function().map_err(|error| refuse(syntax(host.fault_of(&error))))?;
    let returned = host.run_top_level(&body).map_err(refuse)?;
    let Value::Table(table) = returned else {
        let got = host::describe(&returned);
        let fault = Fault::new(format!("the script must return its manifest, and returned {got}"));
        return Err(refuse(fault.hint("end it with: return { title = \"…\", main = async(function(p) … end) }")));
    };
    let main = table.raw_get("main").map_err(|error| refuse(host.fault_of(&error)))?;
    Ok(Loaded { lua, table, main })
}

/// The error for a main that is not what `async` returns.
pub(super) fn main_is_not_async(source: &Source) -> ScriptError {
    let trouble = Trouble::at(&["main"], "main must be a coroutine function");
    trouble.hint("write main = async(function(p) … end)").report(source)
}

fn syntax(fault: Fault) -> Fault {
    let hint = match fault.message.as_str() {
        message if message.contains("near <eof>") => "the script ends too early: is an `end` or a `}` missing?",
        message if message.contains("'=' expected") || message.contains("'}' expected") => {
            "is a comma, a `=` or a bracket missing just before?"
        }
        _ => "the script is not valid Lua here",
    };
    fault.hint(hint)
}

/// A fault at a key of the manifest.
pub(super) struct Trouble {
    path: Vec<String>,
    // Boxed to keep the many results that carry it small.
    fault: Box<Fault>,
}

impl Trouble {
    pub fn at(path: &[&str], message: impl Into<String>) -> Self {
        Self { path: path.iter().map(|&key| key.to_owned()).collect(), fault: Box::new(Fault::new(message)) }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        *self.fault = self.fault.hint(hint);
        self
    }

    fn report(self, source: &Source) -> ScriptError {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        // A key that is missing is told at the table that should have it.
        let found = (1..=path.len())
            .rev()
            .find_map(|length| Some((source.position_of_key(&path[..length])?, path[length - 1])));
        match found {
            Some(((line, column), key)) => self.fault.line(Some(line)).token(key).report_at(source, Some(column)),
            None => self.fault.report(source),
        }
    }
}

struct Reader<'a> {
    source: &'a Source,
}

impl Reader<'_> {
    fn manifest(&self, name: &str, loaded: &Loaded) -> Result<Manifest, Trouble> {
        let table = &loaded.table;
        check_keys(table, &[], &KEYS)?;
        if host::definition_of(&loaded.main).is_none() {
            let got = host::describe(&loaded.main);
            let trouble = Trouble::at(&["main"], format!("main must be a coroutine function, and is {got}"));
            return Err(trouble.hint("write main = async(function(p) … end)"));
        }
        self.expectations(table)?;
        Ok(Manifest {
            name: name.to_owned(),
            title: required_text(table, "title")?,
            lesson: required_text(table, "lesson")?,
            clock: clock(table)?,
            params: params(table)?,
            file: self.source.file.to_string(),
            path: None,
            text: self.source.text.to_string(),
        })
    }

    fn expectations(&self, table: &Table) -> Result<Expectations, Trouble> {
        let expects = match get(table, "expects") {
            Value::Nil => return Ok(Expectations::default()),
            Value::Table(expects) => expects,
            other => return Err(wrong_type(&["expects"], "a table", &other)),
        };
        check_keys(&expects, &["expects"], &["findings", "outcome"])?;
        let findings = match get(&expects, "findings") {
            Value::Nil => Vec::new(),
            Value::Table(list) => texts(&list, &["expects", "findings"])?,
            other => return Err(wrong_type(&["expects", "findings"], "a list of names", &other)),
        };
        let outcome = match get(&expects, "outcome") {
            Value::Nil => "completed".to_owned(),
            Value::String(outcome) => outcome.to_string_lossy(),
            other => return Err(wrong_type(&["expects", "outcome"], "\"completed\" or \"failed\"", &other)),
        };
        match outcome.as_str() {
            "completed" | "failed" => Ok(Expectations { findings, fails: outcome == "failed" }),
            _ => {
                let message = format!("`{outcome}` is not an outcome: give \"completed\" or \"failed\"");
                Err(Trouble::at(&["expects", "outcome"], message))
            }
        }
    }
}

fn clock(table: &Table) -> Result<ClockKind, Trouble> {
    let text = match get(table, "clock") {
        Value::Nil => return Ok(ClockKind::Virtual),
        Value::String(text) => text.to_string_lossy(),
        other => return Err(wrong_type(&["clock"], "\"virtual\" or \"real\"", &other)),
    };
    match text.as_str() {
        "virtual" => Ok(ClockKind::Virtual),
        "real" => Ok(ClockKind::Real),
        _ => Err(Trouble::at(&["clock"], format!("`{text}` is not a clock: give \"virtual\" or \"real\""))),
    }
}

fn params(table: &Table) -> Result<Vec<Param>, Trouble> {
    let described = match get(table, "params") {
        Value::Nil => return Ok(Vec::new()),
        Value::Table(described) => described,
        other => return Err(wrong_type(&["params"], "a table of parameters", &other)),
    };
    let mut params = Vec::new();
    for pair in described.pairs::<Value, Value>() {
        let (name, value) = pair.map_err(|error| Trouble::at(&["params"], error.to_string()))?;
        let Value::String(name) = name else {
            let trouble = Trouble::at(&["params"], "each parameter needs a name");
            return Err(trouble.hint("write params = { counters = { default = 3, … } }"));
        };
        params.push(param::read(&name.to_string_lossy(), &value)?);
    }
    params.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(params)
}

/// A key's value, with metatables out of the game.
fn get(table: &Table, key: &str) -> Value {
    table.raw_get(key).unwrap_or_default()
}

fn required_text(table: &Table, key: &str) -> Result<String, Trouble> {
    match get(table, key) {
        Value::String(text) => Ok(text.to_string_lossy()),
        Value::Nil => {
            Err(Trouble::at(&[key], format!("the manifest has no `{key}`")).hint(format!("add {key} = \"…\"")))
        }
        other => Err(wrong_type(&[key], "a text", &other)),
    }
}

fn wrong_type(path: &[&str], wanted: &str, got: &Value) -> Trouble {
    let (key, got) = (path.join("."), host::describe(got));
    Trouble::at(path, format!("`{key}` must be {wanted}, and is {got}"))
}

fn texts(list: &Table, path: &[&str]) -> Result<Vec<String>, Trouble> {
    list.sequence_values::<Value>()
        .map(|value| match value {
            Ok(Value::String(text)) => Ok(text.to_string_lossy()),
            Ok(other) => Err(wrong_type(path, "a list of texts", &other)),
            Err(error) => Err(Trouble::at(path, error.to_string())),
        })
        .collect()
}

/// Refuses a key that means nothing, for it is most likely a slip in one that means something.
fn check_keys(table: &Table, path: &[&str], known: &[&str]) -> Result<(), Trouble> {
    for pair in table.pairs::<Value, Value>() {
        let (key, _) = pair.map_err(|error| Trouble::at(path, error.to_string()))?;
        let key = match key {
            Value::String(key) => key.to_string_lossy(),
            other => {
                return Err(Trouble::at(path, format!("{} is not a key that is known here", host::describe(&other))));
            }
        };
        if !known.contains(&key.as_str()) {
            let advice = match nearest(&key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            let path: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
            return Err(Trouble::at(&path, format!("unknown key `{key}`")).hint(advice));
        }
    }
    Ok(())
}
