//! Lua functions that run inside the task that polls them, on a Lua stack of their own: the bodies of generators and
//! task groups, and unconstrained coroutines.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use mlua::{Error, Function, MultiValue, Value};

use super::body::{BodyContext, CancelRequest, InnerHandlersGuard};
use super::script_host::ScriptHost;
use super::task::{run_awaitable, spawn_future};
use super::task_handle::ScriptTask;
use super::values::describe;
use crate::lab::BoxFuture;
use crate::workload::fault::FaultKind;

/// The results of a body that has ended.
type BodyResult = mlua::Result<MultiValue>;

/// A Lua function that runs inside a task. A cancel of that task is passed on to it. If it is dropped before its end,
/// and the script has code to run for that, then a task of its own runs it to its end, as cancelled.
pub(super) struct InlineBody {
    host: Arc<ScriptHost>,
    context: Arc<BodyContext>,
    call: Option<BoxFuture<BodyResult>>,
    has_started: bool,
    /// Counts the handlers of this body as those of the task that polled it last.
    handlers_in_task: Option<InnerHandlersGuard>,
    /// The last cancel that came from the task.
    from_task: Option<CancelRequest>,
}

impl InlineBody {
    pub fn new(host: &Arc<ScriptHost>, function: Function, mut arguments: MultiValue) -> Self {
        arguments.push_front(Value::Function(function));
        let call = host.body_runner().call_async::<MultiValue>(arguments);
        Self {
            host: Arc::clone(host),
            context: Arc::default(),
            call: Some(Box::pin(call)),
            has_started: false,
            handlers_in_task: None,
            from_task: None,
        }
    }

    /// Requests a cancel of the body alone. Its next poll delivers it.
    pub fn cancel(&self) {
        self.context.request_cancel(CancelRequest::default());
    }

    /// Returns the last cancel that came from the task.
    pub fn cancel_from_task(&self) -> Option<&CancelRequest> {
        self.from_task.as_ref()
    }
}

impl Future for InlineBody {
    type Output = BodyResult;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<BodyResult> {
        let this = self.get_mut();
        if let Some(request) = this.host.take_cancel() {
            this.from_task = Some(request.clone());
            if !this.has_started {
                this.call = None;
                return Poll::Ready(Err(Error::external(request.fault(None))));
            }
            this.context.request_cancel(request);
        }
        let Some(call) = &mut this.call else { return Poll::Pending };
        this.has_started = true;
        this.handlers_in_task = None;
        let polled = poll_in(&this.host, &this.context, call.as_mut(), context);
        if polled.is_ready() {
            this.call = None;
        } else if !this.context.has_no_handlers() {
            this.handlers_in_task = Some(this.host.current_task_body().count_handlers_of(&this.context));
        }
        polled
    }
}

/// Polls the call of a body, with that body as the current one.
fn poll_in(
    host: &ScriptHost,
    body: &Arc<BodyContext>,
    call: Pin<&mut (dyn Future<Output = BodyResult> + Send)>,
    context: &mut Context<'_>,
) -> Poll<BodyResult> {
    host.with_body(body, || call.poll(context)).map(|ended| {
        let mut values = ended?;
        match (values.pop_front(), values.front()) {
            (Some(Value::Boolean(true)), _) => Ok(values),
            (_, Some(Value::Error(error))) => Err((**error).clone()),
            (_, other) => Err(Error::runtime(other.map_or_else(String::new, describe))),
        }
    })
}

impl Drop for InlineBody {
    fn drop(&mut self) {
        let Some(call) = self.call.take().filter(|_| self.has_started) else { return };
        let has_handlers = !(self.context.has_no_handlers() && self.context.has_no_forwarding_awaits());
        if has_handlers || self.host.may_close() {
            clean_up(&self.host, &self.context, call);
        }
    }
}

/// Spawns a task that cancels a body and runs it to its end.
fn clean_up(host: &Arc<ScriptHost>, body: &Arc<BodyContext>, mut call: BoxFuture<BodyResult>) {
    let Some(lua) = host.lua() else { return };
    body.request_cancel(CancelRequest::default());
    let make = |task: &ScriptTask| {
        // At the end of the run, this task still runs to its end.
        task.body().enter_handler();
        let (host, task_body, body) = (Arc::clone(host), Arc::clone(task.body()), Arc::clone(body));
        async move {
            let inner_host = Arc::clone(&host);
            let future = poll_fn(move |context| {
                // A cancel at the end of the run does not interrupt it.
                drop(inner_host.take_cancel());
                poll_in(&inner_host, &body, call.as_mut(), context)
            });
            match run_awaitable(host, task_body, Arc::default(), future).await {
                Err(fault) if fault.kind != FaultKind::Cancelled => Err(fault),
                _ => Ok(MultiValue::new()),
            }
        }
    };
    // Spawning fails only if there are too many tasks; then the body is dropped.
    let _ = spawn_future(&lua, host, host.numbered_name(&"cleanup".into()), None, "cleanup", make);
}
