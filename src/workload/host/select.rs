//! `select` returns the first result and drops the other branches; `as_completed` returns all results in the order in
//! which they become ready. `shield` protects a task from cancellation.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use mlua::{AnyUserData, Function, Lua, MetaMethod, MultiValue, Table, UserData, UserDataMethods, Value};

use super::awaitable::{StartFn, ensure_task, make_awaitable, prepare_branch};
use super::errors::fault_from_error;
use super::gather::collect_tasks;
use super::key_order::sorted_keys;
use super::lock::lock;
use super::script_host::ScriptHost;
use super::task_handle::ScriptTask;
use crate::trace::AwaitKind;
use crate::workload::fault::ScriptFault;

pub(super) fn install(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<()> {
    // Lua's own `select` stays available: a table as the first argument means the workload function.
    let lua_select: Function = lua.globals().get("select")?;
    host_function!(lua, host, "select", move |lua: &Lua,
                                              host: &Arc<ScriptHost>,
                                              source: &Arc<str>,
                                              arguments: MultiValue| {
        match arguments.front() {
            Some(Value::Table(branches)) => {
                let chosen = select(lua, host, source, branches)?;
                Ok(MultiValue::from_iter([Value::UserData(chosen)]))
            }
            _ => lua_select.call(arguments).map_err(|error| host.usage_error(lua, fault_from_error(host, &error))),
        }
    });
    host_function!(lua, host, "as_completed", |lua: &Lua,
                                               host: &Arc<ScriptHost>,
                                               source: &Arc<str>,
                                               arguments: MultiValue| {
        let tasks = collect_tasks(lua, host, arguments, source)?;
        let pending = tasks.into_iter().enumerate().collect();
        Ok(ScriptAsCompleted {
            host: Arc::clone(host),
            pending: Arc::new(Mutex::new(pending)),
            source: Arc::clone(source),
        })
    });
    host_function!(lua, host, "shield", |lua: &Lua, host: &Arc<ScriptHost>, source: &Arc<str>, value: Value| {
        let task = ensure_task(lua, host, &value, None, source)?;
        // Dropping this future does not cancel the task.
        let start: StartFn = Box::new(move |_, line| Box::pin(task.result(line)));
        make_awaitable(lua, host, AwaitKind::Task, source, start)
    });
    Ok(())
}

/// Polls the branches from a start index that depends on the seed, as tokio's `select!` starts at a random branch. With
/// `biased = true` it polls them in order.
fn select(lua: &Lua, host: &Arc<ScriptHost>, source: &Arc<str>, table: &Table) -> mlua::Result<AnyUserData> {
    host.loop_handle(lua, source)?;
    let mut biased = false;
    let mut branches = Vec::new();
    for key in sorted_keys(lua, host, &Value::Table(table.clone()), source)?.sequence_values::<Value>() {
        let key = key?;
        let value: Value = table.raw_get(key.clone())?;
        if key.as_string().is_some_and(|key| key == "biased") {
            biased = value == Value::Boolean(true);
        } else {
            branches.push((key, prepare_branch(lua, host, &value, source)?.start));
        }
    }
    if branches.is_empty() {
        let fault = ScriptFault::new("select needs something to choose from").token("select");
        return Err(host.usage_error(lua, fault.hint("write select{ a(), sleep(1) }")));
    }
    let random_host = Arc::clone(host);
    let start: StartFn = Box::new(move |loop_handle, line| {
        let loop_handle = loop_handle.clone();
        Box::pin(async move {
            // Started inside the select's own await, so that the trace nests each branch in it.
            let mut running: Vec<_> =
                branches.into_iter().map(|(key, start)| (key, start(&loop_handle, line))).collect();
            let (chosen, result) = poll_fn(|context| {
                let count = running.len();
                let first = if biased {
                    0
                } else {
                    lock(&random_host.select_random).next_in_range(0, count as i64 - 1) as usize
                };
                for index in (0..count).map(|step| (first + step) % count) {
                    if let Poll::Ready(result) = running[index].1.as_mut().poll(context) {
                        return Poll::Ready((index, result));
                    }
                }
                Poll::Pending
            })
            .await;
            let key = running[chosen].0.clone();
            drop(running);
            let mut values = result?;
            values.push_front(key);
            Ok(values)
        })
    });
    make_awaitable(lua, host, AwaitKind::Task, source, start)
}

/// Yields tasks in the order in which they end. Tasks that are not taken keep running.
struct ScriptAsCompleted {
    host: Arc<ScriptHost>,
    pending: Arc<Mutex<Vec<(usize, ScriptTask)>>>,
    source: Arc<str>,
}

impl UserData for ScriptAsCompleted {
    lua_type_name!("AsCompleted");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // Returns the position of the next task in the argument list and its result; nil after the last.
        methods.add_method("next", |lua, this, ()| {
            let pending = Arc::clone(&this.pending);
            let start: StartFn = Box::new(move |_, line| {
                Box::pin(async move {
                    let Some((index, task)) = poll_fn(|context| poll_first_ended(&pending, context)).await else {
                        return Ok(MultiValue::from_iter([Value::Nil]));
                    };
                    let mut values = task.result(line).await?;
                    values.push_front(Value::Integer(index as i64 + 1));
                    Ok(values)
                })
            });
            make_awaitable(lua, &this.host, AwaitKind::Task, &this.source, start)
        });
        methods.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("as_completed"));
    }
}

fn poll_first_ended(
    pending: &Mutex<Vec<(usize, ScriptTask)>>,
    context: &mut std::task::Context<'_>,
) -> Poll<Option<(usize, ScriptTask)>> {
    let mut pending = lock(pending);
    if pending.is_empty() {
        return Poll::Ready(None);
    }
    let ended = pending.iter().enumerate().filter_map(|(position, (_, task))| match task.poll_ended(context) {
        Poll::Ready(order) => Some((order, position)),
        Poll::Pending => None,
    });
    match ended.min() {
        Some((_, position)) => Poll::Ready(Some(pending.remove(position))),
        None => Poll::Pending,
    }
}
