//! Memory accounting of stored data.

/// Approximate overhead of one heap allocation, in bytes.
pub(super) const ALLOCATION_BYTES: usize = 16;

/// The change in stored bytes that filing an event caused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StorageDelta {
    /// Bytes allocated less bytes freed.
    pub bytes: isize,
    /// A block was sealed before the next one began.
    pub has_sealed_block: bool,
}

impl StorageDelta {
    /// Makes room for one more item in `items`, which never holds more than `most`.
    pub fn reserve_one<T>(&mut self, items: &mut Vec<T>, most: usize) {
        let capacity = items.capacity();
        if items.len() == capacity {
            items.reserve_exact(capacity.max(4).min(most.saturating_sub(capacity)).max(1));
            self.bytes += ((items.capacity() - capacity) * size_of::<T>()) as isize;
        }
    }
}
