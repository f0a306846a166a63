//! Owners of tokio's locks, from the changes of their attributes.
//!
//! A lock reports that it is locked on the thread that acquired it, so the task that is polled there is the owner. It
//! reports that it is free after it was released, and another thread may have acquired it by then. The report of a
//! release can therefore follow that of the next acquisition.

use crate::trace::{Event, Nanos, ResourceId, TaskId};

/// Readers of one lock that are followed.
const READERS_MAX: usize = 1 << 12;

/// Releases of one lock whose reports are outstanding.
const LATE_MAX: usize = 64;

/// Who owns one lock.
#[derive(Debug, Default)]
pub struct LockOwnership {
    /// Whether it is locked exclusively.
    is_locked: bool,
    owner: Option<TaskId>,
    /// Previous owners whose releases are not reported yet.
    late: Vec<Option<TaskId>>,
    readers: Vec<Option<TaskId>>,
}

impl LockOwnership {
    /// Whether it is locked exclusively.
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }

    /// Handles the report that the lock is locked exclusively, on a thread that polls `task`.
    pub fn lock(&mut self, lock: ResourceId, task: Option<TaskId>, at: Nanos, events: &mut Vec<Event>) {
        if self.is_locked {
            events.extend(release(lock, self.owner, at));
            if self.late.len() < LATE_MAX {
                self.late.push(self.owner);
            }
        }
        // The report of a release comes in the same poll as the release, so none of this task is outstanding.
        self.late.retain(|previous| *previous != task);
        (self.is_locked, self.owner) = (true, task);
        events.extend(acquire(lock, task, at));
    }

    /// Handles the report that the lock is free, on a thread that polls `task`.
    pub fn unlock(&mut self, lock: ResourceId, task: Option<TaskId>, at: Nanos, events: &mut Vec<Event>) {
        let late = self.late.iter().position(|previous| *previous == task);
        // A guard that was moved may be dropped by any task.
        match late.or((self.owner != task && !self.late.is_empty()).then_some(0)) {
            Some(index) => drop(self.late.remove(index)),
            None => {
                events.extend(release(lock, self.owner.take(), at));
                self.is_locked = false;
            }
        }
    }

    /// Handles that a task began to read.
    pub fn add_reader(&mut self, lock: ResourceId, task: Option<TaskId>, at: Nanos, events: &mut Vec<Event>) {
        if self.readers.len() < READERS_MAX {
            self.readers.push(task);
            events.extend(acquire(lock, task, at));
        }
    }

    /// Handles that a reader, or one whose guard was moved to `task`, is done.
    pub fn remove_reader(&mut self, lock: ResourceId, task: Option<TaskId>, at: Nanos, events: &mut Vec<Event>) {
        let own = self.readers.iter().rposition(|reader| *reader == task);
        if let Some(index) = own.or((!self.readers.is_empty()).then_some(0)) {
            events.extend(release(lock, self.readers.remove(index), at));
        }
    }

    /// Releases everything, because the lock is gone or its owners are no longer known.
    pub fn clear(&mut self, lock: ResourceId, at: Nanos, events: &mut Vec<Event>) {
        events.extend(release(lock, self.owner.take(), at));
        events.extend(self.readers.drain(..).filter_map(|reader| release(lock, reader, at)));
        self.late.clear();
        self.is_locked = false;
    }
}

fn acquire(resource: ResourceId, task: Option<TaskId>, at: Nanos) -> Option<Event> {
    task.map(|task| Event::ResourceAcquire { resource, task, at })
}

fn release(resource: ResourceId, task: Option<TaskId>, at: Nanos) -> Option<Event> {
    task.map(|task| Event::ResourceRelease { resource, task, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_report_of_a_release_keeps_the_new_owner() {
        let [first, second, third] = [0, 1, 2].map(|index| Some(TaskId::from_index(index)));
        let (id, mut lock, mut events) = (ResourceId::from_index(0), LockOwnership::default(), Vec::new());
        lock.lock(id, first, 1, &mut events);
        lock.lock(id, second, 2, &mut events);
        lock.unlock(id, first, 3, &mut events);
        assert!(lock.is_locked(), "the second task owns it");
        lock.unlock(id, second, 4, &mut events);
        assert!(!lock.is_locked());
        lock.lock(id, second, 5, &mut events);
        lock.unlock(id, third, 6, &mut events);
        assert!(!lock.is_locked(), "the guard was moved");
        let acquired = |task, at| acquire(id, task, at);
        let released = |task, at| release(id, task, at);
        let expected = [
            acquired(first, 1),
            released(first, 2),
            acquired(second, 2),
            released(second, 4),
            acquired(second, 5),
            released(second, 6),
        ];
        assert_eq!(events, expected.into_iter().flatten().collect::<Vec<_>>());
    }

    /// A release whose report comes before that of the acquisition, in doubtful order, leaves no wrong owner behind.
    #[test]
    fn owner_is_right_again_after_a_disorder() {
        let [first, second] = [0, 1].map(|index| Some(TaskId::from_index(index)));
        let (id, mut lock, mut events) = (ResourceId::from_index(0), LockOwnership::default(), Vec::new());
        lock.unlock(id, first, 1, &mut events);
        lock.lock(id, first, 1, &mut events);
        lock.lock(id, second, 2, &mut events);
        lock.unlock(id, second, 3, &mut events);
        lock.lock(id, first, 4, &mut events);
        lock.unlock(id, first, 5, &mut events);
        assert!(!lock.is_locked());
        assert_eq!(events.last(), release(id, first, 5).as_ref());
    }

    #[test]
    fn readers_come_and_go() {
        let [first, second] = [0, 1].map(|index| Some(TaskId::from_index(index)));
        let (id, mut lock, mut events) = (ResourceId::from_index(0), LockOwnership::default(), Vec::new());
        lock.add_reader(id, first, 1, &mut events);
        lock.add_reader(id, second, 2, &mut events);
        lock.remove_reader(id, first, 3, &mut events);
        lock.clear(id, 4, &mut events);
        let releases: Vec<_> = events[2..].to_vec();
        assert_eq!(releases, [release(id, first, 3), release(id, second, 4)].map(|event| event.expect("a task")));
    }
}
