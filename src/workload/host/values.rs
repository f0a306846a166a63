//! Lua values for messages and output: as text, as numbers, and in a deterministic order.

use std::cmp::Ordering;

use mlua::{Error, Lua, Table, Value};

/// Converts a value to text. It omits memory addresses, because they differ from run to run.
pub(super) fn to_text(lua: &Lua, value: &Value) -> mlua::Result<String> {
    let bare = match value {
        Value::String(text) => return Ok(text.to_string_lossy()),
        // Lua's number format: 2.0, and 0.3 for 0.1 + 0.2.
        Value::Number(_) => {
            let text = lua.coerce_string(value.clone())?;
            return Ok(text.map_or_else(String::new, |text| text.to_string_lossy()));
        }
        Value::Table(table) => table.metatable().is_none(),
        Value::Function(_) | Value::Thread(_) => true,
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

/// Returns a table's keys in a deterministic order: numbers, then texts, then the rest.
pub(super) fn sorted_keys(lua: &Lua, value: Value) -> mlua::Result<Table> {
    let Value::Table(table) = value else {
        return Err(Error::runtime(format!("pairs needs a table, but got {}", describe(&value))));
    };
    let keys = table.pairs::<Value, Value>().map(|pair| pair.map(|(key, _)| key));
    let mut keys = keys.collect::<mlua::Result<Vec<_>>>()?;
    keys.sort_by(compare_keys);
    lua.create_sequence_from(keys)
}

fn compare_keys(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.as_bytes().as_ref().cmp(b.as_bytes().as_ref()),
        _ => match (number_of(a), number_of(b)) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => key_rank(a).cmp(&key_rank(b)),
        },
    }
}

/// Returns an integer or float value as a number.
pub(in crate::workload) fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

/// Orders keys of different types.
fn key_rank(key: &Value) -> u8 {
    match key {
        Value::Integer(_) | Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Boolean(_) => 2,
        _ => 3,
    }
}
