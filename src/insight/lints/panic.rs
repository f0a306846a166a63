//! Lint `panic`: the app printed a panic message.
//!
//! *Detects* the messages of Rust's panic hook on the standard error of an app that loopscope started. The runtime reports
//! a task that panicked like one that returned. Which task it was is a guess: the one that ended in the poll during which
//! the message came.
//! *Problem*: the work of the task is not done, and a task that nothing awaits fails silently.
//! *Fix*: fix the cause; await the task and handle the error of its join handle.

use std::cmp::Reverse;

use super::super::panic_messages::PanicMessage;
use super::{Diagnostic, Lint, LintContext, LintPass, Severity};
use crate::trace::{Task, TaskId, TaskOutcome};

pub const LINT: Lint = Lint {
    name: "panic",
    severity: Severity::Error,
    summary: "the app printed a panic message",
    advice: "fix the cause, await the task and handle its error",
    new_pass: || Box::new(PanicPass::default()),
};

/// Maximum time between a panic and the arrival of its message.
const ARRIVAL_NS_MAX: u64 = 100_000_000;

/// How likely it is that a task panicked: the greatest is the most likely.
type Likelihood = (bool, bool, bool, Reverse<u32>, Reverse<TaskId>);

#[derive(Default)]
struct PanicPass {
    /// The most likely task of each panic.
    candidates: Vec<Option<(Likelihood, TaskId)>>,
}

impl LintPass for PanicPass {
    fn visits_background_tasks(&self) -> bool {
        true
    }

    fn begin_tasks(&mut self, cx: &LintContext) {
        self.candidates = vec![None; cx.index.panics.len()];
    }

    fn visit_task(&mut self, cx: &LintContext, task: &Task) {
        // The task ended in a poll during which the message came, or just before.
        let (Some(ended), Some(last), false) = (task.lane.ended_at(), task.lane.last(), task.is_off_loop()) else {
            return;
        };
        if last.end().is_some_and(|end| end.max(last.start).saturating_add(ARRIVAL_NS_MAX) < ended) {
            return;
        }
        for index in cx.index.panics_within(last.start, ended.saturating_add(ARRIVAL_NS_MAX)) {
            let candidate = Some((likelihood(task, &cx.index.panics[index]), task.id));
            self.candidates[index] = self.candidates[index].max(candidate);
        }
    }

    fn finish(&mut self, cx: &LintContext) -> Vec<Diagnostic> {
        let candidates = self.candidates.iter().map(|candidate| cx.trace.task(candidate.as_ref()?.1));
        let found = cx.index.panics.iter().zip(candidates);
        // The lint `failed-task` reports a task whose panic is known.
        let is_reported = |task: &Task| matches!(task.outcome, Some(TaskOutcome::Failed(_)));
        let unreported = found.filter(|(_, task)| !task.is_some_and(is_reported));
        unreported.map(|(panic, task)| diagnose(panic, task)).collect()
    }
}

fn diagnose(panic: &PanicMessage, task: Option<&Task>) -> Diagnostic {
    let place = panic.location.as_ref().map_or_else(String::new, |location| format!(" at {location}"));
    let problem = match task {
        Some(task) => format!("{} panicked{place}", task.name()),
        None => format!("thread `{}` panicked{place}", panic.thread),
    };
    let evidence = format!("thread `{}` printed: {}", panic.thread, panic.message);
    let group = panic.location.as_ref().map(|location| format!("{location} {}", panic.message));
    Diagnostic::new(task.map(|task| task.id), panic.at, problem, evidence)
        .at(panic.location.as_ref())
        .grouped(group, 0)
        .doubted(task.map(|_| "which task panicked is a guess"))
}

/// Ranks a candidate. A task whose panic is known is the most likely. The hook prints before the future is dropped, so a task that ended after the message is more likely,
/// and then one that was spawned shortly before the line that panicked.
fn likelihood(task: &Task, panic: &PanicMessage) -> Likelihood {
    let ended_after = task.lane.ended_at().is_some_and(|ended| ended >= panic.at);
    let (spawned, panicked) = (task.meta.location.as_ref(), panic.location.as_ref());
    let lines = spawned.zip(panicked).filter(|(spawned, panicked)| spawned.file == panicked.file);
    let distance = lines.and_then(|(spawned, panicked)| panicked.line.checked_sub(spawned.line));
    let near = Reverse(distance.unwrap_or(u32::MAX));
    let is_known = matches!(task.outcome, Some(TaskOutcome::Failed(_)));
    (is_known, ended_after, distance.is_some(), near, Reverse(task.id))
}
