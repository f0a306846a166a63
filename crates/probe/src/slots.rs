//! Slots for the spans of resources and operations. A span's id holds the number of its slot, so that its references
//! are counted without a lock and without a search: tokio clones the span of a lock several times for each attempt.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Slots of a chunk, which are allocated together.
const CHUNK_SLOTS: usize = 1 << 10;

/// The most chunks. Spans beyond 4 million live ones are not observed.
const CHUNKS_MAX: usize = 1 << 12;

/// Slots that a thread takes or returns at a time.
const BATCH_SLOTS: usize = 64;

/// What is known about a resource or an operation.
pub(crate) mod slot_flags {
    /// The slot is one of a resource.
    pub(crate) const RESOURCE: u32 = 1;
    /// The attributes of the resources in it are its own.
    pub(crate) const INHERITS: u32 = 4;
    /// Its operations and attributes are those of the resource that contains it.
    pub(crate) const REDUNDANT: u32 = 8;
    /// The operation was reported, and is pending.
    pub(crate) const REPORTED: u32 = 16;
    /// The end of the operation was reported.
    pub(crate) const ENDED: u32 = 32;
}

/// What is known about a live resource or operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotEntry {
    pub(crate) id: u64,
    /// Time of its creation in ticks.
    pub(crate) ticks: u64,
    pub(crate) site: u64,
    /// The resource that contains it, or 0.
    pub(crate) parent: u64,
    pub(crate) flags: u32,
}

#[derive(Default)]
struct Slot {
    references: AtomicU32,
    flags: AtomicU32,
    id: AtomicU64,
    ticks: AtomicU64,
    site: AtomicU64,
    parent: AtomicU64,
}

impl Slot {
    fn entry(&self) -> SlotEntry {
        SlotEntry {
            id: self.id.load(Ordering::Acquire),
            ticks: self.ticks.load(Ordering::Acquire),
            site: self.site.load(Ordering::Acquire),
            parent: self.parent.load(Ordering::Acquire),
            flags: self.flags.load(Ordering::Acquire),
        }
    }
}

static CHUNKS: [OnceLock<Box<[Slot]>>; CHUNKS_MAX] = [const { OnceLock::new() }; CHUNKS_MAX];

/// Slots that no thread has taken.
struct FreeSlots {
    returned: Vec<u32>,
    /// Slots from here on were never taken. Slot 0 is not used.
    next: u32,
}

static FREE: Mutex<FreeSlots> = Mutex::new(FreeSlots { returned: Vec::new(), next: 1 });

fn lock_free() -> MutexGuard<'static, FreeSlots> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Slots that a thread has taken and does not use yet.
struct ThreadSlots(Vec<u32>);

impl Drop for ThreadSlots {
    fn drop(&mut self) {
        lock_free().returned.append(&mut self.0);
    }
}

thread_local! {
    static THREAD_SLOTS: RefCell<ThreadSlots> = const { RefCell::new(ThreadSlots(Vec::new())) };
}

fn find(slot: u64) -> Option<&'static Slot> {
    let slot = usize::try_from(slot).ok()?;
    CHUNKS.get(slot / CHUNK_SLOTS)?.get()?.get(slot % CHUNK_SLOTS)
}

fn take() -> Option<u32> {
    let take_from = |slots: &mut Vec<u32>| {
        if slots.is_empty() {
            let mut free = lock_free();
            let returned = free.returned.len().saturating_sub(BATCH_SLOTS);
            slots.extend(free.returned.drain(returned..));
            while slots.len() < BATCH_SLOTS && (free.next as usize) < CHUNK_SLOTS * CHUNKS_MAX {
                slots.push(free.next);
                free.next += 1;
            }
        }
        slots.pop()
    };
    let slot = THREAD_SLOTS.try_with(|slots| take_from(&mut slots.borrow_mut().0));
    // The thread ends.
    slot.unwrap_or_else(|_| take_from(&mut Vec::new()))
}

fn give_back(slot: u32) {
    let returned = THREAD_SLOTS.try_with(|slots| {
        let slots = &mut slots.borrow_mut().0;
        slots.push(slot);
        if slots.len() > 2 * BATCH_SLOTS {
            lock_free().returned.extend(slots.drain(..BATCH_SLOTS));
        }
    });
    if returned.is_err() {
        lock_free().returned.push(slot);
    }
}

