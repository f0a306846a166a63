//! `timeout(d, x)`: waits for a result, but at most for a duration.

use std::sync::Arc;

use futures_util::future::{Either, select};
use mlua::{AnyUserData, Error, Lua, Value};

use super::awaitable::{StartFn, make_awaitable, prepare_branch};
use super::script_host::ScriptHost;
use super::time::read_duration;
use crate::trace::AwaitKind;
use crate::workload::fault::ScriptFault;

/// Turns a coroutine into a task, as asyncio does. After the duration, the task is cancelled and an error is raised.
pub(super) fn timeout(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    source: &Arc<str>,
    (patience, value): (Value, Value),
) -> mlua::Result<AnyUserData> {
    let duration = read_duration(lua, host, source, &patience)?;
    let inner = prepare_branch(lua, host, &value, source)?;
    let start: StartFn = Box::new(move |loop_handle, line| {
        let sleep = Box::pin(loop_handle.sleep(duration));
        let loop_handle = loop_handle.clone();
        Box::pin(async move {
            // Started inside the timeout's own await, so that the trace nests it in that await.
            let inner = inner(&loop_handle, line);
            match select(inner, sleep).await {
                Either::Left((result, _)) => result,
                Either::Right(_) => {
                    let fault = ScriptFault::new(format!("timed out after {}", humantime::format_duration(duration)));
                    Err(Error::external(fault.line(line).token("timeout")))
                }
            }
        })
    });
    make_awaitable(lua, host, AwaitKind::Timer, source, start)
}
