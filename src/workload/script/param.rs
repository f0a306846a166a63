//! Reads one parameter: its type where it is not plain from the default, its bounds, and whether the default is in them.

use std::time::Duration;

use mlua::{Table, Value};

use super::{Trouble, check_keys, get, texts, wrong_type};
use crate::workload::duration::{self, DURATION_MAX};
use crate::workload::host::{describe, number_of};
use crate::workload::manifest::{Param, ParamKind, ParamValue};
use crate::workload::params::nearest;

const KEYS: [&str; 7] = ["default", "min", "max", "help", "type", "choices", "max_chars"];

const TYPES: [&str; 5] = ["number", "duration", "boolean", "choice", "text"];

/// Characters of a text where the script names no limit.
const TEXT_CHARS_MAX: usize = 1_000;

/// Whole numbers stay exact in a double up to here, 2^53; it is the bound where the script names none.
const NUMBER_MAX: f64 = 9_007_199_254_740_992.0;

pub(super) fn read(name: &str, value: &Value) -> Result<Param, Trouble> {
    let path = ["params", name];
    let Value::Table(table) = value else {
        let got = describe(value);
        let trouble = Trouble::at(&path, format!("parameter `{name}` must be a table, and is {got}"));
        return Err(trouble.hint(format!("write {name} = {{ default = …, help = \"…\" }}")));
    };
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty();
    if !plain {
        let message = format!("`{name}` is no name for a parameter: use letters, digits and `_`");
        return Err(Trouble::at(&path, message));
    }
    check_keys(table, &path, &KEYS)?;
    let help = match get(table, "help") {
        Value::Nil => String::new(),
        Value::String(help) => help.to_string_lossy(),
        other => return Err(wrong_type(&["params", name, "help"], "a text", &other)),
    };
    let (kind, default) = kind(name, table)?;
    let param = Param { name: name.to_owned(), help, kind, default };
    param.check(&param.default).map_err(|reason| {
        Trouble::at(
            &["params", name, "default"],
            format!("the default of `{name}` is refused by its own bounds: {reason}"),
        )
    })?;
    Ok(param)
}

fn kind(name: &str, table: &Table) -> Result<(ParamKind, ParamValue), Trouble> {
    let default = get(table, "default");
    let refuse = |wanted: &str| Err(wrong_type(&["params", name, "default"], wanted, &default));
    let kind = type_name(name, table, &default)?;
    let applicable: &[&str] = match kind.as_str() {
        "number" | "duration" => &["min", "max"],
        "choice" => &["choices"],
        "text" => &["max_chars"],
        _ => &[],
    };
    for key in ["min", "max", "choices", "max_chars"] {
        if !applicable.contains(&key) && !get(table, key).is_nil() {
            return Err(Trouble::at(&["params", name, key], format!("`{key}` means nothing for a {kind}")));
        }
    }
    Ok(match kind.as_str() {
        "number" => {
            let Some(number) = number_of(&default) else { return refuse("a number") };
            let min = bound(name, table, "min")?.unwrap_or(if number < 0.0 { -NUMBER_MAX } else { 0.0 });
            let max = bound(name, table, "max")?.unwrap_or(NUMBER_MAX);
            let whole = [number, min, max].iter().all(|number| number.fract() == 0.0);
            ordered(name, min <= max)?;
            (ParamKind::Number { min, max, whole }, ParamValue::Number(number))
        }
        "duration" => {
            let Some(duration) = duration_of(name, "default", &default)? else { return refuse("a duration") };
            let min = duration_of(name, "min", &get(table, "min"))?.unwrap_or(Duration::ZERO);
            let max = duration_of(name, "max", &get(table, "max"))?.unwrap_or(DURATION_MAX);
            ordered(name, min <= max)?;
            (ParamKind::Duration { min, max }, ParamValue::Duration(duration))
        }
        "boolean" => match default {
            Value::Boolean(yes) => (ParamKind::Boolean, ParamValue::Boolean(yes)),
            _ => return refuse("true or false"),
        },
        "choice" => {
            let Value::String(text) = &default else { return refuse("one of its choices") };
            let path = ["params", name, "choices"];
            let choices = match get(table, "choices") {
                Value::Table(list) => texts(&list, &path)?,
                other => return Err(wrong_type(&path, "a list of texts", &other)),
            };
            (ParamKind::Choice(choices), ParamValue::Text(text.to_string_lossy()))
        }
        _ => {
            let Value::String(text) = &default else { return refuse("a text") };
            let max_chars = bound(name, table, "max_chars")?.map_or(TEXT_CHARS_MAX, |chars| chars as usize);
            (ParamKind::Text { max_chars }, ParamValue::Text(text.to_string_lossy()))
        }
    })
}

/// The type that is named, else the one that the default shows.
fn type_name(name: &str, table: &Table, default: &Value) -> Result<String, Trouble> {
    let path = ["params", name, "type"];
    match get(table, "type") {
        Value::String(given) => {
            let given = given.to_string_lossy();
            if TYPES.contains(&given.as_str()) {
                return Ok(given);
            }
            let advice = nearest(&given, TYPES).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            Err(Trouble::at(&path, format!("`{given}` is not a type: give one of {}{advice}", TYPES.join(", "))))
        }
        Value::Nil => Ok(match default {
            Value::Integer(_) | Value::Number(_) => "number",
            Value::Boolean(_) => "boolean",
            Value::String(_) if !get(table, "choices").is_nil() => "choice",
            // "55s" says duration by itself; "55" could be anything.
            Value::String(text) => {
                let text = text.to_string_lossy();
                let duration = text.parse::<f64>().is_err() && duration::parse(&text).is_ok();
                if duration { "duration" } else { "text" }
            }
            Value::Nil => {
                let trouble = Trouble::at(&["params", name], format!("parameter `{name}` has no default"));
                return Err(trouble.hint("add default = …"));
            }
            other => return Err(wrong_type(&["params", name, "default"], "a number, a text, true or false", other)),
        }
        .to_owned()),
        other => Err(wrong_type(&path, "the name of a type", &other)),
    }
}

fn bound(name: &str, table: &Table, key: &str) -> Result<Option<f64>, Trouble> {
    match get(table, key) {
        Value::Nil => Ok(None),
        value => match number_of(&value).filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(wrong_type(&["params", name, key], "a number", &value)),
        },
    }
}

fn duration_of(name: &str, key: &str, value: &Value) -> Result<Option<Duration>, Trouble> {
    let read = match value {
        Value::Nil => return Ok(None),
        Value::String(text) => duration::parse(&text.to_string_lossy()),
        value => match number_of(value) {
            Some(seconds) => duration::from_seconds(seconds),
            None => return Err(wrong_type(&["params", name, key], "a duration", value)),
        },
    };
    read.map(Some).map_err(|reason| Trouble::at(&["params", name, key], reason))
}

fn ordered(name: &str, in_order: bool) -> Result<(), Trouble> {
    if in_order {
        return Ok(());
    }
    Err(Trouble::at(&["params", name, "min"], format!("the min of `{name}` is above its max")))
}
