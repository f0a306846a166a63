//! `timeout(d, x)`: what comes first, the result or the end of the patience.

use std::sync::Arc;

use futures_util::future::{Either, select};
use mlua::{AnyUserData, Error, Lua, Value};

use super::Host;
use super::awaitable::{Start, awaitable};
use super::choice::branch;
use super::time::length_of_time;
use crate::trace::AwaitKind;
use crate::workload::fault::Fault;

/// A coroutine becomes a task, as asyncio does it. When the time is up, the task is cancelled and an error is raised.
pub(super) fn timeout(
    lua: &Lua,
    host: &Arc<Host>,
    source: &Arc<str>,
    (patience, value): (Value, Value),
) -> mlua::Result<AnyUserData> {
    let duration = length_of_time(lua, host, source, &patience)?;
    let inner = branch(lua, host, &value, source)?;
    let start: Start = Box::new(move |world, line| {
        let sleep = Box::pin(world.sleep(duration));
        let world = world.clone();
        Box::pin(async move {
            // Begun inside the timeout's own await, so that it shows as a part of it.
            let inner = inner(&world, line);
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
