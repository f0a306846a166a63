//! Awaits, where the console wire says what the spans of a recording are: the recording has their exact polls and ends.
//!
//! An operation of a resource is an await of the task that polls it. Since tokio 1.53 a sleep has none on the wire; but
//! a timer that is entered in a task's poll, and not as part of another await, is a sleep of that task. An await that
//! ends in the very poll in which it was last polled was ready; one that ends at another time was dropped.

use rustc_hash::FxHashMap;

use crate::trace::{AwaitId, Event, Nanos, ResourceId, Site, SiteId, TaskId};

/// Spans whose meaning is remembered at once; what is named past that stays unnamed.
const NAMES_MAX: usize = 1 << 20;

/// What a span is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub site: Site,
    pub resource: Option<ResourceId>,
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
    names: FxHashMap<u64, Named>,
    open: FxHashMap<u64, Open>,
    /// Spans of those that are fresh.
    fresh: Vec<u64>,
    sites: FxHashMap<Site, SiteId>,
    told: usize,
}

impl Awaits {
    /// `span` is an await wherever it is entered.
    pub fn name(&mut self, span: u64, named: Named) {
        if self.names.len() < NAMES_MAX {
            self.names.insert(span, named);
        }
    }

    /// What was said of `span` is not wanted any more.
    pub fn forget(&mut self, span: u64) {
        self.names.remove(&span);
    }

    /// `span` was entered in a poll of `task`. Tells whether it is an await.
    pub fn polled(&mut self, task: TaskId, span: u64, at: Nanos, out: &mut impl FnMut(Event)) -> bool {
        if let Some(open) = self.open.get_mut(&span) {
            if std::mem::replace(&mut open.is_fresh, true) {
                out(Event::AwaitPoll { id: open.id, ready: false });
            } else {
                self.fresh.push(span);
            }
            return true;
        }
        let Some(named) = self.names.get(&span) else { return false };
        let next_site = SiteId::from_index(self.sites.len());
        let site = *self.sites.entry(named.site.clone()).or_insert(next_site);
        if site == next_site {
            out(Event::Site { site, described: Box::new(named.site.clone()) });
        }
        let id = AwaitId::from_index(self.told);
        self.told += 1;
        out(Event::AwaitStart { id, task, at, site });
        if let Some(resource) = named.resource {
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
        self.names.remove(&span);
        let Some(open) = self.open.remove(&span) else { return };
        if open.is_fresh {
            self.fresh.retain(|fresh| *fresh != span);
            out(Event::AwaitPoll { id: open.id, ready: true });
        }
        out(Event::AwaitEnd { id: open.id, at });
    }
}
