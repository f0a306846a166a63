//! `table.sort` as a stable merge sort. Lua's own picks its pivots by the machine's clock once a table sorts slowly, so
//! the order of equal elements could differ from run to run.

use std::cmp::Ordering;
use std::sync::Arc;

use mlua::{Function, Lua, Table, Value};

use super::errors::fault_from_error;
use super::script_host::ScriptHost;
use super::values::describe;
use crate::workload::fault::ScriptFault;

/// Defines `table.sort`. `less` compares two values as the operator `<` does.
pub(super) fn install(lua: &Lua, host: &Arc<ScriptHost>, less: Function) -> mlua::Result<()> {
    let host = Arc::clone(host);
    let sort = lua.create_function(move |lua, (list, comparator): (Value, Value)| {
        let refuse = |what: &str, got: &Value| {
            let fault = ScriptFault::new(format!("sort needs {what}, but got {}", describe(got)));
            host.usage_error(lua, fault.token("sort"))
        };
        let Value::Table(list) = &list else { return Err(refuse("a table", &list)) };
        let comparator = match comparator {
            Value::Nil => None,
            Value::Function(comparator) => Some(comparator),
            other => return Err(refuse("a function that compares", &other)),
        };
        let is_less = |a: &Value, b: &Value| match (&comparator, compare_plain(a, b)) {
            (Some(comparator), _) => {
                let answer: Value = comparator.call((a, b))?;
                Ok(!matches!(answer, Value::Nil | Value::Boolean(false)))
            }
            (None, Some(order)) => Ok(order == Ordering::Less),
            (None, None) => less.call::<bool>((a, b)).map_err(|error| {
                let mut fault = fault_from_error(&host, &error);
                // The position is that of the operator in the prelude.
                if let Some((_, text)) = fault.message.split_once(": ").filter(|_| fault.line.is_none()) {
                    fault = ScriptFault::new(text);
                }
                host.usage_error(lua, fault)
            }),
        };
        sort(list, &is_less)
    })?;
    lua.globals().get::<Table>("table")?.set("sort", sort)
}

/// Compares numbers and strings; returns `None` for other values and for a NaN.
fn compare_plain(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => a.partial_cmp(b),
        (Value::String(a), Value::String(b)) => Some(a.as_bytes().as_ref().cmp(b.as_bytes().as_ref())),
        _ => None,
    }
}

/// Sorts a list in place, by merging runs of doubling length.
fn sort(list: &Table, is_less: &impl Fn(&Value, &Value) -> mlua::Result<bool>) -> mlua::Result<()> {
    let mut values = (1..=list.raw_len()).map(|index| list.raw_get(index)).collect::<mlua::Result<Vec<Value>>>()?;
    let mut length = 1;
    while length < values.len() {
        let mut merged = Vec::with_capacity(values.len());
        for pair in values.chunks(2 * length) {
            let (mut left, mut right) = pair.split_at(length.min(pair.len()));
            while let (Some(first), Some(second)) = (left.first(), right.first()) {
                let (from, value) = if is_less(second, first)? { (&mut right, second) } else { (&mut left, first) };
                merged.push(value.clone());
                *from = &from[1..];
            }
            merged.extend(left.iter().chain(right).cloned());
        }
        values = merged;
        length *= 2;
    }
    values.into_iter().enumerate().try_for_each(|(index, value)| list.raw_set(index + 1, value))
}
