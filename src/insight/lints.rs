//! The lints: one file each, one kind of problem each.
//!
//! Each file documents what its lint detects, why that is a problem, and the fix. A lint visits each await and each
//! task once. It reports nothing where the trace lacks the data that it needs, and states a doubt where it infers.

use super::finding::Severity;
use super::lint_context::LintContext;
use crate::trace::{Await, Location, Nanos, Task, TaskId};

/// A lint: name, severity, advice and implementation.
#[derive(Clone, Copy)]
pub struct Lint {
    /// Stable name, for scripts and settings: `blocked-loop`.
    pub name: &'static str,
    /// Severity of its findings.
    pub severity: Severity,
    /// The problem in one sentence, for the documentation.
    pub summary: &'static str,
    /// How to fix the problem.
    pub advice: &'static str,
    /// Creates the state of one run of the lint.
    pub(super) new_pass: fn() -> Box<dyn LintPass>,
}

/// A detected problem, without the name and advice of its lint. Diagnostics of one lint with equal groups are merged
/// into one finding.
pub(super) struct Diagnostic {
    /// The task concerned; `None` if the problem concerns the loop.
    pub(super) task: Option<TaskId>,
    /// Loop time at which the problem first shows.
    pub(super) at_ns: Nanos,
    /// The problem as a sentence, without a full stop.
    pub(super) problem: String,
    /// Measurements and locations that support it.
    pub(super) evidence: String,
    /// Where to look.
    pub(super) location: Option<Location>,
    /// Identifies the cause; `None` for a problem that is never merged with others.
    pub(super) group: Option<String>,
    /// Of merged diagnostics, the one with the greatest weight is shown.
    pub(super) weight: u64,
    /// Number of occurrences.
    pub(super) count: u64,
    /// Why the problem is not certain; `None` if it is.
    pub(super) doubt: Option<String>,
    /// A severity that differs from that of the lint.
    pub(super) severity: Option<Severity>,
}

impl Diagnostic {
    /// Creates a diagnostic of one certain occurrence, without a location.
    pub(super) fn new(task: Option<TaskId>, at_ns: Nanos, problem: String, evidence: String) -> Self {
        Self {
            task,
            at_ns,
            problem,
            evidence,
            location: None,
            group: None,
            weight: 0,
            count: 1,
            doubt: None,
            severity: None,
        }
    }

    /// Sets where to look.
    pub(super) fn at(mut self, location: Option<&Location>) -> Self {
        self.location = location.cloned();
        self
    }

    /// Merges this with the diagnostics of the same group. The one with the greatest weight is shown.
    pub(super) fn grouped(mut self, group: Option<String>, weight: u64) -> Self {
        (self.group, self.weight) = (group, weight);
        self
    }

    /// Sets the number of occurrences.
    pub(super) fn counting(mut self, count: u64) -> Self {
        self.count = count;
        self
    }

    /// States why the problem is not certain. A later doubt does not replace an earlier one.
    pub(super) fn doubted(mut self, doubt: Option<&str>) -> Self {
        self.doubt = self.doubt.or_else(|| doubt.map(str::to_owned));
        self
    }

    /// Sets a severity that differs from that of the lint.
    pub(super) fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }
}

/// Declares the modules of the lints and lists their lints.
macro_rules! lints {
    ($($module:ident,)*) => {
        $(mod $module;)*

        /// All lints, ordered by name.
        pub const LINTS: &[Lint] = &[$($module::LINT,)*];
    };
}

// A new lint needs a line here and a file of this name. `cargo fmt` does not find these files: see `.ci/run`.
lints! {
    back_pressure,
    blocked_loop,
    busy_yield,
    convoy,
    deadlock,
    failed_task,
    interval_drift,
    large_future,
    leak,
    lost_wake,
    lost_waker,
    never_awaited,
    never_retrieved,
    never_yields,
    no_progress,
    overlapping_work,
    panic,
    spawn_storm,
    starvation,
    thundering_herd,
}

/// One run of one lint over a trace.
pub(super) trait LintPass {
    /// Whether `visit_await` is to be called.
    fn visits_awaits(&self) -> bool {
        false
    }

    /// Called for each await, in order of creation.
    fn visit_await(&mut self, _cx: &LintContext, _found: &Await) {}

    /// Whether `visit_task` is also to be called for workers, for blocking closures, and for `block_on` futures beside
    /// workers. None of them occupies the loop.
    fn visits_background_tasks(&self) -> bool {
        false
    }

    /// Called once, after all awaits and before the first task.
    fn begin_tasks(&mut self, _cx: &LintContext) {}

    /// Called for each task, in order of id.
    fn visit_task(&mut self, _cx: &LintContext, _task: &Task) {}

    /// Called once at the end; returns what was detected.
    fn finish(&mut self, cx: &LintContext) -> Vec<Diagnostic>;
}

/// A lint that checks each task on its own.
struct PerTaskPass {
    check: fn(&LintContext, &Task) -> Option<Diagnostic>,
    diagnostics: Vec<Diagnostic>,
}

fn per_task(check: fn(&LintContext, &Task) -> Option<Diagnostic>) -> Box<dyn LintPass> {
    Box::new(PerTaskPass { check, diagnostics: Vec::new() })
}

impl LintPass for PerTaskPass {
    fn visit_task(&mut self, cx: &LintContext, task: &Task) {
        self.diagnostics.extend((self.check)(cx, task));
    }

    fn finish(&mut self, _cx: &LintContext) -> Vec<Diagnostic> {
        std::mem::take(&mut self.diagnostics)
    }
}

/// A lint that checks the complete index once.
struct WholeTracePass(fn(&LintContext) -> Vec<Diagnostic>);

fn whole_trace(check: fn(&LintContext) -> Vec<Diagnostic>) -> Box<dyn LintPass> {
    Box::new(WholeTracePass(check))
}

impl LintPass for WholeTracePass {
    fn finish(&mut self, cx: &LintContext) -> Vec<Diagnostic> {
        (self.0)(cx)
    }
}
