//! The words of the language: every function that a script finds in its globals.

use std::cmp::Ordering;
use std::sync::Arc;

use mlua::{Error, Lua, MultiValue, Table, Value};

use super::awaitable::{Start, awaitable};
use super::{Host, channel, choice, coroutine, file, gather, generator, group, locked, net, sync, task, time, udp};
use crate::trace::AwaitKind;
use crate::workload::fault::{Fault, Weight};

/// The words of the language, with those of Lua that a script may use; a misspelled name is compared with them.
pub const NAMES: &[&str] = &[
    "append_file",
    "as_completed",
    "async",
    "async_generator",
    "await",
    "barrier",
    "block",
    "broadcast",
    "channel",
    "clock",
    "create_task",
    "each",
    "error",
    "event",
    "fail",
    "gather",
    "interval",
    "ipairs",
    "log",
    "math",
    "mutex",
    "next",
    "notify",
    "now",
    "oneshot",
    "open_file",
    "pairs",
    "panic",
    "pcall",
    "print",
    "random",
    "read_file",
    "rwlock",
    "select",
    "semaphore",
    "setmetatable",
    "shield",
    "sleep",
    "sleep_until",
    "spawn_blocking",
    "string",
    "table",
    "task_group",
    "tcp_connect",
    "tcp_listen",
    "timeout",
    "tonumber",
    "tostring",
    "type",
    "udp",
    "unconstrained",
    "utf8",
    "watch",
    "work",
    "write_file",
    "xpcall",
    "yield_now",
];

/// Bytes of one line of output; the rest is cut.
const OUTPUT_BYTES_MAX: usize = 64 << 10;

const LEVELS: [&str; 4] = ["debug", "info", "warn", "error"];

pub(super) fn install(lua: &Lua, host: &Arc<Host>) -> mlua::Result<()> {
    install_tasks(lua, host)?;
    time::install(lua, host)?;
    sync::install(lua, host)?;
    channel::install(lua, host)?;
    choice::install(lua, host)?;
    net::install(lua, host)?;
    udp::install(lua, host)?;
    file::install(lua, host)?;
    generator::install(lua, host)?;
    install_output(lua, host)?;
    install_chance(lua, host)?;
    install_failures(lua, host)
}

fn install_tasks(lua: &Lua, host: &Arc<Host>) -> mlua::Result<()> {
    word!(lua, host, "async", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, value: Value| {
        coroutine::make_async(lua, host, value)
    });
    word!(lua, host, "create_task", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, (value, options): (Value, Value)| {
        let name = task_name(lua, host, &options)?;
        task::create(lua, host, &value, name, "create_task")
    });
    word!(lua, host, "gather", gather::gather);
    word!(lua, host, "task_group", group::task_group);
    word!(lua, host, "unconstrained", super::awaitable::unconstrained);
    word!(lua, host, "yield_now", |lua: &Lua, host: &Arc<Host>, source: &Arc<str>, ()| {
        let start: Start = Box::new(|_, _| {
            Box::pin(async {
                tokio::task::yield_now().await;
                Ok(MultiValue::new())
            })
        });
        awaitable(lua, host, AwaitKind::Yield, source, start)
    });
    Ok(())
}

pub(super) fn task_name(lua: &Lua, host: &Host, options: &Value) -> mlua::Result<Option<String>> {
    let refuse = |got: String| {
        let fault = Fault::new(format!("create_task takes {{name = \"…\"}} beside the coroutine, and got {got}"));
        host.misuse(lua, fault.token("create_task"))
    };
    match options {
        Value::Nil => Ok(None),
        Value::Table(table) => match table.get::<Value>("name")? {
            Value::Nil => Ok(None),
            Value::String(name) => Ok(Some(name.to_string_lossy())),
            other => Err(refuse(format!("name = {}", describe(&other)))),
        },
        other => Err(refuse(describe(other))),
    }
}

fn install_output(lua: &Lua, host: &Arc<Host>) -> mlua::Result<()> {
    word!(lua, host, "tostring", |lua: &Lua, _: &Arc<Host>, _: &Arc<str>, value: Value| show(lua, &value));
    word!(lua, host, "print", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, values: MultiValue| {
        let mut line = String::new();
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                line.push('\t');
            }
            line.push_str(&show(lua, value)?);
        }
        print(lua, host, "print", line)
    });
    word!(lua, host, "log", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, (level, value): (Value, Value)| {
        let level = show(lua, &level)?;
        if !LEVELS.contains(&level.as_str()) {
            let fault = Fault::new(format!("`{level}` is not a level")).token("log");
            return Err(host.misuse(lua, fault.hint(format!("give one of {}", LEVELS.join(", ")))));
        }
        print(lua, host, "log", format!("[{level}] {}", show(lua, &value)?))
    });
    Ok(())
}

