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

/// Describes the awaits that span ids stand for.
pub trait AwaitResolver {
    /// Returns what is awaited where `span` is entered; `None` if it is not a known await.
    fn resolve(&self, span: u64) -> Option<AwaitTarget>;
}

/// Resolves nothing.
impl AwaitResolver for () {
    fn resolve(&self, _: u64) -> Option<AwaitTarget> {
        None
    }
}
