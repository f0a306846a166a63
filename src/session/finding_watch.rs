//! Breakpoints on findings, which the session checks because the loop cannot detect them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::control::{Breakpoint, BreakpointHit, TaskPattern};
use crate::insight::{Finding, LintRunner, Thresholds};
use crate::trace::{Nanos, TaskId, Trace};

/// Minimum time between two searches for findings.
const SEARCH_INTERVAL: Duration = Duration::from_millis(100);

/// Work of one search step, in awaits or the equivalent of other data: a few milliseconds.
const STEP_WORK: usize = 50_000;

/// Search steps take at most about 1/8 of the time.
const STEP_TIME_DIVISOR: u32 = 8;

/// Watches a trace for new findings that match a breakpoint.
#[derive(Default)]
pub(super) struct FindingWatch {
    /// Lints to watch for.
    patterns: Vec<TaskPattern>,
    /// Causes of the findings seen so far: lint, location and task.
    seen: BTreeSet<(&'static str, Option<String>, Option<TaskId>)>,
    /// Findings up to this time precede the breakpoint and do not hit it. Consumed by the first search.
    baseline_until: Option<Nanos>,
    /// When the next search or step is due.
    next_search_at: Option<Instant>,
    /// The search in progress.
    search: Option<LintRunner>,
    /// The last hit since the loop was resumed.
    pub hit: Option<BreakpointHit>,
}

impl FindingWatch {
    /// Adds `breakpoint` if it is on a finding. Findings that are in the trace already do not hit it.
    pub fn add(&mut self, breakpoint: Breakpoint, trace: &Trace) {
        if let Breakpoint::Finding(who) = breakpoint {
            self.patterns.push(who);
            (self.baseline_until, self.search, self.next_search_at) = (Some(trace.now()), None, None);
        }
    }

    /// Removes all breakpoints.
    pub fn clear(&mut self) {
        self.patterns.clear();
    }

    /// Runs a search step if one is due. Returns whether there is a new hit.
    pub fn check(&mut self, trace: &Trace, thresholds: &Thresholds) -> bool {
        let started = Instant::now();
        if self.patterns.is_empty() || self.next_search_at.is_some_and(|next| started < next) {
            return false;
        }
        let search = self.search.get_or_insert_with(|| LintRunner::new(thresholds));
        let found = search.advance(trace, STEP_WORK);
        let Some(found) = found else {
            self.next_search_at = Some(Instant::now() + started.elapsed() * STEP_TIME_DIVISOR);
            return false;
        };
        self.search = None;
        // Skipped for an empty trace, which has no earlier findings.
        if let Some(until) = self.baseline_until.take().filter(|until| *until > 0) {
            let old = found.listed.iter().filter(|found| found.at_ns <= until);
            self.seen.extend(old.map(Finding::cause));
        }
        let new = found.listed.iter().find(|found| {
            !self.seen.contains(&found.cause()) && self.patterns.iter().any(|who| who.matches(found.name))
        });
        if let Some(new) = new {
            let who = self.patterns.iter().find(|who| who.matches(new.name)).copied().unwrap_or(TaskPattern::ANY);
            let breakpoint = Breakpoint::Finding(who);
            self.hit =
                Some(BreakpointHit { breakpoint, task: new.task, at: trace.now(), duration_ns: 0, finding: new.name });
        }
        let is_new = new.is_some();
        self.seen.extend(found.listed.iter().map(Finding::cause));
        self.next_search_at = Some(Instant::now() + SEARCH_INTERVAL.max(started.elapsed() * STEP_TIME_DIVISOR));
        is_new
    }
}
