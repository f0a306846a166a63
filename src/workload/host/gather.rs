//! `gather(…)`: runs several awaitables concurrently and returns their results in argument order.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt;
use futures_util::future::{join_all, try_join_all};
use mlua::{AnyUserData, Error, IntoLua, Lua, MultiValue, Table, Value};

use super::awaitable::{StartFn, ensure_task, make_forwarding_awaitable};
use super::body::CancelRequest;
use super::script_host::ScriptHost;
use super::task_error::TaskErrorValue;
use super::task_handle::{CancelOnDrop, ScriptTask, ScriptTaskOutcome};
use super::values::make_results;
use crate::trace::AwaitKind;
use crate::workload::script_source::ScriptSource;

/// Turns each argument into a task immediately, as asyncio does, and waits for all tasks.
///
/// The first failure is raised, and the other tasks keep running. With `return_exceptions = true`, failures are results.
/// A cancel is passed on to all tasks.
pub(super) fn gather(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    source: &Arc<str>,
    mut arguments: MultiValue,
) -> mlua::Result<AnyUserData> {
    let returns_errors = take_return_exceptions(&mut arguments)?;
    let tasks = collect_tasks(lua, host, arguments, source)?;
    let weak = lua.weak();
    let host_of_wait = Arc::clone(host);
    let start: StartFn = Box::new(move |_, line| {
        let guard = CancelOnDrop { tasks };
        Box::pin(async move {
            let outcomes = wait_for_all(&host_of_wait, guard, returns_errors, line).await?;
            let Some(lua) = weak.try_upgrade() else { return Ok(MultiValue::new()) };
            let values = outcomes
                .into_iter()
                .map(|(name, outcome)| outcome_value(&lua, &host_of_wait.source, &name, outcome, line));
            let values = values.collect::<mlua::Result<Vec<_>>>()?;
            Ok(MultiValue::from_iter([Value::Table(make_results(&lua, values)?)]))
        })
    });
    make_forwarding_awaitable(lua, host, AwaitKind::Task, source, start)
}

/// Waits for the outcomes of all tasks. Unless `returns_errors`, the first failure ends the wait.
async fn wait_for_all(
    host: &Arc<ScriptHost>,
    mut guard: CancelOnDrop,
    returns_errors: bool,
    line: Option<u32>,
) -> mlua::Result<Vec<(Arc<str>, ScriptTaskOutcome)>> {
    let names: Vec<_> = guard.tasks.iter().map(|task| Arc::clone(task.name())).collect();
    let outcomes = guard.tasks.iter().map(ScriptTask::ended);
    let mut joined = if returns_errors {
        join_all(outcomes).map(Ok).boxed()
    } else {
        let failing = outcomes.zip(&names).map(|(ended, name)| {
            let name = Arc::clone(name);
            ended.map(move |outcome| match outcome {
                completed @ ScriptTaskOutcome::Completed(_) => Ok(completed),
                failed => Err(Box::new((name, failed))),
            })
        });
        try_join_all(failing).boxed()
    };
    let mut request: Option<CancelRequest> = None;
    let ended = poll_fn(|context| {
        if let Some(taken) = host.take_cancel() {
            guard.tasks.iter().for_each(|task| {
                task.cancel(taken.message.clone());
            });
            // A second cancel also ends the await: tasks that await each other would cancel each other for ever.
            if request.replace(taken).is_some() {
                return Poll::Ready(None);
            }
        }
        joined.as_mut().poll(context).map(Some)
    })
    .await;
    guard.tasks.clear();
    let (name, failed) = match ended {
        Some(Ok(outcomes)) if request.is_none() => return Ok(names.into_iter().zip(outcomes).collect()),
        Some(Err(failed)) => *failed,
        // Cancelled twice, or completed in spite of a cancel.
        Some(Ok(_)) | None => ("".into(), ScriptTaskOutcome::Cancelled(None)),
    };
    let request = request.filter(|_| matches!(failed, ScriptTaskOutcome::Cancelled(_)));
    let fault = request.map(|request| request.fault(line)).or_else(|| failed.into_result(&name, line).err());
    Err(fault.map_or_else(|| Error::runtime("a task of gather failed"), Error::external))
}

/// Returns the first result of a completed task, or the error of another as a value.
fn outcome_value(
    lua: &Lua,
    source: &ScriptSource,
    name: &str,
    outcome: ScriptTaskOutcome,
    line: Option<u32>,
) -> mlua::Result<Value> {
    let kind = outcome.kind_name();
    match outcome.into_result(name, line) {
        Ok(values) => Ok(values.into_iter().next().unwrap_or_default()),
        Err(fault) => TaskErrorValue::new(source, kind, fault).into_lua(lua),
    }
}

/// Reads `return_exceptions` from the list, or from a table of options after the arguments, which is removed.
fn take_return_exceptions(arguments: &mut MultiValue) -> mlua::Result<bool> {
    let is_only = arguments.len() == 1;
    let Some(Value::Table(table)) = arguments.back() else { return Ok(false) };
    let returns_errors = table.raw_get::<Value>("return_exceptions")?;
    if !is_only {
        arguments.pop_back();
    }
    Ok(returns_errors == Value::Boolean(true))
}

/// Collects the tasks in the arguments of `by`, or in its only argument if that is a list. Other awaitables become tasks.
pub(super) fn collect_tasks(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    arguments: MultiValue,
    by: &str,
) -> mlua::Result<Vec<ScriptTask>> {
    host.loop_handle(lua, by)?;
    let mut members: Vec<Value> = arguments.into_iter().collect();
    if let [Value::Table(list)] = members.as_slice() {
        members = list_members(list)?;
    }
    members.iter().map(|member| ensure_task(lua, host, member, None, by)).collect()
}

/// Returns the members of a list.
fn list_members(list: &Table) -> mlua::Result<Vec<Value>> {
    list.sequence_values().collect()
}
