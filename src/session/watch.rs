//! The breakpoint that the loop cannot see by itself: something is found in the trace that was not found before.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::control::{Breakpoint, Hit, Who};
use crate::insight::{Thresholds, findings};
use crate::trace::{TaskId, Trace};

/// The least time between two looks; a look at a long trace costs more, and the next comes so much later.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS_SHARE: u32 = 20;

/// See the module.
#[derive(Default)]
pub(super) struct FindingWatch {
    wanted: Vec<Who>,
    /// What was found before: what, and in which task.
    known: BTreeSet<(&'static str, Option<TaskId>)>,
    next_look: Option<Instant>,
    pub hit: Option<Hit>,
}

impl FindingWatch {
    /// Watches for one more sort of finding. What is in the trace already is known.
    pub fn add(&mut self, breakpoint: Breakpoint, trace: &Trace, thresholds: &Thresholds) {
        if let Breakpoint::Finding(who) = breakpoint {
            self.wanted.push(who);
            self.known = findings(trace, thresholds).listed.iter().map(|found| (found.name, found.task)).collect();
        }
    }

    pub fn forget(&mut self) {
        self.wanted.clear();
    }

    /// Whether something new is found. Looks only now and then.
    pub fn looks(&mut self, trace: &Trace, thresholds: &Thresholds) -> bool {
        let begun = Instant::now();
        if self.wanted.is_empty() || self.next_look.is_some_and(|next| begun < next) {
            return false;
        }
        let found = findings(trace, thresholds);
        let new = found.listed.iter().find(|found| {
            !self.known.contains(&(found.name, found.task)) && self.wanted.iter().any(|who| who.is(found.name))
        });
        if let Some(new) = new {
            let who = self.wanted.iter().find(|who| who.is(new.name)).copied().unwrap_or(Who::ANY);
            let breakpoint = Breakpoint::Finding(who);
            self.hit = Some(Hit { breakpoint, task: new.task, at: trace.now(), length_ns: 0, finding: new.name });
        }
        let is_new = new.is_some();
        self.known.extend(found.listed.iter().map(|found| (found.name, found.task)));
        self.next_look = Some(Instant::now() + LOOK.max(begun.elapsed() * LOOKS_SHARE));
        is_new
    }
}
