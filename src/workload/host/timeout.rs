//! `timeout(d, x)`: waits for a result, but at most for a duration.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use mlua::{AnyUserData, Error, Lua, MultiValue, Value};

use super::awaitable::{PreparedBranch, StartFn, make_forwarding_awaitable, prepare_branch};
use super::body::{BodyContext, CancelRequest};
use super::errors::fault_from_error;
use super::script_host::ScriptHost;
use super::time::read_duration;
use crate::lab::LoopHandle;
use crate::trace::AwaitKind;
use crate::workload::fault::{FaultKind, ScriptFault};

/// Turns a coroutine into a task, as asyncio does. After the duration, what is awaited is cancelled. Once it has ended,
/// an error is raised.
pub(super) fn timeout(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    source: &Arc<str>,
    (patience, value): (Value, Value),
) -> mlua::Result<AnyUserData> {
    let duration = read_duration(lua, host, source, &patience)?;
    let branch = prepare_branch(lua, host, &value, source)?;
    let host_of_wait = Arc::clone(host);
    let start: StartFn = Box::new(move |loop_handle, line| {
        let sleep = loop_handle.sleep(duration);
        Box::pin(wait(host_of_wait, loop_handle.clone(), branch, sleep, duration, line))
    });
    make_forwarding_awaitable(lua, host, AwaitKind::Timer, source, start)
}

/// Why a timeout cancels what it awaits.
enum StopReason {
    Expired,
    Cancelled(CancelRequest),
}

async fn wait(
    host: Arc<ScriptHost>,
    loop_handle: LoopHandle,
    branch: PreparedBranch,
    sleep: impl Future<Output = ()> + Send,
    duration: Duration,
    line: Option<u32>,
) -> mlua::Result<MultiValue> {
    let mut sleep = std::pin::pin!(sleep);
    // Started inside the timeout's own await, so that the trace nests it in that await.
    let mut inner = (branch.start)(&loop_handle, line);
    let scope = Arc::<BodyContext>::default();
    let mut reason = None;
    let ended = poll_fn(|context| {
        if let Some(request) = host.take_cancel() {
            if !branch.takes_cancel {
                reason = Some(StopReason::Cancelled(request));
                return Poll::Ready(None);
            }
            scope.request_cancel(request.clone());
            reason = Some(StopReason::Cancelled(request));
        }
        loop {
            let polled = if branch.takes_cancel {
                host.with_body(&scope, || inner.as_mut().poll(context))
            } else {
                inner.as_mut().poll(context)
            };
            if let Poll::Ready(result) = polled {
                return Poll::Ready(Some(result));
            }
            if reason.is_some() || sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            reason = Some(StopReason::Expired);
            if !branch.takes_cancel {
                return Poll::Ready(None);
            }
            scope.request_cancel(CancelRequest::default());
        }
    })
    .await;
    drop(inner);
    let is_cancel = |error: &Error| fault_from_error(&host, error).kind == FaultKind::Cancelled;
    match (reason, ended) {
        (Some(StopReason::Cancelled(request)), _) => Err(Error::external(request.fault(line))),
        // It completed or failed in spite of the cancel.
        (_, Some(Ok(values))) => Ok(values),
        (Some(StopReason::Expired), Some(Err(error))) if !is_cancel(&error) => Err(error),
        (None, Some(Err(error))) => Err(error),
        (_, _) => {
            let fault = ScriptFault::new(format!("timed out after {}", humantime::format_duration(duration)));
            Err(Error::external(fault.line(line).token("timeout")))
        }
    }
}
