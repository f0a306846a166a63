//! How completely polls and wakes are recorded.

use serde::{Deserialize, Serialize};

/// How completely polls and wakes are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fidelity {
    /// Every poll and every wake is recorded.
    #[default]
    Exact,
    /// Counts are exact; of single polls and wakes, only the last before each console update is known.
    Sampled,
}

impl Fidelity {
    /// Returns the name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Sampled => "sampled",
        }
    }
}
