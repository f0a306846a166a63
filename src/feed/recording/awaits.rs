//! Awaits, where the console wire says what the spans of a recording are: the recording has their exact polls and ends.
//!
//! An operation of a resource is an await of the task that polls it. Since tokio 1.53 a sleep has none on the wire; but
//! a timer that is entered in a task's poll, and not as part of another await, is a sleep of that task. An await that
//! ends in the very poll in which it was last polled was ready; one that ends at another time was dropped.

use rustc_hash::FxHashMap;

use crate::trace::{AwaitId, Event, Nanos, ResourceId, Site, SiteId, TaskId};

/// Places that await; whatever is awaited at more of them is not told.
const SITES_MAX: usize = 1 << 16;

/// Awaits that are open at once; more are not told.
const OPEN_MAX: usize = 1 << 20;

/// Awaits of one recording. Ids of the trace end at four times this.
const AWAITS_MAX: usize = 1 << 30;

/// Somebody who knows what spans are.
pub trait Names {
    /// What is awaited where `span` is entered, and for which resource; `None` where it is no await.
    fn meaning(&self, span: u64) -> Option<(Site, Option<ResourceId>)>;
}

/// Nobody does.
impl Names for () {
    fn meaning(&self, _: u64) -> Option<(Site, Option<ResourceId>)> {
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

/// See the module.
#[derive(Debug, Default)]
pub struct Awaits {
    open: FxHashMap<u64, Open>,
    /// Spans of those that are fresh.
    fresh: Vec<u64>,
    /// Spans that mean nothing so far, by who entered them first, and when: they may be named yet.
    unnamed: FxHashMap<u64, (TaskId, Nanos)>,
    sites: FxHashMap<Site, SiteId>,
    told: usize,
}

impl Awaits {
    /// `span` was entered in a poll of `task`. Tells whether it is an await.
    pub fn polled(
        &mut self,
        (task, span, at): (TaskId, u64, Nanos),
        names: &impl Names,
        out: &mut impl FnMut(Event),
    ) -> bool {
        if let Some(open) = self.open.get_mut(&span) {
            if std::mem::replace(&mut open.is_fresh, true) {
                out(Event::AwaitPoll { id: open.id, ready: false });
            } else {
                self.fresh.push(span);
            }
            return true;
        }
        let Some((described, resource)) = names.meaning(span) else {
            if self.unnamed.len() < OPEN_MAX {
                self.unnamed.entry(span).or_insert((task, at));
            }
            return false;
        };
        let first = self.unnamed.remove(&span).filter(|(first, _)| *first == task);
        let at = first.map_or(at, |(_, first)| first);
        let next_site = SiteId::from_index(self.sites.len());
        let has_room = self.sites.len() < SITES_MAX || self.sites.contains_key(&described);
        if !has_room || self.open.len() >= OPEN_MAX || self.told >= AWAITS_MAX {
            return true;
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
        self.open.insert(span, Open { id, task, is_fresh: true });
        self.fresh.push(span);
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
