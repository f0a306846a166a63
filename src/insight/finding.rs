//! Findings: what went wrong in a loop, each with the evidence that a person can check on the timeline.

use crate::trace::{Nanos, TaskId};

/// Findings that one lint lists; the rest is counted.
pub const FINDINGS_MAX: usize = 100;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Costs time or fairness.
    Warn,
    /// The program cannot do what it is meant to.
    Error,
}

impl Severity {
    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One thing to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What a script matches on: `blocked-loop`.
    pub name: &'static str,
    pub severity: Severity,
    /// The task that it is about; `None` where it is about the loop.
    pub task: Option<TaskId>,
    /// Where on the timeline it first shows.
    pub at_ns: Nanos,
    /// What was found, and what to do about it.
    pub message: String,
    /// The facts that it rests on.
    pub evidence: String,
}

/// Every finding of a trace, by time, then task, then name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    pub listed: Vec<Finding>,
    /// Findings past the first [`FINDINGS_MAX`] of their lint.
    pub unlisted: u64,
}
