//! Ids of the trace's own: small, dense and never reused.
//!
//! Span ids restart with each registry and are reused by long-lived programs, so each feed maps what it is told to
//! these at the door, and nothing behind the door ever sees a span id.

use std::num::NonZeroU32;

macro_rules! dense_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub struct $name(NonZeroU32);

        impl $name {
            /// The id of the element at `index` of its list.
            ///
            /// # Panics
            /// Past four thousand million elements, which the memory budget ends long before.
            pub fn from_index(index: usize) -> Self {
                let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
                Self(number.expect("a trace ends at its memory budget, far below 2^32 elements"))
            }

            /// The id that a person sees as `number`; `None` for 0, which no element has.
            pub(super) fn from_number(number: u32) -> Option<Self> {
                NonZeroU32::new(number).map(Self)
            }

            /// The place of this element in its list, from 0.
            pub fn index(self) -> usize {
                self.0.get() as usize - 1
            }

            /// The number a person sees, from 1.
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
    pub(super) const ONE: Self = Self(NonZeroU32::MIN);
}

impl SiteId {
    pub(super) const ONE: Self = Self(NonZeroU32::MIN);
}

dense_id! {
    /// One task, in order of spawning; the first is 1.
    TaskId
}
dense_id! {
    /// One await: the span from an awaitable's creation to its drop.
    AwaitId
}
dense_id! {
    /// One thing that tasks share: a lock, a channel, an actor.
    ResourceId
}
dense_id! {
    /// One place that awaits: a kind, a source and a location, shared by all awaits made there.
    SiteId
}
