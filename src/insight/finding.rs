//! Findings: detected problems, each with evidence that can be checked on the timeline.

use crate::trace::{Location, Nanos, TaskId};

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

/// A problem that a lint detected. Occurrences with the same cause are one finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name of the lint, stable for scripts: `blocked-loop`.
    pub name: &'static str,
    /// How serious the finding is.
    pub severity: Severity,
    /// The task concerned, or the one with the most serious occurrence; `None` if the finding is about the loop.
    pub task: Option<TaskId>,
    /// Where to look: the location of the call or await concerned, or else of the task's spawn.
    pub location: Option<Location>,
    /// Number of occurrences, at least 1: tasks, or waits of one task.
    pub count: u64,
    /// Whether the trace proves the finding. It does not if a part was inferred, or if events are missing.
    pub is_certain: bool,
    /// Loop time at which the problem first shows in `task`.
    pub at_ns: Nanos,
    /// What was found, and the advice.
    pub message: String,
    /// Measurements and locations that support the finding.
    pub evidence: String,
}

impl Finding {
    /// Returns what identifies the cause across runs of the lints: the lint, and the location or else the task.
    pub fn cause(&self) -> (&'static str, Option<String>, Option<TaskId>) {
        let task = if self.location.is_none() { self.task } else { None };
        (self.name, self.location.as_ref().map(ToString::to_string), task)
    }
}

/// All findings of a trace, ordered by time, then task, then name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// At most [`FINDINGS_MAX`] findings per lint.
    pub listed: Vec<Finding>,
    /// Number of findings beyond [`FINDINGS_MAX`] of their lint.
    pub unlisted: u64,
}

impl Findings {
    /// Returns the most serious finding: the highest severity, then certain ones, then the earliest.
    pub fn worst(&self) -> Option<&Finding> {
        self.listed.iter().rev().max_by_key(|finding| (finding.severity, finding.is_certain))
    }
}
