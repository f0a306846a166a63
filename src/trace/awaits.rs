//! Awaits: what was awaited, where, from when to when, by which task.

use std::collections::VecDeque;

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
    /// The number of the resource that it is for, 0 for none; [`READY`] where it was ready at its last poll. Together, for
    /// there are many awaits.
    marks: u32,
}

const READY: u32 = 1 << 31;

/// How an await came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ready,
    /// Dropped before it was ready.
    Cancelled,
    Pending,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Cancelled => "cancelled",
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
        ((self.marks & !READY) as usize).checked_sub(1).map(ResourceId::from_index)
    }

    pub fn outcome(&self) -> Outcome {
        match (self.marks & READY != 0, self.end()) {
            (true, _) => Outcome::Ready,
            (false, Some(_)) => Outcome::Cancelled,
            (false, None) => Outcome::Pending,
        }
    }
}

/// All awaits that are kept; the oldest go first when memory runs short.
#[derive(Clone, Debug, Default)]
pub struct Awaits {
    dropped: usize,
    kept: VecDeque<Await>,
}

impl Awaits {
    pub(super) fn start(&mut self, id: AwaitId, task: TaskId, site: SiteId, at: Nanos) {
        debug_assert_eq!(id.index(), self.dropped + self.kept.len(), "await ids are given in order at the door");
        self.kept.push_back(Await { task, site, start: at, end: Nanos::MAX, polls: 0, marks: 0 });
    }

    /// Counts a poll, and tells whose await it was if this was the first.
    pub(super) fn polled(&mut self, id: AwaitId, ready: bool) -> Option<TaskId> {
        let found = self.get_mut(id)?;
        found.polls += 1;
        found.marks |= if ready { READY } else { 0 };
        (found.polls == 1).then_some(found.task)
    }

    pub(super) fn is_for(&mut self, id: AwaitId, resource: ResourceId) {
        if let Some(found) = self.get_mut(id) {
            found.marks = (found.marks & READY) | (resource.number() & !READY);
        }
    }

    pub(super) fn end(&mut self, id: AwaitId, at: Nanos) -> Option<TaskId> {
        let found = self.get_mut(id)?;
        found.end = at.max(found.start);
        Some(found.task)
    }

    pub fn get(&self, id: AwaitId) -> Option<&Await> {
        self.kept.get(id.index().checked_sub(self.dropped)?)
    }

    fn get_mut(&mut self, id: AwaitId) -> Option<&mut Await> {
        self.kept.get_mut(id.index().checked_sub(self.dropped)?)
    }

    /// Every kept await with its id, in order of creation.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (AwaitId, &Await)> {
        self.kept.iter().enumerate().map(|(index, found)| (AwaitId::from_index(self.dropped + index), found))
    }

    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Forgets the oldest await, and tells which and whose it was.
    pub(super) fn drop_oldest(&mut self) -> Option<(AwaitId, Await)> {
        let oldest = self.kept.pop_front()?;
        self.dropped += 1;
        Some((AwaitId::from_index(self.dropped - 1), oldest))
    }
}
