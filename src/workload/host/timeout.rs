//! `timeout(d, x)`: what comes first, the result or the end of the patience.

use std::sync::Arc;

use futures_util::future::{BoxFuture, Either, select};
use mlua::{AnyUserData, Error, Lua, MultiValue, Value};

use super::awaitable::{Awaitable, Start, awaitable};
use super::gather::CancelOnDrop;
use super::task::{create, task_of};
use super::{Host, language, locked};
use crate::trace::AwaitKind;
use crate::workload::fault::Fault;

/// A coroutine becomes a task, as asyncio does it. When the time is up, the task is cancelled and an error is raised.
pub(super) fn timeout(
    lua: &Lua,
    host: &Arc<Host>,
    source: &Arc<str>,
    (patience, value): (Value, Value),
) -> mlua::Result<AnyUserData> {
    let duration = language::length_of_time(lua, host, source, &patience)?;
    let inner = future_of(lua, host, &value)?;
    let start: Start = Box::new(move |world, line| {
        let sleep = Box::pin(world.sleep(duration));
        let inner = inner(world, line);
        Box::pin(async move {
            match select(inner, sleep).await {
                Either::Left((result, _)) => result,
                Either::Right(_) => {
                    let fault = Fault::new(format!("timed out after {}", humantime::format_duration(duration)));
                    Err(Error::external(fault.line(line).token("timeout")))
                }
            }
        })
    });
    awaitable(lua, host, AwaitKind::Timer, source, start)
}

fn future_of(lua: &Lua, host: &Arc<Host>, value: &Value) -> mlua::Result<Start> {
    if let Some(other) = value.as_userdata().and_then(|userdata| userdata.borrow::<Awaitable>().ok()) {
        return locked(&other.start).take().ok_or_else(|| {
            let fault = Fault::new(format!("this {} was awaited before; each one is awaited once", other.source));
            host.misuse(lua, fault.token("timeout"))
        });
    }
    let task = match value.as_userdata().and_then(task_of) {
        Some(task) => task,
        None => create(lua, host, value, None, "timeout")?,
    };
    Ok(Box::new(move |_, line| -> BoxFuture<'static, mlua::Result<MultiValue>> {
        let result = task.result(line);
        let mut guard = CancelOnDrop { tasks: vec![task] };
        Box::pin(async move {
            let result = result.await;
            guard.tasks.clear();
            result
        })
    }))
}
