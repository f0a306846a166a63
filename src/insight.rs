//! WHAT IT MEANS: what a person should look at, with the evidence, and the run in a few numbers.
//!
//! Pure like the trace: it asks the trace and computes, nothing more. A finding names what was seen, where, and why
//! that is believed; what is only suspected does not become one.

mod case;
mod finding;
mod lints;
mod search;
mod summary;
mod thresholds;
pub mod units;

pub use finding::{FINDINGS_MAX, Finding, Findings, Severity};
pub use lints::{LINTS, Lint};
pub use search::{Search, findings};
pub use summary::{Summary, busiest, most_woken};
pub use thresholds::{Measure, Threshold, Thresholds};
