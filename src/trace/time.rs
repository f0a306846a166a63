//! Loop time.

/// Loop time or a duration, in nanoseconds. Loop time starts at 0 when the run begins and excludes pauses.
pub type Nanos = u64;

/// A time that has not come yet.
pub(super) const NEVER: Nanos = Nanos::MAX;
