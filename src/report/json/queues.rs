//! Sampled depths of the runtime's queues in the JSON report.

use serde::Serialize;

use crate::insight::QueueSummary;

/// A queue of the runtime, whose depth is sampled.
#[derive(Debug, Serialize)]
pub(super) struct QueueJson {
    /// Number of tasks in it at the last sample.
    depth: u32,
    /// Maximum number of tasks in it at any sample. There may have been more in between.
    max_depth: u32,
}

impl From<QueueSummary> for QueueJson {
    fn from(QueueSummary { depth, max_depth }: QueueSummary) -> Self {
        Self { depth, max_depth }
    }
}
