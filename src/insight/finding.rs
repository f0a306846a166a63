//! Findings: detected problems, each with evidence that can be checked on the timeline.

use crate::trace::{Nanos, TaskId};

/// Maximum number of findings listed per lint. Further findings are only counted.
pub const FINDINGS_MAX: usize = 100;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// Costs time or fairness.
    Warn,
    /// The program cannot do its work.
    Error,
}

impl Severity {
    /// Name in reports: `note`, `warn` or `error`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// A problem that a lint detected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name of the lint, stable for scripts: `blocked-loop`.
    pub name: &'static str,
    /// How serious the finding is.
    pub severity: Severity,
    /// The task concerned; `None` if the finding is about the loop.
    pub task: Option<TaskId>,
    /// Loop time at which the problem first shows.
    pub at_ns: Nanos,
    /// What was found, and the advice.
    pub message: String,
    /// Measurements and locations that support the finding.
    pub evidence: String,
}

/// All findings of a trace, ordered by time, then task, then name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// At most [`FINDINGS_MAX`] findings per lint.
    pub listed: Vec<Finding>,
    /// Number of findings beyond [`FINDINGS_MAX`] of their lint.
    pub unlisted: u64,
}
