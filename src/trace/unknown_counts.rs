//! What was observed and could not be attributed.

use serde::{Deserialize, Serialize};

/// Numbers of observations that could not be attributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownCounts {
    /// Awaits whose task is not known. They are in no list.
    pub awaits: u64,
    /// Wakes whose source is not known.
    pub wakers: u64,
}
