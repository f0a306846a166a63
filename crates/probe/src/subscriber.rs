//! A `tracing` subscriber that observes nothing but tokio.

use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, LevelFilter, Metadata, Subscriber};

use crate::{events, references};

/// The subscriber of programs that have no other one.
pub(crate) struct ProbeSubscriber;

impl Subscriber for ProbeSubscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if events::is_observed(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        events::is_observed(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        Id::from_u64(events::new_span(attributes, attributes.parent().map(Id::into_u64)))
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    #[inline]
    fn event(&self, event: &Event<'_>) {
        events::event(event, Some);
    }

    #[inline]
    fn enter(&self, span: &Id) {
        events::enter(span.into_u64());
    }

    #[inline]
    fn exit(&self, span: &Id) {
        events::exit(span.into_u64());
    }

    fn clone_span(&self, span: &Id) -> Id {
        references::add(span.into_u64());
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        let (is_last, entry) = references::remove(span.into_u64());
        if is_last {
            events::close(span.into_u64(), entry.as_ref());
        }
        is_last
    }

    fn current_span(&self) -> Current {
        Current::none()
    }
}
