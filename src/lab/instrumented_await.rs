//! Awaits made visible through tokio's own span vocabulary for resources.
//!
//! tokio instruments few of its awaitables, and none with a script's location. The span names are a public convention:
//! a `runtime.resource` span, and inside it `runtime.resource.async_op` and its `.poll`, all entered around each poll.
//! console-subscriber then publishes the await with its kind, source and location, and any console shows it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tracing::Span;

use super::loop_shared::LoopShared;
use super::loop_thread;
use crate::trace::{AwaitId, AwaitSite, ResourceId};

pin_project! {
    /// A future that is reported as an await from its creation to its drop, to the probe and to console-subscriber.
    pub struct InstrumentedAwait<F> {
        // Dropped before the spans close and the end is reported.
        #[pin]
        future: Option<F>,
        spans: Option<AwaitSpans>,
        // `None` outside a task, where there is no lane for the await.
        id: Option<AwaitId>,
        shared: Arc<LoopShared>,
    }

    impl<F> PinnedDrop for InstrumentedAwait<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            this.future.set(None);
            *this.spans = None;
            if let Some(id) = *this.id {
                this.shared.emit_await_end(id);
            }
        }
    }
}

struct AwaitSpans {
    resource: Span,
    operation: Span,
    poll: Span,
}

impl AwaitSpans {
    fn new(site: &AwaitSite) -> Self {
        let (file, line) = site.location.as_ref().map_or(("", 0), |location| (&*location.file, location.line));
        let resource = tracing::trace_span!(
            target: "loopscope::await",
            "runtime.resource",
            concrete_type = &*site.source,
            kind = site.kind.name(),
            is_internal = false,
            loc.file = file,
            loc.line = line,
            loc.col = 1u32,
        );
        let (operation, poll) = resource.in_scope(|| {
            let operation = tracing::trace_span!(
                target: "loopscope::await",
                "runtime.resource.async_op",
                source = &*site.source,
                inherits_child_attrs = false,
            );
            // Created outside `operation`, because entering that would count as a poll of it.
            let poll = tracing::trace_span!(target: "loopscope::await", "runtime.resource.async_op.poll");
            (operation, poll)
        });
        Self { resource, operation, poll }
    }
}

impl<F: Future + Send> InstrumentedAwait<F> {
    /// Reports the start of an await of the current task, if any, and wraps its future.
    pub(super) fn new(shared: &Arc<LoopShared>, site: &AwaitSite, resource: Option<ResourceId>, future: F) -> Self {
        shared.admit_console_events(2);
        let id = loop_thread::current_task().map(|task| shared.emit_await_start(task, site, resource));
        let spans = shared.console.is_some().then(|| AwaitSpans::new(site));
        Self { future: Some(future), spans, id, shared: Arc::clone(shared) }
    }
}

impl<F: Future> Future for InstrumentedAwait<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(future) = this.future.as_pin_mut() else { return Poll::Pending };
        let shared = &**this.shared;
        let polled = match this.spans {
            None => future.poll(context),
            Some(spans) => {
                shared.admit_console_events(2);
                let _resource = spans.resource.enter();
                let _operation = spans.operation.enter();
                let _poll = spans.poll.enter();
                let polled = future.poll(context);
                tracing::trace!(
                    target: "runtime::resource::poll_op",
                    op_name = "poll",
                    is_ready = polled.is_ready(),
                );
                polled
            }
        };
        if let Some(id) = *this.id {
            shared.probe.await_poll(id, polled.is_ready());
        }
        polled
    }
}
