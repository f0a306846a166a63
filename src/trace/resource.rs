//! Resources that tasks share, identified by instance, so that a trace can name owners and waiters.
//!
//! A lock that two tasks await at two lines is one resource; two locks that are awaited at one line are two resources.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::{ResourceId, TaskId};
use super::location::Location;
use super::time::Nanos;

#[cfg(test)]
mod tests;

/// Maximum number of retained acquisitions: 32 MiB at 32 bytes each. Past it, the oldest are evicted.
const ACQUISITIONS_MAX: usize = 1 << 20;

/// Number of resources that are retained even if they were dropped. Past it, the oldest dropped ones are evicted. As many of
/// those that existed when they were passed over are retained too, after they were dropped.
const RETAINED_RESOURCES_MAX: usize = 1 << 13;

/// Maximum number of attributes of one resource. Further ones are ignored.
const ATTRIBUTES_MAX: usize = 32;

/// Maximum number of retained lost notifications, and of unawaited coroutines. Later ones are ignored.
const LOST_AND_UNAWAITED_MAX: usize = 10_000;

/// Kind of a shared resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ResourceKind {
    /// A mutex or a read-write lock.
    Lock,
    /// A semaphore.
    Semaphore,
    /// A channel.
    Channel,
    /// A notify, event or condition: tasks wait until another task signals it.
    Signal,
    /// A periodic timer.
    Interval,
    /// A single sleep, as tokio instruments it.
    Timer,
    /// An entity that can do only one thing at a time, as declared by the program.
    Actor,
    /// Anything else.
    Other,
}

/// Description of a resource that tasks share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Kind of the resource.
    pub kind: ResourceKind,
    /// Name in the program, such as `mutex-1` or `player`.
    pub name: Arc<str>,
    /// Where it was created, if known.
    pub location: Option<Location>,
    /// Permits of a semaphore, capacity of a channel, or period of an interval in nanoseconds; 0 if not applicable.
    pub size: u64,
}

impl ResourceKind {
    /// Returns the name used on the screen and in reports.
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

/// An attribute of a resource, such as `permits 3` or `duration 100 ms`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceAttribute {
    /// Name of the attribute.
    pub name: Arc<str>,
    /// Current value.
    pub value: Arc<str>,
    /// Unit of the value; empty if it has none.
    pub unit: Arc<str>,
}

/// A retained resource with its lifetime and attributes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResourceEntry {
    /// Description of the resource.
    pub resource: Resource,
    /// Time of its creation.
    pub created_at: Nanos,
    dropped_at: Nanos,
    attributes: Vec<ResourceAttribute>,
}

impl ResourceEntry {
    /// Returns when the resource was dropped, or `None` while it exists.
    pub fn dropped_at(&self) -> Option<Nanos> {
        (self.dropped_at != Nanos::MAX).then_some(self.dropped_at)
    }

    /// Returns its attributes, in the order in which they were first set.
    pub fn attributes(&self) -> &[ResourceAttribute] {
        &self.attributes
    }
}

/// The interval in which one task owned one resource: a lock, or one permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acquisition {
    /// The owned resource.
    pub resource: ResourceId,
    /// The owner.
    pub task: TaskId,
    /// Time of the acquisition.
    pub start: Nanos,
    end: Nanos,
}

impl Acquisition {
    /// Creates an acquisition that has not been released.
    pub fn open(resource: ResourceId, task: TaskId, start: Nanos) -> Self {
        Self { resource, task, start, end: Nanos::MAX }
    }

    /// Returns when the resource was released, or `None` while the task still owns it.
    pub fn end(&self) -> Option<Nanos> {
        (self.end != Nanos::MAX).then_some(self.end)
    }
}

/// A coroutine that was created and never awaited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnawaitedCoroutine {
    /// Name of its function.
    pub name: Arc<str>,
    /// Where it was created, if known.
    pub location: Option<Location>,
}

/// A notification that no task received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostNotification {
    /// The notified resource.
    pub resource: ResourceId,
    /// The notifying task, if a task sent it.
    pub task: Option<TaskId>,
    /// Time of the notification.
    pub at: Nanos,
}

