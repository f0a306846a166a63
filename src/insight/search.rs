//! Looking for findings a piece at a time, so that whoever asks can do something else in between.
//!
//! Awaits are gone through first, then tasks; each lint sees each task once and says at the end what it found. A trace
//! may grow meanwhile: what was open when it was gathered is looked up again before a lint rests on it.

use super::case::{Case, Known};
use super::finding::{FINDINGS_MAX, Finding, Findings};
use super::lints::{LINTS, Looking};
use super::thresholds::Thresholds;
use crate::trace::{Task, Trace};

/// What a lint's last word costs, in awaits that could be gone through meanwhile.
const LAST_WORD_COST: usize = 5_000;

/// What a task costs, whatever it did, and each of its polls.
const TASK_COST: usize = 8;

/// How far it is, each with where to go on.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Awaits(usize),
    Calls(usize),
    Tasks(usize),
    LastWords(usize),
}

/// See the module. A copy of one begins anew.
pub struct Search {
    limits: Thresholds,
    known: Known,
    stage: Stage,
    /// Awaits that there were when they were gone through.
    awaits: usize,
    looking: Vec<Box<dyn Looking>>,
    found: Findings,
}

impl Clone for Search {
    fn clone(&self) -> Self {
        Self::new(&self.limits)
    }
}

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search").field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl Search {
    /// One that has not begun.
    pub fn new(limits: &Thresholds) -> Self {
        Self {
            limits: *limits,
            known: Known::default(),
            stage: Stage::Awaits(0),
            awaits: 0,
            looking: LINTS.iter().map(|lint| (lint.look)()).collect(),
            found: Findings::default(),
        }
    }

    /// Goes on for about as long as it takes to go through `budget` awaits, a twentieth of a microsecond each; a single
    /// task takes what it takes. Gives what was found once it is done.
    pub fn go_on(&mut self, trace: &Trace, budget: usize) -> Option<Findings> {
        let mut left = budget;
        while left > 0 {
            self.stage = match self.stage {
                Stage::Awaits(from) => self.awaits(from, trace, &mut left),
                Stage::Calls(from) => self.calls(from, trace, &mut left),
                Stage::Tasks(from) => self.tasks(from, trace, &mut left),
                Stage::LastWords(lint) if lint < LINTS.len() => self.last_word(lint, trace, &mut left),
                Stage::LastWords(_) => {
                    self.found.listed.sort_by_key(|finding| (finding.at_ns, finding.task, finding.name));
                    return Some(std::mem::take(&mut self.found));
                }
            };
        }
        None
    }

    fn awaits(&mut self, from: usize, trace: &Trace, left: &mut usize) -> Stage {
        let mut wanting: Vec<_> = self.looking.iter_mut().filter(|lint| lint.looks_at_awaits()).collect();
        for (id, found) in trace.awaits().from(from) {
            if *left == 0 {
                return Stage::Awaits(id.index());
            }
            *left -= 1;
            self.awaits = id.index() + 1;
            self.known.note(trace, id, found);
            let case = Case { trace, limits: &self.limits, known: &self.known };
            wanting.iter_mut().for_each(|lint| lint.found_await(&case, &found));
        }
        Stage::Calls(0)
    }

    fn calls(&mut self, from: usize, trace: &Trace, left: &mut usize) -> Stage {
        for task in trace.tasks().from(from) {
            if *left == 0 {
                return Stage::Calls(task.id.index());
            }
            *left -= 1;
            if self.known.has_called(task.id) {
                *left = left.saturating_sub(cost(task));
                let greedy = Case { trace, limits: &self.limits, known: &self.known }.greedy_polls(task);
                self.known.greedy.extend(greedy);
            }
        }
        self.known.greedy.sort_unstable_by_key(|poll| (poll.from, poll.task));
        let case = Case { trace, limits: &self.limits, known: &self.known };
        self.looking.iter_mut().for_each(|lint| lint.begin(&case));
        Stage::Tasks(0)
    }

    fn tasks(&mut self, from: usize, trace: &Trace, left: &mut usize) -> Stage {
        for task in trace.tasks().from(from) {
            if *left == 0 {
                return Stage::Tasks(task.id.index());
            }
            *left = left.saturating_sub(cost(task));
            let case = Case { trace, limits: &self.limits, known: &self.known };
            self.looking.iter_mut().for_each(|lint| lint.task(&case, task));
        }
        Stage::LastWords(0)
    }

    fn last_word(&mut self, index: usize, trace: &Trace, left: &mut usize) -> Stage {
        *left = left.saturating_sub(LAST_WORD_COST);
        self.known.look_again(trace);
        // Of a program that is not ours only awaits tell who got a lock last, and there are not many of them.
        if trace.is_foreign() {
            for (id, found) in trace.awaits().from(self.awaits) {
                self.awaits = id.index() + 1;
                self.known.note(trace, id, found);
            }
        }
        let case = Case { trace, limits: &self.limits, known: &self.known };
        if let (Some(lint), Some(looking)) = (LINTS.get(index), self.looking.get_mut(index)) {
            let mut seen = looking.last_word(&case);
            seen.sort_by_key(|sighting| (sighting.at_ns, sighting.task));
            self.found.unlisted += seen.len().saturating_sub(FINDINGS_MAX) as u64;
            seen.truncate(FINDINGS_MAX);
            self.found.listed.extend(seen.into_iter().map(|sighting| Finding {
                name: lint.name,
                severity: lint.severity,
                task: sighting.task,
                at_ns: sighting.at_ns,
                message: format!("{}: {}", sighting.seen, lint.advice),
                evidence: sighting.evidence,
            }));
        }
        Stage::LastWords(index + 1)
    }
}

fn cost(task: &Task) -> usize {
    usize::try_from(task.counts.polls).unwrap_or(usize::MAX).saturating_add(1).saturating_mul(TASK_COST)
}

/// Every finding in the trace so far.
pub fn findings(trace: &Trace, thresholds: &Thresholds) -> Findings {
    let mut search = Search::new(thresholds);
    loop {
        if let Some(found) = search.go_on(trace, usize::MAX) {
            return found;
        }
    }
}
