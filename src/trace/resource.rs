//! Resources: what tasks share, known by identity, so that a trace can tell who waits for whom and who holds what.
//!
//! A lock that two tasks await at two lines is one resource; two locks that are awaited at one line are two.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::event::{Location, Nanos};
use super::id::{ResourceId, TaskId};

/// Holdings that are kept; the oldest go first. At 32 bytes each 32 MiB.
const HOLDINGS_MAX: usize = 1 << 20;

/// Signals that nobody heard, and coroutines that nobody awaited, that are kept; later ones are only counted.
const LOST_MAX: usize = 10_000;

/// What tasks can share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// A mutex, or a lock for one writer or several readers.
    Lock,
    Semaphore,
    Channel,
    /// A notify, an event, a condition: somebody waits until somebody else says so.
    Signal,
    Interval,
    /// Somebody or something that can do one thing at a time, whatever the program believes.
    Actor,
    Other,
}

/// One thing that tasks share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub kind: ResourceKind,
    /// What the program calls it: `mutex-1`, `player`.
    pub name: Arc<str>,
    pub location: Option<Location>,
    /// Permits of a semaphore, messages that a channel holds, nanoseconds of an interval's period; 0 where there is no
    /// such number.
    pub size: u64,
}

/// One task that had one resource for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    pub resource: ResourceId,
    pub task: TaskId,
    pub from: Nanos,
    to: Nanos,
}

impl Holding {
    /// When it was given back; `None` while it is held.
    pub fn to(&self) -> Option<Nanos> {
        (self.to != Nanos::MAX).then_some(self.to)
    }
}

/// A coroutine that was made and never began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unawaited {
    /// Its function's name.
    pub name: Arc<str>,
    pub location: Option<Location>,
}

/// A signal that reached nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unheard {
    pub resource: ResourceId,
    pub task: Option<TaskId>,
    pub at: Nanos,
}

/// Every resource, and what was acquired, signalled and forgotten.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    all: Vec<Resource>,
    dropped: usize,
    holdings: VecDeque<Holding>,
    /// Where the open holdings of a task are, counted from the first one ever.
    open: FxHashMap<(ResourceId, TaskId), Vec<usize>>,
    unheard: Vec<Unheard>,
    unawaited: Vec<(Option<TaskId>, Nanos, Unawaited)>,
}

impl Resources {
    pub fn get(&self, id: ResourceId) -> Option<&Resource> {
        self.all.get(id.index())
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Every kept holding, in the order in which they began.
    pub fn holdings(&self) -> impl DoubleEndedIterator<Item = &Holding> {
        self.holdings.iter()
    }

    /// Signals that reached nobody, oldest first.
    pub fn unheard(&self) -> &[Unheard] {
        &self.unheard
    }

    /// Coroutines that never began: who made each, and when.
    pub fn unawaited(&self) -> &[(Option<TaskId>, Nanos, Unawaited)] {
        &self.unawaited
    }

    pub(super) fn tell(&mut self, id: ResourceId, resource: Resource) {
        debug_assert_eq!(id.index(), self.all.len(), "resource ids are given in order at the door");
        self.all.push(resource);
    }

    pub(super) fn acquire(&mut self, resource: ResourceId, task: TaskId, at: Nanos) {
        if self.holdings.len() == HOLDINGS_MAX {
            self.holdings.pop_front();
            self.dropped += 1;
        }
        self.open.entry((resource, task)).or_default().push(self.dropped + self.holdings.len());
        self.holdings.push_back(Holding { resource, task, from: at, to: Nanos::MAX });
    }

    pub(super) fn give_back(&mut self, resource: ResourceId, task: TaskId, at: Nanos) {
        let Some(open) = self.open.get_mut(&(resource, task)) else { return };
        let place = open.pop();
        if open.is_empty() {
            self.open.remove(&(resource, task));
        }
        let place = place.and_then(|place| place.checked_sub(self.dropped));
        if let Some(holding) = place.and_then(|place| self.holdings.get_mut(place)) {
            holding.to = at.max(holding.from);
        }
    }

    /// Forgets the oldest holdings that were given back before `at`, and tells how many.
    pub(super) fn forget_before(&mut self, at: Nanos) -> usize {
        let mut forgotten = 0;
        while self.holdings.front().is_some_and(|oldest| oldest.to < at) {
            self.holdings.pop_front();
            forgotten += 1;
        }
        self.dropped += forgotten;
        forgotten
    }

    pub(super) fn note_unheard(&mut self, unheard: Unheard) {
        if self.unheard.len() < LOST_MAX {
            self.unheard.push(unheard);
        }
    }

    pub(super) fn note_unawaited(&mut self, task: Option<TaskId>, at: Nanos, coroutine: Unawaited) {
        if self.unawaited.len() < LOST_MAX {
            self.unawaited.push((task, at, coroutine));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_what_was_acquired_last() {
        let (lock, task) = (ResourceId::from_index(0), TaskId::from_index(0));
        let mut resources = Resources::default();
        resources.acquire(lock, task, 1);
        resources.acquire(lock, task, 2);
        resources.give_back(lock, task, 5);
        resources.give_back(lock, TaskId::from_index(1), 6);
        let held: Vec<_> = resources.holdings().map(|holding| (holding.from, holding.to())).collect();
        assert_eq!(held, [(1, None), (2, Some(5))]);
        resources.give_back(lock, task, 7);
        assert_eq!((resources.forget_before(6), resources.forget_before(8)), (0, 2), "the oldest first");
    }
}
