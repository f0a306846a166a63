//! `wait(list, options)`: waits for the first or for all of several tasks, and cancels none of them.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use mlua::{AnyUserData, Lua, MultiValue, Value};

use super::awaitable::{StartFn, make_awaitable};
use super::gather::collect_tasks;
use super::script_host::ScriptHost;
use super::task_handle::ScriptTask;
use super::time::read_duration;
use super::values::describe;
use crate::trace::AwaitKind;
use crate::workload::fault::ScriptFault;

/// When a wait ends, like asyncio's `return_when`.
#[derive(Clone, Copy)]
enum ReturnWhen {
    /// A task has ended.
    First,
    /// A task has failed, or all have ended. A cancelled task has not failed.
    FirstError,
    /// All tasks have ended.
    All,
}

impl ReturnWhen {
    fn poll(self, tasks: &[ScriptTask], context: &mut Context<'_>) -> Poll<()> {
        let ended = tasks.iter().filter(|task| task.poll_ended(context).is_ready()).count();
        let is_over = match self {
            Self::First => ended > 0,
            Self::FirstError => tasks.iter().any(ScriptTask::has_failed),
            Self::All => false,
        };
        if is_over || ended == tasks.len() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Returns two lists: the tasks that have ended, and those that have not, each in argument order.
pub(super) fn wait(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    source: &Arc<str>,
    (list, options): (Value, Value),
) -> mlua::Result<AnyUserData> {
    host.loop_handle(lua, source)?;
    let refuse = |what: String| {
        let hint = "write wait({ a, b }, { return_when = \"first\", timeout = 1 })";
        host.usage_error(lua, ScriptFault::new(what).token("wait").hint(hint))
    };
    let Value::Table(list) = list else {
        return Err(refuse(format!("wait needs a list of awaitables, but got {}", describe(&list))));
    };
    let (when, timeout) = match &options {
        Value::Nil => (Value::Nil, Value::Nil),
        Value::Table(options) => (options.get("return_when")?, options.get("timeout")?),
        other => return Err(refuse(format!("wait takes a table of options, but got {}", describe(other)))),
    };
    let when = match when.as_string().map(|text| text.to_string_lossy()).as_deref() {
        None if when.is_nil() => ReturnWhen::All,
        Some("all") => ReturnWhen::All,
        Some("first") => ReturnWhen::First,
        Some("first_error") => ReturnWhen::FirstError,
        _ => return Err(refuse(format!("`return_when` cannot be {}", describe(&when)))),
    };
    let duration = if timeout.is_nil() { None } else { Some(read_duration(lua, host, source, &timeout)?) };
    let tasks = collect_tasks(lua, host, MultiValue::from_iter([Value::Table(list)]), source)?;
    if tasks.is_empty() {
        return Err(refuse("wait needs something to wait for".to_owned()));
    }
    let weak = lua.weak();
    let start: StartFn = Box::new(move |loop_handle, _| {
        let sleep = duration.map(|duration| Box::pin(loop_handle.sleep(duration)));
        Box::pin(async move {
            let mut sleep = sleep;
            poll_fn(|context| {
                let is_expired = sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(context).is_ready());
                if is_expired { Poll::Ready(()) } else { when.poll(&tasks, context) }
            })
            .await;
            let Some(lua) = weak.try_upgrade() else { return Ok(MultiValue::new()) };
            let (ended, pending): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|task| task.outcome().is_some());
            let list = |tasks: Vec<ScriptTask>| lua.create_sequence_from(tasks).map(Value::Table);
            Ok(MultiValue::from_iter([list(ended)?, list(pending)?]))
        })
    });
    make_awaitable(lua, host, AwaitKind::Task, source, start)
}
