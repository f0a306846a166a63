//! Converts the value that main returns to JSON for the report.

use mlua::{Table, Value};
use serde_json::Value as Json;

use super::task_error::TaskErrorValue;
use super::values::results_len;

/// Maximum nesting depth of tables. It stops the conversion of a table that contains itself.
const DEPTH_MAX: usize = 32;

/// Maximum number of values in one result.
const VALUES_MAX: usize = 100_000;

/// Converts a Lua value to JSON.
///
/// `{1, 2}` becomes an array and `{a = 1}` an object; an empty table becomes an empty array. Numbers that JSON cannot
/// represent (infinity, NaN) become text.
///
/// # Errors
/// Returns the reason if the value contains a function, userdata or thread, or exceeds a limit.
pub(in crate::workload) fn to_json(value: &Value) -> Result<Json, String> {
    convert(value, 0, &mut 0)
}

fn convert(value: &Value, depth: usize, values: &mut usize) -> Result<Json, String> {
    *values += 1;
    if *values > VALUES_MAX {
        return Err(format!("it contains more than {VALUES_MAX} values"));
    }
    Ok(match value {
        Value::Nil => Json::Null,
        Value::Boolean(yes) => Json::Bool(*yes),
        Value::Integer(number) => Json::from(*number),
        Value::Number(number) => match serde_json::Number::from_f64(*number) {
            Some(number) => Json::Number(number),
            None => Json::String(number.to_string()),
        },
        Value::String(text) => Json::String(text.to_string_lossy()),
        Value::Table(_) if depth == DEPTH_MAX => {
            return Err(format!("tables are nested more than {DEPTH_MAX} deep; does one contain itself?"));
        }
        Value::Table(table) => convert_table(table, depth + 1, values)?,
        Value::Error(error) => Json::String(error.to_string()),
        Value::UserData(userdata) if userdata.is::<TaskErrorValue>() => {
            let text = userdata.borrow::<TaskErrorValue>().map_err(|error| error.to_string())?;
            Json::String(text.text().to_owned())
        }
        other => return Err(format!("it contains a {}", other.type_name())),
    })
}

fn convert_table(table: &Table, depth: usize, values: &mut usize) -> Result<Json, String> {
    let results = results_len(table);
    let length = results.unwrap_or_else(|| table.raw_len());
    let mut pairs = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let pair = pair.map_err(|error| error.to_string())?;
        if pairs.len() == VALUES_MAX {
            return Err(format!("it contains more than {VALUES_MAX} values"));
        }
        pairs.push(pair);
    }
    let in_sequence = |key: &Value| matches!(key, Value::Integer(index) if (1..=length as i64).contains(index));
    if (pairs.len() == length || results.is_some()) && pairs.iter().all(|(key, _)| in_sequence(key)) {
        let items = (1..=length).map(|index| {
            let item = table.raw_get::<Value>(index).map_err(|error| error.to_string())?;
            convert(&item, depth, values)
        });
        return Ok(Json::Array(items.collect::<Result<_, String>>()?));
    }
    let mut object = serde_json::Map::new();
    for (key, value) in pairs {
        let key = match key {
            Value::String(text) => text.to_string_lossy(),
            Value::Integer(number) => number.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Boolean(yes) => yes.to_string(),
            other => return Err(format!("it contains a {} as a key", other.type_name())),
        };
        object.insert(key, convert(&value, depth, values)?);
    }
    Ok(Json::Object(object))
}

#[cfg(test)]
mod tests {
    use mlua::Lua;

    use super::*;

    fn json(expression: &str) -> Result<String, String> {
        let lua = Lua::new();
        let value: Value = lua.load(expression).eval().expect("a valid expression");
        to_json(&value).map(|json| json.to_string())
    }

    #[test]
    fn tables_become_arrays_or_objects() {
        for (expression, expected) in [
            ("{{1, 2, 3}, {0, 5, 10}}", "[[1,2,3],[0,5,10]]"),
            ("{}", "[]"),
            ("{a = {}, b = 1.5}", r#"{"a":[],"b":1.5}"#),
            ("{1, nil, 3, x = true}", r#"{"1":1,"3":3,"x":true}"#),
            ("1/0", r#""inf""#),
            ("nil", "null"),
            ("'\\xff'", "\"\u{fffd}\""),
        ] {
            assert_eq!(json(expression).as_deref(), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn rejects_values_that_json_cannot_represent() {
        assert_eq!(json("{f = print}"), Err("it contains a function".to_owned()));
        assert!(json("(function() local t = {} t.t = t return t end)()").unwrap_err().contains("contain itself"));
        assert!(json("(function() local t = {} for i = 1, 200000 do t[i] = i end return t end)()").is_err());
    }
}
