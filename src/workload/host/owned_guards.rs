//! Guards that a task owns: locks, permits, and generators that it has started.
//!
//! Lua's garbage collector would release them some time after the task has ended. The task owns them instead, and they
//! are released as soon as it ends, however it ends.

use std::sync::{Arc, Mutex};

use super::lock::lock;

/// Number of guards of a task below which released guards are not swept out of its list.
const SWEEP_MIN: usize = 32;

/// Releases a guard.
pub(super) type ReleaseFn = Box<dyn FnOnce() + Send>;

/// A guard until it is released: a lock, a permit or a started generator.
#[derive(Default)]
pub(super) struct OwnedGuard(Mutex<Option<ReleaseFn>>);

impl OwnedGuard {
    /// Releases the guard. Returns false if it was released before.
    pub fn release(&self) -> bool {
        let release = lock(&self.0).take();
        // Releasing wakes other tasks and may run any code: not under the lock.
        release.map(|release| release()).is_some()
    }

    fn is_held(&self) -> bool {
        lock(&self.0).is_some()
    }
}

/// All guards of one task.
#[derive(Default)]
pub(super) struct OwnedGuards(Mutex<Vec<Arc<OwnedGuard>>>);

impl OwnedGuards {
    /// Makes the task the owner of a guard that `release` releases.
    pub fn own(&self, owned: &Arc<OwnedGuard>, release: ReleaseFn) {
        *lock(&owned.0) = Some(release);
        let mut all = lock(&self.0);
        if all.len() >= SWEEP_MIN && all.len() == all.capacity() {
            all.retain(|owned| owned.is_held());
        }
        all.push(Arc::clone(owned));
    }

    /// Releases all guards, because the task ends.
    pub fn release_all(&self) {
        let all = std::mem::take(&mut *lock(&self.0));
        all.iter().for_each(|owned| {
            owned.release();
        });
    }
}
