//! A layer for programs that have a `tracing_subscriber` registry.

use tracing_core::span::{Attributes, Id};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Filtered;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

use crate::{events, live, references, setup};

/// The layer that [`layer`] returns.
pub type ProbeLayer<S> = Filtered<SpanLayer, TokioFilter, S>;

/// Returns a layer for a `tracing_subscriber` registry, and sets the probe up as [`init`](crate::init) does.
///
/// It may stand beside any others, such as a `fmt` layer or console-subscriber's. Layers without a filter of their own
/// then see what tokio reports at the level TRACE; give them one. A filter for the whole registry must let these targets
/// pass: `tokio`, `runtime`, both at TRACE.
///
/// The probe lives as long as the process. To send the last records and to remove the socket, call
/// [`init`](crate::init) after the registry is set, and keep its guard until the end of `main`.
///
/// ```
/// use tracing_subscriber::filter::LevelFilter;
/// use tracing_subscriber::prelude::*;
///
/// let logs = tracing_subscriber::fmt::layer().with_filter(LevelFilter::INFO);
/// tracing_subscriber::registry().with(loopscope_probe::layer()).with(logs).init();
/// let _probe = loopscope_probe::init();
/// assert_eq!(_probe.problem(), None);
/// ```
pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>() -> ProbeLayer<S> {
    setup::builder().layer()
}

pub(crate) fn new<S: Subscriber + for<'a> LookupSpan<'a>>() -> ProbeLayer<S> {
    SpanLayer(()).with_filter(TokioFilter(()))
}

/// Observes the spans and events of tokio. Part of [`ProbeLayer`].
#[derive(Debug)]
pub struct SpanLayer(());

/// Lets only the spans and events of tokio pass, and most of them only while something is recorded. Part of
/// [`ProbeLayer`].
#[derive(Debug)]
pub struct TokioFilter(());

impl<S> Filter<S> for TokioFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _cx: &Context<'_, S>) -> bool {
        events::is_observed(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if events::is_observed(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }
}

/// Id of the probe for a span of the registry.
struct ProbeSpan(u64);

fn probe_span<S: Subscriber + for<'a> LookupSpan<'a>>(id: &Id, cx: &Context<'_, S>) -> Option<u64> {
    Some(cx.span(id)?.extensions().get::<ProbeSpan>()?.0)
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let parent = attributes.parent().and_then(|parent| probe_span(parent, &cx));
        let span = events::new_span(attributes, parent);
        if let Some(registered) = cx.span(id) {
            registered.extensions_mut().insert(ProbeSpan(span));
        }
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        events::event(event, |id| probe_span(&Id::from_u64(id), &cx));
    }

    fn on_enter(&self, id: &Id, cx: Context<'_, S>) {
        probe_span(id, &cx).into_iter().for_each(events::enter);
    }

    fn on_exit(&self, id: &Id, cx: Context<'_, S>) {
        probe_span(id, &cx).into_iter().for_each(events::exit);
    }

    fn on_close(&self, id: Id, cx: Context<'_, S>) {
        if let Some(span) = probe_span(&id, &cx) {
            // The registry counts the references.
            let entry = if references::is_task(span) { live::remove_reference(span) } else { None };
            events::close(span, entry.as_ref());
        }
    }
}
