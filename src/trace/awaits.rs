//! Awaits: what was awaited, where, from when to when, by which task.

use std::collections::{BTreeMap, VecDeque};

use super::event::Nanos;
use super::id::{AwaitId, ResourceId, SiteId, TaskId};

/// One await.
#[derive(Clone, Copy, Debug)]
pub struct Await {
    pub task: TaskId,
    pub site: SiteId,
    pub start: Nanos,
    end: Nanos,
    /// Times the awaitable itself was polled.
    pub polls: u32,
    /// The number of the resource that it is for, 0 for none; [`READY`] where it was ready at its last poll, [`UNTOLD`]
    /// where that may have been missed. Together, for there are many awaits.
    marks: u32,
}

const READY: u32 = 1 << 31;
const UNTOLD: u32 = 1 << 30;

/// How an await came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ready,
    /// Dropped before it was ready.
    Cancelled,
    /// Dropped, and nobody told whether it had been ready.
    Unknown,
    Pending,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
            Self::Pending => "pending",
        }
    }
}

impl Await {
    pub fn end(&self) -> Option<Nanos> {
        (self.end != Nanos::MAX).then_some(self.end)
    }

    /// What it is for, where that is known by identity.
    pub fn resource(&self) -> Option<ResourceId> {
        ((self.marks & !(READY | UNTOLD)) as usize).checked_sub(1).map(ResourceId::from_index)
    }

    pub fn outcome(&self) -> Outcome {
        match self.end() {
            _ if self.marks & READY != 0 => Outcome::Ready,
            None => Outcome::Pending,
            Some(_) if self.marks & UNTOLD != 0 => Outcome::Unknown,
            Some(_) => Outcome::Cancelled,
        }
    }
}

/// All awaits that are kept; the oldest go first when memory runs short.
#[derive(Clone, Debug, Default)]
pub struct Awaits {
    dropped: usize,
    kept: VecDeque<Await>,
    /// Open ones that are older than what is kept: a person still looks at these.
    open: BTreeMap<AwaitId, Await>,
}

impl Awaits {
    pub(super) fn start(&mut self, id: AwaitId, task: TaskId, site: SiteId, at: Nanos) {
        debug_assert_eq!(
            id.index(),
            self.dropped + self.kept.len() + self.open.len(),
            "await ids are given in order at the door"
        );
        self.kept.push_back(Await { task, site, start: at, end: Nanos::MAX, polls: 0, marks: 0 });
    }

    /// Counts so many polls more, and tells whose await it was if the first was among them.
    pub(super) fn polled(&mut self, id: AwaitId, polls: u32, ready: bool) -> Option<TaskId> {
        let found = self.get_mut(id)?;
        let is_first = found.polls == 0 && polls > 0;
        found.polls = found.polls.saturating_add(polls);
        found.marks |= if ready { READY } else { 0 };
        is_first.then_some(found.task)
    }

    pub(super) fn is_for(&mut self, id: AwaitId, resource: ResourceId) {
        if let Some(found) = self.get_mut(id) {
            let flags = READY | UNTOLD;
            found.marks = (found.marks & flags) | (resource.number() & !flags);
        }
    }

    pub(super) fn is_untold(&mut self, id: AwaitId) {
        if let Some(found) = self.get_mut(id) {
            found.marks |= UNTOLD;
        }
    }

    /// Tells whose await it was, and whether it was kept only for being open and is forgotten now.
    pub(super) fn end(&mut self, id: AwaitId, at: Nanos) -> Option<(TaskId, bool)> {
        let found = self.get_mut(id)?;
        found.end = at.max(found.start);
        let task = found.task;
        let is_forgotten = id.index() < self.dropped && self.open.remove(&id).is_some();
        Some((task, is_forgotten))
    }

    pub fn get(&self, id: AwaitId) -> Option<&Await> {
        match id.index().checked_sub(self.dropped) {
            Some(index) => self.kept.get(index),
            None => self.open.get(&id),
        }
    }

    fn get_mut(&mut self, id: AwaitId) -> Option<&mut Await> {
        match id.index().checked_sub(self.dropped) {
            Some(index) => self.kept.get_mut(index),
            None => self.open.get_mut(&id),
        }
    }

    /// Every kept await with its id, in order of creation.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (AwaitId, &Await)> {
        let kept = self.kept.iter().enumerate();
        let kept = kept.map(|(index, found)| (AwaitId::from_index(self.dropped + index), found));
        self.open.iter().map(|(id, found)| (*id, found)).chain(kept)
    }

    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Forgets the oldest await that is not open, and tells which and whose it was.
    pub(super) fn drop_oldest(&mut self) -> Option<(AwaitId, Await)> {
        loop {
            let oldest = self.kept.pop_front()?;
            self.dropped += 1;
            let id = AwaitId::from_index(self.dropped - 1);
            if oldest.end().is_some() {
                return Some((id, oldest));
            }
            self.open.insert(id, oldest);
        }
    }
}