/// Puts an entry with one reference into a slot, and returns the slot; `None` if there are too many.
pub(crate) fn insert(entry: SlotEntry) -> Option<u64> {
    let slot = take()?;
    CHUNKS.get(slot as usize / CHUNK_SLOTS)?.get_or_init(|| (0..CHUNK_SLOTS).map(|_| Slot::default()).collect());
    let target = find(u64::from(slot))?;
    target.id.store(entry.id, Ordering::Relaxed);
    target.ticks.store(entry.ticks, Ordering::Relaxed);
    target.site.store(entry.site, Ordering::Relaxed);
    target.parent.store(entry.parent, Ordering::Relaxed);
    target.flags.store(entry.flags, Ordering::Relaxed);
    target.references.store(1, Ordering::Release);
    Some(u64::from(slot))
}

/// Returns the id of the resource or operation in a slot; 0 if there is none.
#[inline]
pub(crate) fn id(slot: u64) -> u64 {
    find(slot).map_or(0, |slot| slot.id.load(Ordering::Relaxed))
}

/// Returns the flags of the resource in a slot.
#[inline]
pub(crate) fn flags(slot: u64) -> u32 {
    find(slot).map_or(0, |slot| slot.flags.load(Ordering::Relaxed))
}

/// Adds flags to the entry in a slot.
#[inline]
pub(crate) fn add_flags(slot: u64, flags: u32) {
    if let Some(slot) = find(slot) {
        slot.flags.fetch_or(flags, Ordering::Relaxed);
    }
}

/// Returns the entry in a slot. Call it only while there is a reference to it.
#[inline]
pub(crate) fn get(slot: u64) -> Option<SlotEntry> {
    find(slot).map(Slot::entry)
}

/// Counts one more reference.
#[inline]
pub(crate) fn add_reference(slot: u64) {
    if let Some(slot) = find(slot) {
        slot.references.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts one reference less. Returns whether it was the last one. [`free`] must follow then.
#[inline]
pub(crate) fn remove_reference(slot: u64) -> bool {
    find(slot).is_some_and(|slot| slot.references.fetch_sub(1, Ordering::AcqRel) == 1)
}

/// Frees a slot without references.
pub(crate) fn free(slot: u64) {
    if let (Some(target), Ok(slot)) = (find(slot), u32::try_from(slot)) {
        target.references.store(0, Ordering::Release);
        give_back(slot);
    }
}

/// Calls `visit` with every resource.
pub(crate) fn for_each_resource(mut visit: impl FnMut(SlotEntry)) {
    for slot in CHUNKS.iter().map_while(OnceLock::get).flatten() {
        let read = || {
            let is_live = slot.references.load(Ordering::Acquire) > 0;
            is_live.then(|| slot.entry())
        };
        // A slot that is reused meanwhile is recorded by the thread that uses it.
        if let Some(entry) = read().filter(|entry| read() == Some(*entry))
            && entry.flags & slot_flags::RESOURCE != 0
        {
            visit(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_reused_after_the_last_reference() {
        let entry = SlotEntry { id: u64::MAX, ticks: 1, site: 2, parent: 3, flags: slot_flags::RESOURCE };
        let slot = insert(entry).expect("a slot");
        add_reference(slot);
        let mut found = Vec::new();
        for_each_resource(|entry| found.push(entry));
        assert!(found.contains(&entry) && id(slot) == u64::MAX && flags(slot) == slot_flags::RESOURCE);
        assert_eq!([remove_reference(slot), remove_reference(slot)], [false, true]);
        free(slot);
        assert_eq!(insert(SlotEntry { id: 7, ..entry }), Some(slot));
        free(slot);
        // A thread that ends returns its slots.
        let many = CHUNK_SLOTS + 1;
        let slots = std::thread::spawn(move || {
            let slots: Vec<_> = (0..many).map(|_| insert(entry).expect("a slot")).collect();
            slots.iter().for_each(|&slot| free(slot));
            slots
        });
        let slots: std::collections::HashSet<_> = slots.join().expect("slots").into_iter().collect();
        assert_eq!(slots.len(), many);
        assert!((0..many).all(|_| insert(entry).is_some_and(|slot| slot < 4 * CHUNK_SLOTS as u64)));
    }
}
