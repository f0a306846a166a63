//! The breakpoint that the loop cannot see by itself: something is found in the trace that was not found before.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::control::{Breakpoint, Hit, Who};
use crate::insight::{Search, Thresholds};
use crate::trace::{Nanos, TaskId, Trace};

/// The least time between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// A look at a long trace is taken in pieces of some milliseconds: so many awaits, or what takes as long.
const PIECE: usize = 50_000;

/// Pieces take up to this part of the time.
const PIECES_SHARE: u32 = 8;

/// See the module.
#[derive(Default)]
pub(super) struct FindingWatch {
    wanted: Vec<Who>,
    /// What was found before: what, and in which task.
    known: BTreeSet<(&'static str, Option<TaskId>)>,
    /// What shows up to then was there before anybody watched, and is not known yet.
    known_until: Option<Nanos>,
    next_look: Option<Instant>,
    search: Option<Search>,
    pub hit: Option<Hit>,
}

impl FindingWatch {
    /// Watches for one more sort of finding. What is in the trace already is no news.
    pub fn add(&mut self, breakpoint: Breakpoint, trace: &Trace) {
        if let Breakpoint::Finding(who) = breakpoint {
            self.wanted.push(who);
            (self.known_until, self.search, self.next_look) = (Some(trace.now()), None, None);
        }
    }

    pub fn forget(&mut self) {
        self.wanted.clear();
    }

    /// Whether something new is found. Looks only now and then, and by the piece.
    pub fn looks(&mut self, trace: &Trace, thresholds: &Thresholds) -> bool {
        let begun = Instant::now();
        if self.wanted.is_empty() || self.next_look.is_some_and(|next| begun < next) {
            return false;
        }
        let search = self.search.get_or_insert_with(|| Search::new(thresholds));
        let found = search.go_on(trace, PIECE);
        let Some(found) = found else {
            self.next_look = Some(Instant::now() + begun.elapsed() * PIECES_SHARE);
            return false;
        };
        self.search = None;
        // An empty trace has nothing that was there before.
        if let Some(until) = self.known_until.take().filter(|until| *until > 0) {
            let old = found.listed.iter().filter(|found| found.at_ns <= until);
            self.known.extend(old.map(|found| (found.name, found.task)));
        }
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
        self.next_look = Some(Instant::now() + LOOK.max(begun.elapsed() * PIECES_SHARE));
        is_new
    }
}
