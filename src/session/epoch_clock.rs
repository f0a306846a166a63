//! The clock for all timestamps of an app: epoch time that advances with the monotonic clock.
//!
//! console-subscriber computes its timestamps the same way.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Epoch time at the start of the app, advanced by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct EpochClock {
    began: Instant,
    began_epoch_ns: u64,
}

impl EpochClock {
    /// Starts the clock at the current system time.
    pub fn start() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), began_epoch_ns: u64::try_from(epoch.as_nanos()).unwrap_or(u64::MAX) }
    }

    /// Returns the origin of loop time in nanoseconds since 1970.
    pub fn origin(&self) -> u64 {
        self.began_epoch_ns
    }

    /// Returns the current time in nanoseconds since 1970.
    pub fn now(&self) -> u64 {
        let passed = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.began_epoch_ns.saturating_add(passed)
    }
}
