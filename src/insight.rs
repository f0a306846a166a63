//! Analysis of a trace: findings (detected problems with evidence and advice) and a summary of the run.
//!
//! Pure functions of a trace: no I/O, no clock. A finding states what was observed, where, and on which evidence. A
//! mere suspicion is not reported.

mod finding;
mod lint_context;
mod lint_runner;
mod lints;
mod summary;
mod thresholds;
pub mod units;

pub use finding::{FINDINGS_MAX, Finding, Findings, Severity};
pub use lint_runner::{LintRunner, run_lints};
pub use lints::{LINTS, Lint};
pub use summary::{RunSummary, busiest_tasks, most_woken_tasks};
pub use thresholds::{Threshold, ThresholdUnit, Thresholds};
