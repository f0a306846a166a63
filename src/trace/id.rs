//! Ids of the trace: small, dense and never reused.
//!
//! Span ids of tracing restart with each registry and are reused by long-lived programs. Each feed therefore maps them
//! to these ids when it decodes its input; no later module handles span ids.

use std::num::NonZeroU32;

macro_rules! dense_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub struct $name(NonZeroU32);

        impl $name {
            /// Returns the id of the element at `index` (from 0) of its list.
            ///
            /// # Panics
            /// Panics if `index` is 2^32 - 1 or more, far past what a memory budget allows.
            pub fn from_index(index: usize) -> Self {
                let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
                Self(number.expect("the memory budget limits a trace to far fewer than 2^32 elements"))
            }

            /// Returns the id that is displayed as `number`, or `None` for 0, which is never used.
            pub fn from_number(number: u32) -> Option<Self> {
                NonZeroU32::new(number).map(Self)
            }

            /// Returns the index of the element in its list, from 0.
            pub fn index(self) -> usize {
                self.0.get() as usize - 1
            }

            /// Returns the number that is displayed to the user, from 1.
            pub fn number(self) -> u32 {
                self.0.get()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

impl TaskId {
    pub(super) const FIRST: Self = Self(NonZeroU32::MIN);
}

impl SiteId {
    pub(super) const FIRST: Self = Self(NonZeroU32::MIN);
}

dense_id! {
    /// Id of a task, in spawn order; the first is 1.
    TaskId
}
dense_id! {
    /// Id of a worker: a thread of the runtime that polls tasks.
    WorkerId
}
dense_id! {
    /// Id of an await: the span from an awaitable's creation to its drop.
    AwaitId
}
dense_id! {
    /// Id of a resource that tasks share: a lock, a channel, an actor.
    ResourceId
}
dense_id! {
    /// Id of an await site: kind, source and location, shared by all awaits made there.
    SiteId
}
