//! Gaps: intervals of loop time without complete data.

use serde::{Deserialize, Serialize};

use super::Trace;
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

impl Trace {
    /// Returns the retained gaps, oldest first.
    pub fn gaps(&self) -> impl DoubleEndedIterator<Item = &Gap> {
        self.history.gaps.iter()
    }

    /// Returns the retained gaps, oldest first, without the time before a program with the probe was recorded. What comes
    /// later does not depend on that.
    pub fn gaps_since_recording(&self) -> impl DoubleEndedIterator<Item = &Gap> {
        self.gaps().filter(|gap| !self.is_before_recording(gap))
    }

    /// Returns the time from which on a program with the probe was recorded; 0 for any other.
    pub fn recorded_from(&self) -> Nanos {
        self.gaps().next().filter(|gap| self.is_before_recording(gap)).map_or(0, |gap| gap.to)
    }

    fn is_before_recording(&self, gap: &Gap) -> bool {
        self.reported_facts().is_some() && gap.is_disconnected && gap.from == 0
    }
}
