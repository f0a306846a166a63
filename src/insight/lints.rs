//! The lints: each looks at a whole trace for one way in which loops go wrong.
//!
//! Each says in its file what it sees, why that is bad, and what to do. They run once a report, in one pass over tasks
//! and awaits each, and never guess: where a trace lacks what a lint rests on, the lint is silent.

mod back_pressure;
mod blocked_loop;
mod busy_yield;
mod convoy;
mod deadlock;
mod failed_task;
mod interval_drift;
mod large_future;
mod leak;
mod lost_wake;
mod never_awaited;
mod never_yields;
mod overlapping_work;
mod starvation;
mod thundering_herd;

use super::case::Case;
use super::finding::{FINDINGS_MAX, Finding, Findings, Severity};
use super::thresholds::Thresholds;
use crate::trace::{Nanos, TaskId, Trace};

/// One way in which loops go wrong, and how to see it.
#[derive(Clone, Copy)]
pub struct Lint {
    /// What a script matches on: `blocked-loop`.
    pub name: &'static str,
    pub severity: Severity,
    /// What a person can do about it.
    pub advice: &'static str,
    look: fn(&Case) -> Vec<Sighting>,
}

/// What a lint saw, before it has a name.
struct Sighting {
    task: Option<TaskId>,
    at_ns: Nanos,
    /// What was seen, as a sentence without its full stop.
    seen: String,
    evidence: String,
}

/// Every lint, by name.
pub const LINTS: [Lint; 15] = [
    back_pressure::LINT,
    blocked_loop::LINT,
    busy_yield::LINT,
    convoy::LINT,
    deadlock::LINT,
    failed_task::LINT,
    interval_drift::LINT,
    large_future::LINT,
    leak::LINT,
    lost_wake::LINT,
    never_awaited::LINT,
    never_yields::LINT,
    overlapping_work::LINT,
    starvation::LINT,
    thundering_herd::LINT,
];

/// Every finding in the trace so far.
pub fn findings(trace: &Trace, thresholds: &Thresholds) -> Findings {
    let case = Case::new(trace, thresholds);
    let mut findings = Findings::default();
    for lint in LINTS {
        let mut seen = (lint.look)(&case);
        seen.sort_by_key(|sighting| (sighting.at_ns, sighting.task));
        findings.unlisted += seen.len().saturating_sub(FINDINGS_MAX) as u64;
        seen.truncate(FINDINGS_MAX);
        findings.listed.extend(seen.into_iter().map(|sighting| Finding {
            name: lint.name,
            severity: lint.severity,
            task: sighting.task,
            at_ns: sighting.at_ns,
            message: format!("{}: {}", sighting.seen, lint.advice),
            evidence: sighting.evidence,
        }));
    }
    findings.listed.sort_by_key(|finding| (finding.at_ns, finding.task, finding.name));
    findings
}
