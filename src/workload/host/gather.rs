//! `gather(…)`: runs several coroutines and tasks concurrently and returns their results in argument order.

use std::sync::Arc;

use futures_util::future::try_join_all;
use mlua::{AnyUserData, Lua, MultiValue, Value};

use super::awaitable::{StartFn, make_awaitable};
use super::script_host::ScriptHost;
use super::task::{CancelOnDrop, ScriptTask, as_task, create_task};
use crate::trace::AwaitKind;

/// Turns each coroutine into a task immediately, as asyncio does, and waits for all tasks.
///
/// The first failure is raised, and the other tasks keep running. A cancelled gather cancels its tasks.
pub(super) fn gather(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    source: &Arc<str>,
    arguments: MultiValue,
) -> mlua::Result<AnyUserData> {
    let tasks = collect_tasks(lua, host, arguments, source)?;
    let weak = lua.weak();
    let start: StartFn = Box::new(move |_world, line| {
        let results: Vec<_> = tasks.iter().map(|task| task.result(line)).collect();
        let mut guard = CancelOnDrop { tasks };
        Box::pin(async move {
            let joined = try_join_all(results).await;
            guard.tasks.clear();
            let values = joined?.into_iter().map(|values| values.into_iter().next().unwrap_or_default());
            let Some(lua) = weak.try_upgrade() else { return Ok(MultiValue::new()) };
            Ok(MultiValue::from_iter([Value::Table(lua.create_sequence_from(values)?)]))
        })
    });
    make_awaitable(lua, host, AwaitKind::Task, source, start)
}

/// Collects the tasks in the arguments of `by`, or in its only argument if that is a list. Coroutines become tasks.
pub(super) fn collect_tasks(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    arguments: MultiValue,
    by: &str,
) -> mlua::Result<Vec<ScriptTask>> {
    host.loop_handle(lua, by)?;
    let mut members: Vec<Value> = arguments.into_iter().collect();
    if let [Value::Table(list)] = members.as_slice() {
        members = list.sequence_values().collect::<mlua::Result<_>>()?;
    }
    let task = |member: &Value| match member.as_userdata().and_then(as_task) {
        Some(task) => Ok(task),
        None => create_task(lua, host, member, None, by),
    };
    members.iter().map(task).collect()
}
