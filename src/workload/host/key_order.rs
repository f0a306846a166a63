//! The order of a table's keys: Lua's own differs from run to run.

use std::cmp::Ordering;
use std::sync::Arc;

use mlua::{Lua, Table, Value};

use super::script_host::ScriptHost;
use super::task_handle::ScriptTask;
use super::values::describe;
use crate::trace::TaskId;
use crate::workload::fault::ScriptFault;

/// Returns a table's keys in the same order in every run: numbers, texts, booleans, tasks in the order of their creation,
/// and at most one other key.
///
/// # Errors
/// Fails if two keys have no such order. The message names `by`, the function that needs the order.
pub(super) fn sorted_keys(lua: &Lua, host: &Arc<ScriptHost>, value: &Value, by: &str) -> mlua::Result<Table> {
    let Value::Table(table) = value else {
        let fault = ScriptFault::new(format!("{by} needs a table, but got {}", describe(value)));
        return Err(host.usage_error(lua, fault.token(by)));
    };
    let keys = table.pairs::<Value, Value>().map(|pair| pair.map(|(key, _)| (KeyRank::of(&key), key)));
    let mut keys = keys.collect::<mlua::Result<Vec<_>>>()?;
    let mut unordered = keys.iter().filter(|(sort_key, _)| matches!(sort_key, KeyRank::Unordered));
    if let (Some((_, first)), Some((_, second))) = (unordered.next(), unordered.next()) {
        let fault =
            ScriptFault::new(format!("{by} has no order for these keys: {} and {}", describe(first), describe(second)));
        let hint =
            "Lua orders such keys by memory address, which differs from run to run: use numbers or texts as keys";
        return Err(host.usage_error(lua, fault.token(by).hint(hint)));
    }
    keys.sort_by(|(a, _), (b, _)| a.compare(b));
    lua.create_sequence_from(keys.into_iter().map(|(_, key)| key))
}

/// What a key is sorted by.
enum KeyRank {
    Integer(i64),
    Number(f64),
    Text(Vec<u8>),
    Boolean(bool),
    Task(Option<TaskId>),
    Unordered,
}

impl KeyRank {
    fn of(key: &Value) -> Self {
        match key {
            Value::Integer(number) => Self::Integer(*number),
            Value::Number(number) => Self::Number(*number),
            Value::String(text) => Self::Text(text.as_bytes().to_vec()),
            Value::Boolean(yes) => Self::Boolean(*yes),
            Value::UserData(userdata) => match userdata.borrow::<ScriptTask>() {
                Ok(task) => Self::Task(task.id()),
                Err(_) => Self::Unordered,
            },
            _ => Self::Unordered,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Integer(_) | Self::Number(_) => 0,
            Self::Text(_) => 1,
            Self::Boolean(_) => 2,
            Self::Task(_) => 3,
            Self::Unordered => 4,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Integer(a), Self::Number(b)) => compare_mixed(*a, *b),
            (Self::Number(a), Self::Integer(b)) => compare_mixed(*b, *a).reverse(),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Boolean(a), Self::Boolean(b)) => a.cmp(b),
            (Self::Task(a), Self::Task(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// Compares an integer with a float that is no integer, exactly: a float key that equals an integer is that integer.
fn compare_mixed(integer: i64, float: f64) -> Ordering {
    const LIMIT: f64 = (1_u64 << 63) as f64;
    if float >= LIMIT {
        Ordering::Less
    } else if float < -LIMIT {
        Ordering::Greater
    } else {
        integer.cmp(&(float.floor() as i64)).then(Ordering::Less)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixed_numbers_compare_exactly() {
        assert_eq!(compare_mixed(1, 1.5), Ordering::Less);
        assert_eq!(compare_mixed(2, 1.5), Ordering::Greater);
        assert_eq!(compare_mixed(i64::MAX, f64::INFINITY), Ordering::Less);
        assert_eq!(compare_mixed(i64::MIN, f64::NEG_INFINITY), Ordering::Greater);
        assert_eq!(compare_mixed(-1, -1.5), Ordering::Greater);
    }
}
