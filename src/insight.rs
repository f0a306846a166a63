//! WHAT IT MEANS: what a person should look at, with the evidence, and the run in a few numbers.
//!
//! Pure like the trace: it asks the trace and computes, nothing more. A finding names what was seen, where, and why
//! that is believed; what is only suspected does not become one.

mod finding;
mod summary;

pub use finding::{Finding, Severity, findings};
pub use summary::{Summary, busiest, most_woken};
