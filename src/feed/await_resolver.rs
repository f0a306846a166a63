//! Resolves span ids to awaits, for feeds whose own events carry only span ids.

use crate::trace::{AwaitSite, ResourceId};

/// What is awaited where a span is entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwaitTarget {
    /// The await site.
    pub site: AwaitSite,
    /// The resource that is waited for, if it is known.
    pub resource: Option<ResourceId>,
}

/// Whether an operation returned ready before it was dropped, as far as it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Not reported yet.
    Undecided,
    /// It returned ready.
    Ready,
    /// Its permits were assigned, so it returned ready if it was polled since.
    Assigned,
    /// It was dropped before it was ready.
    NotReady,
    /// It was dropped, and its last polls were not reported.
    Unknown,
}

/// What is reported of a span so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedSpan {
    /// Nothing.
    Unreported,
    /// It is not awaited: a resource, or a part of another await.
    NotAwaited,
    /// An operation on a resource.
    Operation {
        /// Span id of the task that polled it last; `None` before its first poll.
        owner: Option<u64>,
        /// How often its span was entered: once to create it, then at each poll.
        enters: u64,
        /// Whether it returned ready.
        readiness: Readiness,
    },
    /// A timer without operations: polling it is sleeping.
    Sleep {
        /// Time from its first poll to its deadline in nanoseconds, if it is reported. tokio rounds to milliseconds.
        duration_ns: Option<u64>,
    },
}

/// Describes the awaits that span ids stand for.
pub trait AwaitResolver {
    /// Returns what is reported of `span`.
    fn reported(&self, span: u64) -> ReportedSpan;

    /// Returns what is awaited where `span` is entered; `None` if it is not a known await.
    fn target(&self, span: u64) -> Option<AwaitTarget>;
}

/// Resolves nothing.
impl AwaitResolver for () {
    fn reported(&self, _: u64) -> ReportedSpan {
        ReportedSpan::Unreported
    }

    fn target(&self, _: u64) -> Option<AwaitTarget> {
        None
    }
}
