//! `gather(…)`: several at once, results in the order of the arguments.

use std::sync::Arc;

use futures_util::future::try_join_all;
use mlua::{AnyUserData, Lua, MultiValue, Value};

use super::Host;
use super::awaitable::{Start, awaitable};
use super::task::{Task, create, task_of};
use crate::trace::AwaitKind;

/// Each coroutine becomes a task at once, as asyncio does it; tasks are taken as they are. The first failure is raised
/// and the others go on. A gather that is cancelled cancels what it waits for.
pub(super) fn gather(
    lua: &Lua,
    host: &Arc<Host>,
    source: &Arc<str>,
    arguments: MultiValue,
) -> mlua::Result<AnyUserData> {
    let tasks = tasks_of(lua, host, arguments, source)?;
    let weak = lua.weak();
    let start: Start = Box::new(move |_world, line| {
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
    awaitable(lua, host, AwaitKind::Task, source, start)
}

/// The tasks that are named in the arguments or in the one list that they are; coroutines among them become tasks now.
pub(super) fn tasks_of(lua: &Lua, host: &Arc<Host>, arguments: MultiValue, by: &str) -> mlua::Result<Vec<Task>> {
    host.world(lua, by)?;
    let mut members: Vec<Value> = arguments.into_iter().collect();
    if let [Value::Table(list)] = members.as_slice() {
        members = list.sequence_values().collect::<mlua::Result<_>>()?;
    }
    let task = |member: &Value| match member.as_userdata().and_then(task_of) {
        Some(task) => Ok(task),
        None => create(lua, host, member, None, by),
    };
    members.iter().map(task).collect()
}

/// Cancels the tasks that it still has when it is dropped: whoever waited for them is gone.
pub(super) struct CancelOnDrop {
    pub tasks: Vec<Task>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.tasks.iter().for_each(Task::cancel);
    }
}
