//! What is known of tasks from their spawn on, once for all that are alike in it: a server spawns the same task again and
//! again.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::ALLOCATION_BYTES;
use super::event::Spawned;

/// Descriptions that a new task is held against; past that one begins anew.
const ALIKE_MAX: usize = 1_024;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Alike {
    known: FxHashSet<Arc<Spawned>>,
    /// Of all descriptions that any task has.
    kept_bytes: usize,
}

fn bytes(spawned: &Spawned) -> usize {
    // An `Arc` has two counts before what it holds, and so has the name.
    size_of::<Spawned>() + spawned.name.len() + 2 * (2 * size_of::<usize>() + ALLOCATION_BYTES)
}

impl Alike {
    /// The same, shared with those that are alike.
    pub fn share(&mut self, spawned: Spawned) -> Arc<Spawned> {
        if let Some(known) = self.known.get(&spawned) {
            return Arc::clone(known);
        }
        if self.known.len() >= ALIKE_MAX {
            self.known.drain().for_each(|known| self.kept_bytes -= unshared(&known));
        }
        let shared = Arc::new(spawned);
        self.kept_bytes += bytes(&shared);
        self.known.insert(Arc::clone(&shared));
        shared
    }

    /// A task that had it has it no more.
    #[expect(clippy::needless_pass_by_value, reason = "it is given up")]
    pub fn release(&mut self, spawned: Arc<Spawned>) {
        self.kept_bytes -= unshared(&spawned);
    }

    pub fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }
}

/// What goes with this one, where it is the last.
fn unshared(spawned: &Arc<Spawned>) -> usize {
    if Arc::strong_count(spawned) == 1 { bytes(spawned) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Spawned {
        Spawned { name: name.into(), ..Spawned::default() }
    }

    #[test]
    fn what_is_alike_is_kept_once_and_goes_with_the_last() {
        let mut alike = Alike::default();
        let (a, b) = (alike.share(named("request")), alike.share(named("request")));
        assert!(Arc::ptr_eq(&a, &b));
        let once = alike.kept_bytes();
        let others: Vec<_> = (0..3 * ALIKE_MAX).map(|index| alike.share(named(&format!("{index:07}")))).collect();
        assert_eq!(alike.kept_bytes(), once * (1 + 3 * ALIKE_MAX));
        others.into_iter().for_each(|other| alike.release(other));
        (0..2 * ALIKE_MAX).for_each(|index| drop(alike.share(named(&format!("{index:07}")))));
        assert!(alike.kept_bytes() <= once * (2 * ALIKE_MAX + 1), "what nobody has is not kept for ever");
        alike.release(a);
        alike.release(b);
        (0..2 * ALIKE_MAX).for_each(|index| drop(alike.share(named(&format!("x{index:06}")))));
        assert!(alike.kept_bytes() <= once * ALIKE_MAX);
    }
}
