//! Gaps: intervals of loop time without complete data.

use serde::{Deserialize, Serialize};

use super::time::Nanos;

/// An interval of loop time without complete data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Start of the interval.
    pub from: Nanos,
    /// End of the interval.
    pub to: Nanos,
    /// Number of dropped events; 0 if the trace evicted the data or no update arrived.
    pub dropped: u64,
    /// No update arrived during the interval: no feed was connected, or the app was stopped.
    pub is_disconnected: bool,
}

impl Gap {
    /// Returns whether the trace evicted the data of this interval to stay within its memory budget.
    pub fn is_evicted(&self) -> bool {
        self.dropped == 0 && !self.is_disconnected
    }
}
