//! Incremental run of all lints over a trace, so that a caller can interleave other work.
//!
//! A run visits the awaits first, then the tasks; each lint visits each task once and reports at the end. The trace may
//! grow during a run. What appears after its start is left to the next run, or a busy loop could keep a run from ever
//! ending. Awaits that were open when they were indexed are refreshed before a lint reports.

use std::ops::Range;

use super::finding::{FINDINGS_MAX, Finding, Findings};
use super::finding_groups::merge_groups;
use super::lint_context::{LintContext, LintIndex};
use super::lints::{Diagnostic, LINTS, Lint, LintPass};
use super::missing_data::missing_data;
use super::thresholds::Thresholds;
use crate::trace::{Task, Trace};

/// Cost of finishing a lint, in visited awaits.
const FINISH_COST: usize = 4_000;

/// Cost of visiting a task and of each of its polls, in visited awaits.
const TASK_COST: usize = 8;

/// Progress of a run; each variant holds the index to continue from.
#[derive(Clone, Copy, Debug)]
enum LintStage {
    Awaits(usize),
    GreedyPolls(usize),
    Tasks(usize),
    Finish(usize),
}

/// A run of all lints over a trace, in steps of bounded cost. A clone starts from the beginning.
pub struct LintRunner {
    thresholds: Thresholds,
    index: LintIndex,
    stage: LintStage,
    /// Numbers of awaits and tasks at the start of the run; `None` before it.
    ends: Option<(usize, usize)>,
    /// Index of the first await that was not visited yet.
    next_await: usize,
    passes: Vec<Box<dyn LintPass>>,
    findings: Findings,
}

impl Clone for LintRunner {
    fn clone(&self) -> Self {
        Self::new(&self.thresholds)
    }
}