fn print(lua: &Lua, host: &Host, by: &str, mut line: String) -> mlua::Result<()> {
    if line.len() > OUTPUT_BYTES_MAX {
        let cut = (0..=OUTPUT_BYTES_MAX).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        line.truncate(cut);
        line.push('…');
    }
    host.saw(host.caller_line(lua));
    host.world(lua, by)?.print(&line);
    Ok(())
}

fn install_chance(lua: &Lua, host: &Arc<Host>) -> mlua::Result<()> {
    word!(lua, host, "random", random);
    let math: Table = lua.globals().get("math")?;
    math.set("random", lua.globals().get::<Value>("random")?)?;
    // The seed is the run's own, so that the same command gives the same run.
    math.set("randomseed", Value::Nil)
}

/// `random()` from 0 up to 1, `random(n)` from 1 to n, `random(a, b)` from a to b.
fn random(lua: &Lua, host: &Arc<Host>, _: &Arc<str>, (a, b): (Value, Value)) -> mlua::Result<Value> {
    // While the script is read there is no seed yet, and what it builds must not depend on one.
    host.world(lua, "random")?;
    let whole = |value: Value| match value {
        Value::Nil => Ok(None),
        Value::Integer(number) => Ok(Some(number)),
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => Ok(Some(number as i64)),
        other => {
            let fault = Fault::new(format!("random needs whole numbers, and got {}", describe(&other)));
            Err(host.misuse(lua, fault.token("random").hint("write random(), random(6) or random(1, 6)")))
        }
    };
    let (low, high) = match (whole(a)?, whole(b)?) {
        (None, _) => return Ok(Value::Number(locked(&host.random).fraction())),
        (Some(high), None) => (1, high),
        (Some(low), Some(high)) => (low, high),
    };
    if low > high {
        let fault = Fault::new(format!("random needs its bounds in order, and got {low} to {high}"));
        return Err(host.misuse(lua, fault.token("random")));
    }
    Ok(Value::Integer(locked(&host.random).between(low, high)))
}

fn install_failures(lua: &Lua, host: &Arc<Host>) -> mlua::Result<()> {
    word!(lua, host, "fail", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, value: Value| -> mlua::Result<()> {
        Err(host.misuse(lua, Fault::new(show(lua, &value)?).token("fail")))
    });
    word!(lua, host, "panic", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, value: Value| -> mlua::Result<()> {
        Err(host.misuse(lua, Fault::new(show(lua, &value)?).weight(Weight::Panic)))
    });
    Ok(())
}

/// A value as text. Addresses are left out: they change from run to run, and a virtual run must not.
fn show(lua: &Lua, value: &Value) -> mlua::Result<String> {
    let bare = match value {
        Value::String(text) => return Ok(text.to_string_lossy()),
        // Lua's own way with fractions: 2.0, and 0.3 for 0.1 + 0.2.
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

/// A value in an error: `nil`, `the number 5`, `a table`.
pub(in crate::workload) fn describe(value: &Value) -> String {
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Boolean(yes) => yes.to_string(),
        Value::Integer(number) => format!("the number {number}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text {:?}", text.to_string_lossy().chars().take(40).collect::<String>()),
        Value::UserData(_) => value.to_string().map_or_else(
            |_| "an awaitable".to_owned(),
            |text| if text.contains(": 0x") { "an awaitable".to_owned() } else { format!("the {text}") },
        ),
        other => format!("a {}", other.type_name()),
    }
}

/// A table's keys in an order that is the same in every run: numbers, then texts, then the rest.
pub(super) fn sorted_keys(lua: &Lua, value: Value) -> mlua::Result<Table> {
    let Value::Table(table) = value else {
        return Err(Error::runtime(format!("pairs needs a table, and got {}", describe(&value))));
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
            _ => rank(a).cmp(&rank(b)),
        },
    }
}

/// The number that a value is, whole or not.
pub(in crate::workload) fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

fn rank(key: &Value) -> u8 {
    match key {
        Value::Integer(_) | Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Boolean(_) => 2,
        _ => 3,
    }
}
