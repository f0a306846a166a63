//! References to spans.

use crate::events::{kind_of, number_of, span_kind};
use crate::live;
use crate::slots;

/// Returns whether the live table counts references to a span.
pub(crate) fn is_task(span: u64) -> bool {
    (span_kind::TASK..=span_kind::WORKER).contains(&kind_of(span))
}

/// Counts one more reference.
#[inline]
pub(crate) fn add(span: u64) {
    match kind_of(span) {
        span_kind::RESOURCE | span_kind::OPERATION => slots::add_reference(number_of(span)),
        _ if is_task(span) => live::add_reference(span),
        // Nothing depends on the end of other spans.
        _ => {}
    }
}

/// Counts one reference less. Returns whether it was the last one, and what the live table held about a task then.
#[inline]
pub(crate) fn remove(span: u64) -> (bool, Option<live::LiveEntry>) {
    match kind_of(span) {
        span_kind::RESOURCE | span_kind::OPERATION => (slots::remove_reference(number_of(span)), None),
        _ if is_task(span) => {
            let entry = live::remove_reference(span);
            (entry.is_some(), entry)
        }
        _ => (false, None),
    }
}
