//! Awaits, where the console wire says what the spans of a recording are: the recording has their exact polls and ends.
//!
//! An operation of a resource is an await of the task that polls it. Since tokio 1.53 a sleep has none on the wire; but
//! a timer that is entered in a task's poll, and not as part of another await, is a sleep of that task. An await that
//! ends in the very poll in which it was last polled was ready; one that ends at another time was dropped.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use crate::trace::{AwaitId, Event, Nanos, ResourceId, Site, SiteId, TaskId};

/// Places that await; whatever is awaited at more of them is not told.
const SITES_MAX: usize = 1 << 16;

/// Awaits that are open at once; more are not told.
const OPEN_MAX: usize = 1 << 20;

/// Awaits of one recording. Ids of the trace end at four times this.
const AWAITS_MAX: usize = 1 << 30;

/// Unnamed spans that are asked for again at a time.
const ASKED_AGAIN: usize = 512;

/// Unnamed spans inside one another that are looked through for the outermost that is named.
const INSIDE_MAX: usize = 16;

/// What is awaited where a span is entered, and of which resource.
pub type Meaning = (Site, Option<ResourceId>);

/// Somebody who knows what spans are.
pub trait Names {
    /// What is awaited where `span` is entered, and for which resource; `None` where it is no await.
    fn meaning(&self, span: u64) -> Option<Meaning>;
}

/// Nobody does.
impl Names for () {
    fn meaning(&self, _: u64) -> Option<Meaning> {
        None
    }
}

#[derive(Clone, Copy, Debug)]
struct Open {
    id: AwaitId,
    task: TaskId,
    /// Polled in the poll of its task that is under way.
    is_fresh: bool,
}

/// A span that means nothing so far.
#[derive(Clone, Copy, Debug)]
struct Unnamed {
    /// Who entered it first, and when.
    task: TaskId,
    at: Nanos,
    /// The span inside which that was.
    outer: Option<u64>,
}

/// A span that was entered in a poll.
#[derive(Clone, Copy, Debug)]
pub struct Polled {
    pub task: TaskId,
    pub span: u64,
    /// The span of no task inside which it was entered.
    pub outer: Option<u64>,
    pub at: Nanos,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Awaits {
    open: FxHashMap<u64, Open>,
    /// Spans of those that are fresh.
    fresh: Vec<u64>,
    /// They may be named yet.
    unnamed: FxHashMap<u64, Unnamed>,
    /// Which of them is to be asked for next; those that are gone from there are passed over.
    asked_next: VecDeque<u64>,
    sites: FxHashMap<Site, SiteId>,
    told: usize,
}

impl Awaits {
    /// A span was entered in a poll. Tells whether it is an await.
    pub fn polled(&mut self, polled: Polled, names: &impl Names, out: &mut impl FnMut(Event)) -> bool {
        let Polled { task, span, outer, at } = polled;
        if let Some(open) = self.open.get_mut(&span) {
            if std::mem::replace(&mut open.is_fresh, true) {
                out(Event::AwaitPoll { id: open.id, ready: false });
            } else {
                self.fresh.push(span);
            }
            return true;
        }
        let Some(meaning) = names.meaning(span) else {
            if self.asked_next.len() < OPEN_MAX
                && let Entry::Vacant(entry) = self.unnamed.entry(span)
            {
                entry.insert(Unnamed { task, at, outer });
                self.asked_next.push_back(span);
            }
            return false;
        };
        let first = self.unnamed.remove(&span).filter(|first| first.task == task);
        if self.begin((task, span, first.map_or(at, |first| first.at)), meaning, out)
            && let Some(open) = self.open.get_mut(&span)
        {
            open.is_fresh = true;
            self.fresh.push(span);
        }
        true
    }

    /// Asks once more for some of the spans that nobody had a name for when they were entered: a task that waits for good
    /// never enters its own again.
    pub fn name_late(&mut self, names: &impl Names, out: &mut impl FnMut(Event)) {
        for _ in 0..ASKED_AGAIN.min(self.asked_next.len()) {
            let Some(span) = self.asked_next.pop_front() else { return };
            if !self.unnamed.contains_key(&span) {
                continue;
            }
            let Some((span, meaning)) = self.outermost(span, names) else {
                self.asked_next.push_back(span);
                continue;
            };
            let Some(Unnamed { task, at, .. }) = self.unnamed.remove(&span) else { continue };
            if let Some(meaning) = meaning
                && self.begin((task, span, at), meaning, out)
                && let Some(open) = self.open.get(&span)
            {
                out(Event::AwaitPoll { id: open.id, ready: false });
            }
        }
    }

    /// Of the unnamed `span` and those inside which it was entered, the outermost that is named by now, with what it means;
    /// with no meaning where `span` is but a part of an await that is known.
    fn outermost(&self, span: u64, names: &impl Names) -> Option<(u64, Option<Meaning>)> {
        let mut found = None;
        let mut next = Some(span);
        for _ in 0..INSIDE_MAX {
            let Some(here) = next else { break };
            if self.open.contains_key(&here) {
                return Some((span, None));
            }
            let Some(unnamed) = self.unnamed.get(&here) else { break };
            found = names.meaning(here).map(|meaning| (here, Some(meaning))).or(found);
            next = unnamed.outer;
        }
        found
    }

    /// An await begins, unless there are too many.
    fn begin(
        &mut self,
        (task, span, at): (TaskId, u64, Nanos),
        (described, resource): Meaning,
        out: &mut impl FnMut(Event),
    ) -> bool {
        let next_site = SiteId::from_index(self.sites.len());
        let has_room = self.sites.len() < SITES_MAX || self.sites.contains_key(&described);
        if !has_room || self.open.len() >= OPEN_MAX || self.told >= AWAITS_MAX {
            return false;
        }
        let site = *self.sites.entry(described.clone()).or_insert(next_site);
        if site == next_site {
            out(Event::Site { site, described: Box::new(described) });
        }
        let id = AwaitId::from_index(self.told);
        self.told += 1;
        out(Event::AwaitStart { id, task, at, site });
        if let Some(resource) = resource {
            out(Event::AwaitOf { id, resource });
        }
        self.open.insert(span, Open { id, task, is_fresh: false });
        true
    }

    /// The poll of `task` is about to end.
    pub fn left(&mut self, task: TaskId, out: &mut impl FnMut(Event)) {
        self.fresh.retain(|span| match self.open.get_mut(span) {
            Some(open) if open.task == task => {
                open.is_fresh = false;
                out(Event::AwaitPoll { id: open.id, ready: false });
                false
            }
            other => other.is_some(),
        });
    }

    /// `span` is gone.
    pub fn closed(&mut self, span: u64, at: Nanos, out: &mut impl FnMut(Event)) {
        let Some(open) = self.open.remove(&span) else {
            self.unnamed.remove(&span);
            return;
        };
        if open.is_fresh {
            self.fresh.retain(|fresh| *fresh != span);
            out(Event::AwaitPoll { id: open.id, ready: true });
        }
        out(Event::AwaitEnd { id: open.id, at });
    }
}
