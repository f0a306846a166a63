//! Interner for task metadata: tasks with equal metadata share one copy, since servers spawn the same task many times.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::storage::ALLOCATION_BYTES;
use super::task_meta::TaskMeta;

/// Maximum number of interned entries. When it is reached, the table is cleared.
const INTERNED_MAX: usize = 1_024;

/// Interns [`TaskMeta`] and counts the bytes that the shared copies take.
#[derive(Clone, Debug, Default)]
pub(super) struct MetaInterner {
    interned: FxHashSet<Arc<TaskMeta>>,
    /// Bytes of all copies that a task or the table refers to.
    retained_bytes: usize,
}

/// Returns the bytes that one shared copy takes.
fn meta_bytes(meta: &TaskMeta) -> usize {
    // Each `Arc` (the metadata and its name) stores two reference counts before its value.
    size_of::<TaskMeta>() + meta.name.len() + 2 * (2 * size_of::<usize>() + ALLOCATION_BYTES)
}

impl MetaInterner {
    /// Returns a shared copy of the metadata.
    pub fn intern(&mut self, meta: TaskMeta) -> Arc<TaskMeta> {
        if let Some(interned) = self.interned.get(&meta) {
            return Arc::clone(interned);
        }
        if self.interned.len() >= INTERNED_MAX {
            self.interned.drain().for_each(|interned| self.retained_bytes -= bytes_freed(&interned));
        }
        let shared = Arc::new(meta);
        self.retained_bytes += meta_bytes(&shared);
        self.interned.insert(Arc::clone(&shared));
        shared
    }

    /// Gives up one reference to shared metadata, and its bytes if it was the last one.
    #[expect(clippy::needless_pass_by_value, reason = "the reference ends here")]
    pub fn release(&mut self, meta: Arc<TaskMeta>) {
        self.retained_bytes -= bytes_freed(&meta);
    }

    /// Returns the bytes of all copies that a task or the table refers to.
    pub fn retained_bytes(&self) -> usize {
        self.retained_bytes
    }
}

/// Returns the bytes that are freed when this reference is dropped: 0 unless it is the last one.
fn bytes_freed(meta: &Arc<TaskMeta>) -> usize {
    if Arc::strong_count(meta) == 1 { meta_bytes(meta) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> TaskMeta {
        TaskMeta { name: name.into(), ..TaskMeta::default() }
    }

    #[test]
    fn shares_equal_metadata_until_released() {
        let mut interner = MetaInterner::default();
        let (a, b) = (interner.intern(named("request")), interner.intern(named("request")));
        assert!(Arc::ptr_eq(&a, &b));
        let once = interner.retained_bytes();
        let others: Vec<_> =
            (0..3 * INTERNED_MAX).map(|index| interner.intern(named(&format!("{index:07}")))).collect();
        assert_eq!(interner.retained_bytes(), once * (1 + 3 * INTERNED_MAX));
        others.into_iter().for_each(|other| interner.release(other));
        (0..2 * INTERNED_MAX).for_each(|index| drop(interner.intern(named(&format!("{index:07}")))));
        assert!(
            interner.retained_bytes() <= once * (2 * INTERNED_MAX + 1),
            "unreferenced metadata is freed eventually"
        );
        interner.release(a);
        interner.release(b);
        (0..2 * INTERNED_MAX).for_each(|index| drop(interner.intern(named(&format!("x{index:06}")))));
        assert!(interner.retained_bytes() <= once * INTERNED_MAX);
    }
}
