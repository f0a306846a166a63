//! Counts lookups in tests, which assert that their cost grows with the logarithm of the data.

/// Counts the inspection of one block or cycle, in tests only.
#[inline]
pub(in crate::trace) fn count_lookup() {
    #[cfg(test)]
    LOOKUPS.with(|count| count.set(count.get() + 1));
}

#[cfg(test)]
thread_local! {
    /// Number of blocks and cycles that this thread has inspected.
    pub(in crate::trace) static LOOKUPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}
