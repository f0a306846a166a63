//! An await made visible, in the words that tokio itself uses for its resources.
//!
//! tokio names few of its awaitables, and none with the place in a script. The names are a vocabulary anyone may speak:
//! a `runtime.resource` span, inside it a `runtime.resource.async_op` and its `.poll`, all entered around each poll.
//! console-subscriber then publishes the await with our kind, source and location, and any console shows it.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tracing::Span;

use super::world::World;
use crate::trace::{AwaitId, ResourceId, Site};

pin_project! {
    /// See the module.
    pub struct Awaiting<F> {
        // Dropped before the spans close and the end is told.
        #[pin]
        future: Option<F>,
        spans: Option<Spans>,
        // `None` outside of any task, where there is no lane to draw it in.
        id: Option<AwaitId>,
        world: World,
    }

    impl<F> PinnedDrop for Awaiting<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            this.future.set(None);
            *this.spans = None;
            if let Some(id) = *this.id {
                this.world.await_is_over(id);
            }
        }
    }
}

struct Spans {
    resource: Span,
    operation: Span,
    poll: Span,
}

impl Spans {
    fn new(site: &Site) -> Self {
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
            // Not inside `operation`: entering that would count as a poll of it.
            let poll = tracing::trace_span!(target: "loopscope::await", "runtime.resource.async_op.poll");
            (operation, poll)
        });
        Self { resource, operation, poll }
    }
}

impl<F: Future + Send> Awaiting<F> {
    pub(super) fn new(world: &World, site: &Site, resource: Option<ResourceId>, future: F) -> Self {
        let id = World::current().map(|task| world.await_begins(task, site, resource));
        let spans = world.shared().console.is_some().then(|| Spans::new(site));
        Self { future: Some(future), spans, id, world: world.clone() }
    }
}

impl<F: Future> Future for Awaiting<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(future) = this.future.as_pin_mut() else { return Poll::Pending };
        let shared = this.world.shared();
        let polled = match this.spans {
            None => future.poll(context),
            Some(spans) => {
                if let Some((valve, _)) = &shared.console {
                    valve.admit(2, &shared.gate);
                }
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
