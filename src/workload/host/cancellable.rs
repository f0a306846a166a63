//! The end of an await when its body is cancelled.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use mlua::{Error, MultiValue};

use super::script_host::ScriptHost;

/// Awaits a future in the current body. A cancel of the body drops the future and raises an error at `line`, unless the
/// future takes cancels itself.
pub(super) async fn cancellable(
    host: Arc<ScriptHost>,
    future: impl Future<Output = mlua::Result<MultiValue>>,
    takes_cancel: bool,
    line: Option<u32>,
) -> mlua::Result<MultiValue> {
    let _forwarding = takes_cancel.then(|| host.current_body().count_forwarding_await());
    let mut future = pin!(future);
    poll_fn(|context| {
        if !takes_cancel && let Some(request) = host.take_cancel() {
            return Poll::Ready(Err(Error::external(request.fault(line))));
        }
        future.as_mut().poll(context)
    })
    .await
}
