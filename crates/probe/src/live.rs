//! Tasks that live now, with what defines them. The table is kept even while nothing is recorded, because
//! a later snapshot must contain them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// Number of parts with a lock each, so that workers rarely wait for each other.
const SHARDS: usize = 64;

/// A task.
pub(crate) struct LiveEntry {
    /// Number of references to its span.
    pub(crate) references: u32,
    /// Time of its spawn in ticks.
    pub(crate) ticks: u64,
    pub(crate) site: u64,
    /// Name, if it has one.
    pub(crate) name: Option<Box<str>>,
    /// The hooks of its runtime report its polls and its end.
    pub(crate) has_hooks: bool,
    /// It has a span, whose end is the end of the entry.
    pub(crate) has_span: bool,
}

/// Hashes ids, which are dense.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = (self.0.rotate_left(5) ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

type Shard = HashMap<u64, LiveEntry, BuildHasherDefault<IdHasher>>;

static SHARD_TABLE: LazyLock<[Mutex<Shard>; SHARDS]> = LazyLock::new(|| std::array::from_fn(|_| Mutex::default()));

/// Locks the part of the table that holds this span.
fn shard(span: u64) -> MutexGuard<'static, Shard> {
    // The lowest bits hold the kind of the span.
    lock(&SHARD_TABLE[(span >> 3) as usize % SHARDS])
}

fn lock(shard: &'static Mutex<Shard>) -> MutexGuard<'static, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds a task under the id of its span.
pub(crate) fn insert(span: u64, entry: LiveEntry) {
    shard(span).insert(span, entry);
}

/// Counts one more reference.
pub(crate) fn add_reference(span: u64) {
    if let Some(entry) = shard(span).get_mut(&span) {
        entry.references = entry.references.saturating_add(1);
    }
}

/// Counts one reference less. Returns the entry if it was the last one.
pub(crate) fn remove_reference(span: u64) -> Option<LiveEntry> {
    let mut shard = shard(span);
    let entry = shard.get_mut(&span)?;
    entry.references = entry.references.saturating_sub(1);
    if entry.references == 0 { shard.remove(&span) } else { None }
}

/// Notes that the hooks of its runtime report a task's polls and its end. Returns whether the task is known.
pub(crate) fn set_hooks(span: u64) -> bool {
    match shard(span).get_mut(&span) {
        Some(entry) => {
            entry.has_hooks = true;
            true
        }
        None => false,
    }
}

/// Removes a task that has no span. Returns whether it was there.
pub(crate) fn remove_without_span(span: u64) -> bool {
    let mut shard = shard(span);
    shard.get(&span).is_some_and(|entry| !entry.has_span) && shard.remove(&span).is_some()
}

/// Returns whether the hooks of its runtime report a task's polls and its end.
pub(crate) fn has_hooks(span: u64) -> bool {
    shard(span).get(&span).is_some_and(|entry| entry.has_hooks)
}

/// Returns the name of a live task, or its spawn location and id, as `main.rs:47 #12`.
pub(crate) fn task_name(task: u64) -> Option<String> {
    use crate::events::{span_id, span_kind};

    let kinds = [span_kind::TASK, span_kind::BLOCK_ON, span_kind::BLOCKING];
    let (name, site) = kinds.into_iter().find_map(|kind| {
        let span = span_id(task, kind);
        shard(span).get(&span).map(|entry| (entry.name.clone(), entry.site))
    })?;
    Some(name.map_or_else(|| format!("{} #{task}", crate::sites::short_location(site)), String::from))
}

/// Calls `visit` with every task and the id of its span. One part of the table is locked at a time.
pub(crate) fn for_each(mut visit: impl FnMut(u64, &LiveEntry)) {
    for part in &*SHARD_TABLE {
        for (&span, entry) in lock(part).iter() {
            visit(span, entry);
        }
    }
}

/// Returns the number of live tasks. Workers, futures of `block_on` and closures of the blocking pool do not count.
pub(crate) fn task_count() -> u64 {
    use crate::events::{kind_of, span_kind};

    let is_task = |span: &&u64| kind_of(**span) == span_kind::TASK;
    SHARD_TABLE.iter().map(|part| lock(part).keys().filter(is_task).count() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reference_removes_an_entry() {
        let span = u64::MAX;
        insert(span, LiveEntry { references: 1, ticks: 0, site: 0, name: None, has_hooks: false, has_span: true });
        add_reference(span);
        assert!(set_hooks(span) && has_hooks(span));
        assert!(remove_reference(span).is_none() && remove_reference(span).is_some());
        assert!(remove_reference(span).is_none() && !has_hooks(span) && !set_hooks(span));
    }
}
