//! The lints: each looks at a whole trace for one way in which loops go wrong.
//!
//! Each says in its file what it sees, why that is bad, and what to do. They are shown each await and each task once, and
//! never guess: where a trace lacks what a lint rests on, the lint is silent.

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
use super::finding::Severity;
use crate::trace::{Await, Nanos, Task, TaskId};

/// One way in which loops go wrong, and how to see it.
#[derive(Clone, Copy)]
pub struct Lint {
    /// What a script matches on: `blocked-loop`.
    pub name: &'static str,
    pub severity: Severity,
    /// What a person can do about it.
    pub advice: &'static str,
    pub(super) look: fn() -> Box<dyn Looking>,
}

/// What a lint saw, before it has a name.
pub(super) struct Sighting {
    pub(super) task: Option<TaskId>,
    pub(super) at_ns: Nanos,
    /// What was seen, as a sentence without its full stop.
    pub(super) seen: String,
    pub(super) evidence: String,
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

/// One lint at work: what it is shown, and what it says at the end.
pub(super) trait Looking {
    /// It wants to be shown every await.
    fn looks_at_awaits(&self) -> bool {
        false
    }

    fn found_await(&mut self, _case: &Case, _found: &Await) {}

    /// Every await was gone through.
    fn begin(&mut self, _case: &Case) {}

    fn task(&mut self, _case: &Case, _task: &Task) {}

    fn last_word(&mut self, case: &Case) -> Vec<Sighting>;
}

/// Looks at each task by itself.
struct Each {
    of_task: fn(&Case, &Task) -> Option<Sighting>,
    seen: Vec<Sighting>,
}

fn each(of_task: fn(&Case, &Task) -> Option<Sighting>) -> Box<dyn Looking> {
    Box::new(Each { of_task, seen: Vec::new() })
}

impl Looking for Each {
    fn task(&mut self, case: &Case, task: &Task) {
        self.seen.extend((self.of_task)(case, task));
    }

    fn last_word(&mut self, _case: &Case) -> Vec<Sighting> {
        std::mem::take(&mut self.seen)
    }
}

/// Looks at what is known once everything is.
struct Last(fn(&Case) -> Vec<Sighting>);

fn last(look: fn(&Case) -> Vec<Sighting>) -> Box<dyn Looking> {
    Box::new(Last(look))
}

impl Looking for Last {
    fn last_word(&mut self, case: &Case) -> Vec<Sighting> {
        (self.0)(case)
    }
}