/// The retained resources, with their acquisitions, lost notifications and unawaited coroutines.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Resources {
    /// Number of the oldest resources that are no longer in `entries`.
    evicted: usize,
    entries: VecDeque<ResourceEntry>,
    /// Resources that are no longer in `entries` but still exist, or existed until lately.
    #[serde(rename = "older_live")]
    older: BTreeMap<ResourceId, ResourceEntry>,
    /// Those in `older` that were dropped, in that order: a lock that lives as long as the app is needed after it, because
    /// what happened at the end is judged then.
    #[serde(skip)]
    older_dropped: VecDeque<ResourceId>,
    /// Number of evicted acquisitions.
    evicted_acquisitions: usize,
    acquisitions: VecDeque<Acquisition>,
    /// Indices of unreleased acquisitions, counted from the first acquisition of the run.
    open_acquisitions: BTreeMap<(ResourceId, TaskId), Vec<usize>>,
    lost_notifications: Vec<LostNotification>,
    unawaited_coroutines: Vec<(Option<TaskId>, Nanos, UnawaitedCoroutine)>,
    /// Releases by another task, or because the owner was dropped.
    releases_by_others: Vec<(ResourceId, TaskId, Nanos)>,
}

impl Resources {
    /// Returns whether all ids, indices and lengths are in range, for resources that were read from a file.
    pub(super) fn is_in_range(&self) -> bool {
        const COUNT_MAX: usize = u32::MAX as usize / 4;
        let counts = [self.evicted, self.entries.len(), self.evicted_acquisitions, self.acquisitions.len()];
        let lists = [self.lost_notifications.len(), self.unawaited_coroutines.len(), self.releases_by_others.len()];
        counts.iter().all(|count| *count < COUNT_MAX) && lists.iter().all(|count| *count <= LOST_AND_UNAWAITED_MAX)
    }

    /// Returns the description of resource `id`, or `None` if it was evicted.
    pub fn get(&self, id: ResourceId) -> Option<&Resource> {
        self.entry(id).map(|entry| &entry.resource)
    }

    /// Returns resource `id` with its lifetime and attributes, or `None` if it was evicted.
    pub fn entry(&self, id: ResourceId) -> Option<&ResourceEntry> {
        match id.index().checked_sub(self.evicted) {
            Some(index) => self.entries.get(index),
            None => self.older.get(&id),
        }
    }

    fn entry_mut(&mut self, id: ResourceId) -> Option<&mut ResourceEntry> {
        match id.index().checked_sub(self.evicted) {
            Some(index) => self.entries.get_mut(index),
            None => self.older.get_mut(&id),
        }
    }

