//! Analysis of a trace: findings (detected problems with evidence and advice) and a summary of the run.
//!
//! Pure functions of a trace: no I/O, no clock. A finding states what was observed, where, on which evidence, and why it
//! is not certain if it is not.
//!
//! ```
//! use loopscope::insight::{Thresholds, run_lints};
//! use loopscope::trace::{Event, TaskId, TaskMeta, Trace};
//!
//! let mut trace = Trace::default();
//! let task = TaskId::from_index(0);
//! let meta = TaskMeta { name: "parser".into(), ..TaskMeta::default() };
//! trace.apply(Event::Spawn { task, at: 0, meta: Box::new(meta) });
//! trace.apply(Event::PollStart { task, at: 0 });
//! trace.apply(Event::PollEnd { task, at: 300_000_000 });
//!
//! let findings = run_lints(&trace, &Thresholds::default());
//! assert_eq!(findings.listed[0].name, "blocked-loop");
//! ```

mod finding;
mod finding_groups;
mod lint_context;
mod lint_runner;
mod lints;
mod long_poll;
mod missing_data;
mod outside_wake;
mod panic_messages;
mod resource_usage;
mod summary;
mod thresholds;
pub mod units;

pub use finding::{FINDINGS_MAX, Finding, Findings, Severity};
pub use lint_runner::{LintRunner, run_lints};
pub use lints::{LINTS, Lint};
pub use outside_wake::OutsideWake;
pub use resource_usage::{ResourceUsage, TaskSample, UsageLimits};
pub use summary::{QueueSummary, RunSummary, WorkerSummary, busiest_tasks, most_woken_tasks};
pub use thresholds::{Threshold, ThresholdUnit, Thresholds};
