//! Reads one parameter from the manifest: its type, its bounds and its default.

use std::time::Duration;

use mlua::{Table, Value};

use super::{ManifestError, check_keys, raw_value, string_list, wrong_type_error};
use crate::control::duration::{self, DURATION_MAX};
use crate::workload::closest_match::closest_match;
use crate::workload::host::values::{describe, number_of};
use crate::workload::manifest::{Param, ParamKind, ParamValue};

const PARAM_KEYS: [&str; 7] = ["default", "min", "max", "help", "type", "choices", "max_chars"];

const PARAM_TYPES: [&str; 5] = ["number", "duration", "boolean", "choice", "text"];

/// Default for `max_chars`.
const TEXT_CHARS_MAX: usize = 1_000;

/// Default upper bound of a number: 2^53, up to which whole numbers are exact in a double.
const NUMBER_MAX: f64 = 9_007_199_254_740_992.0;

pub(super) fn read_param(name: &str, value: &Value) -> Result<Param, ManifestError> {
    let path = ["params", name];
    let Value::Table(table) = value else {
        let got = describe(value);
        let error = ManifestError::at(&path, format!("parameter `{name}` must be a table, but is {got}"));
        return Err(error.hint(format!("write {name} = {{ default = …, help = \"…\" }}")));
    };
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty();
    if !plain {
        let message = format!("`{name}` is not a valid parameter name: use letters, digits and `_`");
        return Err(ManifestError::at(&path, message));
    }
    check_keys(table, &path, &PARAM_KEYS)?;
    let help = match raw_value(table, "help") {
        Value::Nil => String::new(),
        Value::String(help) => help.to_string_lossy(),
        other => return Err(wrong_type_error(&["params", name, "help"], "a string", &other)),
    };
    let (kind, default) = read_kind(name, table)?;
    let param = Param { name: name.to_owned(), help, kind, default };
    param.check(&param.default).map_err(|reason| {
        ManifestError::at(&["params", name, "default"], format!("the default of `{name}` is invalid: {reason}"))
    })?;
    Ok(param)
}

fn read_kind(name: &str, table: &Table) -> Result<(ParamKind, ParamValue), ManifestError> {
    let default = raw_value(table, "default");
    let refuse = |wanted: &str| Err(wrong_type_error(&["params", name, "default"], wanted, &default));
    let kind = read_type_name(name, table, &default)?;
    let applicable: &[&str] = match kind.as_str() {
        "number" | "duration" => &["min", "max"],
        "choice" => &["choices"],
        "text" => &["max_chars"],
        _ => &[],
    };
    for key in ["min", "max", "choices", "max_chars"] {
        if !applicable.contains(&key) && !raw_value(table, key).is_nil() {
            return Err(ManifestError::at(&["params", name, key], format!("`{key}` does not apply to a {kind}")));
        }
    }
    Ok(match kind.as_str() {
        "number" => {
            let Some(number) = number_of(&default) else { return refuse("a number") };
            let min = read_bound(name, table, "min")?.unwrap_or(if number < 0.0 { -NUMBER_MAX } else { 0.0 });
            let max = read_bound(name, table, "max")?.unwrap_or(NUMBER_MAX);
            let whole = [number, min, max].iter().all(|number| number.fract() == 0.0);
            check_order(name, min <= max)?;
            (ParamKind::Number { min, max, whole }, ParamValue::Number(number))
        }
        "duration" => {
            let Some(duration) = read_duration(name, "default", &default)? else { return refuse("a duration") };
            let min = read_duration(name, "min", &raw_value(table, "min"))?.unwrap_or(Duration::ZERO);
            let max = read_duration(name, "max", &raw_value(table, "max"))?.unwrap_or(DURATION_MAX);
            check_order(name, min <= max)?;
            (ParamKind::Duration { min, max }, ParamValue::Duration(duration))
        }
        "boolean" => match default {
            Value::Boolean(yes) => (ParamKind::Boolean, ParamValue::Boolean(yes)),
            _ => return refuse("true or false"),
        },
        "choice" => {
            let Value::String(text) = &default else { return refuse("one of its choices") };
            let path = ["params", name, "choices"];
            let choices = match raw_value(table, "choices") {
                Value::Table(list) => string_list(&list, &path)?,
                other => return Err(wrong_type_error(&path, "a list of strings", &other)),
            };
            (ParamKind::Choice(choices), ParamValue::Text(text.to_string_lossy()))
        }
        _ => {
            let Value::String(text) = &default else { return refuse("a string") };
            let max_chars = read_bound(name, table, "max_chars")?.map_or(TEXT_CHARS_MAX, |chars| chars as usize);
            (ParamKind::Text { max_chars }, ParamValue::Text(text.to_string_lossy()))
        }
    })
}

/// Returns the declared type, or the type of the default if none is declared.
fn read_type_name(name: &str, table: &Table, default: &Value) -> Result<String, ManifestError> {
    let path = ["params", name, "type"];
    match raw_value(table, "type") {
        Value::String(given) => {
            let given = given.to_string_lossy();
            if PARAM_TYPES.contains(&given.as_str()) {
                return Ok(given);
            }
            let advice =
                closest_match(&given, PARAM_TYPES).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            Err(ManifestError::at(
                &path,
                format!("`{given}` is not a type; help: use one of {}{advice}", PARAM_TYPES.join(", ")),
            ))
        }
        Value::Nil => Ok(match default {
            Value::Integer(_) | Value::Number(_) => "number",
            Value::Boolean(_) => "boolean",
            Value::String(_) if !raw_value(table, "choices").is_nil() => "choice",
            // "55s" is clearly a duration; "55" is ambiguous and stays text.
            Value::String(text) => {
                let text = text.to_string_lossy();
                let duration = text.parse::<f64>().is_err() && duration::parse(&text).is_ok();
                if duration { "duration" } else { "text" }
            }
            Value::Nil => {
                let error = ManifestError::at(&["params", name], format!("parameter `{name}` has no default"));
                return Err(error.hint("add default = …"));
            }
            other => {
                return Err(wrong_type_error(&["params", name, "default"], "a number, a string, true or false", other));
            }
        }
        .to_owned()),
        other => Err(wrong_type_error(&path, "the name of a type", &other)),
    }
}

fn read_bound(name: &str, table: &Table, key: &str) -> Result<Option<f64>, ManifestError> {
    match raw_value(table, key) {
        Value::Nil => Ok(None),
        value => match number_of(&value).filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(wrong_type_error(&["params", name, key], "a number", &value)),
        },
    }
}

fn read_duration(name: &str, key: &str, value: &Value) -> Result<Option<Duration>, ManifestError> {
    let read = match value {
        Value::Nil => return Ok(None),
        Value::String(text) => duration::parse(&text.to_string_lossy()),
        value => match number_of(value) {
            Some(seconds) => duration::from_seconds(seconds),
            None => return Err(wrong_type_error(&["params", name, key], "a duration", value)),
        },
    };
    read.map(Some).map_err(|reason| ManifestError::at(&["params", name, key], reason))
}

fn check_order(name: &str, in_order: bool) -> Result<(), ManifestError> {
    if in_order {
        return Ok(());
    }
    Err(ManifestError::at(&["params", name, "min"], format!("the min of `{name}` is above its max")))
}
