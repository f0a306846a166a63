//! Resources: what tasks share, known by identity, so that a trace can tell who waits for whom and who holds what.
//!
//! A lock that two tasks await at two lines is one resource; two locks that are awaited at one line are two.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::{Location, Nanos};
use super::id::{ResourceId, TaskId};

/// Holdings that are kept; the oldest go first. At 32 bytes each 32 MiB.
const HOLDINGS_MAX: usize = 1 << 20;

/// Resources that are kept though they are gone; the oldest go first.
const GONE_MAX: usize = 1 << 13;

/// Attributes that one resource may have; more are let go.
const ATTRIBUTES_MAX: usize = 32;

/// Signals that nobody heard, and coroutines that nobody awaited, that are kept; later ones are only counted.
const LOST_MAX: usize = 10_000;

/// What tasks can share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ResourceKind {
    /// A mutex, or a lock for one writer or several readers.
    Lock,
    Semaphore,
    Channel,
    /// A notify, an event, a condition: somebody waits until somebody else says so.
    Signal,
    Interval,
    /// One sleep, as tokio itself tells of it.
    Timer,
    /// Somebody or something that can do one thing at a time, whatever the program believes.
    Actor,
    Other,
}

/// One thing that tasks share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    pub kind: ResourceKind,
    /// What the program calls it: `mutex-1`, `player`.
    pub name: Arc<str>,
    pub location: Option<Location>,
    /// Permits of a semaphore, messages that a channel holds, nanoseconds of an interval's period; 0 where there is no
    /// such number.
    pub size: u64,
}

impl ResourceKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Semaphore => "semaphore",
            Self::Channel => "channel",
            Self::Signal => "signal",
            Self::Interval => "interval",
            Self::Timer => "timer",
            Self::Actor => "actor",
            Self::Other => "other",
        }
    }
}

/// One thing that a resource says of itself: `permits 3`, `duration 100 ms`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    pub name: Arc<str>,
    pub value: Box<str>,
    /// Empty where it has none.
    pub unit: Arc<str>,
}

/// A resource as long as it is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Known {
    pub resource: Resource,
    pub from: Nanos,
    to: Nanos,
    attributes: Vec<Attribute>,
}

impl Known {
    /// When it went; `None` while it is there.
    pub fn to(&self) -> Option<Nanos> {
        (self.to != Nanos::MAX).then_some(self.to)
    }

    /// What it says of itself, in the order in which it was first said.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }
}

/// One task that had one resource for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    pub resource: ResourceId,
    pub task: TaskId,
    pub from: Nanos,
    to: Nanos,
}

impl Holding {
    /// `task` has `resource` since then, as far as anybody can tell.
    pub fn open(resource: ResourceId, task: TaskId, from: Nanos) -> Self {
        Self { resource, task, from, to: Nanos::MAX }
    }

    /// When it was given back; `None` while it is held.
    pub fn to(&self) -> Option<Nanos> {
        (self.to != Nanos::MAX).then_some(self.to)
    }
}

/// A coroutine that was made and never began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unawaited {
    /// Its function's name.
    pub name: Arc<str>,
    pub location: Option<Location>,
}

/// A signal that reached nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unheard {
    pub resource: ResourceId,
    pub task: Option<TaskId>,
    pub at: Nanos,
}

/// Every resource, and what was acquired, signalled and forgotten.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Resources {
    /// How many of the oldest are no longer in `kept`.
    forgotten: usize,
    kept: VecDeque<Known>,
    /// Those of the forgotten that are still there.
    old: BTreeMap<ResourceId, Known>,
    dropped: usize,
    holdings: VecDeque<Holding>,
    /// Where the open holdings of a task are, counted from the first one ever.
    open: BTreeMap<(ResourceId, TaskId), Vec<usize>>,
    unheard: Vec<Unheard>,
    unawaited: Vec<(Option<TaskId>, Nanos, Unawaited)>,
}

impl Resources {
    /// Whether ids and places of it are within what there can be, in one that was read from a file.
    pub(super) fn is_sane(&self) -> bool {
        const MOST: usize = u32::MAX as usize / 4;
        self.forgotten < MOST && self.kept.len() < MOST && self.dropped < MOST && self.holdings.len() < MOST
    }

    pub fn get(&self, id: ResourceId) -> Option<&Resource> {
        self.known(id).map(|known| &known.resource)
    }

    /// A resource with its times and what it says of itself; `None` where it was forgotten.
    pub fn known(&self, id: ResourceId) -> Option<&Known> {
        match id.index().checked_sub(self.forgotten) {
            Some(index) => self.kept.get(index),
            None => self.old.get(&id),
        }
    }

