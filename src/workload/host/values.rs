//! Lua values for messages and output: as text, as numbers, and as lists of results.

use mlua::{Lua, Table, Value};

/// Converts a value to text. It omits memory addresses, because they differ from run to run.
pub(super) fn to_text(lua: &Lua, value: &Value) -> mlua::Result<String> {
    let bare = match value {
        Value::String(text) => return Ok(text.to_string_lossy()),
        // Lua's number format: 2.0, and 0.3 for 0.1 + 0.2.
        Value::Number(_) => {
            let text = lua.coerce_string(value.clone())?;
            return Ok(text.map_or_else(String::new, |text| text.to_string_lossy()));
        }
        Value::Table(table) => match table.metatable() {
            None => true,
            Some(metatable) if metatable.raw_get::<Value>("__tostring")?.is_nil() => {
                return Ok(match metatable.raw_get::<Value>("__name")? {
                    Value::String(name) => name.to_string_lossy(),
                    _ => value.type_name().to_owned(),
                });
            }
            Some(_) => false,
        },
        Value::Function(_) | Value::Thread(_) | Value::LightUserData(_) => true,
        _ => false,
    };
    if bare { Ok(value.type_name().to_owned()) } else { value.to_string() }
}

/// Describes a value for an error message: `nil`, `the number 5`, `a table`.
pub(in crate::workload) fn describe(value: &Value) -> String {
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Boolean(yes) => yes.to_string(),
        Value::Integer(number) => format!("the number {number}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string {:?}", text.to_string_lossy().chars().take(40).collect::<String>()),
        Value::UserData(_) => value.to_string().map_or_else(
            |_| "an awaitable".to_owned(),
            |text| if text.contains(": 0x") { "an awaitable".to_owned() } else { format!("the {text}") },
        ),
        other => format!("a {}", other.type_name()),
    }
}

/// The name of the metatable of a list of results, under `__name`.
const RESULTS_NAME: &str = "results";

/// Creates a list of results. Its field `n` is their number, because a result can be nil.
pub(super) fn make_results(lua: &Lua, values: Vec<Value>) -> mlua::Result<Table> {
    let metatable = lua.create_table()?;
    metatable.raw_set("n", values.len())?;
    metatable.raw_set("__name", RESULTS_NAME)?;
    metatable.raw_set("__index", &metatable)?;
    let results = lua.create_sequence_from(values)?;
    results.set_metatable(Some(metatable))?;
    Ok(results)
}

/// Returns the number of results in a list that [`make_results`] created.
pub(super) fn results_len(table: &Table) -> Option<usize> {
    let metatable = table.metatable()?;
    let name = metatable.raw_get::<Value>("__name").ok()?;
    if name.as_string().is_some_and(|name| name == RESULTS_NAME) { metatable.raw_get("n").ok() } else { None }
}

/// Returns an integer or float value as a number.
pub(in crate::workload) fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        _ => None,
    }
}
