//! What a program with the probe reports.

use serde::{Deserialize, Serialize};

/// What a program with the probe reports. The rest is missing from its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedFacts {
    /// Polls, spawns and ends of tasks.
    pub polls: bool,
    /// Wakes.
    pub wakes: bool,
    /// Awaits of the runtime's own primitives, and resources.
    pub awaits: bool,
}