    fn known_mut(&mut self, id: ResourceId) -> Option<&mut Known> {
        match id.index().checked_sub(self.forgotten) {
            Some(index) => self.kept.get_mut(index),
            None => self.old.get_mut(&id),
        }
    }

    /// Every resource that is kept, with its id, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (ResourceId, &Known)> {
        let kept = self.kept.iter().enumerate();
        let kept = kept.map(|(index, known)| (ResourceId::from_index(self.forgotten + index), known));
        self.old.iter().map(|(id, known)| (*id, known)).chain(kept)
    }

    /// The same from the `index`-th on that there ever was.
    pub fn from(&self, index: usize) -> impl Iterator<Item = (ResourceId, &Known)> {
        let first = self.forgotten + index.saturating_sub(self.forgotten);
        let kept = self.kept.iter().enumerate().skip(first - self.forgotten);
        let kept = kept.map(|(index, known)| (ResourceId::from_index(self.forgotten + index), known));
        self.old.range(ResourceId::from_index(index)..).map(|(id, known)| (*id, known)).chain(kept)
    }

    /// How many there ever were.
    pub fn len(&self) -> usize {
        self.forgotten + self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every kept holding, in the order in which they began.
    pub fn holdings(&self) -> impl DoubleEndedIterator<Item = &Holding> {
        self.holdings.iter()
    }

    /// What is held now, and by whom, in order of the resources; from what follows `last` on.
    pub fn held(&self, last: Option<(ResourceId, TaskId)>) -> impl Iterator<Item = (ResourceId, TaskId)> + '_ {
        let from = last.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.open.range((from, std::ops::Bound::Unbounded)).map(|(held, _)| *held)
    }

    /// Signals that reached nobody, oldest first.
    pub fn unheard(&self) -> &[Unheard] {
        &self.unheard
    }

    /// Coroutines that never began: who made each, and when.
    pub fn unawaited(&self) -> &[(Option<TaskId>, Nanos, Unawaited)] {
        &self.unawaited
    }

    /// Tells whether an older one was forgotten for it.
    pub(super) fn tell(&mut self, id: ResourceId, at: Nanos, resource: Resource) -> bool {
        debug_assert_eq!(id.index(), self.len(), "resource ids are given in order at the door");
        self.kept.push_back(Known { resource, from: at, to: Nanos::MAX, attributes: Vec::new() });
        if self.kept.len() <= GONE_MAX {
            return false;
        }
        let Some(oldest) = self.kept.pop_front() else { return false };
        self.forgotten += 1;
        let is_gone = oldest.to().is_some();
        if !is_gone {
            self.old.insert(ResourceId::from_index(self.forgotten - 1), oldest);
        }
        is_gone
    }

    /// Tells whether it is forgotten with its end: it was kept only for being there.
    pub(super) fn end(&mut self, id: ResourceId, at: Nanos) -> bool {
        if let Some(known) = self.known_mut(id) {
            known.to = at.max(known.from);
        }
        self.old.remove(&id).is_some()
    }

    pub(super) fn attribute(&mut self, id: ResourceId, attribute: Attribute) {
        let Some(known) = self.known_mut(id) else { return };
        match known.attributes.iter().position(|known| known.name == attribute.name) {
            Some(place) => known.attributes[place] = attribute,
            None if known.attributes.len() < ATTRIBUTES_MAX => known.attributes.push(attribute),
            None => {}
        }
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

    #[test]
    fn what_is_there_is_kept_when_what_is_gone_is_forgotten() {
        let resource = |kind| Resource { kind, name: "lock".into(), location: None, size: 0 };
        let mut resources = Resources::default();
        let lock = ResourceId::from_index(0);
        resources.tell(lock, 0, resource(ResourceKind::Lock));
        for index in 1..=GONE_MAX + 10 {
            let id = ResourceId::from_index(index);
            resources.tell(id, index as u64, resource(ResourceKind::Timer));
            resources.end(id, index as u64 + 1);
        }
        let attribute = |value: &str| Attribute { name: "locked".into(), value: value.into(), unit: "".into() };
        resources.attribute(lock, attribute("true"));
        resources.attribute(lock, attribute("false"));
        let known = resources.known(lock).expect("it is still there");
        assert_eq!((known.to(), known.attributes()), (None, &[attribute("false")][..]));
        assert!(resources.known(ResourceId::from_index(1)).is_none(), "the oldest that is gone");
        assert_eq!(resources.iter().count(), GONE_MAX + 1);
        assert!(resources.end(lock, 99) && resources.known(lock).is_none(), "forgotten with its end");
    }
}