    /// Returns the retained resources with their ids, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (ResourceId, &ResourceEntry)> {
        let newer = self.entries.iter().enumerate();
        let newer = newer.map(|(index, entry)| (ResourceId::from_index(self.evicted + index), entry));
        self.older.iter().map(|(id, entry)| (*id, entry)).chain(newer)
    }

    /// Returns the retained resources with an id index of at least `index`, oldest first.
    pub fn iter_from(&self, index: usize) -> impl Iterator<Item = (ResourceId, &ResourceEntry)> {
        let first = self.evicted + index.saturating_sub(self.evicted);
        let newer = self.entries.iter().enumerate().skip(first - self.evicted);
        let newer = newer.map(|(index, entry)| (ResourceId::from_index(self.evicted + index), entry));
        self.older.range(ResourceId::from_index(index)..).map(|(id, entry)| (*id, entry)).chain(newer)
    }

    /// Returns the number of resources created so far, including evicted ones.
    pub fn len(&self) -> usize {
        self.evicted + self.entries.len()
    }

    /// Returns whether no resource was ever created.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the retained acquisitions, in the order in which they began.
    pub fn acquisitions(&self) -> impl DoubleEndedIterator<Item = &Acquisition> {
        self.acquisitions.iter()
    }

    /// Returns the resources that are owned now, with their owners, ordered by resource; only those after `last`.
    pub fn open_acquisitions(
        &self,
        last: Option<(ResourceId, TaskId)>,
    ) -> impl Iterator<Item = (ResourceId, TaskId)> + '_ {
        let from = last.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.open_acquisitions.range((from, std::ops::Bound::Unbounded)).map(|(acquired, _)| *acquired)
    }

    /// Returns the first releases that happened while the owner was not running: resource, owner and time.
    pub fn releases_by_others(&self) -> &[(ResourceId, TaskId, Nanos)] {
        &self.releases_by_others
    }

    /// Records a release that happened while the owner was not running.
    pub(super) fn add_release_by_other(&mut self, resource: ResourceId, owner: TaskId, at: Nanos) {
        if self.releases_by_others.len() < LOST_AND_UNAWAITED_MAX {
            self.releases_by_others.push((resource, owner, at));
        }
    }

    /// Returns the number of `id` among the retained resources of its name, from 1.
    pub fn number_of(&self, id: ResourceId) -> Option<usize> {
        let name = &self.get(id)?.name;
        let same = self.iter().take_while(|(other, _)| *other <= id).filter(|(_, entry)| entry.resource.name == *name);
        Some(same.count())
    }

    /// Returns the notifications that no task received, oldest first.
    pub fn lost_notifications(&self) -> &[LostNotification] {
        &self.lost_notifications
    }

    /// Returns the coroutines that were never awaited, each with its creator and the time of its creation.
    pub fn unawaited_coroutines(&self) -> &[(Option<TaskId>, Nanos, UnawaitedCoroutine)] {
        &self.unawaited_coroutines
    }

    /// Adds the next resource. Returns whether an older one was evicted for it.
    pub(super) fn insert(&mut self, id: ResourceId, at: Nanos, resource: Resource) -> bool {
        debug_assert_eq!(id.index(), self.len(), "resource ids are dense and in order");
        self.entries.push_back(ResourceEntry {
            resource,
            created_at: at,
            dropped_at: Nanos::MAX,
            attributes: Vec::new(),
        });
        if self.entries.len() <= RETAINED_RESOURCES_MAX {
            return false;
        }
        let Some(oldest) = self.entries.pop_front() else { return false };
        self.evicted += 1;
        let is_dropped = oldest.dropped_at().is_some();
        if !is_dropped {
            self.older.insert(ResourceId::from_index(self.evicted - 1), oldest);
        }
        is_dropped
    }

    /// Sets the drop time of a resource. Returns whether one that was dropped before is evicted for it.
    pub(super) fn set_dropped(&mut self, id: ResourceId, at: Nanos) -> bool {
        let is_older = id.index() < self.evicted;
        let Some(entry) = self.entry_mut(id) else { return false };
        let is_first_time = entry.dropped_at().is_none();
        entry.dropped_at = at.max(entry.created_at);
        if !is_older || !is_first_time {
            return false;
        }
        self.older_dropped.push_back(id);
        let is_full = self.older_dropped.len() > RETAINED_RESOURCES_MAX;
        let evicted = if is_full { self.older_dropped.pop_front() } else { None };
        evicted.is_some_and(|evicted| self.older.remove(&evicted).is_some())
    }

    /// Sets an attribute of a resource, within the limit of [`ATTRIBUTES_MAX`].
    pub(super) fn set_attribute(&mut self, id: ResourceId, attribute: ResourceAttribute) {
        let Some(entry) = self.entry_mut(id) else { return };
        match entry.attributes.iter().position(|known| known.name == attribute.name) {
            Some(index) => entry.attributes[index] = attribute,
            None if entry.attributes.len() < ATTRIBUTES_MAX => entry.attributes.push(attribute),
            None => {}
        }
    }

    /// Records that `task` acquired `resource`.
    pub(super) fn acquire(&mut self, resource: ResourceId, task: TaskId, at: Nanos) {
        if self.acquisitions.len() == ACQUISITIONS_MAX {
            self.acquisitions.pop_front();
            self.evicted_acquisitions += 1;
        }
        let index = self.evicted_acquisitions + self.acquisitions.len();
        self.open_acquisitions.entry((resource, task)).or_default().push(index);
        self.acquisitions.push_back(Acquisition { resource, task, start: at, end: Nanos::MAX });
    }

    /// Records that `task` released its most recent acquisition of `resource`.
    pub(super) fn release(&mut self, resource: ResourceId, task: TaskId, at: Nanos) {
        let Some(indices) = self.open_acquisitions.get_mut(&(resource, task)) else { return };
        let index = indices.pop();
        if indices.is_empty() {
            self.open_acquisitions.remove(&(resource, task));
        }
        let index = index.and_then(|index| index.checked_sub(self.evicted_acquisitions));
        if let Some(acquisition) = index.and_then(|index| self.acquisitions.get_mut(index)) {
            acquisition.end = at.max(acquisition.start);
        }
    }

    /// Evicts the oldest acquisitions that were released before `at`. Returns how many.
    pub(super) fn evict_before(&mut self, at: Nanos) -> usize {
        let mut evicted = 0;
        while self.acquisitions.front().is_some_and(|oldest| oldest.end < at) {
            self.acquisitions.pop_front();
            evicted += 1;
        }
        self.evicted_acquisitions += evicted;
        evicted
    }

    /// Records a notification that no task received.
    pub(super) fn add_lost_notification(&mut self, notification: LostNotification) {
        if self.lost_notifications.len() < LOST_AND_UNAWAITED_MAX {
            self.lost_notifications.push(notification);
        }
    }

    /// Records a coroutine that was never awaited, with its creator and the time of its creation.
    pub(super) fn add_unawaited_coroutine(&mut self, task: Option<TaskId>, at: Nanos, coroutine: UnawaitedCoroutine) {
        if self.unawaited_coroutines.len() < LOST_AND_UNAWAITED_MAX {
            self.unawaited_coroutines.push((task, at, coroutine));
        }
    }
}