impl std::fmt::Debug for LintRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LintRunner").field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl LintRunner {
    /// Creates a run at its beginning.
    pub fn new(thresholds: &Thresholds) -> Self {
        Self {
            thresholds: *thresholds,
            index: LintIndex::default(),
            stage: LintStage::Awaits(0),
            ends: None,
            next_await: 0,
            passes: LINTS.iter().map(|lint| (lint.new_pass)()).collect(),
            findings: Findings::default(),
        }
    }

    /// Continues the run for about the cost of visiting `budget` awaits, 50 ns each. A single task is never split, so
    /// one with many polls can exceed the budget. Returns the findings once the run is complete.
    pub fn advance(&mut self, trace: &Trace, budget: usize) -> Option<Findings> {
        let mut left = budget;
        let (awaits, tasks) = *self.ends.get_or_insert((trace.awaits().created(), trace.tasks().len()));
        while left > 0 {
            self.stage = match self.stage {
                LintStage::Awaits(from) => self.visit_awaits(from..awaits, trace, &mut left),
                LintStage::GreedyPolls(from) => self.collect_greedy_polls(from..tasks, trace, &mut left),
                LintStage::Tasks(from) => self.visit_tasks(from..tasks, trace, &mut left),
                LintStage::Finish(lint) if lint < LINTS.len() => self.finish_lint(lint, trace, &mut left),
                LintStage::Finish(_) => {
                    self.findings.listed.sort_by_key(|finding| (finding.at_ns, finding.task, finding.name));
                    return Some(std::mem::take(&mut self.findings));
                }
            };
        }
        None
    }

    fn visit_awaits(&mut self, range: Range<usize>, trace: &Trace, left: &mut usize) -> LintStage {
        let mut visitors: Vec<_> = self.passes.iter_mut().filter(|pass| pass.visits_awaits()).collect();
        let awaits = trace.awaits().iter_from(range.start);
        for (id, found) in awaits.take_while(|(id, _)| id.index() < range.end) {
            if *left == 0 {
                return LintStage::Awaits(id.index());
            }
            *left -= 1;
            self.next_await = id.index() + 1;
            self.index.add_await(trace, id, found);
            let cx = LintContext { trace, thresholds: &self.thresholds, index: &self.index };
            visitors.iter_mut().for_each(|pass| pass.visit_await(&cx, &found));
        }
        LintStage::GreedyPolls(0)
    }

    fn collect_greedy_polls(&mut self, range: Range<usize>, trace: &Trace, left: &mut usize) -> LintStage {
        for task in trace.tasks().iter_from(range.start).take_while(|task| task.id.index() < range.end) {
            if *left == 0 {
                return LintStage::GreedyPolls(task.id.index());
            }
            *left -= 1;
            self.index.add_task(task);
            if self.index.has_loop_calls(task.id) {
                *left = left.saturating_sub(task_cost(task));
                let cx = LintContext { trace, thresholds: &self.thresholds, index: &self.index };
                let greedy_polls = cx.greedy_polls(task);
                self.index.greedy_polls.extend(greedy_polls);
            }
        }
        self.index.add_panics(trace);
        self.index.greedy_polls.sort_unstable_by_key(|poll| (poll.from, poll.task));
        let cx = LintContext { trace, thresholds: &self.thresholds, index: &self.index };
        self.passes.iter_mut().for_each(|pass| pass.begin_tasks(&cx));
        LintStage::Tasks(0)
    }

    fn visit_tasks(&mut self, range: Range<usize>, trace: &Trace, left: &mut usize) -> LintStage {
        for task in trace.tasks().iter_from(range.start).take_while(|task| task.id.index() < range.end) {
            if *left == 0 {
                return LintStage::Tasks(task.id.index());
            }
            let cx = LintContext { trace, thresholds: &self.thresholds, index: &self.index };
            // Workers and blocking closures are no tasks. A `block_on` future beside workers does not occupy the loop.
            let is_background = task.is_off_loop() || cx.is_beside_workers(task);
            *left = left.saturating_sub(if is_background { 1 } else { task_cost(task) });
            let passes = self.passes.iter_mut().filter(|pass| !is_background || pass.visits_background_tasks());
            passes.for_each(|pass| pass.visit_task(&cx, task));
        }
        LintStage::Finish(0)
    }

    fn finish_lint(&mut self, index: usize, trace: &Trace, left: &mut usize) -> LintStage {
        *left = left.saturating_sub(FINISH_COST);
        self.index.refresh_open_awaits(trace);
        // In an external app only awaits show who got a lock last. There are few of them.
        if trace.is_external() {
            for (id, found) in trace.awaits().iter_from(self.next_await) {
                self.next_await = id.index() + 1;
                self.index.add_await(trace, id, found);
            }
        }
        let cx = LintContext { trace, thresholds: &self.thresholds, index: &self.index };
        if let (Some(lint), Some(pass)) = (LINTS.get(index), self.passes.get_mut(index)) {
            let mut diagnostics = merge_groups(&cx, pass.finish(&cx));
            diagnostics.sort_by_key(|diagnostic| (diagnostic.at_ns, diagnostic.task));
            self.findings.unlisted += diagnostics.len().saturating_sub(FINDINGS_MAX) as u64;
            diagnostics.truncate(FINDINGS_MAX);
            let missing = missing_data(trace);
            let diagnostics = diagnostics.into_iter().map(|diagnostic| diagnostic.doubted(missing));
            self.findings.listed.extend(diagnostics.map(|diagnostic| finding_of(lint, diagnostic)));
        }
        LintStage::Finish(index + 1)
    }
}

fn finding_of(lint: &Lint, diagnostic: Diagnostic) -> Finding {
    let doubt = diagnostic.doubt.as_ref().map_or_else(String::new, |doubt| format!("; not certain: {doubt}"));
    Finding {
        name: lint.name,
        severity: diagnostic.severity.unwrap_or(lint.severity),
        task: diagnostic.task,
        location: diagnostic.location,
        count: diagnostic.count,
        is_certain: diagnostic.doubt.is_none(),
        at_ns: diagnostic.at_ns,
        message: format!("{}; help: {}", diagnostic.problem, lint.advice),
        evidence: format!("{}{doubt}", diagnostic.evidence),
    }
}

/// Cost of visiting a task, in visited awaits.
fn task_cost(task: &Task) -> usize {
    usize::try_from(task.counts.polls).unwrap_or(usize::MAX).saturating_add(1).saturating_mul(TASK_COST)
}

/// Runs all lints over the trace and returns their findings.
pub fn run_lints(trace: &Trace, thresholds: &Thresholds) -> Findings {
    let mut runner = LintRunner::new(thresholds);
    loop {
        if let Some(found) = runner.advance(trace, usize::MAX) {
            return found;
        }
    }
}
