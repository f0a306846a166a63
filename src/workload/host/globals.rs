//! The global functions of the workload language.

use std::sync::Arc;

use mlua::{Lua, MultiValue, Table, Value};

use super::lock::lock;
use super::script_host::ScriptHost;
use super::values::{describe, to_text};
use super::{
    channel, coroutine, file, gather, generator, select, sync, task_group, task_methods, tcp, time, timeout, udp, wait,
};
use crate::workload::fault::{FaultKind, ScriptFault};

/// Maximum number of bytes of one output line. Longer lines are truncated.
const OUTPUT_LINE_BYTES_MAX: usize = 64 << 10;

const LOG_LEVELS: [&str; 4] = ["debug", "info", "warn", "error"];

/// Defines all global functions of the language.
pub(super) fn install(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<()> {
    install_tasks(lua, host)?;
    time::install(lua, host)?;
    sync::install(lua, host)?;
    channel::install(lua, host)?;
    select::install(lua, host)?;
    tcp::install(lua, host)?;
    udp::install(lua, host)?;
    file::install(lua, host)?;
    generator::install(lua, host)?;
    install_output(lua, host)?;
    install_random(lua, host)?;
    install_failures(lua, host)
}

fn install_tasks(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<()> {
    host_function!(lua, host, "async", |lua: &Lua, host: &Arc<ScriptHost>, _: &Arc<str>, value: Value| {
        coroutine::make_async(lua, host, value)
    });
    host_function!(
        lua,
        host,
        "create_task",
        |lua: &Lua, host: &Arc<ScriptHost>, _: &Arc<str>, (value, options): (Value, Value)| {
            super::awaitable::create_task_with_options(lua, host, &value, &options)
        }
    );
    task_methods::install(lua, host)?;
    host_function!(lua, host, "gather", gather::gather);
    host_function!(lua, host, "wait", wait::wait);
    host_function!(lua, host, "task_group", task_group::task_group);
    host_function!(lua, host, "unconstrained", super::awaitable::unconstrained);
    host_function!(lua, host, "timeout", timeout::timeout);
    Ok(())
}

fn install_output(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<()> {
    host_function!(lua, host, "tostring", |lua: &Lua, _: &Arc<ScriptHost>, _: &Arc<str>, value: Value| to_text(
        lua, &value
    ));
    host_function!(lua, host, "print", |lua: &Lua, host: &Arc<ScriptHost>, _: &Arc<str>, values: MultiValue| {
        let mut line = String::new();
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                line.push('\t');
            }
            line.push_str(&to_text(lua, value)?);
        }
        print_line(lua, host, "print", line)
    });
    host_function!(lua, host, "log", |lua: &Lua,
                                      host: &Arc<ScriptHost>,
                                      _: &Arc<str>,
                                      (level, value): (Value, Value)| {
        let level = to_text(lua, &level)?;
        if !LOG_LEVELS.contains(&level.as_str()) {
            let fault = ScriptFault::new(format!("`{level}` is not a log level")).token("log");
            return Err(host.usage_error(lua, fault.hint(format!("use one of {}", LOG_LEVELS.join(", ")))));
        }
        print_line(lua, host, "log", format!("[{level}] {}", to_text(lua, &value)?))
    });
    Ok(())
}

/// Reports one output line, truncated to [`OUTPUT_LINE_BYTES_MAX`].
fn print_line(lua: &Lua, host: &ScriptHost, by: &str, mut line: String) -> mlua::Result<()> {
    if line.len() > OUTPUT_LINE_BYTES_MAX {
        let cut = (0..=OUTPUT_LINE_BYTES_MAX).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        line.truncate(cut);
        line.push('…');
    }
    host.record_line(host.caller_line(lua));
    host.loop_handle(lua, by)?.print(&line);
    Ok(())
}

fn install_random(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<()> {
    host_function!(lua, host, "random", random);
    let math: Table = lua.globals().get("math")?;
    math.set("random", lua.globals().get::<Value>("random")?)?;
    // The run's seed must not be changed, so that equal commands give identical runs.
    math.set("randomseed", Value::Nil)
}

/// `random()` returns a number from 0 (inclusive) to 1 (exclusive), `random(n)` a whole number from 1 to n, and
/// `random(a, b)` a whole number from a to b.
fn random(lua: &Lua, host: &Arc<ScriptHost>, _: &Arc<str>, (a, b): (Value, Value)) -> mlua::Result<Value> {
    // There is no seed while the script is loaded, and the manifest must not depend on one.
    host.loop_handle(lua, "random")?;
    let whole_number = |value: Value| match value {
        Value::Nil => Ok(None),
        Value::Integer(number) => Ok(Some(number)),
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => Ok(Some(number as i64)),
        other => {
            let fault = ScriptFault::new(format!("random needs whole numbers, but got {}", describe(&other)));
            Err(host.usage_error(lua, fault.token("random").hint("write random(), random(6) or random(1, 6)")))
        }
    };
    let (low, high) = match (whole_number(a)?, whole_number(b)?) {
        (None, _) => return Ok(Value::Number(lock(&host.random).next_fraction())),
        (Some(high), None) => (1, high),
        (Some(low), Some(high)) => (low, high),
    };
    if low > high {
        let fault = ScriptFault::new(format!("random needs the lower bound first, but got {low} to {high}"));
        return Err(host.usage_error(lua, fault.token("random")));
    }
    Ok(Value::Integer(lock(&host.random).next_in_range(low, high)))
}

fn install_failures(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<()> {
    host_function!(lua, host, "fail", |lua: &Lua,
                                       host: &Arc<ScriptHost>,
                                       _: &Arc<str>,
                                       value: Value|
     -> mlua::Result<()> {
        Err(host.usage_error(lua, ScriptFault::new(to_text(lua, &value)?).token("fail")))
    });
    host_function!(lua, host, "panic", |lua: &Lua,
                                        host: &Arc<ScriptHost>,
                                        _: &Arc<str>,
                                        value: Value|
     -> mlua::Result<()> {
        Err(host.usage_error(lua, ScriptFault::new(to_text(lua, &value)?).kind(FaultKind::Panic)))
    });
    Ok(())
}
